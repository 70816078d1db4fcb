"""The catalogue of sources: what each corpus is, under which licence, and where its primary files lie.

One file per source, ``corpora/<source id>.yaml``. ``sha256`` and ``bytes`` stand only where the full original file was
measured; without them, whatever is fetched first is written to ``sources.lock`` and held to from then on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sciriff.errors import SourceError, UsageError
from sciriff.plain_yaml import load_yaml
from sciriff.sources.addresses import DRIVE, HUB, drive_id, hub_file, is_on, lfs_file

CORPORA = Path(__file__).with_name("corpora")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SourceKind = Literal["http", "hub", "lfs", "manual"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Entry):
    """Terms of a source.

    Attributes:
        id: SPDX id where there is one, else a short name such as ``none-stated``.
        url: where the terms can be read.
        redistributable: whether the terms, as far as they are stated, allow copies to be passed on.
        note: what a user should know besides.
    """

    id: str
    url: str | None
    redistributable: bool
    note: str = ""


class SourceFile(_Entry):
    """One primary file.

    Attributes:
        url: the primary address; also its name in mirrors and in ``sources.lock``.
        filename: what the file is called, where the address does not say (Google Drive).
        mirrors: further addresses of the same bytes, tried in order.
        sha256: 64 hex digits, where known.
        bytes: size, where known.
        members: patterns of the members that an archive which is fetched by hand must hold, so that a wrong one is told
            from the right one.
    """

    url: str
    filename: str = Field("", pattern=r"^([A-Za-z0-9][\w.-]*)?$")
    mirrors: tuple[str, ...] = ()
    sha256: Sha256 | None = None
    bytes: int | None = Field(None, ge=0)
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """File name: the one that is stated, else the last part of the address."""
        return self.filename or PurePosixPath(unquote(urlsplit(self.url).path)).name


class Source(_Entry):
    """One source.

    Attributes:
        id: its name in the catalogue: the stem of its file.
        title: what it is.
        homepage: where its authors describe it.
        licence: terms.
        citation: the paper to cite.
        kind: how it is fetched. ``http``: plain download, also from Google Drive; ``hub``: a file of a Hugging Face
            dataset, at a commit that is recorded; ``lfs``: a file of a GitHub repository that is kept in Git LFS, named
            by the address of its pointer; ``manual``: the user must fetch it, for example after registration.
        by_hand: for ``manual``: how to get the files, in a sentence or two without a period at the end.
        files: the files by key; member paths begin with the key.
    """

    id: str
    title: str
    homepage: str
    licence: Licence
    citation: str
    kind: SourceKind
    by_hand: str = ""
    files: Mapping[str, SourceFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _addresses_fit_the_kind(self) -> Source:
        for key, file in self.files.items():
            try:
                check_address(file.url, self.kind)
            except ValueError as error:
                raise ValueError(f"files.{key}.url: {error}") from error
        return self


def check_address(url: str, kind: SourceKind) -> None:
    """Make sure that a primary address is one that sources of its kind can have.

    Raises:
        ValueError: if it is not; says what was expected.
    """
    if kind == "hub":
        hub_file(url)
    elif kind == "lfs":
        lfs_file(url)
    elif kind == "http" and is_on(url, DRIVE):
        drive_id(url)
    elif kind == "http" and is_on(url, f"{HUB}/datasets"):
        raise ValueError(f"{url} is an address of the Hub: its kind is hub, so that it is fetched at a fixed commit")


def source_ids(folder: Path = CORPORA) -> list[str]:
    """Ids of all sources, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_catalogue(folder: Path = CORPORA) -> dict[str, Source]:
    """Read all sources: id to source, sorted by id.

    Raises:
        SourceError: if an entry cannot be read or is wrong; names file and key.
    """
    return {source_id: source(source_id, folder) for source_id in source_ids(folder)}


@cache
def source(source_id: str, folder: Path = CORPORA) -> Source:
    """The source of that id.

    Raises:
        UsageError: if there is none; names the nearest ids.
        SourceError: if its file cannot be read or is wrong; names file and key.
    """
    path = folder / f"{source_id}.yaml"
    known = source_ids(folder)
    if source_id not in known:
        near = difflib.get_close_matches(source_id, known, n=3) or known
        raise UsageError(f"unknown source {source_id!r}; did you mean {', '.join(near)}?")
    try:
        entry = load_yaml(path.read_bytes())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f"source {path} cannot be read: {error}") from error
    if not isinstance(entry, dict):
        raise SourceError(f"source {path}: expected a mapping, found {type(entry).__name__}")
    try:
        return Source.model_validate({"id": source_id, **entry})
    except ValidationError as error:
        problems = "; ".join(
            f"key {'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise SourceError(f"source {path}: {problems}") from error

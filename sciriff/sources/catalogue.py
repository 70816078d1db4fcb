"""The catalogue of sources: what each corpus is, under which licence, and where its primary files lie."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sciriff.errors import SourceError, UsageError

CATALOGUE = Path(__file__).with_name("catalogue.yaml")

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
        mirrors: further addresses of the same bytes, tried in order.
        sha256: 64 hex digits, where known.
        bytes: size, where known.
    """

    url: str
    mirrors: tuple[str, ...] = ()
    sha256: Sha256 | None = None
    bytes: int | None = Field(None, ge=0)

    @property
    def name(self) -> str:
        """File name: the last part of the address."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name


class Source(_Entry):
    """One source.

    Attributes:
        id: its name in the catalogue.
        title: what it is.
        homepage: where its authors describe it.
        licence: terms.
        citation: the paper to cite.
        kind: how it is fetched. ``http``: plain download; ``hub``: a Hugging Face address, fetched from the endpoint of
            the settings and its commit recorded; ``lfs``: an address that serves a Git LFS object's content;
            ``manual``: the user must fetch it, for example after registration.
        files: the files by key; member paths begin with the key.
    """

    id: str
    title: str
    homepage: str
    licence: Licence
    citation: str
    kind: SourceKind
    files: Mapping[str, SourceFile] = Field(min_length=1)


@cache
def load_catalogue(path: Path = CATALOGUE) -> Mapping[str, Source]:
    """Read the catalogue once: source id to source, in file order.

    Raises:
        SourceError: if the file cannot be read or an entry is wrong; names file and key.
    """
    try:
        entries = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise SourceError(f"source catalogue {path} cannot be read: {error}") from error
    if not isinstance(entries, dict):
        raise SourceError(f"source catalogue {path} must map source ids to entries; found {type(entries).__name__}")
    return {str(name): _source(path, str(name), entry) for name, entry in entries.items()}


def _source(path: Path, name: str, entry: object) -> Source:
    if not isinstance(entry, dict):
        raise SourceError(f"source catalogue {path}, key {name}: expected a mapping, found {type(entry).__name__}")
    try:
        return Source.model_validate({"id": name, **entry})
    except ValidationError as error:
        problems = "; ".join(
            f"key {'.'.join([name, *map(str, problem['loc'])])}: {problem['msg']}" for problem in error.errors()
        )
        raise SourceError(f"source catalogue {path}: {problems}") from error


def source(source_id: str) -> Source:
    """The source of that id.

    Raises:
        UsageError: if there is none; names the nearest ids.
    """
    catalogue = load_catalogue()
    if source_id in catalogue:
        return catalogue[source_id]
    near = difflib.get_close_matches(source_id, list(catalogue), n=3) or list(catalogue)
    raise UsageError(f"unknown source {source_id!r}; did you mean {', '.join(near)}?")

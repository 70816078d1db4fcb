"""The predictions that a folder of the user's holds. Files are read, and nothing is ever written there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sciriff.errors import UsageError
from sciriff.hashing import digest
from sciriff.models.lines import dump_line, load_json
from sciriff.results.existing.answers import read_ledger
from sciriff.results.existing.layout import Data, Format, Layout, PredictionFile, arrange
from sciriff.results.existing.lines import Bad, Line, json_values
from sciriff.store import MANIFEST


class Content(NamedTuple):
    """What a file holds, and a hash of it."""

    values: list[Line | Bad]
    sha256: str


@dataclass(frozen=True)
class Existing:
    """Predictions of one model for one task, window and split; not read yet.

    Attributes:
        model, task, data: of what they are.
        origin: the file or ledger, relative to the folder.
        path: the file; of a ledger its folder.
        read: reads them; raises OSError.
        model_identity: digest of all that replies depend on apart from the prompt, as far as that is known.
        manifest: of predictions of this pipeline; else empty.
    """

    model: str
    task: str
    data: Data
    origin: str
    path: Path
    read: Callable[[], Content]
    model_identity: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Collection:
    """What a folder holds.

    Attributes:
        predictions: one entry per model, task, window and split.
        superseded: what does not count -> what counts in its place.
        unknown: files whose names speak of no evaluation task.
    """

    predictions: tuple[Existing, ...]
    superseded: Mapping[str, str]
    unknown: tuple[str, ...]


def collect(place: Path, data: Data, *, but: Path | None = None) -> Collection:
    """Find the predictions of a folder.

    Args:
        place: the folder, or a single file of predictions.
        data: which instances files answer that do not say so themselves.
        but: a folder in it that is left out: where results are written.

    Raises:
        UsageError: if there is no such folder, or it cannot be read.
    """
    place = place.expanduser().absolute()
    if not place.exists():
        raise UsageError(f"predictions {place}: there is no such file or folder")
    root = place if place.is_dir() else place.parent
    try:
        paths = [path.relative_to(root).as_posix() for path in ([place] if place.is_file() else _files(root, but))]
        layout = arrange(paths, PurePosixPath(root), data)
        files = [_of_file(root, file) for file in layout.files]
        ledgers, superseded = _of_ledgers(root, layout, data, files)
    except OSError as error:
        raise UsageError(f"predictions {place} cannot be read: {error}") from error
    return Collection(
        predictions=(*files, *ledgers), superseded={**layout.superseded, **superseded}, unknown=layout.unknown
    )


def _files(root: Path, but: Path | None) -> Iterator[Path]:
    """All regular files but hidden ones; links are followed, each folder is visited once.

    A pipe or a device, which could be read for ever, is passed over.
    """
    visited = set() if but is None else {os.path.realpath(but)}
    for folder, below, names in os.walk(root, followlinks=True, onerror=_refuse):
        real = os.path.realpath(folder)
        if real in visited and folder != str(root):
            below.clear()
            continue
        visited.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        files = (Path(folder, name) for name in names if not name.startswith("."))
        yield from (path for path in files if path.is_file())


def _refuse(error: OSError) -> None:
    raise error


def _of_file(root: Path, file: PredictionFile) -> Existing:
    path = root / file.path
    manifest = _manifest(path) if file.format is Format.ARTIFACT else {}
    return Existing(
        model=file.model,
        task=file.task,
        data=file.data,
        origin=file.path,
        path=path,
        read=partial(_read_file, path),
        model_identity=str(manifest.get("model_identity") or _identity(file.model)),
        manifest=manifest,
    )


def _identity(model: str) -> str:
    return digest({"existing": model})


def _read_file(path: Path) -> Content:
    data = path.read_bytes()
    return Content(list(json_values(data.split(b"\n"))), hashlib.sha256(data).hexdigest())


def _manifest(path: Path) -> Mapping[str, Any]:
    """The manifest beside an artifact; empty if there is none."""
    try:
        manifest = load_json(path.with_name(MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _of_ledgers(
    root: Path, layout: Layout, data: Data, files: Iterable[Existing]
) -> tuple[list[Existing], dict[str, str]]:
    """What only ledgers have. Of several with one model the one that was written to last counts."""
    counting = {(file.model, file.task, file.data): file for file in files}
    found: dict[tuple[str, str, Data], Existing] = {}
    superseded: dict[str, str] = {}
    for folder, names in sorted(layout.ledgers.items(), key=lambda item: item[1][-1].removeprefix(item[0])):
        replies = read_ledger(line for name in names for line in (root / name).read_bytes().split(b"\n"))
        for task, records in replies.by_task.items():
            existing = Existing(
                model=replies.model or folder,
                task=task,
                data=data,
                origin=f"{folder} ({task})",
                path=root / folder,
                read=partial(_read_records, records),
                model_identity=replies.identity or _identity(replies.model),
                manifest={},
            )
            key = (existing.model, task, data)
            if key in counting:
                superseded[existing.origin] = counting[key].origin
                continue
            if key in found:
                superseded[found[key].origin] = existing.origin
            found[key] = existing
    return list(found.values()), superseded


def _read_records(records: Iterable[Mapping[str, Any]]) -> Content:
    values: list[Line | Bad] = [Line(number, record) for number, record in enumerate(records, start=1)]
    return Content(values, hashlib.sha256(b"".join(map(dump_line, records))).hexdigest())

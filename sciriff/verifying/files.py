"""Every file of a store against the manifest that names it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from sciriff.building.progress import Progress
from sciriff.errors import StoreError
from sciriff.hashing import stream_sha256
from sciriff.store import MANIFEST, Store, unsealed

_FILES_AT_ONCE = 8
_SIDE = ".manifest.json"
"""End of the name of a manifest that stands beside its only file (mixtures)."""

_BY_CONTENT = re.compile(r"(?:^|/)[a-z_]+-(?P<sha256>[0-9a-f]{16})\.parquet$")
"""Facts are named by their content; those of earlier runs stay when no manifest names them any more."""

WITHOUT_MANIFEST: Mapping[str, re.Pattern[str]] = {
    "replies, line by line": re.compile(r"results/ledger/"),
    "index, made of facts": re.compile(r"results/metrics\.duckdb"),
    "tables, made of facts": re.compile(r"results/metrics(_original)?/(\d+-[a-z]+/)?tables/"),
    "descriptions of the dataset": re.compile(r"instructions_hf/(README\.md|croissant\.json)$"),
    "validation results": re.compile(r"validation/"),
    "your own": re.compile(r"manual/"),
}
"""Files that have no manifest by their kind: kind -> what their paths begin with."""

Flaw = Literal["missing", "changed", "unreadable"]


class Damage(NamedTuple):
    """A file that is not what its manifest says.

    Attributes:
        path: relative to the store root.
        flaw: ``missing``, ``changed`` or ``unreadable``.
        note: what was expected and found, or the error.
    """

    path: str
    flaw: Flaw
    note: str


@dataclass
class Folder:
    """Files under one manifest.

    Attributes:
        path: folder of the manifest, relative to the store root.
        kind: what the manifest calls itself; empty if it cannot be read.
        intact: files that are what it says.
        damage: those that are not.
    """

    path: str
    kind: str = ""
    intact: int = 0
    damage: list[Damage] = field(default_factory=list)


@dataclass
class Audit:
    """What became of all files.

    Attributes:
        folders: one for each manifest, in the order of paths.
        unnamed: files that no manifest names though their kind should have one, sorted.
        kinds: kind -> number of files that have no manifest by their kind.
    """

    folders: list[Folder] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)


def audit(store: Store, progress: Progress) -> Audit:
    """Hash every file that a manifest names.

    Raises:
        StoreError: if the store cannot be listed.
    """
    names = store.files("")
    there = set(names)
    manifests = [name for name in names if _is_manifest(name)]
    found = Audit()
    named: set[str] = set(manifests)
    with ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="verify") as threads:
        plans = list(threads.map(partial(_entries, store), manifests))
        found.folders += [folder for folder, _ in plans]
        work = [(folder, path, entry) for folder, entries in plans for path, entry in entries.items()]
        named.update(path for _, path, _ in work)
        flaws = threads.map(lambda each: _flaw(store, each[1], each[2], there), work)
        with progress.stage("files hashed", len(work)) as stage:
            for (folder, path, _), flaw in zip(work, flaws, strict=True):
                if flaw is None:
                    folder.intact += 1
                else:
                    folder.damage.append(flaw)
                stage.advance(note=path)
    earlier = Folder("results/facts (earlier runs)", "facts")
    for name in names:
        if name not in named:
            _place(store, name, found, earlier)
    if earlier.intact or earlier.damage:
        found.folders.append(earlier)
    return found


def _is_manifest(name: str) -> bool:
    return name.rpartition("/")[2] == MANIFEST or name.endswith(_SIDE)


def _entries(store: Store, name: str) -> tuple[Folder, dict[str, Mapping[str, Any]]]:
    """What a manifest says of its files, by path."""
    folder = Folder(name.rpartition("/")[0] if not name.endswith(_SIDE) else name.removesuffix(_SIDE))
    try:
        manifest = unsealed(store.read_bytes(name))
        if manifest is None:
            folder.damage.append(Damage(name, "changed", "a manifest that is not as it was written"))
            return folder, {}
        files = manifest["files"]
        base = name.rpartition("/")[0]
        entries: dict[str, Mapping[str, Any]] = {
            f"{base}/{file}" if base else str(file): dict(entry) for file, entry in files.items()
        }
        folder.kind = str(manifest.get("kind", ""))
    except (OSError, StoreError) as error:
        folder.damage.append(Damage(name, "unreadable", str(error)))
        return folder, {}
    except (ValueError, TypeError, KeyError, AttributeError):
        folder.damage.append(Damage(name, "changed", "no manifest: it names no files"))
        return folder, {}
    return folder, entries


def _flaw(store: Store, path: str, entry: Mapping[str, Any], there: Collection[str]) -> Damage | None:
    expected = str(entry.get("sha256", ""))
    if path not in there:
        return Damage(path, "missing", f"its manifest names it, sha256 {expected[:12]}")
    try:
        with store.open_read(path) as stream:
            found = stream_sha256(stream)
    except FileNotFoundError:
        return Damage(path, "missing", f"its manifest names it, sha256 {expected[:12]}")
    except (OSError, StoreError) as error:
        return Damage(path, "unreadable", str(error))
    if found != expected:
        return Damage(path, "changed", f"sha256 {found[:12]}, expected {expected[:12]}")
    return None


def _place(store: Store, name: str, found: Audit, earlier: Folder) -> None:
    """Put a file that no manifest names where it belongs."""
    by_content = _BY_CONTENT.search(name)
    if by_content is not None and name.startswith("results/facts/"):
        try:
            with store.open_read(name) as stream:
                is_same = stream_sha256(stream).startswith(by_content["sha256"])
        except (OSError, StoreError) as error:
            earlier.damage.append(Damage(name, "unreadable", str(error)))
            return
        if is_same:
            earlier.intact += 1
        else:
            earlier.damage.append(Damage(name, "changed", "its content is not that of its name"))
        return
    for kind, pattern in WITHOUT_MANIFEST.items():
        if pattern.match(name):
            found.kinds[kind] = found.kinds.get(kind, 0) + 1
            return
    found.unnamed.append(name)

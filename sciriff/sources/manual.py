"""Files that a user fetches by hand: where they are looked for, and whether they are the right ones.

They are looked for in the folders of the setting ``manual`` and in ``manual/`` of the store, there under the source's
id or at the top. They are read, never moved, changed or deleted; only what lies on a remote place is copied, into the
cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from sciriff.errors import BlockedError, SourceError
from sciriff.owned import owned_name
from sciriff.settings import Settings
from sciriff.sources.catalogue import Source, SourceFile
from sciriff.sources.containers import Limits, named_damage, walk
from sciriff.sources.http import is_page
from sciriff.store import Store, sweep

FOLDER = "manual"
"""Name of the folder in the store."""

_AGAIN = "download it again"
_HEAD = 4096
_CHUNK = 1 << 20
_SHOWN = 3


class LackingFileError(BlockedError):
    """One file of a source is not there, or what is there is not it.

    Args:
        file: which.
        flaws: what is wrong with each file of its name that was found; empty if there is none.
    """

    def __init__(self, file: SourceFile, flaws: Sequence[str] = ()) -> None:
        super().__init__("; ".join(flaws) or f"{file.name} is not there")
        self.file = file
        self.flaws = tuple(flaws)


class ByHandError(BlockedError):
    """Files of a source wait for the user. The message is a few lines of Markdown that say which, and what to do.

    Args:
        message: for the user.
        nothing_there: whether not one of the source's files was found, right or wrong.
    """

    def __init__(self, message: str, nothing_there: bool = False) -> None:
        super().__init__(message)
        self.nothing_there = nothing_there


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder that is looked into: ``folder`` of a store that may be remote."""

    store: Store
    folder: str

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


def find_by_hand(source: Source, file: SourceFile, settings: Settings) -> Path:
    """Return the first file of the right name that passes :func:`flaw_of`.

    Raises:
        LackingFileError: if there is none.
        StoreError: if a place cannot be read.
    """
    flaws = []
    for place in _places(settings):
        for name in (place.path(f"{source.id}/{file.name}"), place.path(file.name)):
            path = _local(place.store, name, settings.cache / FOLDER / source.id)
            if path is None:
                flaws += _unpacked(place.store, name)
                continue
            flaw = flaw_of(path, file.members)
            if not flaw:
                return path
            flaws.append(f"{place.store.path(name)} {flaw}")
    raise LackingFileError(file, flaws)


def flaw_of(path: Path, members: tuple[str, ...]) -> str:
    """What is wrong with a file, as the predicate of a sentence; empty if nothing is.

    Args:
        path: a local file.
        members: patterns of the members that it must hold as an archive; none: it need not be one.
    """
    status = path.stat()
    return _flaw(path, members, status.st_size, status.st_mtime_ns)


def by_hand_error(
    source: Source, settings: Settings, lacking: Sequence[LackingFileError], *, others_found: bool
) -> ByHandError:
    """The error of a source of which files are lacking.

    Args:
        source: which.
        settings: where files are looked for.
        lacking: the files.
        others_found: whether there are other files of it.
    """
    wrong = [flaw for lack in lacking for flaw in lack.flaws]
    names = " and ".join(lack.file.name for lack in lacking)
    how = f" {source.by_hand}." if source.by_hand else ""
    lines = [
        f"{source.title}: these files must be fetched by hand.",
        f"  - Get {names} from {source.homepage}.{how}",
        *(f"  - Found, but not the right file: {flaw}." for flaw in wrong),
        "  - Put what you get, as it is, into one of these folders; they are looked into in this order:",
        *(f"    - {folder}" for folder in folders(source, settings)),
        "  - Or give it an entry in the mirror.json of a mirror (SCIRIFF_MIRROR).",
        "  - Then run the same command again: it builds what waits for these files, and only that. Your files are read "
        "where they lie, and stay there.",
    ]
    return ByHandError("\n".join(lines), nothing_there=not wrong and not others_found)


def folders(source: Source, settings: Settings) -> list[str]:
    """The folders in which the files of a source are looked for, for messages."""
    return [place.store.path(place.path(source.id)) for place in _places(settings)]


def _places(settings: Settings) -> Iterator[_Place]:
    for url in settings.manual.split(","):
        if url.strip():
            yield _Place(Store(url.strip(), settings), "")
    yield _Place(Store.of(settings), FOLDER)


def _local(store: Store, name: str, copies: Path) -> Path | None:
    """A local path with the content of a file, copied if the place is remote; None if there is no such file."""
    if store.is_local:
        path = Path(store.path(name))
        return path if path.is_file() else None
    version = store.version(name)
    if version is None:
        return None
    copy = copies / version[:16] / Path(name).name
    if not copy.is_file():
        _copy(store, name, copy)
    return copy


def _unpacked(store: Store, name: str) -> list[str]:
    """Say so if a folder shows that the archive was unpacked, as some browsers do after the download."""
    folder = Path(store.path(name)).with_suffix("")
    if not store.is_local or not folder.is_dir():
        return []
    return [f"{folder} is the archive unpacked; what is needed is {Path(name).name} itself, as it is downloaded"]


def _copy(store: Store, name: str, target: Path) -> None:
    staged = target.with_name(f"{target.name}.part-{owned_name()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, f"{target.name}.part-")
        with store.open_read(name) as stream, staged.open("wb") as out:
            shutil.copyfileobj(stream, out, _CHUNK)
        staged.replace(target)
    except OSError as error:
        raise SourceError(
            f"{store.path(name)} cannot be copied to {target}: {error}; make the cache writable, or set SCIRIFF_CACHE "
            "to another folder"
        ) from error
    finally:
        staged.unlink(missing_ok=True)


@lru_cache(maxsize=256)
def _flaw(path: Path, members: tuple[str, ...], size: int, _mtime_ns: int) -> str:
    if not size:
        return f"is empty; {_AGAIN}"
    with path.open("rb") as stream:
        if is_page(stream.read(_HEAD), ""):
            return f"is a web page, not the file; sign in on the site first, then {_AGAIN}"
        if not members:
            return ""
        stream.seek(0)
        names = []
        try:
            with named_damage(path.name, _AGAIN):
                for member in walk(stream, path.name, Limits(), _AGAIN):
                    names.append(member.name)
                    with member.open() as content:  # to the end, where its checksum is compared
                        while content.read(_CHUNK):
                            pass
        except SourceError as error:
            return f"cannot be used: {error}"
    return _lacking_members(names, members)


def _lacking_members(names: Sequence[str], members: Sequence[str]) -> str:
    missing = [pattern for pattern in members if not any(fnmatchcase(name, pattern) for name in names)]
    if not missing:
        return ""
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"is another archive: it holds {shown or 'nothing'}, but no {', '.join(missing)}"

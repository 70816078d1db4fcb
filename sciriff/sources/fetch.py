"""Making sure that the files of a source lie on local disk: mirror, cache, network, bundled samples."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from sciriff.errors import SourceError, UsageError
from sciriff.resources import resource_dir
from sciriff.settings import Settings
from sciriff.sources.archives import ArchiveView
from sciriff.sources.catalogue import Source, SourceFile
from sciriff.sources.clones import LackingCloneError
from sciriff.sources.errand import Errand
from sciriff.sources.failures import UnavailableError, UnreachableError
from sciriff.sources.http import Downloaded
from sciriff.sources.kinds import fetch, fetch_locally, may_be_local
from sciriff.sources.lock import LockEntry, now, read_lock, require_same, write_lock
from sciriff.sources.manual import LackingFileError, by_hand_error, find_by_hand
from sciriff.sources.mirror import INDEX, Mirror, MirrorEntry, load_mirror, local_sha256
from sciriff.sources.partfile import PartFile
from sciriff.sources.patience import RetryPolicy
from sciriff.sources.progress import Progress

Origin = Literal["primary", "mirror", "partial", "sample"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AcquiredFile:
    """One file of a source on local disk.

    Attributes:
        key: its key in the catalogue.
        url: its primary address.
        path: where it lies. Read-only: it may be a file of a mirror.
        sha256: 64 hex digits, verified in this process.
        bytes: size.
        origin: ``primary``: downloaded (now or earlier); ``mirror``: the full file from a mirror; ``partial``: an
            incomplete stand-in from a mirror; ``sample``: a bundled miniature in the same format.
        note: what the mirror says of it.
        revision: the commit the server named, if it did.
    """

    key: str
    url: str
    path: Path
    sha256: str
    bytes: int
    origin: Origin
    note: str = ""
    revision: str | None = None

    @property
    def partial(self) -> bool:
        """Whether it is not the full primary file."""
        return self.origin in ("partial", "sample")


@dataclass(frozen=True)
class AcquiredSource:
    """A source whose files lie on local disk.

    Attributes:
        source: its catalogue entry.
        files: what could be had, by key, in catalogue order; at least one.
        missing: the other files that were asked for, each with the reason.
    """

    source: Source
    files: Mapping[str, AcquiredFile]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether anything of it is missing or is not the full primary file."""
        return bool(self.missing) or any(file.partial for file in self.files.values())

    def view(self) -> ArchiveView:
        """What readers see of it; asking for a missing file quotes the reason."""
        return ArchiveView({key: file.path for key, file in self.files.items()}, missing=self.missing)


class _CacheNote(BaseModel):
    """What lies beside a cached file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    sha256: str
    revision: str | None = None


@dataclass(frozen=True)
class _Search:
    """What all files of one source are looked up with."""

    source: Source
    settings: Settings
    mirror: Mirror | None
    locked: Mapping[str, LockEntry]
    update_lock: bool
    progress: Progress | None
    policy: RetryPolicy | None
    revisions: dict[str, str]
    """Primary address -> commit, of what is locked and of what was found so far."""

    def expected_sha256(self, file: SourceFile) -> str | None:
        """What a full file must be: what the user has locked, else what the catalogue pins."""
        if self.update_lock:
            return None
        return self.locked[file.url].sha256 if file.url in self.locked else file.sha256

    def expected_bytes(self, file: SourceFile) -> int | None:
        if self.update_lock:
            return None
        return self.locked[file.url].bytes if file.url in self.locked else file.bytes


def acquire(
    source: Source,
    settings: Settings,
    *,
    files: Collection[str] | None = None,
    progress: Progress | None = None,
    update_lock: bool = False,
    policy: RetryPolicy | None = None,
) -> AcquiredSource:
    """Bring the files of a source to local disk.

    Each file is looked for in the mirror of the settings, the cache, the network (unless offline); files of a source of
    kind ``manual`` in the mirror and in the folders of :mod:`sciriff.sources.manual`. Bundled samples are used in place
    of all that if ``settings.samples`` is ``always``; if it is ``auto``, only when no mirror is set and not one file
    could be had because the network is forbidden or out of reach. Samples and real files are never mixed in one source.
    Full files are held to ``sources.lock`` and written to it.

    Args:
        source: the catalogue entry.
        settings: places and permissions.
        files: keys of the files that are needed; default all.
        progress: told how far each transfer is.
        update_lock: fetch anew, and accept files that differ from the lock or from the catalogue's hash.
        policy: how patient downloads are.

    Raises:
        UsageError: if the source has no file of such a key.
        UnavailableError: if not one of the files could be had. If some could, the others are in ``missing``.
        UnreachableError: if a file could not be had because the network is down or a server is, and no mirror is set;
            with a mirror, if that is so of all files.
        ByHandError: if files must be fetched by hand, and are not there or not the right ones.
        BlockedError: if the network has them only for users with a licence or a token.
        SourceError: if a file is not what it should be.
    """
    wanted = _wanted(source, files)
    if settings.samples == "always":
        found, missing = _from_samples(wanted)
        return _result(source, found, missing)
    mirror = load_mirror(settings.mirror, settings) if settings.mirror else None
    locked = read_lock(settings.lock)
    revisions = {} if update_lock else {url: entry.revision for url, entry in locked.items() if entry.revision}
    search = _Search(source, settings, mirror, locked, update_lock, progress, policy, revisions)
    found, reasons = {}, {}
    lacking: list[LackingFileError] = []
    for key, file in wanted.items():
        try:
            found[key] = _acquire_file(search, key, file)
        except (UnavailableError, UnreachableError) as error:
            reasons[key] = error
        except LackingFileError as error:
            lacking.append(error)
        else:
            if revision := found[key].revision:
                search.revisions[file.url] = revision
    if lacking:
        raise by_hand_error(source, settings, lacking, others_found=bool(found))
    if not found and mirror is None and settings.samples == "auto":
        found, missing = _from_samples(wanted)
        if found:
            return _result(source, found, missing)
    _record(search, list(found.values()))
    unreachable = [str(error) for error in reasons.values() if isinstance(error, UnreachableError)]
    if unreachable and (mirror is None or len(unreachable) == len(wanted)):
        raise UnreachableError("; ".join(unreachable))  # a mirror may be incomplete on purpose, the network is not
    return _result(source, found, {key: str(error) for key, error in reasons.items()})


def has_fetched(settings: Settings) -> bool:
    """Whether the cache holds a file that was fetched, of whatever source."""
    return any(_note_path(path).is_file() for path in (settings.cache / "sources").glob("*/*"))


def cached_path(settings: Settings, source: Source, key: str) -> Path:
    """Where a file of a source that is fetched lies in the cache, if it is there."""
    return settings.cache / "sources" / source.id / f"{key}-{source.files[key].name}"


def _wanted(source: Source, keys: Collection[str] | None) -> dict[str, SourceFile]:
    unknown = sorted(set(keys or ()) - set(source.files))
    if unknown:
        raise UsageError(f"source {source.id} has no file {', '.join(unknown)}; it has {', '.join(source.files)}")
    return {key: file for key, file in source.files.items() if keys is None or key in keys}


def _result(source: Source, found: Mapping[str, AcquiredFile], missing: Mapping[str, str]) -> AcquiredSource:
    if not found:
        raise UnavailableError("; ".join(missing.values()) or f"no file of source {source.id} was asked for")
    return AcquiredSource(source, found, missing)


def _from_samples(wanted: Mapping[str, SourceFile]) -> tuple[dict[str, AcquiredFile], dict[str, str]]:
    folder = resource_dir("samples")
    if not (folder / INDEX).is_file():
        return {}, {
            key: f"{file.url}: source not available: there are no bundled samples" for key, file in wanted.items()
        }
    samples = load_mirror(str(folder))
    found: dict[str, AcquiredFile] = {}
    missing: dict[str, str] = {}
    for key, file in wanted.items():
        entry = samples.lookup(file.url)
        if entry is None:
            missing[key] = f"{file.url}: source not available: there is no bundled sample of it"
        else:
            path = samples.local_file(entry, folder)
            size, sha256 = local_sha256(path)
            found[key] = AcquiredFile(key, file.url, path, sha256, size, "sample", entry.note)
    return found, missing


def _acquire_file(search: _Search, key: str, file: SourceFile) -> AcquiredFile:
    entry = search.mirror.lookup(file.url) if search.mirror is not None else None
    if search.mirror is not None and entry is not None:
        return _from_mirror(search, search.mirror, entry, key, file)
    if search.source.kind == "manual":
        return _by_hand(search, key, file)
    path = cached_path(search.settings, search.source, key)
    if cached := _from_cache(search, path, key, file):
        return cached
    if search.settings.offline and not may_be_local(search.source.kind, file.url, search.settings):
        raise _unavailable(search, file, path)
    with _exclusive(path):
        return _from_cache(search, path, key, file) or _fetched(search, path, key, file)


def _from_mirror(search: _Search, mirror: Mirror, entry: MirrorEntry, key: str, file: SourceFile) -> AcquiredFile:
    path = mirror.local_file(entry, search.settings.cache, search.progress)
    size, sha256 = local_sha256(path)
    if entry.partial:
        return AcquiredFile(key, file.url, path, sha256, size, "partial", entry.note)
    _require_expected(search, file, path, sha256, size)
    return AcquiredFile(key, file.url, path, sha256, size, "mirror", entry.note)


def _by_hand(search: _Search, key: str, file: SourceFile) -> AcquiredFile:
    path = find_by_hand(search.source, file, search.settings)
    size, sha256 = local_sha256(path)
    _require_expected(search, file, path, sha256, size)
    return AcquiredFile(key, file.url, path, sha256, size, "primary")


def _require_expected(search: _Search, file: SourceFile, path: Path, sha256: str, size: int) -> None:
    if search.update_lock:
        return
    if file.url in search.locked:
        require_same(search.settings.lock, file.url, search.locked[file.url], sha256, size)
    elif file.sha256 is not None and sha256 != file.sha256:
        raise SourceError(
            f"{file.url}: {path} is not the file the catalogue pins: expected sha256 {file.sha256}, found {sha256} "
            f"({size:,} bytes); accept it with --update-lock (update_lock=True), or mark it partial in {INDEX} if it "
            "is an incomplete stand-in"
        )


def _from_cache(search: _Search, path: Path, key: str, file: SourceFile) -> AcquiredFile | None:
    """The cached file if it is there and intact. A damaged one is an error only if it cannot be fetched again."""
    if search.update_lock and not search.settings.offline:
        return None
    if not path.is_file():
        return None
    size, sha256 = local_sha256(path)
    note = _read_note(path)
    expected = search.expected_sha256(file)
    if note is not None and note.url != file.url:
        return None
    stated = note.sha256 if note is not None else expected
    if stated is not None and sha256 == stated and expected in (None, sha256):
        revision = note.revision if note is not None else None
        if not search.update_lock and (locked := search.locked.get(file.url)):
            require_same(search.settings.lock, file.url, locked, sha256, size)
            revision = locked.revision or revision  # what the lock says counts
        PartFile(path).tidy()
        _mend_note(path, note, _CacheNote(url=file.url, sha256=sha256, revision=revision))
        return AcquiredFile(key, file.url, path, sha256, size, "primary", revision=revision)
    if search.settings.offline:
        raise SourceError(
            f"{file.url}: the cached file {path} is not what was fetched: expected sha256 {expected or stated}, found "
            f"{sha256} ({size:,} bytes); delete it and run once without SCIRIFF_OFFLINE to fetch it again"
        )
    return None


def _fetched(search: _Search, path: Path, key: str, file: SourceFile) -> AcquiredFile:
    """Bring the file into the cache, from another place on this machine or from the network."""
    errand = Errand(
        search.source,
        file,
        path,
        search.expected_sha256(file),
        search.expected_bytes(file),
        search.settings,
        search.revisions,
        search.progress,
        search.policy,
    )
    got = _from_this_machine(errand)
    if got is None and search.settings.offline:
        raise _unavailable(search, file, path)
    got = got or fetch(errand)
    with _named_cache_errors(path):
        _write_note(path, _CacheNote(url=file.url, sha256=got.sha256, revision=got.revision))
    return AcquiredFile(key, file.url, path, got.sha256, got.bytes, "primary", revision=got.revision)


def _from_this_machine(errand: Errand) -> Downloaded | None:
    try:
        return fetch_locally(errand)
    except LackingCloneError as error:
        if errand.settings.offline:
            raise
        logger.warning("%s; it is fetched from the network", error)
        return None


def _unavailable(search: _Search, file: SourceFile, path: Path) -> UnavailableError:
    mirror = search.mirror
    where = f"{mirror.index} has no entry for it, " if mirror is not None else "no mirror is set (SCIRIFF_MIRROR), "
    return UnavailableError(
        f"{file.url}: source not available: {where}the cache has no {path}, and the network is forbidden "
        f"(SCIRIFF_OFFLINE); run `sciriff fetch` once without SCIRIFF_OFFLINE, or put the file into a mirror"
    )


def _record(search: _Search, acquired: list[AcquiredFile]) -> None:
    """Write the full files to the lock; entries that say the same already stay as they are."""
    news = {
        file.url: LockEntry(sha256=file.sha256, bytes=file.bytes, revision=file.revision, fetched_at=now())
        for file in acquired
        if not file.partial and _is_news(search, file)
    }
    if news:
        with _exclusive(search.settings.cache / search.settings.lock.name):
            write_lock(search.settings.lock, {**read_lock(search.settings.lock), **news})


def _is_news(search: _Search, file: AcquiredFile) -> bool:
    """Whether the lock says otherwise; another commit with the same content counts if an update was asked for."""
    locked = search.locked.get(file.url)
    moved = search.update_lock and file.revision is not None
    return locked is None or locked.sha256 != file.sha256 or (moved and locked.revision != file.revision)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file at the same time."""
    from filelock import FileLock

    with _named_cache_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.busy"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _named_cache_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"the cache cannot be written at {path}: {error}; make it writable or set SCIRIFF_CACHE to another folder"
        ) from error


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_note(path: Path, note: _CacheNote) -> None:
    _note_path(path).write_bytes(orjson.dumps(note.model_dump()))


def _mend_note(path: Path, found: _CacheNote | None, right: _CacheNote) -> None:
    """Write a note anew that is damaged, or was lost with a process that was killed."""
    if found != right:
        with suppress(OSError):  # a cache that cannot be written is none the worse for it
            _write_note(path, right)


def _read_note(path: Path) -> _CacheNote | None:
    try:
        return _CacheNote.model_validate_json(_note_path(path).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None

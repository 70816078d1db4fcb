"""Where things lie: room on disk, store, mirror, files fetched by hand, tokenizer."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from sciriff.checkup.finding import Finding, State, fail, ok, some, warning
from sciriff.errors import SciriffError, StoreError
from sciriff.settings import Settings
from sciriff.store import Store

if TYPE_CHECKING:
    from sciriff.sources.mirror import Mirror

_GIGABYTE = 1e9
_ENOUGH = 20 * _GIGABYTE
"""More than all sources, artifacts of three windows and temporary files of a whole build."""
_TOO_LITTLE = 0.5 * _GIGABYTE

_ATTEMPTS = 2
"""Tries of one request to a remote store: the work itself is more patient."""

_PROBES = "doctor"
_PROBE = b"sciriff doctor"


def shown_url(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Whether there is room where artifacts, downloads and temporary files go."""
    places = {"cache": settings.cache.absolute(), "temporary files": Path(tempfile.gettempdir())}
    with suppress(SciriffError):
        store = Store.of(settings)
        if store.is_local:
            places = {"store": Path(store.path("")).absolute(), **places}
    by_disk: dict[int, tuple[list[str], Path]] = {}
    for name, path in places.items():
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        by_disk.setdefault(there.stat().st_dev, ([], there))[0].append(name)
    for names, there in by_disk.values():
        free = shutil.disk_usage(there).free
        found = f"{free / _GIGABYTE:,.1f} GB free for {', '.join(names)} ({there})"
        remedy = "make room, or put store and cache elsewhere (SCIRIFF_STORE, SCIRIFF_CACHE, TMPDIR)"
        if free < _TOO_LITTLE:
            yield fail("disk", found, remedy)
        elif free < _ENOUGH:
            yield warning("disk", f"{found}; a whole build may need {_ENOUGH / _GIGABYTE:.0f}", remedy)
        else:
            yield ok("disk", found)


def check_store(settings: Settings) -> Iterator[Finding]:
    """Whether artifacts can be written, read back, listed and deleted."""
    try:
        store = Store.of(settings.model_copy(update={"s3_attempts": _ATTEMPTS}))
    except SciriffError as error:
        yield fail("store", one_line(str(error)), "set SCIRIFF_STORE, or give --store")
        return
    started = time.monotonic()
    name = uuid.uuid4().hex
    root = Path(store.path("")) if store.is_local else None
    was_there = root is None or root.exists()
    step = "write"
    try:
        store.write_bytes(f"{_PROBES}/{name}", _PROBE)
        step = "read"
        read = store.read_bytes(f"{_PROBES}/{name}")
        step = "list"
        listed = store.files(_PROBES)
        step = "delete"
        store.delete(f"{_PROBES}/{name}")
        left = store.exists(f"{_PROBES}/{name}")
    except Exception as error:  # clients of remote stores have errors of their own
        with suppress(Exception):
            store.delete(f"{_PROBES}/{name}")
        why = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        yield fail("store", f"{shown_url(settings.store)}: cannot {step}: {one_line(why)}", _store_remedy(store))
        return
    finally:
        _leave(root, was_there)
    seconds = time.monotonic() - started
    if read != _PROBE or name not in listed or left:
        what = (
            "reads other bytes than were written"
            if read != _PROBE
            else ("does not list what was written" if name not in listed else "does not delete")
        )
        yield fail("store", f"{shown_url(settings.store)} {what}", "use another store")
        return
    yield ok("store", f"{shown_url(store.path(''))}: write, read, list, delete in {seconds:.2f} s")


def _store_remedy(store: Store) -> str:
    if store.is_local:
        return "make the folder writable, make room, or set SCIRIFF_STORE"
    return "see that the bucket exists and that the keys (AWS_*) and AWS_ENDPOINT_URL are right, or set SCIRIFF_STORE"


def _leave(root: Path | None, was_there: bool) -> None:
    """Remove the folders that the probe made."""
    if root is not None:
        with suppress(OSError):
            (root / _PROBES).rmdir()
            if not was_there:
                root.rmdir()


def check_mirror(settings: Settings) -> Iterator[Finding]:
    """Whether the mirror can be read."""
    from sciriff.sources.mirror import load_mirror

    if settings.mirror is None:
        yield ok("mirror", "none is set; sources come from their own hosts")
        return
    try:
        mirror = load_mirror(settings.mirror)
        absent = [
            entry.path for entry in mirror.entries.values() if not mirror.filesystem.exists(_path(mirror, entry.path))
        ]
    except (SciriffError, OSError) as error:
        yield fail("mirror", one_line(str(error)), "set SCIRIFF_MIRROR to a folder or URL that holds a mirror.json")
        return
    partial = sum(entry.partial for entry in mirror.entries.values())
    found = f"{shown_url(mirror.location)}: {len(mirror.entries)} files, {partial} of them partial"
    if absent:
        yield fail(
            "mirror", f"{found}; not there: {some(absent)}", "put the files there, or take them out of mirror.json"
        )
    else:
        yield ok("mirror", found)


def _path(mirror: Mirror, relative: str) -> str:
    return f"{mirror.root.rstrip('/')}/{relative}"


def check_manual(settings: Settings) -> Iterator[Finding]:
    """Whether the files are there that a user must fetch by hand."""
    from sciriff.sources.catalogue import load_catalogue
    from sciriff.sources.manual import LackingFileError, find_by_hand
    from sciriff.sources.mirror import load_mirror

    if settings.samples == "always":
        yield ok("manual", "bundled samples stand in for files fetched by hand")
        return
    mirror = None
    with suppress(SciriffError):  # the check of the mirror says what is wrong with it
        mirror = load_mirror(settings.mirror) if settings.mirror else None
    manual = [source for source in load_catalogue().values() if source.kind == "manual"]
    lacking = []
    for source in manual:
        try:
            for file in source.files.values():
                if mirror is None or mirror.lookup(file.url) is None:
                    find_by_hand(source, file, settings)
        except LackingFileError:
            lacking.append(source.id)
        except Exception as error:  # the check of the store says more
            yield warning("manual", f"{source.id}: cannot be looked for ({type(error).__name__})", "see to the store")
            return
    if lacking:
        yield warning(
            "manual",
            f"{some(lacking)}: files that you must fetch by hand are not there; only their tasks wait",
            "`sciriff tasks` says what to get and where to put it",
        )
    else:
        yield ok("manual", f"all files fetched by hand are there: {some([source.id for source in manual])}")


def check_tokenizer(settings: Settings) -> Iterator[Finding]:
    """Whether the tokenizer that a build counts with can be had. Nothing is downloaded."""
    from sciriff.building.tokenizer import find_tokenizer
    from sciriff.errors import UsageError
    from sciriff.settings import DEFAULT_TOKENIZER

    name = settings.tokenizer or DEFAULT_TOKENIZER
    at_hand = settings if settings.samples == "always" else settings.model_copy(update={"offline": True})
    if settings.tokenizer is None and not settings.offline and settings.samples != "always":
        at_hand = at_hand.model_copy(update={"tokenizer": name})  # offline, the bundled one would stand in for it
    try:
        found = find_tokenizer(at_hand)
    except UsageError as error:
        yield fail("tokenizer", one_line(str(error)), _LOCAL_TOKENIZER)
    except SciriffError:
        yield _tokenizer_on_hub(name, settings)
    else:
        yield ok("tokenizer", f"{found.name}, sha256 {found.sha256[:12]}")


_LOCAL_TOKENIZER = "give a local tokenizer.json (SCIRIFF_TOKENIZER), or count with the bundled one (SCIRIFF_OFFLINE=1)"
_HUB_SECONDS = 10.0


def _tokenizer_on_hub(name: str, settings: Settings) -> Finding:
    """Whether the Hub has the tokenizer for us."""
    if settings.offline:
        found = f"{name} is not in the cache of the Hub's client, and the network is forbidden (SCIRIFF_OFFLINE)"
        return fail("tokenizer", found, _LOCAL_TOKENIZER)
    import httpx
    from huggingface_hub import get_token, hf_hub_url

    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = hf_hub_url(name, "tokenizer.json", endpoint=settings.hub_endpoint)
    try:
        status = httpx.head(url, headers=headers, timeout=_HUB_SECONDS).status_code
    except httpx.HTTPError as error:
        found = (
            f"{name} is not at hand, and {shown_url(settings.hub_endpoint)} cannot be asked ({type(error).__name__})"
        )
        if settings.tokenizer is None and settings.mirror is None and settings.samples == "auto":
            return warning(
                "tokenizer", f"{found}; bundled samples, which stand in for sources, have their own", _LOCAL_TOKENIZER
            )
        return fail("tokenizer", found, _LOCAL_TOKENIZER)
    if status in (401, 403):
        found = f"{shown_url(settings.hub_endpoint)} has {name} only for users with its licence (status {status})"
        return Finding("tokenizer", State.WAITS, found, "accept the licence on its page and set HF_TOKEN")
    if status >= 400:
        return fail("tokenizer", f"{shown_url(url)}: status {status}", _LOCAL_TOKENIZER)
    return ok("tokenizer", f"{name}, to be fetched from {shown_url(settings.hub_endpoint)}")


def one_line(text: str) -> str:
    """A message as one line."""
    return " ".join(text.split())

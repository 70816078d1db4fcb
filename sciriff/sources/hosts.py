"""Which hosts a source is going to be fetched from: for limits to how many ask a host at once."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from sciriff.errors import SciriffError
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.endpoints import routed
from sciriff.sources.fetch import cached_path
from sciriff.sources.mirror import load_mirror


def hosts_asked(source_id: str, files: Collection[str], settings: Settings) -> list[str]:
    """Hosts (with a port, where the address has one) of the files that are neither in the cache nor in the mirror.

    Nothing is asked, read or hashed for it: a damaged file of the cache is fetched though its host does not stand here.

    Args:
        source_id: the source.
        files: keys of its files that are needed.
        settings: places and permissions.
    """
    if settings.offline or settings.samples == "always":
        return []
    try:
        source = catalogue.source(source_id)
        mirror = load_mirror(settings.mirror, settings) if settings.mirror else None
        missing = [
            file.url
            for key, file in source.files.items()
            if key in files
            and source.kind != "manual"
            and (mirror is None or mirror.lookup(file.url) is None)
            and not cached_path(settings, source, key).is_file()
        ]
        return sorted({host_of(routed(url, settings)) for url in missing})
    except SciriffError:  # fetching the source says what is wrong
        return []


def host_of(url: str) -> str:
    """The host of an address, with its port if that is given, and without a user's name or password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()

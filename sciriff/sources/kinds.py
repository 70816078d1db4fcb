"""How files of each kind of source are fetched: one table, one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sciriff.errors import BlockedError, SciriffError, SourceError
from sciriff.settings import Settings
from sciriff.sources.addresses import DRIVE, is_on
from sciriff.sources.catalogue import SourceKind
from sciriff.sources.clones import fetch_from_clone
from sciriff.sources.drive import fetch_from_drive
from sciriff.sources.errand import Errand
from sciriff.sources.failures import joined
from sciriff.sources.git_lfs import fetch_from_lfs
from sciriff.sources.http import Downloaded
from sciriff.sources.hub import fetch_from_hub

Fetcher = Callable[[Errand, str], Downloaded]


def fetch_plainly(errand: Errand, url: str) -> Downloaded:
    """Download what an address gives; of Google Drive's addresses also what lies behind its confirmation page."""
    return fetch_from_drive(errand, url) if is_on(url, DRIVE) else errand.bring(url)


FETCHERS: Mapping[SourceKind, Fetcher] = {"http": fetch_plainly, "hub": fetch_from_hub, "lfs": fetch_from_lfs}
"""What asks the network for a primary address. Sources of kind ``manual`` are never downloaded."""

LOCAL_FETCHERS: Mapping[SourceKind, Callable[[Errand, str], Downloaded | None]] = {"lfs": fetch_from_clone}
"""What finds the file on this machine, outside of mirror and cache; gives None if there is no such place."""


def fetch(kind: SourceKind, errand: Errand, urls: Sequence[str]) -> Downloaded:
    """Bring a file from the first address that gives the right one.

    Args:
        kind: of the source.
        errand: what to bring.
        urls: the primary address, of that kind, then others of the same bytes, fetched plainly.

    Raises:
        SourceError, BlockedError: if none gives it; says what went wrong at each. A TransientError if one of them may
            give it later, an UnreachableError if none could be connected to.
    """
    failures: list[SciriffError] = []
    for fetcher, url in zip([FETCHERS[kind], *[fetch_plainly] * len(urls)], urls, strict=False):
        try:
            return fetcher(errand, url)
        except (SourceError, BlockedError) as error:
            failures.append(error)
    raise joined(failures) from failures[0].__cause__


def may_be_local(kind: SourceKind, settings: Settings) -> bool:
    """Whether a file that neither mirror nor cache has may still be on this machine."""
    return kind in LOCAL_FETCHERS and settings.clones is not None

"""How files of each kind of source are fetched: one table, one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sciriff.errors import BlockedError, SciriffError, SourceError
from sciriff.settings import Settings
from sciriff.sources.addresses import DRIVE, is_on
from sciriff.sources.catalogue import SourceKind
from sciriff.sources.clones import fetch_from_clone
from sciriff.sources.drive import fetch_by_hand, fetch_from_drive
from sciriff.sources.errand import Errand
from sciriff.sources.failures import joined
from sciriff.sources.git_lfs import fetch_from_lfs
from sciriff.sources.http import Downloaded
from sciriff.sources.hub import fetch_from_hub


def fetch_plainly(errand: Errand, url: str) -> Downloaded:
    """Download what an address gives; of Google Drive's addresses also what lies behind its confirmation page."""
    return fetch_from_drive(errand, url) if is_on(url, DRIVE) else errand.bring(url)


FETCHERS: Mapping[SourceKind, Callable[[Errand, str], Downloaded]] = {
    "http": fetch_plainly,
    "hub": fetch_from_hub,
    "lfs": fetch_from_lfs,
}
"""What asks the network for a primary address. Sources of kind ``manual`` are never downloaded."""


def fetch(errand: Errand) -> Downloaded:
    """Bring a file from the network: from its primary address, by its kind, else from a further one, plainly.

    Raises:
        SourceError, BlockedError: if no address gives the right file; says what went wrong at each. A TransientError
            if one of them may give it later, an UnreachableError if none could be connected to.
    """
    failures: list[SciriffError] = []
    ways = [(FETCHERS[errand.source.kind], errand.file.url), *((fetch_plainly, url) for url in errand.file.mirrors)]
    for way, url in ways:
        try:
            return way(errand, url)
        except (SourceError, BlockedError) as error:
            failures.append(error)
    raise joined(failures) from failures[0].__cause__


def fetch_locally(errand: Errand) -> Downloaded | None:
    """Bring a file from where it lies on this machine, outside of mirror and cache; None if there is no such place.

    Raises:
        LackingCloneError: if there is a clone of its repository, but not with its content.
        UsageError: if a setting cannot be read.
    """
    if errand.source.kind == "lfs":
        return fetch_from_clone(errand, errand.file.url)
    return fetch_by_hand(errand) if is_on(errand.file.url, DRIVE) else None


def may_be_local(kind: SourceKind, url: str, settings: Settings) -> bool:
    """Whether :func:`fetch_locally` may find a file of such a source and address."""
    return (kind == "lfs" and settings.clones is not None) or (kind == "http" and is_on(url, DRIVE))

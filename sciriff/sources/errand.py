"""One file that is to be brought to local disk, and what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sciriff.settings import Settings
from sciriff.sources.catalogue import Source, SourceFile
from sciriff.sources.endpoints import routed
from sciriff.sources.exchange import Answer, ask
from sciriff.sources.http import Downloaded, download
from sciriff.sources.patience import RetryPolicy
from sciriff.sources.progress import Progress


@dataclass(frozen=True)
class Errand:
    """What to bring, and how.

    Attributes:
        source: the source it belongs to.
        file: its entry in the catalogue.
        target: where the file goes.
        sha256: what it must be: what the user has locked, else what the catalogue pins; None if neither.
        bytes: its size, likewise.
        settings: places and permissions.
        revisions: primary address -> commit from which that file was fetched, for what is locked or already here.
        progress: told how far it is.
        policy: how patient to be.
    """

    source: Source
    file: SourceFile
    target: Path
    sha256: str | None
    bytes: int | None
    settings: Settings
    revisions: Mapping[str, str]
    progress: Progress | None = None
    policy: RetryPolicy | None = None

    def bring(
        self,
        url: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        sha256: str | None = None,
        size: int | None = None,
    ) -> Downloaded:
        """Download ``url`` to the target.

        Args:
            url: where it lies; asked for on the endpoint of the settings.
            name: what messages call it; default the address.
            headers: sent with each request.
            sha256: what the file must be, if nothing is locked or pinned.
            size: its size, likewise.

        Raises:
            SourceError: as :func:`sciriff.sources.http.download`.
        """
        return download(
            routed(url, self.settings),
            self.target,
            sha256=self.sha256 or sha256,
            size=self.bytes if self.bytes is not None else size,
            headers=headers,
            name=name or shown(url, self.settings),
            progress=self.progress,
            policy=self.policy,
        )

    def look(self, url: str, limit: int, wanted: Collection[int] = ()) -> Answer:
        """The first ``limit`` bytes of what ``url`` gives; also of an answer with one of the statuses ``wanted``.

        Raises:
            SourceError: as :func:`sciriff.sources.exchange.ask`.
        """
        at = routed(url, self.settings)
        return ask(at, shown(url, self.settings), limit=limit, wanted=wanted, policy=self.policy)


def shown(url: str, settings: Settings) -> str:
    """An address as messages call it: the primary one, and the host that is asked in its place, if one is."""
    asked = urlsplit(routed(url, settings)).netloc.rpartition("@")[2]
    return url if asked == urlsplit(url).netloc else f"{url} (by way of {asked})"

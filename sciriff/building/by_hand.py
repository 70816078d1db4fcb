"""Sources that a user must fetch by hand: acquired after all others, and never replaced by samples among real data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sciriff.building.combine import INSTRUCTIONS
from sciriff.building.progress import Progress, Transfers
from sciriff.building.task import is_sample
from sciriff.errors import SciriffError
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.fetch import AcquiredSource, acquire, has_fetched
from sciriff.sources.manual import ByHandError
from sciriff.store import MANIFEST, Store

Acquired = AcquiredSource | SciriffError


def last_by_hand(source_ids: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split source ids into those that are fetched and those that the user fetches by hand, each in the given order."""
    ids = list(source_ids)
    manual = tuple(source_id for source_id in ids if _is_manual(source_id))
    return tuple(source_id for source_id in ids if source_id not in manual), manual


def acquire_source(
    source_id: str,
    files: Sequence[str],
    settings: Settings,
    progress: Progress,
    *,
    others: Iterable[Acquired] = (),
    update_lock: bool = False,
) -> Acquired:
    """Get the files of a source onto local disk; an error is returned, not raised.

    Args:
        source_id: which source.
        files: keys of the files that are needed.
        settings: places and permissions.
        progress: where progress goes.
        others: what became of the sources that are fetched, for one that is not: it comes from its sample only if
            everything else does, see :func:`nothing_is_real`.
        update_lock: accept files that differ from ``sources.lock``.
    """
    try:
        source = catalogue.source(source_id)
        try:
            return acquire(source, settings, files=files, progress=Transfers(progress), update_lock=update_lock)
        except ByHandError as error:
            if not (error.nothing_there and nothing_is_real(settings, others)):
                raise
            return acquire(source, settings.model_copy(update={"samples": "always"}), files=files)
    except SciriffError as error:
        return error


def nothing_is_real(settings: Settings, others: Iterable[Acquired] = ()) -> bool:
    """Whether a build is one of bundled samples through and through, so that a file fetched by hand may be one as well.

    That is so if samples may stand in by themselves (``samples=auto``) and no mirror is set; nothing was ever fetched
    into the cache; the other sources of the build all came from samples, or there are none and the network is
    forbidden; and the store holds nothing that was made of real data.
    """
    fetched = list(others)
    return (
        settings.samples == "auto"
        and settings.mirror is None
        and (settings.offline or bool(fetched))
        and all(isinstance(other, AcquiredSource) and is_sample(other) for other in fetched)
        and not has_fetched(settings)
        and all(_samples_alone(Store.of(settings)))
    )


def _samples_alone(store: Store) -> Iterator[bool]:
    for name in store.files(INSTRUCTIONS):
        if name.endswith(f"/{MANIFEST}"):
            manifest = store.read_manifest(f"{INSTRUCTIONS}/{name.removesuffix(f'/{MANIFEST}')}")
            yield manifest is None or bool(manifest["inputs"]["sample"])


def _is_manual(source_id: str) -> bool:
    try:
        return catalogue.source(source_id).kind == "manual"
    except SciriffError:  # acquiring it says what is wrong with its entry
        return False

"""Making the report: what the index knows, as pages in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sciriff import __version__
from sciriff.building.fingerprint import code_digest
from sciriff.errors import UsageError
from sciriff.hashing import digest, file_sha256
from sciriff.leases import lease
from sciriff.reporting.page import INDEX_PAGE, pages
from sciriff.reporting.read import read_content
from sciriff.resources import resource_dir
from sciriff.results.index import current_index
from sciriff.results.query import open_index
from sciriff.results.standing import models_at, require_model
from sciriff.results.tables import DEFAULT_SPLIT, DEFAULT_WINDOW
from sciriff.scoring.outcome import Profile
from sciriff.settings import Settings
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store

REPORT = "results/report"
_ATTEMPTS = 3


@dataclass(frozen=True)
class ReportOutcome:
    """A report in the store.

    Attributes:
        page: its first page, relative to the store root.
        models: the models it shows.
        tasks: the tasks it shows, each of which has a page of its own.
        state: ``written`` now, or ``cached``: it was there already.
    """

    page: str
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    state: Literal["written", "cached"]


def report_folder(window: int, split: str) -> str:
    """Where the report on a window and split lies."""
    is_default = (window, split) == (DEFAULT_WINDOW, DEFAULT_SPLIT)
    return REPORT if is_default else f"{REPORT}/{window}-{split}"


def report_page(window: int, split: str) -> str:
    """First page of that report, relative to the store root."""
    return f"{report_folder(window, split)}/{INDEX_PAGE}"


def write_report(
    store: Store,
    settings: Settings,
    *,
    models: Sequence[str] | None = None,
    window: int = DEFAULT_WINDOW,
    split: str = DEFAULT_SPLIT,
    profile: Profile = Profile.CORRECTED,
) -> ReportOutcome:
    """Write the report on the current results of a window and split, unless it is there.

    Equal results give equal bytes: a page holds no time, path or host.

    Args:
        store: where results are read and the report goes.
        settings: where the index is if the store is not a local folder.
        models: only these; None for all.
        window, split: which results.
        profile: whose numbers come first; those of the other stand beside them.

    Raises:
        UsageError: if nothing is evaluated there, or a model has no results.
        StoreError: if the store cannot be read or written.
    """
    index = current_index(store, settings)
    folder = report_folder(window, split)
    for model in models or ():
        require_model(model, index, window, split)
    shown = list(dict.fromkeys(models)) if models else models_at(index, window, split)
    if not shown:
        raise UsageError(
            f"nothing is evaluated at window {window}, split {split}; see `sciriff leaderboard` for what is"
        )
    parameters = {
        "window": window,
        "split": split,
        "profile": profile.value,
        "models": sorted(models) if models else None,
    }
    with open_index(index) as connection:
        row = connection.execute("SELECT value FROM about WHERE key = 'key'").fetchone()
        key = digest(
            {
                "schema": SCHEMA_VERSION,
                "facts": row[0] if row else None,
                "parameters": parameters,
                "code": code_digest(["sciriff.reporting.publish"]),
                "version": __version__,
                "templates": _templates(),
            }
        )
        if store.intact(folder, key):
            manifest = store.read_manifest(folder) or {}
            return ReportOutcome(
                f"{folder}/{INDEX_PAGE}", tuple(manifest["models"]), tuple(manifest["tasks"]), "cached"
            )
        content = read_content(
            connection, store, window=window, split=split, profile=profile, models=shown if models else None
        )
    files = dict(pages(content))
    standing = [each.model for each in content.standings]
    tasks = [task.name for task in content.tasks]
    manifest = {
        "schema": SCHEMA_VERSION,
        "kind": "report",
        "key": key,
        "parameters": parameters,
        "models": standing,
        "tasks": tasks,
    }
    _publish(store, folder, files, manifest)
    return ReportOutcome(f"{folder}/{INDEX_PAGE}", tuple(standing), tuple(tasks), "written")


def _templates() -> dict[str, str]:
    """Hashes of the text that pages are made of."""
    folder: Path = resource_dir("templates") / "report"
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _publish(store: Store, folder: str, files: dict[str, bytes], manifest: dict[str, object]) -> None:
    """Old manifest away, pages, new manifest; once more if another process wrote its report in spite of the lease."""
    import hashlib

    entries = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    whole = {**manifest, "files": entries}
    with lease(store, f"report/{folder}", doing="the report is being written"):
        for _ in range(_ATTEMPTS):
            old = (store.read_manifest(folder) or {}).get("files", {})
            store.delete(f"{folder}/{MANIFEST}")
            with store.workspace() as workspace:
                for name, data in files.items():
                    # A file with the page's name: it tells an object store that browsers are to show it, not save it.
                    (workspace / name).write_bytes(data)
                    store.publish(f"{folder}/{name}", workspace / name)
            _delete(store, folder, set(old) - set(files))
            store.write_manifest(folder, whole)
            if not store.damaged(folder, whole):
                break


def _delete(store: Store, folder: str, names: Iterable[str]) -> None:
    for name in sorted(names):
        store.delete(f"{folder}/{name}")

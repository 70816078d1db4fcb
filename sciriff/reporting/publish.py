"""Making the report: what the index knows, as pages in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sciriff import __version__
from sciriff.building.fingerprint import code_digest
from sciriff.errors import UsageError
from sciriff.hashing import digest, file_sha256
from sciriff.leases import lease
from sciriff.reporting.content import Content
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

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REPORT = "results/report"


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
    wish = _Wish(tuple(dict.fromkeys(models)) if models else None, window, split, profile)
    if done := _kept(store, settings, wish):
        return done
    # One at a time, and each of the facts that there are when its turn comes: the last to write knows of all.
    with lease(store, f"report/{wish.folder}", doing="the report is being written") as held:
        if done := _kept(store, settings, wish):
            return done
        key, content = _read(store, settings, wish)
        files = dict(pages(content))
        held.ensure()
        manifest = {
            "schema": SCHEMA_VERSION,
            "kind": "report",
            "key": key,
            "parameters": wish.describe(),
            "models": [each.model for each in content.standings],
            "tasks": [task.name for task in content.tasks],
        }
        _publish(store, wish.folder, files, manifest)
        return _outcome(wish, manifest, "written")


@dataclass(frozen=True)
class _Wish:
    """Which report; see :func:`write_report`."""

    models: tuple[str, ...] | None
    window: int
    split: str
    profile: Profile

    @property
    def folder(self) -> str:
        return report_folder(self.window, self.split)

    def describe(self) -> dict[str, Any]:
        """As plain data, for key and manifest."""
        models = sorted(self.models) if self.models else None
        return {"window": self.window, "split": self.split, "profile": self.profile.value, "models": models}


def _kept(store: Store, settings: Settings, wish: _Wish) -> ReportOutcome | None:
    """The report, if it is there, whole and of the current facts."""
    index = current_index(store, settings)
    for model in wish.models or ():
        require_model(model, index, wish.window, wish.split)
    if not models_at(index, wish.window, wish.split):
        raise UsageError(
            f"nothing is evaluated at window {wish.window}, split {wish.split}; `sciriff leaderboard` says what is"
        )
    with open_index(index) as connection:
        key = _key(connection, wish)
    manifest = store.read_manifest(wish.folder)
    if manifest is None or manifest.get("key") != key or store.damaged(wish.folder, manifest):
        return None
    return _outcome(wish, manifest, "cached")


def _read(store: Store, settings: Settings, wish: _Wish) -> tuple[str, Content]:
    """Key and content of the report."""
    with open_index(current_index(store, settings)) as connection:
        content = read_content(
            connection, store, window=wish.window, split=wish.split, profile=wish.profile, models=wish.models
        )
        return _key(connection, wish), content


def _key(connection: DuckDBPyConnection, wish: _Wish) -> str:
    """Digest of all that the bytes of the pages depend on."""
    row = connection.execute("SELECT value FROM about WHERE key = 'key'").fetchone()
    return digest(
        {
            "schema": SCHEMA_VERSION,
            "facts": row[0] if row else None,
            "parameters": wish.describe(),
            "code": code_digest(["sciriff.reporting.publish"]),
            "version": __version__,
            "templates": _templates(),
        }
    )


def _outcome(wish: _Wish, manifest: Mapping[str, Any], state: Literal["written", "cached"]) -> ReportOutcome:
    page = report_page(wish.window, wish.split)
    return ReportOutcome(page, tuple(manifest["models"]), tuple(manifest["tasks"]), state)


def _templates() -> dict[str, str]:
    """Hashes of the text that pages are made of."""
    folder: Path = resource_dir("templates") / "report"
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _publish(store: Store, folder: str, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    """Old manifest away, pages, new manifest; pages that are no part of the report any more go."""
    old = (store.read_manifest(folder) or {}).get("files", {})
    store.delete(f"{folder}/{MANIFEST}")
    with store.workspace() as workspace:
        for name, data in files.items():
            # A file with the page's name: an object store takes from it that browsers are to show it, not save it.
            (workspace / name).write_bytes(data)
            store.publish(f"{folder}/{name}", workspace / name)
    for name in sorted(set(old) - set(files)):
        store.delete(f"{folder}/{name}")
    entries = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    store.write_manifest(folder, {**manifest, "files": entries})

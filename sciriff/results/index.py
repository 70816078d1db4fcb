"""The DuckDB index: rebuilt from the facts into a new file and swapped in, so that readers never see half of it.

Tables and columns carry comments (``SELECT table_name, comment FROM duckdb_tables()``). The file is always local and
depends on no other file; it can be thrown away at any time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff import __version__
from sciriff.errors import StoreError
from sciriff.hashing import digest
from sciriff.results.facts import FACTS
from sciriff.results.schema import ABOUT, METRICS, RUNS, SAMPLES, SCORES, TABLES, TASKS, Table
from sciriff.results.sums import totals_of_runs
from sciriff.results.views import MACROS, VIEWS
from sciriff.scoring.tasks import EVAL_TASKS, eval_task
from sciriff.settings import Settings
from sciriff.store import MANIFEST, Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

INDEX = "results/metrics.duckdb"
_ATTEMPTS = 5


@dataclass(frozen=True)
class _Facts:
    """What the store holds: fact files of all runs, those of the current ones, and a digest of both."""

    runs: tuple[str, ...]
    samples: tuple[str, ...]
    scores: tuple[str, ...]
    digest: str


def index_path(store: Store, settings: Settings) -> Path:
    """Where the index lies: in the store if that is a local folder, else in the cache."""
    if store.is_local:
        return Path(store.path(INDEX))
    return settings.cache / "index" / digest(store.url)[:16] / Path(INDEX).name


def build_index(store: Store, path: Path) -> bool:
    """Bring the index up to date with the facts.

    Returns:
        Whether anything had to be done.

    Raises:
        StoreError: if facts cannot be read or the index cannot be written.
    """
    done_something = False
    for _ in range(_ATTEMPTS):  # facts that another process added meanwhile must not be lost by our swap
        facts = _list_facts(store)
        wanted = digest({"facts": facts.digest, "version": __version__, "views": [*MACROS, *VIEWS], "tables": TABLES})
        if _made_of(path) == wanted:
            break
        _build(store, facts, wanted, path)
        done_something = True
    return done_something


def _list_facts(store: Store) -> _Facts:
    names = store.files(FACTS)
    current: list[tuple[str, str]] = []
    for name in names:
        folder, _, leaf = f"{FACTS}/{name}".rpartition("/")
        if leaf == MANIFEST:
            manifest = store.read_manifest(folder) or {}
            current += [(f"{folder}/{file}", entry["sha256"]) for file, entry in manifest.get("files", {}).items()]
    runs = tuple(f"{FACTS}/{name}" for name in names if _holds(name, RUNS))
    return _Facts(
        runs=runs,
        samples=tuple(sorted(path for path, _ in current if _holds(path, SAMPLES))),
        scores=tuple(sorted(path for path, _ in current if _holds(path, SCORES))),
        digest=digest([list(runs), sorted(current)]),
    )


def _holds(path: str, table: Table) -> bool:
    leaf = path.rpartition("/")[2]
    return leaf.startswith(f"{table.name}-") and leaf.endswith(".parquet")


def _made_of(path: Path) -> str | None:
    """Digest of what an index was made of; None if there is none or it cannot be read."""
    import duckdb

    if not path.exists():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute("SELECT value FROM about WHERE key = 'digest'").fetchone()
    except duckdb.Error:
        return None
    return row[0] if row else None


def _build(store: Store, facts: _Facts, made_of: str, path: Path) -> None:
    import duckdb

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            with duckdb.connect(str(fresh)) as connection:
                _fill(connection, store, facts, made_of)
            os.replace(fresh, path)
    except (OSError, duckdb.Error) as error:
        raise StoreError(f"cannot build the index {path}: {error}") from error


def _fill(connection: DuckDBPyConnection, store: Store, facts: _Facts, made_of: str) -> None:
    for table in TABLES:
        _create(connection, table)
    with suppress(ValueError):
        pass
    for table, paths in ((RUNS, facts.runs), (SAMPLES, facts.samples), (SCORES, facts.scores)):
        with _local_copies(store, paths) as files:
            if files:
                names = ", ".join(column.name for column in table.columns)
                connection.execute(f"INSERT INTO {table.name} SELECT DISTINCT ON ({_key(table)}) {names}"
                                   f" FROM read_parquet(?, union_by_name = true)", [files])
    _insert(connection, TASKS, _task_rows())
    _insert(connection, METRICS, _metric_rows(connection))
    _insert(connection, ABOUT, [("digest", made_of), ("sciriff", __version__)])
    for macro in MACROS:
        connection.execute(macro)
    for view in VIEWS:
        connection.execute(f"CREATE VIEW {view.name} AS {view.query}")
        connection.execute(f"COMMENT ON VIEW {view.name} IS {_quoted(view.comment)}")

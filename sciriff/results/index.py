"""The DuckDB index: rebuilt from the facts into a new file and swapped in, so that readers never see half of it.

Tables and columns carry comments (``SELECT table_name, comment FROM duckdb_tables()``). The file is always local and
depends on no other file; it can be thrown away at any time. Its hash lies beside it (``metrics.duckdb.sha256``), so
that one that a disk has changed is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from sciriff.building.fingerprint import code_digest
from sciriff.errors import StoreError, UsageError
from sciriff.hashing import digest, file_sha256
from sciriff.leases import tidy
from sciriff.results.derived import derive
from sciriff.results.fact_copies import bring_home, facts_at_hand
from sciriff.results.facts import FACTS
from sciriff.results.judge_facts import JUDGE_KIND
from sciriff.results.schema import (
    ABOUT,
    BUILDS,
    COMPARISONS,
    INDEX_TABLES,
    JUDGEMENTS,
    JUDGES,
    MEANS,
    METRICS,
    RUNS,
    SAMPLES,
    SCORES,
    TASKS,
    Table,
    arrow_schema,
)
from sciriff.results.views import MACROS, VIEWS
from sciriff.scoring.tasks import EVAL_TASKS
from sciriff.settings import Settings
from sciriff.store import MANIFEST, Store, temporary_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

INDEX = "results/metrics.duckdb"
_NO_SPACE = "No space left"
_ATTEMPTS = 5
_FILLED_BY: dict[str, str | bool | int | float | list[str]] = {"threads": 1}
"""Several threads would first put the rows of many small files in order, a third more work in all."""


@dataclass(frozen=True)
class _Facts:
    """What the store holds: fact files of all runs, those of the current ones, and ids of the current runs."""

    runs: tuple[str, ...]
    samples: tuple[str, ...]
    scores: tuple[str, ...]
    judges: tuple[str, ...]
    judgements: tuple[str, ...]
    current: tuple[str, ...]


def index_path(store: Store, settings: Settings) -> Path:
    """Where the index lies: in the store if that is a local folder, else in the cache."""
    if store.is_local:
        return Path(store.path(INDEX)).absolute()
    return settings.cache.absolute() / "index" / digest(store.url)[:16] / Path(INDEX).name


def current_index(store: Store, settings: Settings) -> Path:
    """Bring the index up to date with the facts.

    Raises:
        UsageError: if nothing is evaluated yet.
        StoreError: if the facts cannot be read, or the index cannot be written.
    """
    if not store.files(FACTS):
        raise UsageError(f"nothing is evaluated in {store.path('')}; run `sciriff evaluate --model gold,lead` first")
    path = index_path(store, settings)
    tidy(store)
    build_index(store, path)
    return path


def build_index(store: Store, path: Path) -> bool:
    """Bring the index up to date with the facts.

    Of a store that is not local, only facts that are new are read; copies of all of them stay beside the index.

    Returns:
        Whether anything had to be done.

    Raises:
        StoreError: if facts cannot be read or the index cannot be written.
    """
    built = False
    for _ in range(_ATTEMPTS):  # facts that another process added meanwhile must not be lost by our swap
        with facts_at_hand(store, path.parent) as copies:
            facts = _list_facts(copies)
            key = digest({"facts": facts.__dict__, "code": code_digest(["sciriff.results.index"])})
            if _key_of(path) == key and _is_whole(path):
                break
            _build_of_copies(store, copies, facts, key, path)
            built = True
    return built


def _build_of_copies(store: Store, copies: Store, facts: _Facts, key: str, path: Path) -> None:
    try:
        _build(copies, facts, key, path, store.path(FACTS))
    except StoreError as error:
        if copies is store or _NO_SPACE in str(error):
            raise
        for name in copies.files(FACTS):  # a copy may be damaged where the original is not
            copies.delete(f"{FACTS}/{name}")
        bring_home(store, copies)
        _build(copies, facts, key, path, store.path(FACTS))


def publish_index(store: Store, settings: Settings) -> str:
    """Bring the index up to date and put it into the store, whole or not at all; where a local store has it already.

    Returns:
        Its place in the store: a path or URL.

    Raises:
        UsageError: if nothing is evaluated yet.
        StoreError: if the facts cannot be read, or the index cannot be written.
    """
    path = current_index(store, settings)
    if not store.is_local:
        store.put(INDEX, path)
    return store.path(INDEX)


def _list_facts(store: Store) -> _Facts:
    names = [f"{FACTS}/{name}" for name in store.files(FACTS)]
    there = set(names)
    of_runs: dict[str, list[str]] = {}
    of_judges: list[tuple[str, list[str]]] = []
    for name in names:
        folder, _, leaf = name.rpartition("/")
        if leaf == MANIFEST:
            manifest = store.read_manifest(folder) or {}
            files = [f"{folder}/{file}" for file in sorted(manifest.get("files", {}))]
            if not there.issuperset(files):
                continue  # these facts are to be made again
            if manifest.get("kind") == JUDGE_KIND:
                of_judges.append((str(manifest.get("run")), files))
            else:
                of_runs[str(manifest.get("key"))] = files
    judged = [files for run, files in of_judges if run in of_runs]
    current = [file for files in (*of_runs.values(), *judged) for file in files]
    return _Facts(
        runs=tuple(name for name in names if _holds(name, RUNS)),
        samples=tuple(name for name in current if _holds(name, SAMPLES)),
        scores=tuple(name for name in current if _holds(name, SCORES)),
        judges=tuple(name for name in current if _holds(name, JUDGES)),
        judgements=tuple(name for name in current if _holds(name, JUDGEMENTS)),
        current=tuple(of_runs),
    )


def _holds(path: str, table: Table) -> bool:
    leaf = path.rpartition("/")[2]
    return leaf.startswith(f"{table.name}-") and leaf.endswith(".parquet")


def _seal_of(path: Path) -> Path:
    """The file beside an index that holds its hash, as ``sha256sum`` writes it."""
    return path.with_name(f"{path.name}.sha256")


def _is_whole(path: Path) -> bool:
    """Whether an index is as it was written."""
    try:
        return _seal_of(path).read_bytes().split(b" ")[0] == file_sha256(path).encode()
    except FileNotFoundError:
        return False


def _key_of(path: Path) -> str | None:
    """Digest of what an index was made of; None if there is none or it cannot be read."""
    import duckdb

    if not path.exists():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute("SELECT value FROM about WHERE key = 'key'").fetchone()
    except duckdb.Error:  # another version's file, or not one of ours: made anew
        return None
    return str(row[0]) if row else None


def _build(store: Store, facts: _Facts, key: str, path: Path, where: str) -> None:
    import duckdb

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with store.workspace() as folder:  # on the file system of the index, so that the swap is a rename
            fresh = folder / path.name
            with duckdb.connect(str(fresh), config=_FILLED_BY) as connection:
                connection.begin()  # or each of some hundred statements waits for the disk
                _fill(connection, store, facts, key)
                connection.commit()
            seal = folder / _seal_of(path).name
            seal.write_text(f"{file_sha256(fresh)}  {path.name}\n", "utf-8")
            _seal_of(path).unlink(missing_ok=True)
            fresh.replace(path)
            seal.replace(_seal_of(path))
    except (OSError, duckdb.Error) as error:
        remedy = (
            "make room there, then run the same command again"
            if _NO_SPACE in str(error)
            else "a damaged facts file may be deleted; evaluating that model again writes it anew"
        )
        raise StoreError(f"cannot build the index {path} from {where}: {error}\n({remedy})") from error


def _fill(connection: DuckDBPyConnection, store: Store, facts: _Facts, key: str) -> None:
    for table in INDEX_TABLES:
        _create(connection, table)
    _load(connection, store, SAMPLES, facts.samples)
    _load(connection, store, SCORES, facts.scores)
    _load(connection, store, JUDGES, facts.judges)
    _load(connection, store, JUDGEMENTS, facts.judgements)
    _load(connection, store, RUNS, facts.runs, current=facts.current)
    _load_builds(connection, store, facts.runs)
    _insert(connection, TASKS, _task_rows())
    derived = derive(connection)
    _insert(connection, METRICS, derived.metrics)
    _insert(connection, MEANS, derived.means)
    _insert(connection, COMPARISONS, derived.comparisons)
    _insert(connection, ABOUT, [("key", key)])
    for macro in MACROS:
        connection.execute(macro)
    for view in VIEWS:
        connection.execute(f"CREATE VIEW {view.name} AS {view.query}")
        connection.execute(f"COMMENT ON VIEW {view.name} IS {_quoted(view.comment)}")


def _create(connection: DuckDBPyConnection, table: Table) -> None:
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    connection.execute(f"CREATE TABLE {table.name} ({columns})")
    connection.execute(f"COMMENT ON TABLE {table.name} IS {_quoted(table.comment)}")
    for column in table.columns:
        connection.execute(f"COMMENT ON COLUMN {table.name}.{column.name} IS {_quoted(column.comment)}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _load(
    connection: DuckDBPyConnection, store: Store, table: Table, paths: Sequence[str], *, current: Sequence[str] = ()
) -> None:
    """Copy fact files into a table. Runs are told whether they are current; one that was written twice counts once."""
    if not paths:
        return
    columns = ", ".join(column.name for column in table.columns)
    with local_copies(store, paths) as files:
        if table is RUNS:
            query = (
                f"INSERT INTO runs SELECT DISTINCT ON (run_id) {columns}, list_contains($current, run_id)"
                " FROM read_parquet($files, union_by_name = true) ORDER BY model, task, window_tokens, split, run_id"
            )
            connection.execute(query, {"files": files, "current": list(current)})
        else:
            connection.execute(f"INSERT INTO {table.name} SELECT {columns} FROM read_parquet($files)", {"files": files})


def _load_builds(connection: DuckDBPyConnection, store: Store, paths: Sequence[str]) -> None:
    """Fill the table of the builds that current runs are of, from what the runs tell of them."""
    if not paths:
        return
    with local_copies(store, paths) as files:
        found = connection.execute(
            "SELECT DISTINCT build FROM read_parquet($files, union_by_name = true)"
            " SEMI JOIN (SELECT run_id FROM runs WHERE is_current) USING (run_id) WHERE build IS NOT NULL ORDER BY ALL",
            {"files": files},
        ).fetchall()
    rows = [orjson.loads(build) for (build,) in found]
    rows.sort(key=lambda row: (row["task"], row["window_tokens"], row["build_key"]))
    _insert(connection, BUILDS, [tuple(row[column.name] for column in BUILDS.columns) for row in rows])


@contextmanager
def local_copies(store: Store, paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield local paths of artifacts; those of a store that is not local are copies, removed at the end."""
    if store.is_local:
        yield [store.path(path) for path in paths]
        return
    with temporary_folder() as folder:
        copies = [folder / f"{number}.parquet" for number in range(len(paths))]
        for path, copy in zip(paths, copies, strict=True):
            copy.write_bytes(store.read_bytes(path))
        yield [str(copy) for copy in copies]


def _insert(connection: DuckDBPyConnection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in table.columns]
    connection.register("incoming", pa.table(columns, schema=arrow_schema(table)))
    connection.execute(f"INSERT INTO {table.name} SELECT * FROM incoming")
    connection.unregister("incoming")


def _task_rows() -> list[tuple[Any, ...]]:
    return [
        (
            task.name,
            task.answer.container if task.answer else "text",
            task.answer.default if task.answer else None,
            ", ".join(metric for metric, _ in (*task.metrics, *task.judged_metrics)),
        )
        for task in EVAL_TASKS
    ]

"""Small tables of a report as Parquet files under one manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciriff.hashing import digest, file_sha256
from sciriff.leases import lease
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store

Rows = Sequence[Mapping[str, Any]]


def publish_tables(
    store: Store,
    folder: str,
    kind: str,
    tables: Mapping[str, tuple[Rows, Mapping[str, str]]],
    pages: Mapping[str, bytes] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Write a report: old manifest away, tables and pages, new manifest last.

    Args:
        store: where it goes.
        folder: its place, relative to the store root.
        kind: what the manifest calls it.
        tables: name -> rows, and column -> Arrow type alias in column order. Each becomes ``<name>.parquet``.
        pages: further files: name -> content.
        parameters: what the report depends on besides the data.

    Raises:
        StoreError: if the store cannot be written.
    """
    with lease(store, f"report/{folder}", doing=f"{folder} is being written") as held:
        files: dict[str, dict[str, Any]] = {}
        store.delete(f"{folder}/{MANIFEST}")
        with store.workspace() as workspace:
            for name, (rows, columns) in tables.items():
                path = workspace / f"{name}.parquet"
                _write_parquet(path, rows, columns)
                files[path.name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size, "rows": len(rows)}
                store.publish(f"{folder}/{path.name}", path)
            for name, content in (pages or {}).items():
                path = workspace / name
                path.write_bytes(content)
                files[name] = {"sha256": file_sha256(path), "bytes": len(content)}
                store.publish(f"{folder}/{name}", path)
        given = dict(parameters or {})
        key = digest([SCHEMA_VERSION, kind, given, files])
        manifest = {"schema": SCHEMA_VERSION, "kind": kind, "key": key, "parameters": given, "files": files}
        held.require(folder)
        store.write_manifest(folder, manifest)


def _write_parquet(path: Path, rows: Rows, columns: Mapping[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")

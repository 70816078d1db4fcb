"""File formats: bytes -> rows -> records. One module per format, each with ``rows`` and ``parse``."""

from __future__ import annotations

from importlib import import_module

from sciriff.errors import UsageError
from sciriff.readers.records import Reader

READERS = {
    "bioasq": "sciriff.readers.bioasq",
    "bioc": "sciriff.readers.bioc",
    "brat": "sciriff.readers.brat",
    "chemprot": "sciriff.readers.chemprot",
    "claims": "sciriff.readers.claims",
    "csv": "sciriff.readers.csv_rows",
    "dygie": "sciriff.readers.dygie",
    "ebm_nlp": "sciriff.readers.ebm_nlp",
    "iob": "sciriff.readers.iob",
    "json_lines": "sciriff.readers.json_lines",
    "json_object": "sciriff.readers.json_object",
    "json_records": "sciriff.readers.json_records",
    "json_table": "sciriff.readers.json_table",
    "lay_summaries": "sciriff.readers.lay_summaries",
    "linnaeus": "sciriff.readers.linnaeus",
    "mslr": "sciriff.readers.mslr",
    "parquet": "sciriff.readers.parquet",
    "pubmedqa": "sciriff.readers.pubmedqa",
    "pubtator": "sciriff.readers.pubtator",
    "squad": "sciriff.readers.squad",
}
"""Reader name (as in a task's binding) -> module."""


def load_reader(name: str) -> Reader:
    """Import a reader by name.

    Raises:
        UsageError: if there is none of that name.
    """
    if name not in READERS:
        raise UsageError(f"unknown reader {name!r}; known: {', '.join(READERS)}")
    module = import_module(READERS[name])
    return Reader(module.rows, module.parse)

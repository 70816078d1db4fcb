from __future__ import annotations

import pickle

import pytest

from sciriff.errors import RecordError, UsageError
from sciriff.readers import READERS, load_reader
from sciriff.readers.records import Row


@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_the_table_has_both_steps(name: str) -> None:
    reader = load_reader(name)
    assert reader.rows.__module__ == reader.parse.__module__ == READERS[name]


def test_an_unknown_reader_is_named() -> None:
    with pytest.raises(UsageError, match="unknown reader 'word'; known: bioasq, bioc, brat"):
        load_reader("word")


def test_rows_and_record_errors_cross_process_boundaries() -> None:
    row = Row(3, "f:1", ("id", b"raw", None))
    assert pickle.loads(pickle.dumps(row)) == row
    error = pickle.loads(pickle.dumps(RecordError("f:1", "bad")))
    assert (error.where, error.reason) == ("f:1", "bad")

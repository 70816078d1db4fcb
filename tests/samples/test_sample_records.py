"""The readers take the samples whole: no bad record, and no empty split."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq
import pytest
from sample_files import SAMPLES, json_file

from sciriff.readers import load_reader
from sciriff.readers.records import Row
from sciriff.sources.archives import ArchiveView
from sciriff.sources.catalogue import source
from sciriff.tasks.binding import bound_tasks, load_binding


@pytest.mark.parametrize("task", bound_tasks())
def test_every_record_can_be_read(task: str) -> None:
    binding = load_binding(task)
    entries = json_file("mirror.json")
    files = source(binding.source).files
    view = ArchiveView({key: SAMPLES / entries[file.url]["path"] for key, file in files.items() if file.url in entries})
    reader = load_reader(binding.reader)
    for split, spec in binding.split_specs().items():
        records = [reader.parse(row, spec) for row in reader.rows(view, spec) if isinstance(row, Row)]
        assert len(records) >= 3, split


def test_tulu_rows_have_the_shape_of_the_mixture() -> None:
    files = sorted((SAMPLES / "tulu_v2_sft_mixture").glob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    families = Counter(row["dataset"].partition(".")[0] for row in rows)
    assert (len(files), len(rows), families["science"]) == (3, 60, 4)
    assert len({row["id"] for row in rows}) == 60
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles[-1] == "assistant"
        assert set(roles) <= {"system", "user", "assistant"}
        assert all(message["content"] for message in row["messages"])

"""The readers take the samples whole: no bad record, and as many records in each split as the README says."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq
import pytest
from sample_files import SAMPLES, json_file

from sciriff.readers import load_reader
from sciriff.sources.archives import ArchiveView
from sciriff.sources.catalogue import source
from sciriff.tasks.bindings import load_bindings

_RECORDS = {
    "anat_em_ner": (21, 8, 10),
    "annotated_materials_syntheses_events": (14, 5, 6),
    "biored_ner": (16, 6, 8),
    "cdr_ner": (16, 6, 8),
    "chemprot_ner": (17, 6, 8),
    "covid_deepset_qa": (34,),
    "discomat_te": (25, 25, 8),
    "pubmedqa_qa": (26, 4, 30),
    "qasper_abstractive_qa": (13, 5, 6),
    "scicite_classification": (21, 7, 6),
    "scierc_ner": (13, 5, 6),
    "scierc_re": (13, 5, 6),
}


@pytest.mark.parametrize("task", _RECORDS)
def test_every_record_can_be_read(task: str) -> None:
    binding = load_bindings()[task]
    entries = json_file("mirror.json")
    files = source(binding.source).files
    view = ArchiveView({key: SAMPLES / entries[file.url]["path"] for key, file in files.items() if file.url in entries})
    reader = load_reader(binding.reader)
    found = []
    for spec in binding.split_specs().values():
        records = [reader.parse(row, spec) for row in reader.rows(view, spec)]
        found.append(len(records))
    assert tuple(found) == _RECORDS[task]


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

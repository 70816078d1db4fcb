from __future__ import annotations

import fnmatch
import inspect
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sciriff.errors import TaskFileError, UsageError
from sciriff.readers.records import Argument, Document, DygieDocument, Entity, Event
from sciriff.sources.catalogue import load_catalogue
from sciriff.tasks.binding import bound_tasks, load_binding
from sciriff.tasks.formatters import FORMATTERS, GIVEN, is_fitted, load_formatter
from sciriff.tasks.formatters.budget import Budget

TASKS = (
    "anat_em_ner",
    "annotated_materials_syntheses_events",
    "biored_ner",
    "chemprot_ner",
    "cdr_ner",
    "covid_deepset_qa",
    "discomat_te",
    "pubmedqa_qa",
    "qasper_abstractive_qa",
    "scicite_classification",
    "scierc_ner",
    "scierc_re",
)
ENTITY_VARIABLES = {"ner_type_list": list, "abstract": str, "ner_dict": dict}
VARIABLES: dict[str, dict[str, type]] = {
    "anat_em_ner": ENTITY_VARIABLES,
    "annotated_materials_syntheses_events": {"abstract": str, "events": list, "role_types_list": list},
    "biored_ner": ENTITY_VARIABLES,
    "cdr_ner": ENTITY_VARIABLES,
    "chemprot_ner": ENTITY_VARIABLES,
    "covid_deepset_qa": {"article": str, "question": str, "answer": str},
    "discomat_te": {"table_code_text": str, "json_records": str},
    "pubmedqa_qa": {"context": str, "question": str, "answer": str},
    "qasper_abstractive_qa": {"paper": str, "question": str, "answer": str, "evidence": list, "unanswerable": bool},
    "scicite_classification": {"string": str, "label": int},
    "scierc_ner": {"org_text": str, "ner_dict": dict, "ner_pipe_str": str},
    "scierc_re": {"org_text": str, "re_answer": list},
}
"""What the published templates of each task name, with the types they rely on."""

SCIERC = DygieDocument(
    "d1", (("A", "parser", "for", "text", "."),), ((1, 1, "Method"),), ((1, 1, 3, 3, "USED-FOR"),), (((1, 1),),)
)
RECORDS: dict[str, Any] = {
    "anat_em_ner": Document("1", ("The liver.",), (Entity("Organ", ("liver",)),)),
    "annotated_materials_syntheses_events": Document(
        "1", ("Heat TiO2.",), (), (Event("Operation", ("Heat",), (Argument("Recipe_Target", ("TiO2",)),)),)
    ),
    "biored_ner": Document("1", ("p53.", "In mice."), (Entity("GeneOrGeneProduct", ("p53",)),)),
    "cdr_ner": Document("1", ("Aspirin.", "No pain."), (Entity("Chemical", ("Aspirin",)),)),
    "chemprot_ner": Document("1", ("Aspirin.\nCOX.",), (Entity("GENE-Y", ("COX",)),)),
    "covid_deepset_qa": {
        "question_id": 1,
        "document_id": 2,
        "context": "Masks help. So does air.",
        "question": "What helps?",
        "answers": [{"text": "Masks"}],
    },
    "discomat_te": {
        "_key": "P1::0",
        "paper_id": "P1",
        "table_code": "| 3 |",
        "sup_text": "",
        "gold_json_records": ['{"type": "Other", "value": "3"}'],
    },
    "pubmedqa_qa": {
        "pmid": "1",
        "QUESTION": "Does it?",
        "CONTEXTS": ["We asked."],
        "LABELS": ["AIM"],
        "final_decision": "yes",
    },
    "qasper_abstractive_qa": {
        "_key": "1900.1",
        "title": "T",
        "abstract": "A",
        "full_text": [{"section_name": "S", "paragraphs": ["We parse."]}],
        "qas": [
            {
                "question": "What?",
                "answers": [
                    {
                        "answer": {
                            "unanswerable": False,
                            "extractive_spans": [],
                            "yes_no": None,
                            "free_form_answer": "Parsing.",
                            "evidence": ["We parse."],
                            "highlighted_evidence": ["We parse."],
                        }
                    }
                ],
            }
        ],
    },
    "scicite_classification": {"string": "See [1].", "label": "result", "citingPaperId": "c", "unique_id": "u"},
    "scierc_ner": SCIERC,
    "scierc_re": SCIERC,
}


def test_the_tasks_of_the_foundation_are_bound() -> None:
    assert set(bound_tasks()) >= set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_record_gives_the_variables_of_the_published_templates(task: str) -> None:
    binding = load_binding(task)
    formatter = load_formatter(binding.formatter.name)
    budget = {"budget": Budget(1000, lambda text: len(text.split()), Random(0))} if is_fitted(formatter) else {}
    (variables,) = formatter(RECORDS[task], **binding.formatter.args, **budget)
    assert {name: type(variables[name]) for name in VARIABLES[task]} == VARIABLES[task]
    json.dumps(variables)  # plain data only
    assert isinstance(variables["_document_id"], str)
    assert "answer_choices" not in variables


@pytest.mark.parametrize("task", bound_tasks())
def test_binding_fits_catalogue_and_formatter(task: str) -> None:
    binding = load_binding(task)
    files = load_catalogue()[binding.source].files
    for spec in binding.split_specs().values():
        assert fnmatch.filter(files, spec.path.split("!")[0])
        for option in ("list", "entities", "corpus", "targets"):
            assert fnmatch.filter(files, str(spec.options.get(option, spec.path)).split("!")[0])
    parameters = inspect.signature(load_formatter(binding.formatter.name)).parameters
    required = {name for name, p in parameters.items() if p.kind == p.KEYWORD_ONLY and p.default is p.empty}
    assert required - set(GIVEN) <= set(binding.formatter.args) <= set(parameters)


def test_splits_come_in_the_standard_order() -> None:
    assert list(load_binding("cdr_ner").split_specs()) == ["train", "validation", "test"]


@pytest.mark.parametrize("name", FORMATTERS)
def test_formatters_can_be_loaded(name: str) -> None:
    assert is_fitted(load_formatter(name)) == (name in {"covid_qa", "qasa", "qasper"})


def test_unknown_formatter_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown formatter 'entites'; known: .*entities"):
        load_formatter("entites")


GOOD = "{source: scierc, reader: dygie, splits: {train: {path: a}}, formatter: {name: identity}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("reader: dygie", "reader: nose"), "reader: .*no reader of this name.*'nose'"),
        (GOOD.replace("source", "sauce"), "source: .*sauce: "),
        (GOOD.replace("train", "training"), "splits.training"),
        (GOOD.replace("path", "pth"), "splits.train.path: .*splits.train.pth: "),
        (GOOD.replace("identity", "nose"), "formatter.name: .*no formatter of this name"),
        ("{splits: {}}", "splits: "),
        ("- a", "valid dict"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_bindings_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "my_task.yaml"
    file.write_text(text)
    with pytest.raises(TaskFileError, match=message) as caught:
        load_binding("my_task", tmp_path)
    assert str(file) in str(caught.value)


def test_a_task_without_a_binding_is_told_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match=r"my_task: no file sciriff/tasks/bindings/my_task\.yaml"):
        load_binding("my_task", tmp_path)

from __future__ import annotations

import json
from typing import Any

import fastjsonschema
import pytest

from sciriff.scoring.answer_schemas import answer_schemas
from sciriff.scoring.tasks import EVAL_TASKS, eval_task

RIGHT: dict[str, list[Any]] = {
    "bioasq_list_qa": [["TP53", "BRCA1"]],
    "biored_ner": [{key: ["x"] for key in ["CellLine", "Chemical", "Disease", "Gene", "Species", "Variant"]}],
    "evidence_inference": [[["aspirin", None, "pain", "no significant difference", "Pain did not differ."]]],
    "multicite_intent_classification": [["background"]],
    "qasper_abstractive_qa": [{"answer": "yes", "evidence": ["It is."]}],
    "scierc_ner": [
        {key: ["x", "y"] for key in ["Task", "Method", "Metric", "Material", "OtherScientificTerm", "Generic"]}
    ],
    "scifact_entailment": [{"verdict": "SUPPORT", "evidence": ["It does."]}],
}
WRONG: dict[str, list[Any]] = {
    "bioasq_list_qa": ["TP53", {"answer": []}, [1]],
    "biored_ner": [{}, [], {**RIGHT["biored_ner"][0], "Protein": []}],
    "evidence_inference": [["aspirin"], {}],
    "multicite_intent_classification": [None],
    "qasper_abstractive_qa": [None, {"answer": "yes"}],
    "scierc_ner": [{"Task": ["x"]}],
    "scifact_entailment": [{"verdict": "REFUTES", "evidence": []}],
}


@pytest.mark.parametrize("task", sorted(RIGHT))
def test_schemas_take_answers_and_what_stands_for_none(task: str) -> None:
    validate = fastjsonschema.compile(dict(answer_schemas()[task]))
    shape = eval_task(task).answer
    assert shape is not None
    for answer in [*RIGHT[task], shape.default_value()]:
        validate(answer)
        assert shape.holds(answer)
    for answer in WRONG[task]:
        with pytest.raises(fastjsonschema.JsonSchemaException):
            validate(answer)


def test_tasks_with_plain_text_have_none() -> None:
    assert set(answer_schemas()) == {task.name for task in EVAL_TASKS if task.answer is not None} == set(RIGHT)


def test_objects_are_closed_as_strict_mode_wants() -> None:
    for schema in answer_schemas().values():
        json.dumps(schema)
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])

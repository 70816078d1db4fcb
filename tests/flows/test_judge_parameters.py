"""The judge in the flows: what ``--param`` may hold, and what the UI shows of it."""

from __future__ import annotations

import fastjsonschema
import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from flows.evaluate import evaluate_model
from flows.evaluation_artifacts import scored_lines
from flows.score import score_predictions
from sciriff.results.judge_facts import JudgeReport, JudgeState
from sciriff.results.record import TaskResult
from sciriff.scoring.outcome import Outcome

MUP = "mup_single_document_summarization"
FLOWS = [(evaluate_model, {"model": "gold"}), (score_predictions, {"pred_dir": "x"})]


@pytest.mark.parametrize(("flow", "needed"), FLOWS, ids=["evaluate", "score"])
@pytest.mark.parametrize("given", [50, "all", None])
def test_numbers_of_samples(flow: object, needed: dict[str, object], given: object) -> None:
    parameters = {**needed, "judge": "batch", "judge_samples": given}
    assert flow.validate_parameters(parameters)["judge_samples"] == given  # type: ignore[attr-defined]
    fastjsonschema.compile(parameter_schema(flow).model_dump_for_openapi())(parameters)


@pytest.mark.parametrize("wrong", [{"judge": "maybe"}, {"judge_samples": 0}, {"judge_samples": "some"}])
def test_impossible_values_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        evaluate_model.validate_parameters({"model": "gold", **wrong})


def test_the_table_says_who_judged_or_why_nobody_did() -> None:
    result = TaskResult(
        model="m",
        task=MUP,
        run_id="r",
        outcomes={Outcome.SCORED: 5},
        summary={"lm_judge_reference": 0.5, "rouge": 0.2},
        reused=False,
        data_note="",
        window=4096,
        split="validation",
    )
    done = JudgeReport("j", "", "", 100, 42, JudgeState.DONE, "1 unparseable", 5, 3, 1, 1, 1, 0.4, 0.6)
    stopped = JudgeReport("j", "", "", 100, 42, JudgeState.STOPPED, "no key")
    judged, rouge = scored_lines([result], {("m", MUP): done})
    assert judged["note"] == (
        "j rated 3 of 5; 1 without an answer, worth 0; 1 could not be judged, so that the metric lies between 40.00 "
        "and 60.00; 1 unparseable"
    )
    assert rouge["note"] == ""
    assert scored_lines([result], {("m", MUP): stopped})[0]["note"] == "not judged: no key"

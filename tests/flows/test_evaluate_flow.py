"""The stages of an evaluation as task runs: what is tried again, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows import work
from flows.evaluate import evaluate_model
from sciriff import api
from sciriff.errors import ModelError, SciriffError, TransientModelError
from sciriff.results.evaluate import Evaluation, Predicted
from sciriff.settings import Settings

if TYPE_CHECKING:
    from conftest import Server

WHY = "http://127.0.0.1:1 failed 20 requests in a row"


@pytest.mark.parametrize(("error", "tries", "name"), [(TransientModelError, 2, "Completed"), (ModelError, 1, "Failed")])
def test_a_model_whose_server_was_away_is_asked_again(
    in_process: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[SciriffError],
    tries: int,
    name: str,
) -> None:
    monkeypatch.setattr(work, "delays", lambda: [0.0])
    monkeypatch.setenv("SCIRIFF_SAMPLES", "always")
    own = {**in_process.library_settings(), "samples": "always", "store": str(tmp_path / "store")}
    api.build(["scierc_ner"], windows=(4096,), combining=False, settings=Settings(_env_file=None, **own))
    predict, asked = Evaluation.predict, []

    def away_at_first(self: Evaluation, model: str) -> Predicted:
        asked.append(model)
        if asked.count("lead") == 1 and model == "lead":
            with monkeypatch.context() as patch:
                patch.setattr("sciriff.results.evaluate.predict_baseline", fails)
                return predict(self, model)
        return predict(self, model)

    def fails(*_: object) -> None:
        raise error(WHY)

    monkeypatch.setattr(Evaluation, "predict", away_at_first)
    state = evaluate_model(
        model="gold,lead", tasks="scierc_ner", judge="off", store=str(tmp_path / "store"), return_state=True
    )
    assert state.name == name, state.message
    assert asked == ["gold", *["lead"] * tries]
    assert (WHY in (state.message or "")) == (name == "Failed")
    assert (state.message or "").startswith("2 models" if name == "Completed" else "1 models")


def test_nothing_to_evaluate_says_what_to_do(in_process: Server, tmp_path: Path) -> None:
    state = evaluate_model(model="gold", tasks="scierc_ner", store=str(tmp_path / "store"), return_state=True)
    assert state.name == "Failed"
    assert state.message is not None
    assert "nothing to evaluate" in state.message
    assert "not built in" in state.message
    assert "scierc_ner; run build-sciriff for them" in state.message

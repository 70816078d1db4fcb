"""The judge on the command line: options, and what is printed of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from models.openai_server import Body, FakeServer, running

from sciriff.store import Store

from .conftest import Run

TASK = "mup_single_document_summarization"


@pytest.fixture(autouse=True)
def built(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four validation instances in the store, and no network."""
    monkeypatch.setenv("SCIRIFF_OFFLINE", "1")
    lines = [
        {
            "_instance_id": f"{TASK}:validation:{place}",
            "input": f"Paper title:\nPaper {place}\n\nPaper body:\nText.\n\n2-sentence paper summary:",
            "output": f"Summary of {place}.",
        }
        for place in range(4)
    ]
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    store = Store("artifacts")
    store.write_bytes(f"instructions/4096/{TASK}/validation.jsonl", data)
    files = {"validation.jsonl": {"sha256": hashlib.sha256(data).hexdigest()}}
    store.write_manifest(f"instructions/4096/{TASK}", {"key": "k", "files": files})


def says_nothing_of_3(body: Body) -> str:
    return "Nice." if "Summary of 3" in str(body) else "Explanation: good.\nDecision: 5"


def test_evaluate_prints_what_the_judge_did(run: Run) -> None:
    with running(FakeServer(reply=says_nothing_of_3)) as server:
        options = ("--judge-model", "openai:m", "--judge-base-url", server.url)
        result = run("evaluate", "--model", "gold,empty", "--tasks", TASK, *options)
        assert result.exit_code == 0, result.output
        assert "lm_judge_reference 100.00" in result.stdout
        told = (
            f"judge: gold on {TASK}: m rated 3 of 4; 1 could not be judged, so that the metric lies between 75.00 and"
        )
        assert f"{told} 100.00; 1 unparseable" in result.stdout
        assert f"judge: empty on {TASK}: m rated 0 of 4; 4 without an answer, worth 0" in result.stdout
        fewer = run("evaluate", "--model", "gold", "--tasks", TASK, *options, "--judge-samples", "2")
        assert f"judge: gold on {TASK}: m rated 1 of 2" in fewer.stdout  # the draw is 0 and 3
        everything = run("evaluate", "--model", "gold", "--tasks", TASK, *options, "--judge-samples", "all")
        assert "m rated 3 of 4" in everything.stdout


def test_without_a_key_it_says_so_and_all_else_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIRIFF_OFFLINE", "0")
    result = run("evaluate", "--model", "gold", "--tasks", TASK)
    assert result.exit_code == 0
    assert "lm_judge_reference -, rouge 100.00" in result.stdout
    assert f"not judged: {TASK}: https://api.openai.com/v1 wants a key: set OPENAI_API_KEY" in result.stdout


def test_score_has_predictions_judged(run: Run) -> None:
    Path("given/mine").mkdir(parents=True)
    rows = [{"prompt": "p", "pred": f"Summary of {place}.", "ref": f"Summary of {place}."} for place in range(3)]
    Path(f"given/mine/{TASK}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    off = run("score", "given", "--judge", "off")
    assert off.exit_code == 0, off.output
    assert f"not judged: {TASK}: the judge is off" in off.stdout
    with running(FakeServer(reply=says_nothing_of_3)) as server:
        judged = run("score", "given", "--judge-model", "openai:m", "--judge-base-url", server.url)
    assert f"judge: mine on {TASK}: m rated 3 of 3" in judged.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--judge-model", "gold"), "judge gold: a judge is asked by the OpenAI protocol"),
        (("--judge-model", "gpt-4"), "did you mean gpt-4o"),
        (("--judge-samples", "0"), "0 samples to judge are too few"),
    ],
)
def test_wrong_options_are_named(run: Run, options: tuple[str, ...], message: str) -> None:
    result = run("evaluate", "--model", "gold", "--tasks", TASK, *options)
    assert result.exit_code == 1
    assert message in result.output + str(result.exception)

"""``sciriff prompt``: the bytes on stdout, what was decided on stderr."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sciriff.resources import resource_dir
from sciriff.store import Store

from .conftest import Run

TASK = "evidence_inference"


@pytest.fixture(autouse=True)
def built(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten validation and five training instances in the store, and no network."""
    monkeypatch.setenv("SCIRIFF_OFFLINE", "1")
    store = Store("artifacts")
    files = {}
    for split, number in (("validation", 10), ("train", 5)):
        lines = [
            {"_instance_id": f"{TASK}:{split}:{n}", "input": f"{split} question {n}", "output": f"{split} answer {n}"}
            for n in range(number)
        ]
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        store.write_bytes(f"instructions/4096/{TASK}/{split}.jsonl", data)
        files[f"{split}.jsonl"] = {"sha256": hashlib.sha256(data).hexdigest()}
    store.write_manifest(f"instructions/4096/{TASK}", {"key": "k", "files": files, "inputs": {"sample": True}})


@pytest.fixture
def weights() -> str:
    folder = Path("tuned")
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 1084}')
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    shutil.copy(resource_dir("samples") / "tokenizer.json", folder)
    return str(folder)


def test_stdout_has_the_bytes_and_nothing_else(run: Run) -> None:
    result = run("prompt", TASK, f"{TASK}:validation:0", "--model", "scitulu-7b")
    assert result.exit_code == 0
    assert result.stdout == (
        "<|user|>\nvalidation question 7\n<|assistant|>\nvalidation answer 7\n\n\n"
        "<|user|>\nvalidation question 0\n<|assistant|>"
    )
    assert "instance  evidence_inference:validation:0 (bundled samples)" in result.stderr
    assert "examples  evidence_inference:validation:7" in result.stderr
    assert "tokens unknown: no tokenizer at hand, not checked" in result.stderr
    assert r"greedy, up to '\n\n\n'" in result.stderr


def test_options_change_the_prompt(run: Run) -> None:
    ask = ("prompt", TASK, f"{TASK}:validation:3", "--model", "scitulu-7b")
    assert run(*ask, "--shots", "0", "--chat-format", "tulu_nl").stdout == (
        "<|user|>\nvalidation question 3\n<|assistant|>\n"
    )
    from_training = run(*ask, "--shots-from", "train", "--shots", "2").stdout
    assert from_training.count("train answer") == 2
    assert "validation answer" not in from_training


def test_a_model_that_takes_messages_shows_them(run: Run) -> None:
    result = run("prompt", TASK, f"{TASK}:validation:0", "--model", "gpt-4o", "--shots", "0")
    assert json.loads(result.stdout) == [{"role": "user", "content": "validation question 0"}]
    assert "format    messages" in result.stderr


def test_tokens_are_shown_where_there_is_a_tokenizer(run: Run, weights: str) -> None:
    ask = ("prompt", TASK, f"{TASK}:validation:0", "--model", weights, "--chat-format", "tulu", "--shots", "0")
    found = json.loads(run(*ask, "--json").stdout)
    assert found["prompt"] == "<|user|>\nvalidation question 0\n<|assistant|>"
    assert "".join(text for _, text in found["tokens"]).replace("▁", " ").strip().startswith("<|user|>")
    assert found["sampling"]["stop"] == ["\n\n\n", "</s>"]
    assert f"{len(found['tokens'])} tokens, 60 fit" in run(*ask).stderr


def test_a_cut_and_a_refused_prompt_say_so(run: Run, weights: str) -> None:
    ask = ("prompt", TASK, f"{TASK}:validation:0", "--model", weights, "--chat-format", "tulu", "--shots", "4")
    cut = run(*ask)
    assert cut.exit_code == 0
    assert "cut by truncate-left" in cut.stderr
    assert cut.stdout.endswith("<|user|>\nvalidation question 0\n<|assistant|>")
    refused = run(*ask, "--too-long", "refuse")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "REFUSED: the prompt has" in refused.stderr


def test_data_of_ones_own(run: Run) -> None:
    Path("mine.jsonl").write_text('{"_instance_id": "scierc_ner:x:1", "input": "Tag {{ this }}.", "output": "{}"}\n')
    result = run("prompt", "scierc_ner", "scierc_ner:x:1", "--model", "gold", "--data", "mine.jsonl")
    assert result.stdout == "Tag {{ this }}."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TASK, f"{TASK}:validation:77", "--model", "gold"), "has no instance 'evidence_inference:validation:77'"),
        (("evidence_inferense", "x", "--model", "gold"), "did you mean evidence_inference"),
        ((TASK, "x", "--model", "golden"), "did you mean gold"),
        ((TASK, "x", "--model", "gold", "--split", "test"), "has no split test"),
        ((TASK, f"{TASK}:validation:1", "--model", "lab/model"), "no chat template that can be read here"),
    ],
)
def test_what_is_not_there_is_told(arguments: tuple[str, ...], message: str, run: Run) -> None:
    result = run("prompt", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr

"""The nine held-out tasks through real vLLM: in process, through its server and through its batch command.

Needs vLLM: ``make vllm-test`` runs this file in an environment that has its build for processors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from vllm_kit import MEMORY, descendants, is_running, run_batch, serving, wait_until

from benchmarks.tiny_llama import write_tiny_llama
from sciriff import api
from sciriff.models.instances import load_instances
from sciriff.models.openai_live import LiveBackend
from sciriff.models.openai_replies import reply_of
from sciriff.models.openai_requests import Dialect
from sciriff.models.openai_server import Server
from sciriff.models.plan import AskOptions
from sciriff.models.prompts import PromptKit, PromptOptions, count_tokens, open_kit, prepare_prompts, requests_for
from sciriff.models.registry import ModelSpec
from sciriff.models.requests import Answer, Message, Request, Sampling, make_request
from sciriff.models.vllm_backend import VllmBackend, open_vllm
from sciriff.models.vllm_server import SERVER_FIELDS, as_one_turn
from sciriff.results.judge_options import JudgeOptions
from sciriff.settings import Settings
from sciriff.store import Store
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed here; run: make vllm-test"),
]

LIMIT = 3
MOST_TOKENS = 24  # about a third of the replies are cut off there
OPTIONS = PromptOptions(max_tokens=MOST_TOKENS)
DIALECT = Dialect("tiny", extra=SERVER_FIELDS)
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["SUPPORT", "CONTRADICT", "NEI"]}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("vllm")
    return Settings(
        store=str(root / "store"), cache=root / "cache", lock=root / "sources.lock", offline=True, samples="always"
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("weights") / "tiny-llama")


@pytest.fixture(scope="module")
def entry(checkpoint: Path) -> dict[str, Any]:
    """The model's entry."""
    return {
        "backend": "vllm",
        "weights": str(checkpoint),
        "chat_format": "tulu",
        "dtype": "float32",
        "engine": {"enforce_eager": True, **MEMORY},
    }


@pytest.fixture(scope="module")
def spec(entry: dict[str, Any]) -> ModelSpec:
    return ModelSpec(name="tiny", **entry)


@pytest.fixture(scope="module")
def kit(spec: ModelSpec, settings: Settings) -> PromptKit:
    return open_kit(spec, OPTIONS, settings)


@pytest.fixture(scope="module")
def backend(spec: ModelSpec, settings: Settings) -> Iterator[VllmBackend]:
    with open_vllm(spec, settings) as backend:
        yield backend


@pytest.fixture(scope="module")
def requests(kit: PromptKit, backend: VllmBackend, settings: Settings) -> dict[str, list[Request]]:
    """Task -> its requests."""
    assert api.build(EVAL_TASKS, windows=[4096], settings=settings).exit_code == 0
    store = Store(settings.store)
    prompts = {task: load_instances(store, task, 4096, "validation", LIMIT) for task in EVAL_TASKS}
    return {task: requests_for(prepare_prompts(found, kit), backend.identity) for task, found in prompts.items()}


@pytest.fixture(scope="module")
def queue(requests: dict[str, list[Request]]) -> list[Request]:
    """The requests of all tasks."""
    return [request for task in requests for request in requests[task]]


@pytest.fixture(scope="module")
def answers(backend: VllmBackend, queue: list[Request]) -> dict[str, Answer]:
    """What the engine in process says to all of them."""
    return {answer.key: answer for answer in backend.ask(queue)}


@pytest.fixture(scope="module")
def address(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a real ``vllm serve`` listens."""
    with serving(checkpoint, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def server(address: str) -> LiveBackend:
    """The OpenAI backend over that server."""
    return LiveBackend(Server(address), DIALECT)


def said(answer: Answer) -> tuple[Any, ...]:
    """All of an answer but the time it took and the name of the model."""
    return (answer.text, answer.finish_reason, answer.input_tokens, answer.output_tokens, answer.error)


def request(prompt: Any, **sampling: Any) -> Request:
    return make_request("identity", prompt, Sampling(**{"max_tokens": MOST_TOKENS, **sampling}), "label")


def test_all_nine_tasks_are_answered(requests: dict[str, list[Request]], answers: dict[str, Answer]) -> None:
    assert len(requests) == 9
    for task, asked in requests.items():
        assert len(asked) == LIMIT, task
        assert all(answers[request.key].text for request in asked), task
        assert len({answers[request.key].text for request in asked}) == LIMIT, task
    ends = Counter(answer.finish_reason for answer in answers.values())
    assert ends["stop"] >= 3
    assert ends["length"] >= 2
    assert all(answer.output_tokens == MOST_TOKENS for answer in answers.values() if answer.finish_reason == "length")


def test_prompts_are_tokenised_as_they_stand(queue: list[Request], answers: dict[str, Answer], kit: PromptKit) -> None:
    for each in queue:
        assert answers[each.key].input_tokens == count_tokens(each.prompt, kit)


def test_a_reply_does_not_depend_on_its_company(
    backend: VllmBackend, queue: list[Request], answers: dict[str, Answer]
) -> None:
    for each in queue[::7]:
        [alone] = backend.ask([each])
        assert said(alone) == said(answers[each.key])
    for answer in backend.ask(reversed(queue)):
        assert said(answer) == said(answers[answer.key])


def test_special_tokens_stay_in_replies_and_the_end_of_text_does_not(answers: dict[str, Answer]) -> None:
    replies = [answer.text or "" for answer in answers.values()]
    assert any("<s>" in reply for reply in replies)
    assert not any("</s>" in reply for reply in replies)


def test_stop_strings_end_replies_and_are_no_part_of_them(
    backend: VllmBackend, queue: list[Request], answers: dict[str, Answer]
) -> None:
    checked = 0
    for each in queue:
        reply = answers[each.key].text or ""
        for stop in (reply[20:23], "<s>"):
            if not stop or stop not in reply:
                continue
            [stopped] = backend.ask([replace(each, sampling=replace(each.sampling, stop=(stop,)))])
            assert (stopped.text, stopped.finish_reason) == (reply[: reply.index(stop)], "stop")
            checked += 1
    assert checked >= 10


def test_replies_follow_a_json_schema(backend: VllmBackend) -> None:
    [answer] = backend.ask([request("Does the abstract support the claim?", json_schema=SCHEMA, max_tokens=200)])
    assert json.loads(answer.text or "")["label"] in ("SUPPORT", "CONTRADICT", "NEI")


def test_what_the_engine_refuses_stops_nothing_else(backend: VllmBackend, queue: list[Request]) -> None:
    refused = [
        request("gene " * 5000),
        request("gene " * 4080),
        request(""),
        Request("surrogate", "half a pair \ud800", Sampling(), "label"),
        request("why?", json_schema={"type": "nonsense"}),
        request("why?", stop=("",)),
        Request("surrogate in a message", (Message("user", "half a pair \udfff"),), Sampling(), "label"),
    ]
    found = {answer.key: answer for answer in backend.ask([*refused, *queue[:3]])}
    for each in refused:
        answer = found[each.key]
        assert (answer.text, answer.finish_reason) == (None, None), each
        assert answer.error
        assert answer.final
    assert "with a reply of 24 that is more than the context of 4,096" in found[refused[1].key].error
    assert all(found[each.key].text for each in queue[:3])


def test_closing_ends_the_work(backend: VllmBackend, queue: list[Request], answers: dict[str, Answer]) -> None:
    long = [request(f"Tell me all about protein {number}.", max_tokens=2000) for number in range(20)]
    asking = backend.ask([queue[0], *long])
    assert next(asking).text is not None
    asking.close()
    [answer] = backend.ask([queue[1]])
    assert said(answer) == said(answers[queue[1].key])


def test_the_server_says_the_same(server: LiveBackend, queue: list[Request], answers: dict[str, Answer]) -> None:
    served = {answer.key: answer for answer in server.ask(queue)}
    assert {key: said(answer) for key, answer in served.items()} == {
        key: said(answer) for key, answer in answers.items()
    }
    assert {answer.served_model for answer in served.values()} == {"tiny"}


def test_the_server_says_the_same_to_messages_and_under_a_schema(server: LiveBackend, backend: VllmBackend) -> None:
    asked = [
        request((Message("user", "Which genes are named?"),)),
        request((Message("system", "You are terse."), Message("user", "Why?"), Message("assistant", "So."))),
        request("Does the abstract support the claim?", json_schema=SCHEMA, max_tokens=200),
        request("Name the genes.", stop=("a", "e", "i", "o")),
    ]
    here = {answer.key: said(answer) for answer in backend.ask(asked)}
    assert all(text is not None for text, *_ in here.values())
    assert len(set(here.values())) == len(asked)
    assert {answer.key: said(answer) for answer in server.ask(asked)} == here


def test_run_batch_says_the_same(
    checkpoint: Path, queue: list[Request], answers: dict[str, Answer], tmp_path: Path
) -> None:
    lines = run_batch(checkpoint, [as_one_turn(each) for each in queue], DIALECT, tmp_path)
    sampling = {each.key: each.sampling for each in queue}
    found = {}
    for record in map(json.loads, lines):
        assert record["error"] is None, record
        answer = reply_of(record["response"]["body"], record["custom_id"], sampling[record["custom_id"]])
        found[answer.key] = said(answer)
    assert found == {key: said(answer) for key, answer in answers.items()}


# As a user evaluates


def predictions(settings: Settings, model: str) -> dict[str, Any]:
    """Instance -> reply, in all tasks."""
    store = Store(settings.store)
    paths = [f"results/predictions/{model}/{task}/4096-validation/predictions.jsonl" for task in EVAL_TASKS]
    lines = [json.loads(line) for path in paths for line in store.read_bytes(path).splitlines()]
    return {line["instance_id"]: line["reply"] for line in lines}


def expected(queue: list[Request], answers: dict[str, Answer]) -> dict[str, Any]:
    return {each.label: answers[each.key].text for each in queue}


def ledger_lines(settings: Settings) -> list[dict[str, Any]]:
    parts = Path(settings.store, "results", "ledger").rglob("*.jsonl")
    whole = [line for part in parts for line in part.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line) for line in whole]


@pytest.mark.usefixtures("requests")
def test_killed_and_run_again_no_reply_is_made_twice(
    settings: Settings, entry: dict[str, Any], queue: list[Request], answers: dict[str, Answer], tmp_path: Path
) -> None:
    (tmp_path / "models.yaml").write_text(json.dumps({"tiny": entry}))
    command = [sys.executable, "-m", "sciriff.cli", "evaluate", "--model=tiny", f"--limit={LIMIT}", "--judge=off"]
    command += [f"--max-tokens={MOST_TOKENS}", "--yes"]
    environment = {
        **os.environ,
        "SCIRIFF_STORE": settings.store,
        "SCIRIFF_CACHE": str(settings.cache),
        "SCIRIFF_MODELS": str(tmp_path / "models.yaml"),
        "SCIRIFF_OFFLINE": "1",
    }
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or any("text" in line for line in ledger_lines(settings)), 300)
    left = descendants(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not any(is_running(pid) for pid in left), 60)
    assert left or process.returncode == 0
    kept = {line["key"] for line in ledger_lines(settings) if "text" in line}
    assert kept

    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    replies = Counter(line["key"] for line in ledger_lines(settings) if "text" in line)
    assert replies == dict.fromkeys((each.key for each in queue), 1)
    assert predictions(settings, "tiny") == expected(queue, answers)


@pytest.mark.usefixtures("requests")
def test_an_evaluation_of_a_served_model_brings_the_same(
    address: str, settings: Settings, queue: list[Request], answers: dict[str, Answer], tmp_path: Path
) -> None:
    served = {"backend": "openai", "server": "vllm", "api_model": "tiny", "base_url": address, "chat_format": "tulu"}
    (tmp_path / "models.yaml").write_text(json.dumps({"served": served}))
    report = api.evaluate(
        ["served"],
        limit=LIMIT,
        options=AskOptions(prompts=OPTIONS),
        judge=JudgeOptions("off"),
        settings=settings.model_copy(update={"models": tmp_path / "models.yaml"}),
    )
    assert not report.failures
    assert predictions(settings, "served") == expected(queue, answers)

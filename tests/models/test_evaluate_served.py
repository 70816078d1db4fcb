"""Whole evaluations of a model behind a server: what is asked, filed, told, paid and never asked again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from openai_server import BatchPlan, FakeServer, content_of, running

from sciriff import api
from sciriff.cli import main
from sciriff.errors import ExitCode, UsageError
from sciriff.models.openai_batch import Looks
from sciriff.models.openai_server import Patience
from sciriff.models.plan import AskOptions
from sciriff.models.predictions import read_predictions
from sciriff.results.evaluate import EvaluationReport
from sciriff.scoring.outcome import Outcome
from sciriff.settings import Settings
from sciriff.store import Store

QUICK: dict[str, Any] = {
    "patience": Patience(tries=3, first_wait=0.01, longest_wait=0.05, reply_seconds=5),
    "looks": Looks(first=0.02, longest=0.05, grace=0.01),
}
REFERENCES = {"bioasq_list_qa": '["yes"]', "discomat_te": "yes yes", "scierc_ner": '{"Task": ["yes"]}'}
TASKS = tuple(REFERENCES)
PRICED = """
priced: {backend: openai, api_model: m, price: {input: 10, output: 100, looked_up: 2026-01-01}}
"""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer(key="secret-key")) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "artifacts"))
    for task in TASKS:
        publish(store, task, 5)
    return store


@pytest.fixture
def settings(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    (tmp_path / "models.yaml").write_text(PRICED)
    return Settings(store=store.url, cache=tmp_path / "cache", offline=True, workers=1, models=tmp_path / "models.yaml")


def publish(store: Store, task: str, number: int) -> None:
    lines = [
        {"_instance_id": f"{task}:validation:{place}", "input": f"{task} {place}", "output": REFERENCES[task]}
        for place in range(number)
    ]
    data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": number}
    store.write_bytes(f"instructions/4096/{task}/validation.jsonl", data)
    store.write_manifest(f"instructions/4096/{task}", {"key": task, "files": {"validation.jsonl": entry}})


def evaluated(server: FakeServer, settings: Settings, *models: str, **choices: Any) -> EvaluationReport:
    options = AskOptions(base_url=server.url, **{**QUICK, **choices.pop("options", {})})
    choices.setdefault("tasks", TASKS)
    return api.evaluate(models or ["openai:m"], options=options, settings=settings, **choices)


def lines_of(store: Store, model: str, task: str) -> list[dict[str, Any]]:
    return list(read_predictions(store, f"results/predictions/{model}/{task}/4096-validation/predictions.jsonl"))


def test_a_model_is_asked_once_and_filed(server: FakeServer, store: Store, settings: Settings) -> None:
    server.reply = lambda body: f'["{content_of(body)}"]'
    report = evaluated(server, settings)
    assert report.exit_code is ExitCode.DONE
    assert [(result.model, result.task) for result in report.results] == [("m", task) for task in TASKS]
    assert [quote.to_ask for quote in report.quotes] == [15]
    [line] = [line for line in lines_of(store, "m", "scierc_ner") if line["instance_id"] == "scierc_ner:validation:2"]
    assert len(line.pop("request")) == 64
    assert line == {
        "instance_id": "scierc_ner:validation:2",
        "prompt": "scierc_ner 2",
        "reply": '["scierc_ner 2"]',
        "reference": '{"Task": ["yes"]}',
        "finish_reason": "stop",
        "model": "m",
    }
    again = evaluated(server, settings)
    assert all(result.reused for result in again.results)
    assert [quote.to_ask for quote in again.quotes] == [0]
    assert server.billed == dict.fromkeys((f"{task} {place}" for task in TASKS for place in range(5)), 1)


def test_the_body_has_every_field_and_the_manifest_says_so(
    server: FakeServer, store: Store, settings: Settings
) -> None:
    evaluated(server, settings, tasks=["bioasq_list_qa"], limit=1)
    [body] = server.bodies
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": content_of(body)}],
        "max_tokens": 1024,
        "temperature": 0.0,
        "top_p": 1.0,
        "n": 1,
        "seed": 1234,
        "stop": ["\n\n--------------------\n\n"],
    }
    manifest = store.read_manifest("results/predictions/m/bioasq_list_qa/4096-validation")
    assert manifest is not None
    assert manifest["prompts"]["sampling"] == {
        "max_tokens": 1024, "temperature": 0.0, "top_p": 1.0, "seed": 1234, "stop": body["stop"], "json_schema": None,
    }  # fmt: skip


def test_no_file_holds_the_key(server: FakeServer, store: Store, settings: Settings) -> None:
    server.fault = lambda body, before: "400" if content_of(body).endswith("3") else None
    evaluated(server, settings)
    server.key = "another"
    evaluated(server, settings, "openai:n")
    files = [Path(store.path("")) / name for name in store.files("")]
    assert len(files) > 20
    assert not [path for path in files if b"secret-key" in path.read_bytes()]


def test_only_what_is_new_is_asked(server: FakeServer, store: Store, settings: Settings) -> None:
    evaluated(server, settings, limit=2)
    assert server.sent.total() == 6
    evaluated(server, settings, tasks=["scierc_ner"])
    assert server.sent.total() == 9
    evaluated(server, settings, tasks=["scierc_ner"], options={"prompts": _prompts(max_tokens=7)})
    assert server.sent.total() == 14  # another request, though of the same text
    publish(store, "scierc_ner", 6)
    evaluated(server, settings)
    assert server.sent.total() == 14 + 1 + 2 * 3


def _prompts(**options: Any) -> Any:
    from sciriff.models.prompts import PromptOptions

    return PromptOptions(**options)


def test_equal_prompts_are_asked_once_and_serve_all(server: FakeServer, store: Store, settings: Settings) -> None:
    lines = b"".join(
        orjson.dumps({"_instance_id": f"discomat_te:validation:{n}", "input": "same", "output": "x"}) + b"\n"
        for n in range(4)
    )
    entry = {"sha256": hashlib.sha256(lines).hexdigest(), "bytes": len(lines)}
    store.write_bytes("instructions/4096/discomat_te/validation.jsonl", lines)
    store.write_manifest("instructions/4096/discomat_te", {"key": "k", "files": {"validation.jsonl": entry}})
    evaluated(server, settings, tasks=["discomat_te"])
    assert server.billed == {"same": 1}
    assert len({line["reply"] for line in lines_of(store, "m", "discomat_te")}) == 1


def test_a_refused_sample_stands_alone(server: FakeServer, store: Store, settings: Settings) -> None:
    server.fault = lambda body, before: "too-long" if content_of(body) == "scierc_ner 2" else None
    report = evaluated(server, settings)
    assert report.exit_code is ExitCode.DONE
    [result] = [result for result in report.results if result.task == "scierc_ner"]
    assert result.outcomes[Outcome.SYSTEM_FAILED] == 1
    [line] = [line for line in lines_of(store, "m", "scierc_ner") if line["reply"] is None]
    assert line["error"] == "the server answered 400: maximum context length"
    evaluated(server, settings)
    assert server.sent["scierc_ner 2"] == 1
    server.fault = lambda body, before: None
    report = evaluated(server, settings, options={"retry_errors": True})
    assert report.quotes[0].to_ask == server.billed["scierc_ner 2"] == 1
    assert not [line for line in lines_of(store, "m", "scierc_ner") if line["reply"] is None]


def test_a_sample_that_kept_failing_is_told_and_asked_again(
    server: FakeServer, store: Store, settings: Settings
) -> None:
    server.fault = lambda body, before: "500" if content_of(body) == "scierc_ner 2" else None
    report = evaluated(server, settings)
    assert report.exit_code is ExitCode.FAILED
    assert len(report.results) == 3
    problem = report.failures["m", "scierc_ner"]
    assert problem.startswith("1 of 5 requests got no reply (given up after 3 tries, the last: the server answered 500")
    assert problem.endswith("run the same command again to ask them again")
    server.fault = lambda body, before: None
    again = evaluated(server, settings)
    assert (again.exit_code, again.failures) == (ExitCode.DONE, {})
    assert [result.reused for result in again.results] == [True, True, False]
    assert server.billed["scierc_ner 2"] == 1


def test_what_ends_the_asking_leaves_what_is_finished(server: FakeServer, store: Store, settings: Settings) -> None:
    server.fault = lambda body, before: "quota" if content_of(body) == "scierc_ner 4" else None
    report = evaluated(server, settings, "openai:m", "gold", options={"most_at_once": 1})
    assert report.exit_code is ExitCode.BLOCKED
    assert list(report.waiting) == [("m", "scierc_ner")]
    assert "1 of 5 requests are not answered" in report.waiting["m", "scierc_ner"]
    assert "you have no money" in report.waiting["m", "scierc_ner"]
    assert [(result.model, result.task) for result in report.results] == [
        ("m", "bioasq_list_qa"), ("m", "discomat_te"), *(("gold", task) for task in TASKS),
    ]  # fmt: skip
    server.fault = lambda body, before: None
    assert evaluated(server, settings).exit_code is ExitCode.DONE
    assert set(server.billed.values()) == {1}


def test_a_wrong_key_and_a_missing_key_wait(
    server: FakeServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "another"
    report = evaluated(server, settings)
    assert report.exit_code is ExitCode.BLOCKED
    assert list(report.waiting) == [("m", "")]
    assert "check the key in OPENAI_API_KEY" in report.waiting["m", ""]
    monkeypatch.delenv("OPENAI_API_KEY")
    online = settings.model_copy(update={"offline": False})
    report = api.evaluate(["gpt-4o"], tasks=TASKS, settings=online)
    assert report.exit_code is ExitCode.BLOCKED
    assert "wants a key: set OPENAI_API_KEY" in report.waiting["gpt-4o", ""]


def test_two_different_models_are_asked_apart(server: FakeServer, store: Store, settings: Settings) -> None:
    evaluated(server, settings, "openai:m", "openai:n")
    assert set(server.billed.values()) == {2}
    assert {body["model"] for body in server.bodies} == {"m", "n"}


def test_the_quote_and_the_cost(server: FakeServer, settings: Settings) -> None:
    report = evaluated(server, settings, "priced")
    [quote] = report.quotes
    # Four characters a token: prompts of 16, 13 and 12 characters, references of 7, 7 and 17.
    assert (quote.requests, quote.known, quote.to_ask) == (15, 0, 15)
    assert (sum(quote.input_tokens.values()), quote.output_tokens, quote.most_output_tokens) == (55, 45, 15 * 1024)
    assert quote.cost == pytest.approx((10 * 55 + 100 * 45) / 1e6)
    assert quote.most_cost == pytest.approx((10 * 55 + 100 * 15 * 1024) / 1e6)
    assert str(quote) == (
        "priced: 15 requests, 0 in the ledger; 15 to ask; about 55 tokens in, 45 out (at most 15.4k), by length; about "
        "$0.005, at most $1.54"
    )
    assert report.cost == pytest.approx((10 * 5 * (5 + 4 + 4) + 100 * 15 * 5) / 1e6)  # as the server counts


def test_more_than_the_limit_is_not_begun(server: FakeServer, settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"about \$0.005 would be more than --max-cost \$0.001; nothing was asked"):
        evaluated(server, settings, "priced", options={"max_cost": 0.001})
    with pytest.raises(UsageError, match="not a positive number"):
        evaluated(server, settings, "priced", options={"max_cost": 0.0})
    assert server.sent.total() == 0
    report = evaluated(server, settings, "openai:m", options={"max_cost": 1.0})
    assert "the price of m is not known" in report.failures["m", ""]
    assert server.sent.total() == 0


def test_a_limit_that_is_reached_under_way_is_told_and_kept(
    server: FakeServer, store: Store, settings: Settings
) -> None:
    server.reply = lambda body: "word " * 400  # 500 tokens, 5 cents
    report = evaluated(server, settings, "priced", options={"max_cost": 0.3})
    assert report.exit_code is ExitCode.FAILED
    assert 0.15 < report.cost <= 0.3
    assert server.billed.total() == round(report.cost / 0.05)
    assert "of --max-cost $0.3 are spent" in next(iter(report.failures.values()))
    evaluated(server, settings, "priced")
    assert set(server.billed.values()) == {1}
    assert server.billed.total() == 15


def test_nothing_is_asked_without_consent(server: FakeServer, settings: Settings) -> None:
    with pytest.raises(UsageError, match="nothing was asked"):
        evaluated(server, settings, confirm=lambda quotes: False)
    assert server.sent.total() == 0
    evaluated(server, settings, confirm=lambda quotes: quotes[0].to_ask == 15)
    assert server.sent.total() == 15
    evaluated(server, settings, confirm=lambda quotes: False)  # there is nothing to consent to


def test_a_batch_serves_live_runs_and_is_waited_for(server: FakeServer, store: Store, settings: Settings) -> None:
    server.batch_plans = [BatchPlan(seconds=0.3, drop=0.3)]
    report = evaluated(server, settings, options={"batch": True, "stay": False}, tasks=["scierc_ner"])
    assert report.exit_code is ExitCode.BLOCKED
    assert "run the same command again" in report.waiting["m", ""]
    report = evaluated(server, settings)
    assert report.exit_code is ExitCode.DONE
    assert server.sent.total() < 15  # what the batch brought was not asked live
    assert set(server.billed.values()) == {1}
    assert server.billed.total() == 15
    assert len(server.batches) == 1


def test_batches_of_several_models_run_at_once(server: FakeServer, settings: Settings) -> None:
    server.batch_plans = [BatchPlan(seconds=0.2), BatchPlan(seconds=0.2)]
    created: list[int] = []
    server.on_batch_created = lambda: created.append(server.billed.total())  # type: ignore[func-returns-value]
    report = evaluated(server, settings, "openai:m", "openai:n", options={"batch": True})
    assert report.exit_code is ExitCode.DONE
    assert created == [0, 0]  # the second was made before the first had ended
    assert set(server.billed.values()) == {2}


def test_replies_are_constrained_to_the_answers_of_their_task(server: FakeServer, settings: Settings) -> None:
    evaluated(server, settings, constrain=True, limit=1)
    formats = {content_of(body).split()[0]: body.get("response_format") for body in server.bodies}
    assert formats["discomat_te"] is None
    assert formats["bioasq_list_qa"]["json_schema"]["schema"] == {"type": "array", "items": {"type": "string"}}
    entities = formats["scierc_ner"]["json_schema"]
    assert (entities["strict"], entities["schema"]["additionalProperties"]) == (True, False)
    assert "Method" in entities["schema"]["required"]


def test_the_command(server: FakeServer, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIRIFF_CACHE", str(settings.cache))
    monkeypatch.setenv("SCIRIFF_MODELS", str(settings.models))
    command = [
        "evaluate", "--model", "priced", "--base-url", server.url, "--store", store.url, "--tasks", "scierc_ner",
        "--offline", "--max-concurrency", "4", "--max-cost", "1", "--request-timeout", "5", "--max-tokens", "5",
    ]  # fmt: skip
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "priced: 5 requests, 0 in the ledger; 5 to ask; about 15 tokens in, 25 out (at most 25)" in done.output
    assert "priced: 5 replies in 0 s" in done.output
    assert "secret-key" not in done.output
    assert server.bodies[0]["max_tokens"] == 5
    server.fault = lambda body, before: "quota"
    command[2] = "openai:other"
    done = CliRunner().invoke(main, [part for part in command if part not in ("--max-cost", "1")])
    assert done.exit_code == 3
    assert "WAITS: other: " in done.output
    assert json.loads(json.dumps(done.output)).count("add credit") == 1

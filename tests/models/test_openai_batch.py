"""Batches against a real server: whatever becomes of their lines, all is answered, billed once, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import BatchPlan, FakeServer, echo, running

from sciriff.errors import BlockedError, ModelError
from sciriff.models import openai_batch
from sciriff.models.asking import ask
from sciriff.models.ledger import Ledger, open_ledger
from sciriff.models.openai_batch import BatchBackend, Looks, PendingError
from sciriff.models.openai_live import LiveBackend
from sciriff.models.openai_requests import Dialect
from sciriff.models.openai_server import Patience, Server
from sciriff.models.requests import Answer, Message, Request, Sampling, make_request
from sciriff.store import Store

QUICK = Patience(tries=5, first_wait=0.01, longest_wait=0.05, reply_seconds=5)
SOON = Looks(first=0.02, longest=0.05, grace=0.01)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer()) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "artifacts"))


def backend(server: FakeServer, ledger: Ledger, **options: Any) -> BatchBackend:
    options = {"patience": QUICK, "looks": SOON, **options}
    return BatchBackend(Server(server.url, "secret"), Dialect("m"), ledger, **options)


def identity(server: FakeServer) -> str:
    return LiveBackend(Server(server.url), Dialect("m")).identity


def chats(server: FakeServer, number: int) -> list[Request]:
    prompts = [(Message("user", f"question {place}"),) for place in range(number)]
    return [make_request(identity(server), prompt, Sampling(), f"t:{place}") for place, prompt in enumerate(prompts)]


def run(server: FakeServer, store: Store, requests: list[Request], **options: Any) -> dict[str, Answer]:
    """What one evaluation process does; returns the answers."""
    with open_ledger(store, identity(server), "m", Path(store.path("cache"))) as ledger:
        answers = list(ask(requests, backend(server, ledger, **options), ledger, note_sent=False))
        assert len({answer.key for answer in answers}) == len(answers)
        return {answer.key: answer for answer in answers}


def billed_once(server: FakeServer, number: int) -> bool:
    return server.billed == dict.fromkeys((f"question {place}" for place in range(number)), 1)


def all_answered(answers: dict[str, Answer], requests: list[Request]) -> bool:
    wanted = {request.key: echo({"prompt": f"question {place}"}) for place, request in enumerate(requests)}
    return {key: answer.text for key, answer in answers.items()} == wanted


def test_lines_are_matched_by_key_whatever_their_order(server: FakeServer, store: Store) -> None:
    requests = chats(server, 50)
    assert all_answered(run(server, store, requests), requests)
    assert billed_once(server, 50)
    [batch] = server.batches.values()
    assert batch["endpoint"] == "/v1/chat/completions"
    assert set(batch["metadata"]) == {"sciriff_identity", "sciriff_submission"}
    lines = [json.loads(line) for line in server.uploads[batch["input_file_id"]].splitlines()]
    assert [line["custom_id"] for line in lines] == [request.key for request in requests]
    assert all_answered(run(server, store, requests), requests)
    assert len(server.batches) == 1  # the second run asked nothing


@pytest.mark.parametrize(
    "plan",
    [
        BatchPlan(drop=0.3),
        BatchPlan(duplicate=0.3),
        BatchPlan(tear=True),
        BatchPlan(fail=0.3),
        BatchPlan(status="expired", share=0.5),
        BatchPlan(status="cancelled", share=0.5),
        BatchPlan(status="failed", share=0.0),
        BatchPlan(drop=0.2, duplicate=0.2, fail=0.2, tear=True),
    ],
    ids=str,
)
def test_what_a_batch_does_not_bring_is_asked_once_more(server: FakeServer, store: Store, plan: BatchPlan) -> None:
    server.batch_plans = [plan]
    requests = chats(server, 50)
    assert all_answered(run(server, store, requests), requests)
    assert billed_once(server, 50)
    assert len(server.batches) == (1 if plan == BatchPlan(duplicate=0.3) else 2)


def test_what_two_batches_do_not_bring_is_an_error_until_the_next_run(server: FakeServer, store: Store) -> None:
    server.batch_plans = [BatchPlan(drop=1.0), BatchPlan(status="expired", share=0.0)]
    requests = chats(server, 3)
    answers = run(server, store, requests)
    assert {(answer.text, answer.final) for answer in answers.values()} == {(None, False)}
    assert all("could not be executed before the batch expired" in answer.error for answer in answers.values())
    assert len(server.batches) == 2
    assert all_answered(run(server, store, requests), requests)
    assert len(server.batches) == 3
    assert billed_once(server, 3)


def test_large_work_is_cut_and_endpoints_stay_apart(
    server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_batch, "MOST_REQUESTS", 10)
    texts = [make_request(identity(server), f"text {place}", Sampling(), "") for place in range(5)]
    answers = run(server, store, [*chats(server, 25), *texts])
    assert len(answers) == 30
    assert all(answer.text for answer in answers.values())
    assert sorted(batch["endpoint"] for batch in server.batches.values()) == [
        *["/v1/chat/completions"] * 3,
        "/v1/completions",
    ]
    monkeypatch.setattr(openai_batch, "MOST_BYTES", 700)
    run(server, store, [make_request(identity(server), f"more {place}", Sampling(), "") for place in range(4)])
    assert len(server.batches) == 6


def test_a_request_that_is_refused_is_final(server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    completed = server.completed

    def refusing(path: str, body: dict[str, Any]) -> Any:
        return completed(path, body) if "question 1" not in str(body) else {"error": {"message": "no"}}

    monkeypatch.setattr(server, "completed", refusing)
    requests = chats(server, 2)
    answers = run(server, store, requests)
    assert answers[requests[1].key].error.endswith("the reply has no choices: no")
    assert answers[requests[0].key].text


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "moment", ["before upload", "before create", "after create", "while waiting", "at the first line"]
)
def test_after_a_kill_batches_are_found_again(
    server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    requests = chats(server, 20)
    server.batch_plans = [BatchPlan(drop=0.2)]

    def killed(*arguments: Any, **options: Any) -> Any:
        raise Killed

    def created_and_killed(self: Any, *arguments: Any) -> Any:
        create(self, *arguments)
        raise Killed

    create = openai_batch.BatchServer.create
    with monkeypatch.context() as patch:
        if moment == "before upload":
            patch.setattr(openai_batch.BatchServer, "upload", killed)
        elif moment == "before create":
            patch.setattr(openai_batch.BatchServer, "create", killed)
        elif moment == "after create":
            patch.setattr(openai_batch.BatchServer, "create", created_and_killed)
        elif moment == "while waiting":
            patch.setattr(openai_batch.BatchServer, "get", killed)
        else:
            patch.setattr(Ledger, "record", killed)
        with pytest.raises(Killed):
            run(server, store, requests)
    assert all_answered(run(server, store, requests), requests)
    assert billed_once(server, 20)
    assert len(server.batches) == 2  # the second for what the first did not bring


def test_a_creation_whose_answer_is_lost_is_not_repeated(server: FakeServer, store: Store) -> None:
    faults = iter(["500", "reset"])
    server.on_batch_created = lambda: next(faults, None)
    requests = chats(server, 5)
    assert all_answered(run(server, store, requests), requests)
    assert len(server.batches) == 1
    assert billed_once(server, 5)


def test_batches_of_a_lost_ledger_are_found_on_the_server(server: FakeServer, store: Store, tmp_path: Path) -> None:
    requests = chats(server, 5)
    run(server, store, requests)
    elsewhere = Store(str(tmp_path / "elsewhere"))
    told: list[str] = []
    assert all_answered(run(server, elsewhere, requests, tell=told.append), requests)
    assert len(server.batches) == 1
    assert any("found on the server with 5 requests" in line for line in told)


def test_without_waiting_a_run_ends_when_all_is_submitted(server: FakeServer, store: Store) -> None:
    server.batch_plans = [BatchPlan(seconds=0.3)]
    requests = chats(server, 5)
    with pytest.raises(PendingError, match=r"5 requests are in batch_\d+; run the same command again"):
        run(server, store, requests, stay=False)
    assert all_answered(run(server, store, requests), requests)
    assert len(server.batches) == 1


def test_a_run_of_part_of_the_requests_leaves_the_rest_for_later(server: FakeServer, store: Store) -> None:
    server.batch_plans = [BatchPlan(seconds=0.2)]
    requests = chats(server, 6)
    with pytest.raises(PendingError):
        run(server, store, requests, stay=False)
    assert all_answered(run(server, store, requests[:2]), requests[:2])
    assert all_answered(run(server, store, requests), requests)
    assert len(server.batches) == 1


def test_batches_that_are_too_much_at_once_go_one_after_another(
    server: FakeServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_batch, "MOST_REQUESTS", 10)
    too_much = BatchPlan(status="failed", share=0.0, code="token_limit_exceeded")
    server.batch_plans = [BatchPlan(seconds=0.2), too_much, too_much]
    requests = chats(server, 30)
    assert all_answered(run(server, store, requests), requests)
    assert len(server.batches) == 5
    assert billed_once(server, 30)


def test_how_batches_stand_is_told(server: FakeServer, store: Store) -> None:
    server.batch_plans = [BatchPlan(seconds=0.2)]
    told: list[str] = []
    run(server, store, chats(server, 5), tell=told.append)
    assert [line.partition(": ")[2] for line in told] == [
        "5 requests submitted",
        "in_progress",
        "completed; 0 of 5 requests without a reply",
    ]


def test_batches_work_beside_a_running_loop(server: FakeServer, store: Store) -> None:
    requests = chats(server, 3)

    async def in_a_notebook() -> dict[str, Answer]:
        return run(server, store, requests)

    assert all_answered(asyncio.run(in_a_notebook()), requests)


def test_a_wrong_key_and_a_server_without_batches_are_named(server: FakeServer, store: Store) -> None:
    server.key = "another"
    with pytest.raises(BlockedError, match="check the key"):
        run(server, store, chats(server, 1))
    server.key, server.url = "", server.url.replace("/v1", "/other")
    with pytest.raises(ModelError, match="batches of this server cannot be used"):
        run(server, store, chats(server, 1))

"""The live backend against a real server that misbehaves: all is answered, each request billed once, nothing lost."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from openai_server import FakeServer, at_random, content_of, echo, running

from sciriff.errors import BlockedError, ModelError, StoreError
from sciriff.models.openai_live import LiveBackend
from sciriff.models.openai_requests import Dialect
from sciriff.models.openai_server import Patience, Server, find_server, require_access
from sciriff.models.requests import Answer, Message, Request, Sampling, make_request

QUICK = Patience(first_wait=0.01, longest_wait=0.05, reply_seconds=0.5, connect_seconds=0.5, last_seconds=1)
ALL_FAULTS = {
    "429": 0.1, "429-silent": 0.05, "500": 0.1, "503": 0.05, "hang": 0.02, "cut": 0.1, "malformed": 0.1, "reset": 0.1,
    "no-choices": 0.05,
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer()) as server:
        yield server


def backend(server: FakeServer, patience: Patience = QUICK, **options: Any) -> LiveBackend:
    options.setdefault("most_at_once", 16)
    return LiveBackend(Server(server.url, "secret"), Dialect(server.model), patience=patience, **options)


def chats(number: int, **sampling: Any) -> list[Request]:
    prompts = [(Message("user", f"question {place}"),) for place in range(number)]
    return [make_request("identity", prompt, Sampling(**sampling), "label") for prompt in prompts]


def by_key(answers: Iterator[Answer]) -> dict[str, Answer]:
    found = list(answers)
    assert len({answer.key for answer in found}) == len(found)
    return {answer.key: answer for answer in found}


def test_each_request_gets_its_reply(server: FakeServer) -> None:
    requests = chats(100)
    answers = by_key(backend(server).ask(iter(requests)))
    assert {request.key: f"question {place}" for place, request in enumerate(requests)}.keys() == answers.keys()
    for place, request in enumerate(requests):
        answer = answers[request.key]
        assert answer.text == echo({"prompt": f"question {place}"})
        assert (answer.finish_reason, answer.served_model, answer.error) == ("stop", "m-2024", "")
        assert answer.output_tokens == 5
        assert 0 <= answer.seconds < 60
    assert set(server.billed.values()) == {1}
    assert server.headers[0]["authorization"] == "Bearer secret"


def test_text_goes_to_completions(server: FakeServer) -> None:
    request = make_request("identity", "<|user|>\nwhy?\n<|assistant|>", Sampling(), "label")
    [answer] = backend(server).ask([request])
    assert answer.text == echo({"prompt": request.prompt})
    assert "messages" not in server.bodies[0]


def test_nothing_to_ask_asks_nothing(server: FakeServer) -> None:
    assert list(backend(server).ask([])) == []
    assert server.headers == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_goes_wrong_all_is_answered_and_billed_once(server: FakeServer, seed: int) -> None:
    server.fault = at_random(ALL_FAULTS, seed)
    requests = chats(150)
    answers = by_key(backend(server).ask(iter(requests)))
    assert [answers[request.key].text for request in requests] == [
        echo({"prompt": f"question {place}"}) for place in range(150)
    ]
    assert server.billed == dict.fromkeys((f"question {place}" for place in range(150)), 1)
    assert sum(answer.lost_tries for answer in answers.values()) > 10


@pytest.mark.parametrize(
    ("fault", "lost"), [(fault, fault in "hang cut malformed reset no-choices") for fault in ALL_FAULTS]
)
def test_each_fault_alone(server: FakeServer, fault: str, lost: bool) -> None:
    server.fault = lambda body, before: fault if before < 2 else None
    [answer] = backend(server).ask(chats(1))
    assert (answer.text, answer.lost_tries) == (echo({"prompt": "question 0"}), 2 * lost)
    assert server.sent == {"question 0": 3}


def test_a_server_that_asks_to_wait_is_left_alone_for_as_long(server: FakeServer) -> None:
    server.retry_after = 0.4
    server.fault = lambda body, before: "429" if content_of(body) == "question 0" and before == 0 else None
    began = time.monotonic()
    answers = backend(server, most_at_once=1).ask(iter(chats(5)))
    first = next(answers)
    assert time.monotonic() - began >= 0.4
    assert server.sent["question 0"] == 2  # it was first again, and nobody was asked in between
    assert first.text == echo({"prompt": "question 0"})
    assert len(list(answers)) == 4


def test_a_server_that_takes_few_at_once_gets_few(server: FakeServer) -> None:
    server.most_at_once, server.seconds, server.retry_after = 8, 0.01, 0.02
    answers = by_key(backend(server, most_at_once=64).ask(iter(chats(400))))
    assert all(answer.text is not None for answer in answers.values())
    assert set(server.billed.values()) == {1}
    assert sum(server.sent.values()) < 2 * 400  # far from trying all at once


def test_as_many_at_once_as_allowed_and_no_more(server: FakeServer) -> None:
    server.seconds = 0.05
    assert len(list(backend(server, most_at_once=80).ask(iter(chats(400))))) == 400
    assert 64 < server.peak <= 80


@pytest.mark.parametrize(
    ("fault", "final"), [("too-long", True), ("400", True), ("422", True), ("403", True), ("404", True)]
)
def test_a_request_that_is_refused_stands_alone(server: FakeServer, fault: str, final: bool) -> None:
    server.fault = lambda body, before: fault if content_of(body) == "question 30" else None
    requests = chats(60)
    answers = by_key(backend(server, most_at_once=4).ask(iter(requests)))
    refused = answers.pop(requests[30].key)
    assert (refused.text, refused.final) == (None, final)
    assert f"the server answered {'400' if fault == 'too-long' else fault}" in refused.error
    assert all(answer.text for answer in answers.values())
    assert server.sent["question 30"] == 1


def test_a_server_that_refuses_all_from_the_first_on_is_not_asked_to_the_end(server: FakeServer) -> None:
    server.fault = lambda body, before: "400"
    answers: list[Answer] = []
    with pytest.raises(ModelError, match=r"refused the first 20 requests, the last: .*400.* --retry-errors"):
        answers.extend(backend(server, most_at_once=4).ask(iter(chats(500))))
    assert 20 <= len(answers) == server.sent.total() <= 24


def test_a_filtered_prompt_is_refused_as_by_the_model(server: FakeServer) -> None:
    server.fault = lambda body, before: "filter" if content_of(body) == "question 1" else None
    requests = chats(3)
    answer = by_key(backend(server).ask(iter(requests)))[requests[1].key]
    assert (answer.text, answer.finish_reason, answer.error) == ("", "content_filter", "")


def test_a_request_that_keeps_failing_is_given_up_alone(server: FakeServer) -> None:
    server.fault = lambda body, before: "malformed" if content_of(body) == "question 3" else None
    requests = chats(20)
    answers = by_key(backend(server, replace(QUICK, tries=4)).ask(iter(requests)))
    failed = answers.pop(requests[3].key)
    assert (failed.text, failed.final, failed.lost_tries) == (None, False, 4)
    assert failed.error.startswith("given up after 4 tries, the last: the reply is not JSON")
    assert all(answer.text for answer in answers.values())


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("no-model", ModelError, "check the model's name and the base URL"),
        ("quota", BlockedError, "you have no money; add credit"),
        ("307", ModelError, "redirects"),
    ],
)
def test_what_stops_every_request_stops_the_work(
    server: FakeServer, fault: str, error: type[Exception], message: str
) -> None:
    server.fault = lambda body, before: fault
    answers: list[Answer] = []
    with pytest.raises(error, match=message):
        answers.extend(backend(server).ask(iter(chats(200))))
    assert len(answers) == server.sent.total() <= 32  # each request that was sent is known to have failed
    assert not any(answer.text or answer.final or answer.lost_tries for answer in answers)


def test_replies_under_way_are_not_lost_when_the_work_ends(server: FakeServer) -> None:
    server.fault = lambda body, before: "quota" if content_of(body) == "question 5" else None
    server.seconds = 0.2
    received: list[Answer] = []
    with pytest.raises(BlockedError):
        received.extend(backend(server, most_at_once=8).ask(iter(chats(200))))
    assert len([answer for answer in received if answer.text]) == server.billed.total() == 7
    assert len(received) == server.sent.total() == 8


def test_a_wrong_key_is_named_and_not_shown(server: FakeServer) -> None:
    server.key = "another"
    with pytest.raises(BlockedError, match="check the key in OPENAI_API_KEY") as raised:
        list(backend(server).ask(chats(3)))
    assert "secret" not in str(raised.value)
    with pytest.raises(BlockedError, match="set a key in"):
        list(LiveBackend(Server(server.url), Dialect("m")).ask(chats(1)))


def test_a_server_that_is_not_there_is_named_soon() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    taken: list[Request] = []
    answers: list[Answer] = []
    requests = (taken.append(request) or request for request in chats(50))  # type: ignore[func-returns-value]
    with pytest.raises(ModelError, match=r"127.0.0.1:\d+/v1 cannot be reached.*that the server runs"):
        answers.extend(LiveBackend(Server(url), Dialect("m"), patience=QUICK).ask(requests))
    assert {answer.key for answer in answers} == {request.key for request in taken}
    assert not any(answer.lost_tries or answer.final for answer in answers)


def test_a_server_that_only_fails_ends_the_work(server: FakeServer) -> None:
    server.fault = lambda body, before: "500"
    answers: list[Answer] = []
    with pytest.raises(ModelError, match=r"failed 10 requests in a row.*something broke"):
        answers.extend(backend(server, replace(QUICK, tries=2)).ask(iter(chats(500))))
    assert 10 <= len(answers) == len(server.sent) < 200
    assert not any(answer.final for answer in answers)


def test_closing_ends_the_work_at_once(server: FakeServer) -> None:
    server.fault = lambda body, before: "hang" if content_of(body) != "question 0" else None
    answers = backend(server, replace(QUICK, reply_seconds=600)).ask(iter(chats(50)))
    next(answers)
    began = time.monotonic()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 3
    time.sleep(0.2)
    assert server.at_once == 0


def test_beside_a_running_loop_the_work_has_a_thread_of_its_own(server: FakeServer) -> None:
    async def in_a_notebook() -> None:
        assert len(list(backend(server).ask(iter(chats(50))))) == 50
        server.fault = lambda body, before: "hang" if content_of(body) != "question 0" else "quota"
        with pytest.raises(BlockedError):
            list(backend(server, replace(QUICK, last_seconds=0.1)).ask(iter(chats(50))))
        server.fault = lambda body, before: "hang" if content_of(body) != "question 0" else None
        answers = backend(server, replace(QUICK, reply_seconds=600)).ask(iter(chats(50)))
        next(answers)
        began = time.monotonic()
        answers.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 3

    asyncio.run(in_a_notebook())
    time.sleep(0.2)
    assert server.at_once == 0


def test_requests_are_taken_right_before_they_are_sent(server: FakeServer) -> None:
    server.fault = lambda body, before: "hang" if content_of(body) != "question 0" else None
    taken = []

    def requests() -> Iterator[Request]:
        for request in chats(500):
            taken.append(request)
            yield request

    answers = backend(server, replace(QUICK, reply_seconds=600)).ask(requests())
    next(answers)
    time.sleep(0.1)
    assert len(taken) <= server.sent.total() + 2 <= 18
    answers.close()  # type: ignore[attr-defined]
    assert len(taken) <= 18


def test_an_error_of_whoever_gives_the_requests_comes_out(server: FakeServer) -> None:
    def requests() -> Iterator[Request]:
        yield from chats(3)
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        list(backend(server).ask(requests()))
    assert server.billed.total() == 3


def test_identity_is_of_model_and_server_and_not_of_haste() -> None:
    def identity(url: str = "http://h/v1", dialect: Dialect | None = None, **options: Any) -> str:
        return LiveBackend(Server(url, "k"), dialect or Dialect("m"), **options).identity

    assert identity() == identity(most_at_once=3, patience=QUICK)
    others: list[Callable[[], str]] = [
        lambda: identity("http://i/v1"),
        lambda: identity(dialect=Dialect("n")),
        lambda: identity(dialect=Dialect("m", extra={"top_k": 1})),
    ]
    assert len({identity(), *(other() for other in others)}) == 4


def test_which_server_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OTHER_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BlockedError, match=r"set OPENAI_API_KEY in the environment or in \.env"):
        require_access(find_server(None, "OPENAI_API_KEY"), offline=False)
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-file\n")
    server = find_server(None, "OPENAI_API_KEY")
    assert (server.url, server.key) == ("https://api.openai.com/v1", "from-file")
    assert "from-file" not in repr(server)
    monkeypatch.setenv("OPENAI_BASE_URL", "HTTP://LocalHost:8000/v1/")
    server = find_server(None, "OTHER_KEY")
    require_access(server, offline=True)
    assert (server.url, server.key, server.is_local) == ("http://localhost:8000/v1", "", True)
    for url in ("ftp://x", "nonsense", "http://user:pw@host/v1", "http://h/v1?x=1"):
        with pytest.raises(Exception, match="base URL"):
            find_server(url, "OTHER_KEY")
    with pytest.raises(Exception, match="SCIRIFF_OFFLINE forbids"):
        require_access(find_server("https://api.example.org/v1", "OTHER_KEY"), offline=True)

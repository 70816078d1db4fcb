"""Asking through the ledger, within a budget, beside others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest

from sciriff.errors import ModelError
from sciriff.models import asking
from sciriff.models.asking import ask
from sciriff.models.budget import Budget, Purse
from sciriff.models.ledger import Ledger, open_ledger
from sciriff.models.registry import Price
from sciriff.models.requests import Answer, Message, Request, Sampling, make_request
from sciriff.store import Store

IDENTITY = "b" * 64


class Oracle:
    """A backend that keeps a list of what it was asked."""

    identity = IDENTITY

    def __init__(self, answer: Callable[[Request], Answer] | None = None) -> None:
        self.asked: list[str] = []
        self._answer = answer or (lambda request: Answer(request.key, f"to {request.label}", "stop", 10, 5))

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        for request in requests:
            self.asked.append(request.label)
            yield self._answer(request)


def questions(number: int, max_tokens: int = 100) -> list[Request]:
    sampling = Sampling(max_tokens=max_tokens)
    return [make_request(IDENTITY, (Message("user", f"{place:<40}"),), sampling, str(place)) for place in range(number)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "artifacts"))


def opened(store: Store) -> AbstractContextManager[Ledger]:
    return open_ledger(store, IDENTITY, "m", Path(store.path("cache")))


def test_what_the_ledger_holds_is_not_asked(store: Store) -> None:
    first, second = Oracle(), Oracle()
    with opened(store) as ledger:
        assert [answer.text for answer in ask(questions(3), first, ledger)] == ["to 0", "to 1", "to 2"]
    with opened(store) as ledger:
        texts = {answer.text for answer in ask(questions(5), second, ledger)}
        assert ledger.in_doubt == 0
    assert texts == {f"to {place}" for place in range(5)}
    assert (first.asked, second.asked) == (["0", "1", "2"], ["3", "4"])


def test_equal_requests_are_asked_once(store: Store) -> None:
    oracle = Oracle()
    with opened(store) as ledger:
        assert len(list(ask([*questions(2), *questions(2)], oracle, ledger))) == 2
    assert oracle.asked == ["0", "1"]


def test_errors_that_may_pass_are_asked_again_and_others_not(store: Store) -> None:
    oracle = Oracle(lambda request: Answer(request.key, None, error="broke", final=request.label == "0"))
    with opened(store) as ledger:
        list(ask(questions(2), oracle, ledger))
    second = Oracle()
    with opened(store) as ledger:
        answers = {answer.key: answer for answer in ask(questions(2), second, ledger)}
    assert second.asked == ["1"]
    assert [answers[request.key].text for request in questions(2)] == [None, "to 1"]


def test_an_answer_is_in_the_ledger_before_anybody_sees_it(store: Store) -> None:
    with opened(store) as ledger:
        for answer in ask(questions(3), Oracle(), ledger):
            with opened(store) as another:
                assert another.answers[answer.key] == answer


def test_requests_under_way_when_the_work_ends_are_in_doubt(store: Store) -> None:
    def broken(requests: Iterable[Request]) -> Iterator[Answer]:
        taken = [next(iter(requests)) for _ in range(3)]
        yield Answer(taken[0].key, "yes", "stop")
        raise ModelError("it is gone")

    oracle = Oracle()
    oracle.ask = broken  # type: ignore[method-assign]
    with opened(store) as ledger, pytest.raises(ModelError):
        list(ask(questions(5), oracle, ledger))
    with opened(store) as ledger:
        assert (len(ledger.answers), ledger.in_doubt) == (1, 2)


def test_two_evaluations_at_once_ask_everything_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_SECONDS_BETWEEN_LOOKS", 0.02)

    def slowly(request: Request) -> Answer:
        time.sleep(0.005)
        return Answer(request.key, f"to {request.label}", "stop")

    oracles = [Oracle(slowly) for _ in range(3)]
    results: list[set[str | None]] = [set(), set(), set()]

    def work(place: int) -> None:
        requests = questions(60)[place * 10 :]
        with opened(store) as ledger:
            results[place] = {answer.text for answer in ask(requests, oracles[place], ledger)}

    threads = [threading.Thread(target=work, args=[place]) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = [label for oracle in oracles for label in oracle.asked]
    assert len(asked) == len(set(asked)) == 60
    assert [len(texts) for texts in results] == [60, 50, 40]


def test_what_another_leaves_unanswered_is_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_SECONDS_BETWEEN_LOOKS", 0.02)
    oracle = Oracle()
    got: list[Answer] = []

    def wait_for_the_other() -> None:
        with opened(store) as ledger:
            got.extend(ask(questions(4), oracle, ledger, tell=told.append))

    told: list[str] = []
    thread = threading.Thread(target=wait_for_the_other)
    with opened(store) as other:
        keys = other.claim([request.key for request in questions(4)])
        thread.start()
        time.sleep(0.1)
        other.record(Answer(keys[0], "by the other", "stop"))
        other.record(Answer(keys[1], None, error="broke", final=False))
        time.sleep(0.1)
    thread.join()
    assert sorted(oracle.asked) == ["2", "3"]
    assert [answer.text for answer in got[:2]] == ["by the other", None]
    assert told == ["4 requests are being asked by another run; waiting for its replies"]


def test_claims_that_became_void_on_the_way_are_made_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a machine that slept: what is not sent yet may be another's by now."""
    oracle, claims = Oracle(), []
    claim = Ledger.claim

    def counted(ledger: Ledger, keys: list[str]) -> list[str]:
        claims.append(len(keys))
        return claim(ledger, keys)

    monkeypatch.setattr(Ledger, "claim", counted)
    monkeypatch.setattr(Ledger, "is_forgotten", property(lambda _: len(oracle.asked) >= 3 and len(claims) == 1))
    with opened(store) as ledger:
        assert len(list(ask(questions(10), oracle, ledger))) == 10
    assert sorted(oracle.asked, key=int) == [str(number) for number in range(10)]
    assert claims == [10, 7]


TEN = {request.key: 10 for request in questions(60)}
PRICE = Price(input=10, output=100, looked_up=date(2026, 1, 1))


def test_no_more_is_spent_than_the_purse_holds(store: Store) -> None:
    # 10 tokens asked, at most 100 said: at most 0.0102 dollars (11 asked, to be safe), in truth 0.0006.
    purse = Purse(most=0.0301)
    budget = Budget(purse, PRICE, TEN)
    oracle = Oracle()
    with opened(store) as ledger:
        answers = list(ask(questions(60), oracle, ledger, budget))
    assert len(answers) == len(oracle.asked) == 34  # 33 x 0.0006 are spent when the longest reply no longer fits
    assert purse.spent == pytest.approx(34 * 0.0006)
    assert purse.reserved == pytest.approx(0)
    assert budget.refused
    assert (purse.input_tokens, purse.output_tokens) == (340, 170)


def test_batches_cost_less_and_silent_servers_are_estimated() -> None:
    purse = Purse(most=1.0)
    budget = Budget(purse, PRICE, TEN, batch=True)
    [request] = questions(1)
    assert budget.allows(request)
    assert purse.reserved == pytest.approx((10 * 11 + 100 * 100) / 1e6 / 2)
    budget.settle(Answer(request.key, "12345678", "stop"))
    assert (purse.input_tokens, purse.output_tokens, purse.reserved) == (10, 2, 0)
    assert purse.spent == pytest.approx((10 * 10 + 2 * 100) / 1e6 / 2)
    assert budget.allows(request)
    budget.settle(Answer(request.key, None, error="broke"))
    assert purse.reserved == 0


def test_without_price_or_limit_all_may_be_asked() -> None:
    for purse, price in ((Purse(), PRICE), (Purse(most=0.0), None)):
        budget = Budget(purse, price, TEN)
        assert all(map(budget.allows, questions(5)))
        assert not budget.refused

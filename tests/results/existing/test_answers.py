from __future__ import annotations

from sciriff.models.ledger_events import answer_line, claim_line, header, sent_line
from sciriff.models.requests import Answer
from sciriff.results.existing.answers import read_ledger


def test_the_last_way_of_asking_counts_and_the_first_reply_to_it() -> None:
    lines = [
        header("f" * 64, "m"),
        claim_line(["k1", "k2"]),
        sent_line("k1"),
        answer_line(Answer("k1", None, error="busy"), "scierc_ner:validation:0"),
        answer_line(Answer("k1", "one", "stop"), "scierc_ner:validation:0"),
        answer_line(Answer("k1", "two", "stop"), "scierc_ner:validation:0"),
        b'{"key": "torn',
        answer_line(Answer("k2", "\ud800", "length"), "scierc_ner:validation:1"),
        answer_line(Answer("k3", "asked again", "stop"), "scierc_ner:validation:1"),
        answer_line(Answer("k4", None, error="refused"), "biored_ner:train:0"),
        answer_line(Answer("k5", "4"), "judge"),
        answer_line(Answer("k6", "no label")),
        b"",
    ]
    found = read_ledger(lines)
    assert (found.model, found.identity) == ("m", "f" * 64)
    assert [(task, [tuple(each.values()) for each in records]) for task, records in found.by_task.items()] == [
        ("biored_ner", [("biored_ner:train:0", None, None)]),
        (
            "scierc_ner",
            [("scierc_ner:validation:0", "one", "stop"), ("scierc_ner:validation:1", "asked again", "stop")],
        ),
    ]


def test_what_is_no_ledger_says_nothing() -> None:
    assert read_ledger([b"", b"[1]", b"null", b"\xff"]).by_task == {}

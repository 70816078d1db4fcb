"""What judges' replies say: our reading, and that of the original's parsers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.scoring.judge_replies import original_decision, original_rating, points, rating_of


def test_the_originals_parsers_are_reproduced(conformance: Path) -> None:
    rows = json.loads((conformance / "judge_replies.json").read_text())
    assert len(rows) >= 20
    for row in rows:
        decision = original_decision(row["reply"])
        assert ("error" if decision is None else decision) == row["mup_decision_original"], row["reply"]
        assert original_rating(row["reply"]) == points(row["qasper_rating_original"]), row["reply"]


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("Explanation: close.\nRating: 4", 4),
        ("Explanation: x\nDecision: 1", 1),
        ("Explanation: x\nDecision: 1\n", 1),
        ("**Explanation:** x\n\n**Rating:** 4", 4),
        ("**Decision: 2**", 2),
        ("### Rating: 3", 3),
        ("- Rating: `5`", 5),
        ("Rating: 4/5", 4),
        ("Rating: 4 out of 5.", 4),
        ("Rating: four", 4),
        ("Decision: <4>", 4),
        ("Decision: 3.", 3),
        ("Final rating: 2 (partly right)", 2),
        ("rating : 2", 2),
        ("Rating:\n\n**4**", 4),
        ("Explanation: x\nDecision: 4\n\nThanks!", 4),
        ("Explanation: Rating: 3 would be harsh.\nRating: 4", 4),
        ("Decision: 3\nRating: 3", 3),
        ("It has all of it. Rating: 5", 5),
        ("It has all of it. **Rating:** 5/5.", 5),
        ("4", 4),
        (" **2** ", 2),
    ],
)
def test_a_rating_is_read_whatever_its_dress(reply: str, rating: int) -> None:
    assert rating_of(reply) == rating


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "The summary is fine.",
        "I would give it 4",
        "Rating: 10",
        "Rating: 0",
        "Decision: 6",
        "Rating: 4-5",
        "Rating: 3.5",
        "Rating: 4/10",
        "Rating: 80%",
        "Rating: 4th",
        "Rating: 2\nRating: 5",
        "Rating: 4\nRating: see above",
        "Rating: between three and four 3",
        "Rating:",
        "Explanation: Decision: 3 would be harsh, for it has everything",
        "Explanation: the candidate lacks",
        "Overating: 4",
    ],
)
def test_what_is_no_rating_or_not_one_only_is_none(reply: str) -> None:
    assert rating_of(reply) is None


@given(st.text(), st.sampled_from(["Rating", "Decision"]), st.integers(1, 5))
def test_any_explanation_leaves_the_rating_readable(explanation: str, marker: str, rating: int) -> None:
    one_line = " ".join(explanation.split())
    assert rating_of(f"Explanation: {one_line}\n{marker}: {rating}") == rating


@given(st.text(st.sampled_from("Rating: Decision:*_\n 0123456789/.()of—five")))
def test_no_reply_raises_and_no_rating_is_off_the_scale(reply: str) -> None:
    assert rating_of(reply) in (None, 1, 2, 3, 4, 5)
    assert original_decision(reply) in (None, 0.0, 0.25, 0.5, 0.75, 1.0)
    assert original_rating(reply) in (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    "reply",
    ["\n" * 50_000, "Rating: " * 10_000, "*" * 50_000, "rating" + " " * 50_000, " " * 50_000 + "x", "9" * 50_000],
)
def test_long_nonsense_is_read_at_once(reply: str) -> None:
    assert rating_of(reply) is None
    assert original_decision(reply) is None
    assert original_rating(f"Rating: {reply}") == 0.5


def test_the_scale_runs_from_0_to_1() -> None:
    assert [points(rating) for rating in range(1, 6)] == [0.0, 0.25, 0.5, 0.75, 1.0]

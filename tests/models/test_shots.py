"""Examples: drawn as the original's harness draws, or from the training split."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights_kit import CHATML, make_instances

from sciriff.errors import UsageError
from sciriff.models.chat import chat_format
from sciriff.models.checkpoint import Checkpoint
from sciriff.models.shots import delimiter, draw_evaluated, draw_from_training, joined, shots_of

TASK = "evidence_inference"
RULE = "\n\n--------------------\n\n"


def as_the_harness_draws(documents: list[dict[str, Any]], number: int, draws: int) -> list[list[dict[str, Any]]]:
    """The catalogue's rule, read literally: draw one more, take out the document itself, keep the first ones."""
    generator = Random(1234)
    shots = []
    for document in documents:
        for _ in range(draws):
            drawn = generator.sample(documents, number + 1)
        shots.append([other for other in drawn if other != document][:number])
    return shots


@given(size=st.integers(2, 40), number=st.integers(1, 4), draws=st.integers(1, 2))
def test_draws_are_those_of_the_harness(size: int, number: int, draws: int) -> None:
    if number >= size:
        number = 1
    pool = list(make_instances(TASK, size).pool)
    drawn = draw_evaluated(pool, number, draws=draws)
    expected = as_the_harness_draws(pool, number, draws)
    assert [list(examples) for examples in drawn.values()] == expected
    assert all(len(examples) == number for examples in drawn.values())
    assert all(each["_instance_id"] != own for own, examples in drawn.items() for each in examples)


def test_draws_of_ten_instances_are_these() -> None:
    pool = make_instances(TASK, 10).pool
    drawn = [examples[0]["input"].split()[1] for examples in draw_evaluated(pool, 1, draws=1).values()]
    assert drawn == ["7", "0", "9", "1", "5", "0", "0", "9", "9", "2"]


def test_too_few_instances_are_told() -> None:
    with pytest.raises(UsageError, match=r"1 instances are too few to show 1 of the others as examples; use --shots 0"):
        draw_evaluated(make_instances(TASK, 1).pool, 1, draws=1)
    with pytest.raises(UsageError, match="2 training instances are too few to show 3"):
        draw_from_training(make_instances(TASK, 2).pool, 3, TASK, "x")


def test_training_examples_depend_on_the_instance_alone() -> None:
    training = make_instances(TASK, 30, split="train").pool
    first = draw_from_training(training, 2, TASK, "evidence_inference:validation:3")
    assert first == draw_from_training(training, 2, TASK, "evidence_inference:validation:3")
    others = {draw_from_training(training, 1, TASK, f"e:validation:{n}")[0]["_instance_id"] for n in range(40)}
    assert len(others) > 10


def test_only_evidence_inference_shows_an_example_unless_told_otherwise() -> None:
    assert (shots_of(TASK, None), shots_of("scierc_ner", None)) == (1, 0)
    assert (shots_of(TASK, 0), shots_of("scierc_ner", 3)) == (0, 3)
    assert (delimiter(TASK), delimiter("scierc_ner")) == ("\n\n\n", RULE)


EXAMPLES = list(make_instances(TASK, 2).pool)


def test_examples_are_wrapped_as_turns_of_their_own() -> None:
    assert joined(chat_format("tulu"), TASK, EXAMPLES[:1], "Q", one_turn=False) == (
        "<|user|>\nquestion 0\n<|assistant|>\nanswer 0\n\n\n<|user|>\nQ\n<|assistant|>"
    )
    assert joined(chat_format("general"), "scierc_ner", EXAMPLES, "Q", one_turn=False) == (
        f"question 0\nanswer 0{RULE}question 1\nanswer 1{RULE}Q"
    )
    assert joined(chat_format("tulu_nl"), TASK, [], "Q", one_turn=False) == "<|user|>\nQ\n<|assistant|>\n"


def test_in_a_models_own_format_examples_and_question_are_one_turn() -> None:
    form = chat_format("auto", Checkpoint("ours", None, None, CHATML, {}, None))
    assert joined(form, TASK, EXAMPLES[:1], "Q", one_turn=True) == (
        "<|im_start|>user\nquestion 0\nanswer 0\n\n\nQ<|im_end|>\n<|im_start|>assistant\n"
    )

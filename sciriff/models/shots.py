"""Worked examples in front of the question ("shots"): how many, which, and how they are joined.

By default as the original: evidence_inference shows one example, drawn from the very instances that are evaluated; the
other tasks show none. ``train`` draws from the training split instead, so that no evaluated answer is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal

from sciriff.errors import UsageError
from sciriff.hashing import keyed_random
from sciriff.models.chat import ChatFormat

ShotSource = Literal["evaluated", "train"]

SHOTS: Mapping[str, int] = {"evidence_inference": 1}
"""Examples that the original shows; 0 for every other task."""

_RULE = "\n\n" + "-" * 20 + "\n\n"
_DELIMITERS: Mapping[str, str] = {"evidence_inference": "\n\n\n"}
_ANSWER = "\n"
_SEED = 1234


def shots_of(task: str, asked: int | None) -> int:
    """How many examples a task shows: what was asked for, else as many as the original."""
    return SHOTS.get(task, 0) if asked is None else asked


def delimiter(task: str) -> str:
    """What stands between examples; a reply ends where it would begin."""
    return _DELIMITERS.get(task, _RULE)


def draw_evaluated(
    pool: Sequence[Mapping[str, Any]], number: int, *, draws: int
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Draw examples from the evaluated instances as the original does.

    One generator per task goes through the instances in order; for each it draws one more than needed without
    replacement, and the instance itself is left out. So the examples of an instance depend on those before it, and are
    drawn over all instances of the split whatever part of them is asked.

    Args:
        pool: all instances of the split, in their order.
        number: examples per instance.
        draws: how often is drawn per instance; the last draw counts. The original draws twice where the tokenizer's own
            chat template is applied, else once.

    Returns:
        Instance id -> its examples.

    Raises:
        UsageError: if there are too few instances.
    """
    if len(pool) <= number:
        raise UsageError(
            f"{len(pool)} instances are too few to show {number} of the others as examples; use --shots 0, or "
            "--shots-from train"
        )
    generator = Random(_SEED)
    places = range(len(pool))
    examples = {}
    for place, instance in enumerate(pool):
        for _ in range(draws):
            drawn = generator.sample(places, number + 1)
        others = [other for other in drawn if other != place][:number]
        examples[str(instance["_instance_id"])] = tuple(pool[other] for other in others)
    return examples


def draw_from_training(
    training: Sequence[Mapping[str, Any]], number: int, task: str, instance_id: str
) -> tuple[Mapping[str, Any], ...]:
    """Draw examples for one instance from the training split; they depend on nothing but its id and that split.

    Raises:
        UsageError: if there are too few.
    """
    if len(training) < number:
        raise UsageError(f"{len(training)} training instances are too few to show {number} of them; use fewer --shots")
    return tuple(keyed_random(_SEED, "shots", task, instance_id).sample(list(training), number))


def joined(form: ChatFormat, task: str, examples: Sequence[Mapping[str, Any]], text: str, *, one_turn: bool) -> str:
    """The prompt: examples and then the question.

    In formats of ours each example is wrapped as a turn of its own; in a model's own format examples and question are
    one turn, as the original does.

    Args:
        form: the chat format.
        task: whose delimiter is used.
        examples: instances to show with their outputs.
        text: input of the instance that is asked.
        one_turn: whether examples and question are one turn.
    """
    wrap = str if one_turn else form.wrap
    shown = "".join(
        f"{wrap(str(example['input']))}{_ANSWER}{example['output']}{delimiter(task)}" for example in examples
    )
    return form.wrap(shown + text) if one_turn else shown + form.wrap(text)

"""The prompt of a single instance, for people who want to see the bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

import orjson

from sciriff.errors import UsageError
from sciriff.models.data import load_data
from sciriff.models.instances import InstanceSet
from sciriff.models.prompts import Prepared, PromptKit, PromptOptions, needs_training, open_kit, prepare_prompts
from sciriff.models.registry import find_model
from sciriff.models.requests import Sampling
from sciriff.settings import Settings
from sciriff.store import Store
from sciriff.tasks.evaluation_tasks import EVAL_TASKS


class Token(NamedTuple):
    """One token of a prompt: its number in the vocabulary, and how the vocabulary writes it."""

    id: int
    text: str


@dataclass(frozen=True)
class OnePrompt:
    """What a model gets for one instance.

    Attributes:
        prepared: the prompt, and what was decided about its length.
        kit: the model.
        sampling: how the reply is drawn.
        tokens: of a finished text, if its tokenizer is at hand; else None.
        note: what one should know of the data; else empty.
    """

    prepared: Prepared
    kit: PromptKit
    sampling: Sampling
    tokens: tuple[Token, ...] | None
    note: str

    @property
    def shown(self) -> str:
        """The text itself, or the messages as JSON; empty if the instance is refused."""
        prompt = self.prepared.prompt
        if prompt is None or isinstance(prompt, str):
            return prompt or ""
        return orjson.dumps([message._asdict() for message in prompt], option=orjson.OPT_INDENT_2).decode() + "\n"

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        prompt = self.prepared.prompt
        return {
            "model": self.kit.spec.name,
            "instance_id": self.prepared.instance_id,
            "chat_format": "messages" if self.kit.spec.takes_messages else self.kit.form.name,
            "examples": self.prepared.examples,
            "fit": self.prepared.fit,
            "tokens_cut": self.prepared.tokens_cut,
            "reason": self.prepared.reason,
            "sampling": self.sampling.describe(),
            "prompt": prompt if prompt is None or isinstance(prompt, str) else [each._asdict() for each in prompt],
            "tokens": self.tokens and [list(token) for token in self.tokens],
        }


def one_prompt(
    task: str,
    instance_id: str,
    model: str,
    *,
    data: str,
    window: int,
    split: str,
    options: PromptOptions,
    store: Store,
    settings: Settings,
) -> OnePrompt:
    """Make the prompt of one instance, the same as in an evaluation of all.

    Raises:
        UsageError: if there is no such model, evaluation task or instance; near names are listed.
        NotBuiltError: if there are no instances of the task.
        SciriffError: as :func:`sciriff.models.data.load_data` and :func:`sciriff.models.prompts.open_kit`.
    """
    if task not in EVAL_TASKS:
        near = get_close_matches(task, EVAL_TASKS, n=3) or EVAL_TASKS
        raise UsageError(f"{task!r} is not an evaluation task; did you mean {', '.join(near)}?")
    kit = open_kit(find_model(model, settings), options, settings)
    instances = load_data(data, task, window, split, store=store, settings=settings)
    training = None
    if needs_training(task, kit):
        training = load_data(data, task, window, "train", store=store, settings=settings)
    only = replace(instances, instances=(_instance(instances, instance_id),))
    prompts = prepare_prompts(only, kit, training)
    return OnePrompt(prompts.prepared[0], kit, prompts.sampling, _tokens(prompts.prepared[0], kit), instances.note)


def _instance(instances: InstanceSet, instance_id: str) -> Any:
    by_id = {str(each["_instance_id"]): each for each in instances.pool}
    if instance_id in by_id:
        return by_id[instance_id]
    near = get_close_matches(instance_id, by_id, n=3, cutoff=0.3) or list(by_id)[:3]
    raise UsageError(
        f"{instances.path} has no instance {instance_id!r} of {instances.task} in split {instances.split}; there is "
        f"{', '.join(near)}"
    )


def _tokens(prepared: Prepared, kit: PromptKit) -> tuple[Token, ...] | None:
    tokenizer = kit.checkpoint.tokenizer if kit.checkpoint is not None else None
    if tokenizer is None or not isinstance(prepared.prompt, str):
        return None
    encoding = tokenizer.encode(prepared.prompt, add_special_tokens=False)
    return tuple(map(Token, encoding.ids, encoding.tokens))

"""From instances to requests: chat format, examples, length.

What others call, in this order::

    spec = find_model("scitulu-7b", settings)                    # sciriff.models.registry
    kit = open_kit(spec, PromptOptions(), settings)              # once per model
    instances = load_instances(store, task, 4096, "validation")  # or sciriff.models.data.load_data
    prompts = prepare_prompts(instances, kit)                    # per task; pure
    requests = requests_for(prompts, backend.identity)           # list[Request], one per instance that can be asked

A prompt is exactly what the model gets: the whole text, which backends tokenise as it stands and add no special tokens
to; or, for a model that ``takes_messages``, the messages of a chat. ``prompts.prepared`` has every instance, also those
that are refused because they are too long; ``prompts.counts`` and ``prompts.describe()`` are for screens and manifests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from sciriff.errors import UsageError
from sciriff.models.chat import (
    GENERAL,
    ChatFormat,
    beginning_of_text,
    chat_format,
    describe,
    require_one_beginning,
    require_unwrapped,
)
from sciriff.models.checkpoint import Checkpoint, open_checkpoint
from sciriff.models.dialect import dialect_of
from sciriff.models.fitting import Limit, TooLong, cut_left, cut_middle
from sciriff.models.instances import InstanceSet
from sciriff.models.registry import AUTO, ModelSpec
from sciriff.models.requests import Message, Prompt, Request, Sampling, make_request
from sciriff.models.shots import ShotSource, delimiter, draw_evaluated, draw_from_training, joined, shots_of
from sciriff.settings import Settings

Fit = Literal["whole", "cut", "refused", "unchecked"]
"""How a prompt stands to the model's context: it fits; something was cut; it is too long and is not asked; nobody knows
here, because context length or tokenizer are not at hand, or a server does its own counting."""


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How instances are put to a model. The defaults are the original's.

    Attributes:
        chat_format: in place of the one in the model's entry; None for that.
        shots: examples per instance for every task; None for one in evidence_inference and none elsewhere.
        shots_from: ``evaluated``: examples are other instances of the evaluated split; ``train``: of the training one.
        too_long: what happens to prompts that are too long, see :mod:`sciriff.models.fitting`.
        max_tokens: most tokens of a reply.
        add_bos: whether the tokenizer's token for the beginning of text is put in front of a text that lacks it. The
            original does not, though models of the Llama family are trained with it.
    """

    chat_format: str | None = None
    shots: int | None = None
    shots_from: ShotSource = "evaluated"
    too_long: TooLong = "truncate-left"
    max_tokens: int = 1024
    add_bos: bool = False

    def __post_init__(self) -> None:
        if self.shots is not None and self.shots < 0:
            raise UsageError(f"shots {self.shots} is below 0")
        if self.max_tokens < 1:
            raise UsageError(f"max tokens {self.max_tokens} is below 1")
        for name, value, known in (
            ("shots_from", self.shots_from, get_args(ShotSource)),
            ("too_long", self.too_long, get_args(TooLong)),
        ):
            if value not in known:
                raise UsageError(f"{name} {value!r} is none of {', '.join(known)}")


@dataclass(frozen=True)
class PromptKit:
    """A model and all that is needed to make its prompts.

    Attributes:
        spec: the model, with the chat format that is used.
        options: how it is asked.
        form: the chat format; for messages the one that adds nothing.
        checkpoint: files of the weights; None if the model has none.
        limit: how long prompts may be; None if that is not known here.
    """

    spec: ModelSpec
    options: PromptOptions
    form: ChatFormat
    checkpoint: Checkpoint | None
    limit: Limit | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """One instance, ready to be asked.

    Attributes:
        instance: the instance.
        prompt: what the model gets; None if the instance is refused.
        fit: how the prompt stands to the model's context.
        examples: ids of the instances shown as examples, in order.
        tokens_cut: how many tokens the policy took away.
        reason: why it is refused; else empty.
    """

    instance: Mapping[str, Any]
    prompt: Prompt | None
    fit: Fit
    examples: tuple[str, ...] = ()
    tokens_cut: int = 0
    reason: str = ""

    @property
    def instance_id(self) -> str:
        """Id of the instance."""
        return str(self.instance["_instance_id"])


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one task for one model.

    Attributes:
        task: task name.
        prepared: one entry per instance, in their order.
        sampling: how replies are drawn.
        how: plain data that says how the prompts were made, for manifests.
    """

    task: str
    prepared: tuple[Prepared, ...]
    sampling: Sampling
    how: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """How many prompts fit, were cut, were refused or were not checked, and how many tokens were cut in all."""
        fits = Counter(each.fit for each in self.prepared)
        kinds: tuple[Fit, ...] = ("whole", "cut", "refused", "unchecked")
        return {**{kind: fits[kind] for kind in kinds}, "tokens_cut": sum(each.tokens_cut for each in self.prepared)}

    def describe(self) -> dict[str, Any]:
        """As plain data, for manifests."""
        return {**self.how, "sampling": self.sampling.describe(), "prompts": self.counts}


def open_kit(spec: ModelSpec, options: PromptOptions, settings: Settings) -> PromptKit:
    """Find what the prompts of a model are made with: its chat format, and for weights their tokenizer and context.

    Raises:
        UsageError: if there is no such chat format, the model has none of its own, or its context has no room for a
            prompt beside the reply.
        SourceError, BlockedError: if files of the weights cannot be had.
    """
    if options.chat_format is not None:
        spec = spec.model_copy(update={"chat_format": options.chat_format})
    checkpoint = open_checkpoint(spec, settings) if spec.backend == "vllm" else None
    bare = spec.backend == "baseline" or spec.takes_messages
    form = chat_format(GENERAL if bare else spec.chat_format, checkpoint)
    _require_one_writer(spec, form)
    return PromptKit(spec, options, form, checkpoint, _limit(spec, checkpoint, options))


def _require_one_writer(spec: ModelSpec, form: ChatFormat) -> None:
    """Make sure that not both the format and a server's tokenizer put the token for the beginning of text in front.

    Raises:
        UsageError: if both would.
    """
    token = beginning_of_text(form.wrap(""))
    if spec.backend == "openai" and token and dialect_of(spec).extra.get("add_special_tokens", True) is not False:
        raise UsageError(
            f"model {spec.name}: chat format {form.name} begins with {token}, and its server puts its own in front of "
            "text unless told otherwise; say `server: vllm` in the model's entry, or `body: {add_special_tokens: "
            "false}` if the server knows that field"
        )


def _limit(spec: ModelSpec, checkpoint: Checkpoint | None, options: PromptOptions) -> Limit | None:
    if checkpoint is None or checkpoint.context_tokens is None:
        return None
    tokenizer, counter = checkpoint.tokenizer, checkpoint.counter
    if tokenizer is None or counter is None:
        return None
    tokens = checkpoint.context_tokens - options.max_tokens
    if tokens < 1:
        raise UsageError(
            f"model {spec.name} has a context of {checkpoint.context_tokens:,} tokens: no room for a prompt beside a "
            f"reply of {options.max_tokens:,}; use a smaller --max-tokens"
        )
    return Limit(tokens, tokenizer, counter)


def needs_training(task: str, kit: PromptKit) -> bool:
    """Whether the prompts of a task show examples from its training split, which must then be given."""
    return kit.spec.backend != "baseline" and kit.options.shots_from == "train" and _shots(task, kit) > 0


def prepare_prompts(instances: InstanceSet, kit: PromptKit, training: InstanceSet | None = None) -> PromptSet:
    """Make the prompts of one task.

    Args:
        instances: what is asked.
        kit: the model, from :func:`open_kit`.
        training: the training split of the same task, where :func:`needs_training` says so.

    Raises:
        UsageError: if there are too few instances to draw examples from, an instance is in a chat format already, or
            the training split is missing.
    """
    examples = _examples(instances, kit, training)
    prepared = tuple(
        _prepare(instances.task, instance, examples.get(str(instance["_instance_id"]), ()), kit)
        for instance in instances.instances
    )
    how = {
        "chat_format": describe(kit.form) if not kit.spec.takes_messages else {"name": "messages", "digest": ""},
        "options": asdict(kit.options),
        "shots": _shots(instances.task, kit),
        "context_tokens": kit.checkpoint.context_tokens if kit.checkpoint else kit.spec.context_tokens,
    }
    return PromptSet(instances.task, prepared, sampling_for(instances.task, kit), how)


def requests_for(prompts: PromptSet, identity: str) -> list[Request]:
    """The requests of all instances that can be asked, in their order; a request's label is the instance's id.

    Instances with equal prompts have requests with equal keys: one reply serves them all.

    Args:
        prompts: from :func:`prepare_prompts`.
        identity: :attr:`sciriff.models.requests.Backend.identity` of the backend that will be asked.
    """
    return [
        make_request(identity, each.prompt, prompts.sampling, each.instance_id)
        for each in prompts.prepared
        if each.prompt is not None
    ]


def sampling_for(task: str, kit: PromptKit) -> Sampling:
    """How replies are drawn: greedy, and ending where the next example or, for weights, the end of text would begin."""
    end = kit.checkpoint.special_tokens.get("eos_token") if kit.checkpoint is not None else None
    return Sampling(max_tokens=kit.options.max_tokens, stop=(delimiter(task), *([end] if end else [])))


def count_tokens(prompt: Prompt, kit: PromptKit) -> int | None:
    """Tokens of a finished text; None if it is not text, or there is no tokenizer at hand."""
    counter = kit.checkpoint.counter if kit.checkpoint is not None else None
    return counter.count(prompt) if isinstance(prompt, str) and counter is not None else None


def _shots(task: str, kit: PromptKit) -> int:
    return 0 if kit.spec.backend == "baseline" else shots_of(task, kit.options.shots)


def _in_one_turn(kit: PromptKit) -> bool:
    """Whether examples and question make one turn of a conversation: in a model's own format."""
    return kit.spec.chat_format == AUTO


def _examples(
    instances: InstanceSet, kit: PromptKit, training: InstanceSet | None
) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
    number = _shots(instances.task, kit)
    if number == 0:
        return {}
    try:
        if kit.options.shots_from == "evaluated":
            return draw_evaluated(instances.pool, number, draws=2 if _in_one_turn(kit) else 1)
        if training is None:
            raise UsageError("examples from the training split need that split; build it or use --shots-from evaluated")
        ids = [str(instance["_instance_id"]) for instance in instances.instances]
        return {each: draw_from_training(training.pool, number, instances.task, each) for each in ids}
    except UsageError as error:
        raise UsageError(f"{instances.task}: {error}") from error


def _prepare(task: str, instance: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], kit: PromptKit) -> Prepared:
    label, text = str(instance["_instance_id"]), str(instance["input"])
    if kit.form.name != GENERAL or kit.spec.takes_messages:
        require_unwrapped(text, label)
    ids = tuple(str(example["_instance_id"]) for example in examples)

    def body(shown: Sequence[Mapping[str, Any]], text: str) -> str:
        return joined(kit.form, task, shown, text, one_turn=_in_one_turn(kit))

    whole = body(examples, text)
    if kit.spec.takes_messages:
        return Prepared(instance, (Message("user", whole),), "unchecked", ids)
    start = _added_start(whole, kit)
    require_one_beginning(start + whole, label)
    if kit.limit is None:
        return Prepared(instance, start + whole, "unchecked", ids)
    limit = kit.limit._replace(tokens=kit.limit.tokens - bool(start))
    if limit.fits(whole):
        return Prepared(instance, start + whole, "whole", ids)
    tokens = limit.count(whole)
    shortened, shown = _shortened(whole, examples, text, body, limit, kit.options.too_long)
    if shortened is None:
        reason = f"the prompt has {tokens:,} tokens, {limit.tokens:,} fit ({kit.options.too_long})"
        return Prepared(instance, None, "refused", reason=reason)
    return Prepared(instance, start + shortened, "cut", ids[:shown], tokens - limit.count(shortened))


def _added_start(prompt: str, kit: PromptKit) -> str:
    """The token for the beginning of text, if it was asked for and the prompt lacks it."""
    if not kit.options.add_bos or kit.checkpoint is None:
        return ""
    token = kit.checkpoint.special_tokens.get("bos_token", "")
    return "" if beginning_of_text(prompt) or prompt.startswith(token) else token


def _shortened(
    whole: str,
    examples: Sequence[Mapping[str, Any]],
    text: str,
    body: Callable[[Sequence[Mapping[str, Any]], str], str],
    limit: Limit,
    policy: TooLong,
) -> tuple[str | None, int]:
    """A prompt that fits, or None, and how many examples it shows."""
    match policy:
        case "refuse":
            return None, 0
        case "truncate-left":
            return cut_left(whole, limit), len(examples)
        case "truncate-middle":
            for shown in reversed(range(len(examples))):
                if limit.fits(shorter := body(examples[:shown], text)):
                    return shorter, shown
            return cut_middle(text, lambda cut: body((), cut), limit), 0

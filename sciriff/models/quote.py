"""What an evaluation is going to ask and to cost, told before the first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sciriff.building.tokenizer import find_tokenizer
from sciriff.building.tokens import TokenCounter
from sciriff.errors import SciriffError
from sciriff.models.budget import text_of, tokens_by_length
from sciriff.models.checkpoint import Checkpoint
from sciriff.models.ledger import Ledger
from sciriff.models.plan import ModelPlan, Questions
from sciriff.models.registry import ModelSpec
from sciriff.settings import DEFAULT_TOKENIZER, Settings


class Estimate(NamedTuple):
    """How tokens are estimated: by what, and the function."""

    by: str
    count: Callable[[str], int]


@dataclass(frozen=True)
class Quote:
    """What a model is going to be asked.

    Attributes:
        model: its name.
        requests: different requests of all tasks.
        known: of these, in the ledger.
        in_batches: of these, in batches that are under way.
        refused: instances whose prompts are too long.
        input_tokens: key -> tokens of a request that is going to be asked, by estimate.
        output_tokens: tokens of the replies to these, if they are as long as the references.
        most_output_tokens: tokens of the replies at most.
        estimated_by: what tokens were estimated with.
        cost, most_cost: US dollars for replies of these lengths; None if the price is not known.
        batch: whether the price of batches holds.
        in_doubt: requests of earlier runs that may have been billed without a reply.
        torn_lines: lines of the ledger that were being written when a run was killed.
    """

    model: str
    requests: int
    known: int
    in_batches: int
    refused: int
    input_tokens: Mapping[str, int]
    output_tokens: int
    most_output_tokens: int
    estimated_by: str
    cost: float | None
    most_cost: float | None
    batch: bool
    in_doubt: int
    torn_lines: int

    @property
    def to_ask(self) -> int:
        """Requests that are going out."""
        return len(self.input_tokens)

    def __str__(self) -> str:
        return "; ".join(filter(None, self._parts()))

    def _parts(self) -> list[str]:
        parts = [f"{self.model}: {self.requests:,} requests, {self.known:,} in the ledger"]
        if self.in_batches:
            parts.append(f"{self.in_batches:,} in batches under way")
        parts.append(f"{self.to_ask:,} to ask")
        if self.to_ask:
            tokens = sum(self.input_tokens.values())
            parts.append(
                f"about {spell(tokens)} tokens in, {spell(self.output_tokens)} out (at most "
                f"{spell(self.most_output_tokens)}), by {self.estimated_by}"
            )
        if self.cost is not None and self.most_cost is not None and self.to_ask:
            how = ", as a batch" if self.batch else ""
            parts.append(f"about {spell_cost(self.cost)}, at most {spell_cost(self.most_cost)}{how}")
        elif self.to_ask:
            parts.append("no price known")
        if self.refused:
            parts.append(f"{self.refused:,} prompts too long, not asked")
        if self.in_doubt:
            parts.append(f"{self.in_doubt:,} tries of earlier runs may have been billed without a reply")
        if self.torn_lines:
            parts.append(f"{self.torn_lines:,} torn lines in the ledger")
        return parts


def spell(count: int) -> str:
    """A number of tokens in few characters: 950, 12.3k, 4.56M."""
    if count < 1_000:
        return str(count)
    return f"{count / 1_000:.1f}k" if count < 1_000_000 else f"{count / 1_000_000:.2f}M"


def spell_cost(dollars: float) -> str:
    """A sum of US dollars; small ones with more digits."""
    return f"${dollars:,.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.2g}"


def quote_model(plan: ModelPlan, ledger: Ledger, estimate: Estimate, *, batch: bool) -> Quote:
    """Count what a model is going to be asked of all tasks. Arguments as of :func:`quote`."""
    references = {
        request.key: str(each.instance["output"])
        for task in plan.tasks.values()
        for each in task.prompts.prepared
        if (request := task.requests.get(each.instance_id)) is not None
    }
    refused = sum(len(task.prompts.prepared) - len(task.requests) for task in plan.tasks.values())
    return quote(plan, ledger, estimate, lambda key: estimate.count(references[key]), batch=batch, refused=refused)


def quote(
    plan: Questions,
    ledger: Ledger,
    estimate: Estimate,
    expected: Callable[[str], int],
    *,
    batch: bool,
    refused: int = 0,
) -> Quote:
    """Count what a model is going to be asked.

    Args:
        plan: what it is asked.
        ledger: of its backend.
        estimate: how tokens are estimated.
        expected: key of a request -> tokens that its reply is expected to have.
        batch: whether it is asked in batches.
        refused: instances whose prompts are too long.
    """
    requests = plan.requests
    sitting = {key for each in ledger.submissions for key in each.keys}
    unsettled = {key: request for key, request in requests.items() if not ledger.is_settled(key)}
    to_ask = {key: request for key, request in unsettled.items() if key not in sitting}
    input_tokens = {key: estimate.count(text_of(request.prompt)) for key, request in to_ask.items()}
    output_tokens = sum(min(expected(key), request.sampling.max_tokens) for key, request in to_ask.items())
    most = sum(request.sampling.max_tokens for request in to_ask.values())
    price, tokens = plan.spec.price, sum(input_tokens.values())
    return Quote(
        model=plan.spec.name,
        requests=len(requests),
        known=len(requests) - len(unsettled),
        in_batches=len(unsettled) - len(to_ask),
        refused=refused,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        most_output_tokens=most,
        estimated_by=estimate.by,
        cost=None if price is None else price.cost(tokens, output_tokens, batch=batch),
        most_cost=None if price is None else price.cost(tokens, most, batch=batch),
        batch=batch,
        in_doubt=ledger.in_doubt,
        torn_lines=ledger.torn_lines,
    )


def estimate_for(spec: ModelSpec, settings: Settings, checkpoint: Checkpoint | None = None) -> Estimate:
    """How to estimate the tokens of a model: by its tokenizer, else by that of builds, else by length.

    Where there is nothing to pay, by length, which is quick.

    Args:
        spec: the model.
        settings: which tokenizer builds count with.
        checkpoint: files of the model's weights, if it has any.
    """
    by_length = Estimate("length", tokens_by_length)
    if spec.price is None:
        return by_length
    if checkpoint is not None and (counter := checkpoint.counter) is not None:
        return Estimate("its tokenizer", counter.count)
    # A quote is not worth a download. Nor is the bundled tokenizer used: it would count half as many again.
    at_hand = {"tokenizer": settings.tokenizer or DEFAULT_TOKENIZER, "offline": True}
    try:
        found = find_tokenizer(settings.model_copy(update=at_hand))
    except SciriffError:
        return by_length
    return Estimate(found.name, TokenCounter(found.path).count)

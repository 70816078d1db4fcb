"""What asking costs, and a limit to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sciriff.models.registry import Price
from sciriff.models.requests import Answer, Prompt, Request

CHARACTERS_OF_A_TOKEN = 4
_MARGIN = 1.1
"""By how much an estimate of input tokens may be too low."""


def tokens_by_length(text: str) -> int:
    """About how many tokens an English text has, for models whose tokenizer is not at hand."""
    return -(-len(text) // CHARACTERS_OF_A_TOKEN)


def text_of(prompt: Prompt) -> str:
    """The text of a prompt, its roles left out."""
    return prompt if isinstance(prompt, str) else "\n".join(message.content for message in prompt)


@dataclass
class Purse:
    """What the evaluation of any number of models may cost, and what it has cost so far.

    Attributes:
        most: US dollars that may be spent; None for no limit.
        spent: US dollars for replies that came in.
        reserved: US dollars that requests under way can cost at most.
        input_tokens, output_tokens: of replies that came in.
    """

    most: float | None = None
    spent: float = 0.0
    reserved: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Of prompts and replies."""
        return self.input_tokens + self.output_tokens


@dataclass
class Budget:
    """The gate of one model: a request goes out only if the purse can pay for its longest reply.

    Attributes:
        purse: what is shared with other models.
        price: of the model; None if it costs nothing that is known.
        input_tokens: key -> tokens of its prompt, by estimate.
        batch: whether the price of batches holds.
        refused: whether a request was not let through.
    """

    purse: Purse
    price: Price | None
    input_tokens: Mapping[str, int]
    batch: bool = False
    refused: bool = field(default=False, init=False)
    _reserved: dict[str, float] = field(default_factory=dict, init=False)

    def allows(self, request: Request) -> bool:
        """Whether the purse has enough for the request; if so, reserve it."""
        if self.price is None or self.purse.most is None:
            return True
        tokens = round(self.input_tokens.get(request.key, 0) * _MARGIN)
        worst = self.price.cost(tokens, request.sampling.max_tokens, batch=self.batch)
        if self.purse.spent + self.purse.reserved + worst > self.purse.most:
            self.refused = True
            return False
        self._reserved[request.key] = worst
        self.purse.reserved += worst
        return True

    def settle(self, answer: Answer) -> None:
        """Turn what was reserved into what was spent."""
        self.purse.reserved -= self._reserved.pop(answer.key, 0.0)
        if answer.text is None:
            return
        asked = self.input_tokens.get(answer.key, 0) if answer.input_tokens is None else answer.input_tokens
        said = tokens_by_length(answer.text) if answer.output_tokens is None else answer.output_tokens
        self.purse.input_tokens += asked
        self.purse.output_tokens += said
        if self.price is not None:
            self.purse.spent += self.price.cost(asked, said, batch=self.batch)

"""Prompts that are too long for a model: what is cut, under a policy that has a name.

``truncate-left``: as the original: tokens are taken from the front of the whole prompt, instructions first.
``truncate-middle``: examples go first, one by one, then the middle of the instance's text; the instructions at its
beginning, the question at its end and the chat markers stay.
``refuse``: the instance is not asked, and counts as not answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from sciriff.building.tokens import TokenCounter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TooLong = Literal["truncate-left", "truncate-middle", "refuse"]

GAP = "\n[...]\n"
"""What stands where text was taken out of the middle."""


_MOST_TOKENS_OF_A_BYTE = 11  # as much as a text can grow when Unicode is normalised, see Unicode's FAQ


class Limit(NamedTuple):
    """How long prompts may be.

    Attributes:
        tokens: most tokens of a prompt.
        tokenizer: how the model splits text, to cut by.
        counter: the same, for counting, which is quicker.
    """

    tokens: int
    tokenizer: Tokenizer
    counter: TokenCounter

    def count(self, text: str) -> int:
        """Tokens of a prompt as it stands, with no special tokens added."""
        return self.counter.count(text)

    def fits(self, text: str) -> bool:
        """Whether a prompt is short enough. A very short one is not even counted."""
        if _MOST_TOKENS_OF_A_BYTE * len(text.encode()) < self.tokens:
            return True
        return self.counter.count_within(text, self.tokens) is not None


def cut_left(text: str, limit: Limit) -> str:
    """The end of a prompt that is just short enough.

    It has the very tokens that are left when the prompt's tokens are cut, if some text has them; else, as when the cut
    falls into a character or a word's marker, up to a few tokens less.
    """
    encoding = limit.tokenizer.encode(text, add_special_tokens=False)
    ids, offsets = encoding.ids, encoding.offsets
    start = max(0, len(ids) - limit.tokens)
    while start < len(ids):
        rest = text[offsets[start][0] :]
        for candidate in (rest, rest.removeprefix(" ")):
            if limit.tokenizer.encode(candidate, add_special_tokens=False).ids == ids[start:]:
                return candidate
        excess = limit.count(rest) - limit.tokens
        if excess <= 0:
            return rest
        start += excess
    return ""


def cut_middle(text: str, wrap: Callable[[str], str], limit: Limit) -> str | None:
    """The prompt of an instance whose middle was taken out until it is short enough.

    Args:
        text: the instance.
        wrap: makes the whole prompt of it.
        limit: how long that may be.

    Returns:
        The prompt; None if even an empty instance is too long.
    """
    offsets = limit.tokenizer.encode(text, add_special_tokens=False).offsets
    keep = len(offsets)
    while keep > 0:
        excess = limit.count(wrap(_without_middle(text, offsets, keep))) - limit.tokens
        if excess <= 0:
            return wrap(_without_middle(text, offsets, keep))
        keep -= excess
    return None


def _without_middle(text: str, offsets: list[tuple[int, int]], keep: int) -> str:
    """The first and last tokens of a text, ``keep`` together, with a gap between them."""
    if keep >= len(offsets):
        return text
    head, tail = (keep + 1) // 2, keep // 2
    end = offsets[head - 1][1] if head else 0
    beginning = offsets[len(offsets) - tail][0] if tail else len(text)
    return text[:end] + GAP + text[beginning:]

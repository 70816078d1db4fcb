"""Text and mention strings of a tokenised document (DyGIE++ lines)."""

from __future__ import annotations

import re
from itertools import accumulate

from sciriff.errors import Dropped
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.detokenise import detokenise

Span = tuple[int, int]
"""First and last token of a mention, counted over the document."""

_QUOTES = "'`"
_ESCAPES = (("-LRB-", "("), ("-RRB-", ")"))


class Mentions:
    """The mention strings of one document by span, each cut out of the text at its place.

    Detokenising changes blanks and quotation marks only. All other characters stand in the text in the order of the
    tokens, so counting them leads from a span to its place. A mention thus has the spacing of its text, where a mention
    that is detokenised by itself may not: ``LEXICALL -`` at its end, a quotation mark paired with one outside, or two
    primes, as in ``3',4''-dihydroxyflavone``, that pass for one half of a quotation.

    Attributes:
        text: the detokenised text.
    """

    def __init__(self, document: DygieDocument) -> None:
        self._tokens = [token for sentence in document.sentences for token in sentence]
        self.text = detokenise(self._tokens)
        self._until = list(accumulate(map(_constant, self._tokens), initial=0))
        self._places = [place for place, character in enumerate(self.text) if not _changes(character)]

    def __getitem__(self, span: Span) -> str:
        """The mention's string.

        Raises:
            Dropped: if it has no place in the text, as mentions that consist of quotation marks.
        """
        first, last = self._until[span[0]], self._until[span[1] + 1] - 1
        if first > last or self._until[-1] != len(self._places):
            raise Dropped("a mention is not found in the text")
        surface = "".join(self._tokens[span[0] : span[1] + 1])
        leading = len(surface) - len(surface.lstrip(_QUOTES))
        trailing = len(surface) - len(surface.rstrip(_QUOTES))
        before, behind = self.text[: self._places[first]], self.text[self._places[last] + 1 :]
        begin = self._places[first] - _quoted(before[::-1], leading)
        end = self._places[last] + 1 + _quoted(behind, trailing)
        return self.text[begin:end]


def _quoted(text: str, quotes: int) -> int:
    """How many characters the first quotation marks of a text take, at most so many marks, with a blank before them."""
    found = re.match(rf"\s?[{_QUOTES}]{{1,{quotes}}}", text) if quotes else None
    return found.end() if found else 0


def _changes(character: str) -> bool:
    return character in _QUOTES or character.isspace()


def _constant(token: str) -> int:
    """How many characters of a token detokenising leaves in the text."""
    for escape, parenthesis in _ESCAPES:
        token = token.replace(escape, parenthesis)
    return sum(not _changes(character) for character in token)

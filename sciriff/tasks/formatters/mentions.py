"""Text and mention strings of a tokenised document (DyGIE++ lines)."""

from __future__ import annotations

from sciriff.errors import Dropped
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.detokenise import detokenise, find_mention

Span = tuple[int, int]
"""First and last token of a mention, counted over the document."""


class Mentions:
    """The mention strings of one document by span, each as it stands in the text.

    Attributes:
        text: the detokenised text.
    """

    def __init__(self, document: DygieDocument) -> None:
        self._tokens = [token for sentence in document.sentences for token in sentence]
        self._by_span: dict[Span, str] = {}
        self.text = detokenise(self._tokens)

    def __getitem__(self, span: Span) -> str:
        """The mention's string.

        Raises:
            Dropped: if the text does not have it.
        """
        if span not in self._by_span:
            self._by_span[span] = self._find(*span)
        return self._by_span[span]

    def _find(self, start: int, end: int) -> str:
        mention = find_mention(detokenise(self._tokens[start : end + 1]), self.text)
        if mention is None:
            raise Dropped("a mention is not found in the text")
        return mention

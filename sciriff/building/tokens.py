"""Exact token counts, fast.

SentencePiece-style vocabularies such as Llama-2's have no token that crosses from a non-space character to a space,
so the byte-pair merges of one word never depend on the next: the count of a text is the sum of the counts of its
pieces, and each distinct piece needs to be encoded once. Whether a tokenizer has this property is checked when it is
loaded; one that lacks it, and any text that contains the literal of a special token, is encoded whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sized
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACE = "▁"  # SentencePiece's visible space, U+2581
_BYTE_TOKENS = frozenset(f"<0x{byte:02X}>" for byte in range(256))
_LONGEST_CACHED_PIECE = 48
_MOST_CACHED_PIECES = 400_000
_SAMPLE = 1 << 10  # characters from which the length of a text's words is told
_MARGIN = 1.1
_LESSONS = 4
_STRETCH = 1 << 13  # characters counted between two looks at the limit
_SINGLE_SPACE = re.compile(r"(?<! ) ")
_OTHER_BEHAVIOUR = ("dropout", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """A tokenizer on local disk.

    Attributes:
        name: what manifests and the screen call it: a Hub repository or a file name, never a path of this machine.
        path: its ``tokenizer.json``.
        sha256: hash of that file.
    """

    name: str
    path: Path
    sha256: str


class TokenCounter:
    """Counts tokens as ``len(tokenizer.encode(text, add_special_tokens=False))`` would.

    Attributes:
        additive: whether counts are summed over pieces (fast) or every text is encoded whole.
    """

    def __init__(self, path: Path) -> None:
        """Load a ``tokenizer.json`` of the ``tokenizers`` library.

        Raises:
            UsageError: if the file is not one.
        """
        from tokenizers import Tokenizer

        try:
            description = path.read_text(encoding="utf-8")
            self._whole: Tokenizer = Tokenizer.from_str(description)
        except Exception as error:  # the Rust library raises bare Exception
            raise UsageError(f"{path} is not a tokenizer.json of the tokenizers library: {error}") from error
        self._whole.no_truncation()
        self._whole.no_padding()
        parsed = json.loads(description)
        self.additive = _adds_up_over_words(parsed)
        if self.additive:
            specials = [token.content for token in self._whole.get_added_tokens_decoder().values()]
            self._special = re.compile("|".join(map(re.escape, specials))).search if specials else None
            self._lines_apart = _adds_up_over_lines(parsed)
            tokens_of = self._whole.model.tokenize
            self._words = _PieceCounts(tokens_of, _spell_word_apart if self._lines_apart else _spell_word)
            self._runs = _PieceCounts(tokens_of, _spell_run)
            self._cut_runs = re.compile(r"\n| *[^ \n]+| +" if self._lines_apart else r" *[^ ]+| +").findall

    def count(self, text: str) -> int:
        """Number of tokens of a text, without BOS, EOS or other special tokens."""
        return self._count(text, None)

    def count_within(self, text: str, limit: int, start: SharedStart | None = None) -> int | None:
        """Number of tokens of a text, or None if there are more than ``limit``; a text far too long costs little.

        Args:
            text: what to count.
            limit: most tokens of interest.
            start: what texts of this kind begin with, as far as earlier calls have learnt it.
        """
        if self.additive and _surely_longer(text, 0, limit):
            return None
        tokens = self._count(text, limit, start)
        return tokens if tokens <= limit else None

    def _count(self, text: str, limit: int | None, shared: SharedStart | None = None) -> int:
        """Count the tokens; if there are more than ``limit``, any number beyond it will do."""
        if not text:
            return 0
        if not self.additive or (self._special is not None and self._special(text)):
            return len(self._whole.encode(text, add_special_tokens=False).ids)
        text = f" {text}".replace(_SPACE, " ")
        tokens = start = 0
        if shared is not None:
            shared.learn(text, self._count_stretch)
            if shared.begins(text):
                tokens, start = shared.tokens, len(shared.text)
        while start < len(text):
            if limit is not None and (tokens > limit or _surely_longer(text, start, limit - tokens)):
                return limit + 1
            cut = _SINGLE_SPACE.search(text, start + _STRETCH)
            end = cut.end() - 1 if cut else len(text)
            tokens += self._count_stretch(text[start:end])
            start = end
        return tokens

    def _count_stretch(self, text: str) -> int:
        """Count the tokens of a stretch of text that begins with a space and ends before one.

        Text rarely has two spaces together. Without them, plain splitting at spaces gives the pieces: each stands for
        one space and the word after it, or, if lines count apart, for a line feed and the word after that. Spaces
        together, or before a line feed, give a blank piece.
        """
        pieces = text.replace("\n", " \n") if self._lines_apart else text
        try:
            return sum(map(self._words.__getitem__, pieces[1:].split(" ")))
        except _BlankPieceError:
            return sum(map(self._runs.__getitem__, self._cut_runs(text)))


class SharedStart:
    """The words with which all texts of one kind begin (those of a template), learnt from the first few of them.

    Attributes:
        text: the shared start; ends before a space.
        tokens: its tokens.
    """

    def __init__(self) -> None:
        self.text = ""
        self.tokens = 0
        self._previous = ""
        self._lessons = _LESSONS

    def begins(self, text: str) -> bool:
        """Whether a text begins with these words, so that counting may go on behind them."""
        return bool(self.text) and text.startswith(self.text) and text.startswith(" ", len(self.text))

    def learn(self, text: str, count: Callable[[str], int]) -> None:
        """Look at one more text; only the first few are looked at."""
        if self._lessons == 0 or self.begins(text):
            return
        self._lessons -= 1
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._previous, text, strict=False)))
        self._previous = text
        end = max((cut.start() for cut in _SINGLE_SPACE.finditer(text, 0, common)), default=0)
        self.text = text[:end]
        self.tokens = count(self.text) if self.text else 0


def _surely_longer(text: str, start: int, limit: int) -> bool:
    """Whether what stands behind ``start`` surely has more words, and so more tokens, than ``limit``.

    Looks no further than it takes if words go on to be as long as those that come first.
    """
    left = len(text) - start
    if left <= 2 * limit:
        return False
    per_word = _SAMPLE / (text.count(" ", start, start + _SAMPLE) + 1)
    if left <= per_word * limit:
        return False
    return _fewest_words(text[start : start + int(_MARGIN * per_word * limit) + _SAMPLE]) > limit


def _fewest_words(text: str) -> int:
    """A lower bound of the number of words.

    A run of k spaces begins at most one word, and k - 2 * (k // 2) <= 1; the last space may begin none.
    """
    return text.count(" ") - 1 - (2 * text.count("  ") if "  " in text else 0)


def _spell_word(piece: str) -> str:
    return _SPACE + piece


def _spell_word_apart(piece: str) -> str:
    return piece if piece.startswith("\n") else _SPACE + piece


def _spell_run(piece: str) -> str:
    return piece.replace(" ", _SPACE)


class _BlankPieceError(Exception):
    """A piece has no character of its own, so that spaces were together."""


class _PieceCounts(dict[str, int]):
    """Token counts of pieces, filled on demand and bounded in size."""

    def __init__(self, tokens_of: Callable[[str], Sized], spell: Callable[[str], str]) -> None:
        super().__init__()
        self._tokens_of, self._spell = tokens_of, spell

    def __missing__(self, piece: str) -> int:
        if not piece:
            raise _BlankPieceError
        tokens = len(self._tokens_of(self._spell(piece)))
        if len(piece) <= _LONGEST_CACHED_PIECE:
            if len(self) >= _MOST_CACHED_PIECES:
                self.clear()
            self[piece] = tokens
        return tokens


def _adds_up_over_words(description: dict[str, Any]) -> bool:
    """Whether token counts add up over pieces that begin with a space.

    The argument: byte-pair merges join two neighbouring symbols into one token of the vocabulary, so where no token
    contains a non-space followed by a space, no merge ever bridges that place, and what happens left and right of it
    is independent. Unknown characters must become byte tokens, since fused unknown tokens could bridge pieces.
    """
    model = description.get("model", {})
    return (
        model.get("type") == "BPE"
        and bool(model.get("byte_fallback"))
        and not any(model.get(key) for key in _OTHER_BEHAVIOUR)
        and model.get("vocab", {}).keys() >= _BYTE_TOKENS
        and _turns_spaces_visible(description)
        and not any(_SPACE in token.lstrip(_SPACE) for token in _plain_tokens(description))
    )


def _adds_up_over_lines(description: dict[str, Any]) -> bool:
    """Whether token counts also add up around line feeds: no longer token contains one."""
    return not any("\n" in token and token != "\n" for token in _plain_tokens(description))


def _plain_tokens(description: dict[str, Any]) -> list[str]:
    specials = {token["content"] for token in description.get("added_tokens") or ()}
    return [token for token in description["model"]["vocab"] if token not in specials]


def _turns_spaces_visible(description: dict[str, Any]) -> bool:
    """Whether text is prepared as Llama-2 does it: one space put in front, spaces made visible, nothing else."""
    normalizer, splitter = description.get("normalizer"), description.get("pre_tokenizer")
    prepend, replace = (
        {"type": "Prepend", "prepend": _SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE},
    )
    if splitter is None:
        return normalizer == {"type": "Sequence", "normalizers": [prepend, replace]}
    return (
        normalizer is None
        and splitter.get("type") == "Metaspace"
        and splitter.get("replacement") == _SPACE
        and splitter.get("prepend_scheme") == "first"
        and splitter.get("split") is False
    )

"""Exact token counts, fast.

SentencePiece-style vocabularies such as Llama-2's have no token that crosses from a non-space character to a space, so the
byte-pair merges of one word never depend on the next: the count of a text is the sum of the counts of its pieces, and each
distinct piece needs to be encoded once. Whether a tokenizer has this property is checked when it is loaded; one that lacks
it, and any text that contains the literal of a special token, is encoded whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACE = "▁"  # SentencePiece's visible space, U+2581
_BYTE_TOKENS = frozenset(f"<0x{byte:02X}>" for byte in range(256))
_LONGEST_CACHED_PIECE = 48
_MOST_CACHED_PIECES = 400_000


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
        cutter = _piece_pattern(json.loads(description))
        self.additive = cutter is not None
        if cutter is not None:
            specials = [token.content for token in self._whole.get_added_tokens_decoder().values()]
            self._special = re.compile("|".join(map(re.escape, specials))).search if specials else None
            self._cut = cutter.findall
            self._pieces = _PieceCounts(_bare_model(json.loads(description)))

    def count(self, text: str) -> int:
        """Number of tokens of a text, without BOS, EOS or other special tokens."""
        if not text:
            return 0
        if not self.additive or (self._special is not None and self._special(text)):
            return len(self._whole.encode(text, add_special_tokens=False).ids)
        return sum(map(self._pieces.__getitem__, self._cut(f" {text}".replace(_SPACE, " "))))

    def count_within(self, text: str, limit: int) -> int | None:
        """Number of tokens of a text, or None if there are more than ``limit``.

        Long texts are turned away by a lower bound that costs almost nothing: each single-spaced word holds at least one
        token, and a run of k spaces adds at most one word (k - 2 * (k // 2) <= 1).
        """
        if self.additive and text.count(" ") - 2 * text.count("  ") > limit:
            return None
        tokens = self.count(text)
        return tokens if tokens <= limit else None


class _PieceCounts(dict[str, int]):
    """Token counts of pieces, filled on demand and bounded in size."""

    def __init__(self, encode: Callable[[str], int]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, piece: str) -> int:
        tokens = self._encode(piece)
        if len(piece) <= _LONGEST_CACHED_PIECE:
            if len(self) >= _MOST_CACHED_PIECES:
                self.clear()
            self[piece] = tokens
        return tokens


def _bare_model(description: dict[str, Any]) -> Callable[[str], int]:
    """Return the token count of one piece by the byte-pair model alone, as it stands inside a longer text."""
    from tokenizers import Tokenizer

    bare = {**description, "normalizer": None, "pre_tokenizer": None, "post_processor": None, "added_tokens": []}
    tokenizer = Tokenizer.from_str(json.dumps(bare))
    encode = tokenizer.encode_batch_fast

    def count(piece: str) -> int:
        return len(encode([piece.replace(" ", _SPACE)], add_special_tokens=False)[0].ids)

    return count


def _piece_pattern(description: dict[str, Any]) -> re.Pattern[str] | None:
    """Return how to cut texts into pieces whose token counts add up, or None if this tokenizer does not allow it.

    The argument: byte-pair merges join two neighbouring symbols into one token of the vocabulary, so where no token
    contains a non-space followed by a space, no merge ever bridges that place, and what happens left and right of it is
    independent. The same holds around a line feed when no longer token contains one. Unknown characters must become byte
    tokens, since fused unknown tokens could bridge pieces.
    """
    model = description.get("model", {})
    vocabulary = model.get("vocab", {})
    if (
        model.get("type") != "BPE"
        or not model.get("byte_fallback")
        or model.get("dropout")
        or model.get("ignore_merges")
        or model.get("continuing_subword_prefix")
        or model.get("end_of_word_suffix")
        or not vocabulary.keys() >= _BYTE_TOKENS
        or not _turns_spaces_visible(description)
    ):
        return None
    specials = {token["content"] for token in description.get("added_tokens") or ()}
    tokens = [token for token in vocabulary if token not in specials]
    if any(_SPACE in token.lstrip(_SPACE) for token in tokens):
        return None
    if any("\n" in token and token != "\n" for token in tokens):
        return re.compile(r" *[^ ]+| +")
    return re.compile(r"\n| *[^ \n]+| +")


def _turns_spaces_visible(description: dict[str, Any]) -> bool:
    """Whether text is prepared as Llama-2 does it: one space put in front, spaces made visible, nothing split or changed."""
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

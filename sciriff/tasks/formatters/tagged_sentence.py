"""Mentions of one type in a sentence of tagged tokens, as a JSON array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sciriff.errors import RecordError
from sciriff.tasks.rendering import Fidelity

_OUTSIDE = "O"


def format_tagged_sentence(
    record: Mapping[str, Any], *, kind: str, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield ``tokens`` (list of str), ``sentence`` (the tokens joined by blanks) and ``entities`` (list of str).

    A mention is a token tagged ``B-`` and the ones tagged ``I-`` after it, joined by blanks. An ``I-`` that carries on
    nothing begins a mention, as in lists that write ``B-`` only between neighbours (IOB1); under ``original`` it is
    passed over. Mentions stand in the order of the sentence, each distinct string once; under ``original``, repeated
    ones are kept.

    Args:
        record: ``tokens`` and ``tags``, as the reader ``iob`` gives them.
        kind: the type of mention, ``CHEBI`` in ``B-CHEBI``.
        fidelity: ``corrected`` or ``original``.

    Raises:
        RecordError: at a tag of another type.
    """
    tokens: list[str] = record["tokens"]
    sentence = " ".join(tokens)
    if odd := set(record["tags"]) - {_OUTSIDE, f"B-{kind}", f"I-{kind}"}:
        raise RecordError(f"sentence {sentence[:60]!r}", f"found tag {min(odd)!r}, expected O, B-{kind} or I-{kind}")
    parity = fidelity == "original"
    mentions = list(_mentions(tokens, record["tags"], lone_inside=not parity))
    yield {
        "tokens": tokens,
        "sentence": sentence,
        "entities": mentions if parity else list(dict.fromkeys(mentions)),
        "_document_text": sentence,
    }


def _mentions(tokens: Iterable[str], tags: Iterable[str], lone_inside: bool) -> Iterator[str]:
    held: list[str] = []
    for token, tag in zip(tokens, tags, strict=True):
        inside = tag.startswith("I")
        if held and not inside:
            yield " ".join(held)
            held = []
        if tag.startswith("B") or (inside and (held or lone_inside)):
            held.append(token)
    if held:
        yield " ".join(held)

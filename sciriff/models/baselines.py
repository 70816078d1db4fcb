"""Predictors without weights: the ends of the scale, and what a lazy reader would say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from sciriff.errors import UsageError

Baseline = Callable[[Mapping[str, Any]], str]
"""An instance -> the text of a reply."""

LEAD_SENTENCES = 3


def gold(instance: Mapping[str, Any]) -> str:
    """The reference itself: the top of every scale."""
    return str(instance["output"])


def empty(instance: Mapping[str, Any]) -> str:  # noqa: ARG001 - the signature of a baseline
    """Nothing: the bottom of every scale."""
    return ""


def lead(instance: Mapping[str, Any]) -> str:
    """The first three sentences of the document in the prompt."""
    from sciriff.tasks.sentences import split_sentences

    return " ".join(split_sentences(document_part(str(instance["input"])))[:LEAD_SENTENCES])


def prompt_echo(instance: Mapping[str, Any]) -> str:
    """The prompt, word for word."""
    return str(instance["input"])


BASELINES: Mapping[str, Baseline] = {"gold": gold, "empty": empty, "lead": lead, "prompt-echo": prompt_echo}


def baseline(name: str) -> Baseline:
    """Look a baseline up.

    Raises:
        UsageError: if there is none of that name; near names are listed.
    """
    if name in BASELINES:
        return BASELINES[name]
    near = get_close_matches(name, BASELINES, n=3, cutoff=0.5) or list(BASELINES)
    raise UsageError(f"no model {name!r}; did you mean {', '.join(near)}? (models: {', '.join(BASELINES)})")


_RULE = re.compile(r"-{10,}\s*")
_LABEL = re.compile(r"[A-Z][\w-]*(?: [\w-]+){0,2}:\s*")


def document_part(prompt: str) -> str:
    """The document that a prompt is about, as far as its layout tells.

    Between the first two lines of hyphens if there are two; else the longest text under a line that is a short label
    such as ``Abstract:``; else the longest paragraph.
    """
    lines = prompt.splitlines()
    rules = [number for number, line in enumerate(lines) if _RULE.fullmatch(line)]
    if len(rules) >= 2:
        return "\n".join(lines[rules[0] + 1 : rules[1]]).strip()
    return max(list(_labelled(lines)) or prompt.split("\n\n"), key=len).strip()


def _labelled(lines: list[str]) -> Iterator[str]:
    starts = [number for number, line in enumerate(lines) if _LABEL.fullmatch(line)]
    for start, end in pairwise([*starts, len(lines)]):
        if text := "\n".join(lines[start + 1 : end]).strip():
            yield text

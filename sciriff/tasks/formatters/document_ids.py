"""Bare document ids, so that the same paper has the same id in all tasks."""

from __future__ import annotations

import re

_ARXIV_OLD = re.compile(r"([a-z-]+(?:\.[A-Z]{2})?)/?(\d{7})(?:v\d+)?")
_ARXIV_NEW = re.compile(r"(\d{4}\.\d{4,5})(?:v\d+)?")


def arxiv_id(name: str) -> str:
    """An arXiv id without version; old ones with their slash, which some corpora leave out: ``cs/9912018``.

    Anything else is returned as it is.
    """
    if found := _ARXIV_NEW.fullmatch(name):
        return found[1]
    if found := _ARXIV_OLD.fullmatch(name):
        return f"{found[1]}/{found[2]}"
    return name


def pmc_id(name: str) -> str:
    """A PubMed Central id without the letters ``PMC``."""
    return name.removeprefix("PMC")


def bare_id(name: str, pattern: str) -> str:
    """The part of a corpus's document id that names the document itself: group 1 of a pattern for the whole id.

    An id that does not match is returned as it is.
    """
    found = re.fullmatch(pattern, name)
    return found[1] if found else name

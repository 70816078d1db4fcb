"""Dataset recommendation: research ideas with candidate data sets, as a JSON array and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from samples.tool import corpus

_WRONG_CANDIDATES = 8


def data_reco() -> dict[str, bytes]:
    """Questions with several right answers as an array; those with one right answer as lines."""
    described = {entry["name"]: entry["about"] for entry in corpus.load("datasets")}
    ideas = list(enumerate(corpus.load("research_ideas")))
    several = [_several_right(number, idea, described) for number, idea in ideas if idea["kind"] == "several"]
    single = [_one_right(number, idea, described) for number, idea in ideas if idea["kind"] == "single"]
    return {
        "several": json.dumps(several).encode(),
        "single": "".join(json.dumps(record) + "\n" for record in single).encode(),
    }


def _several_right(number: int, idea: Mapping[str, Any], described: Mapping[str, str]) -> dict[str, Any]:
    wrong = _wrong(number, idea["right"], list(described))
    return {
        "query": idea["query"],
        "keyphrase_query": idea["keyphrases"],
        "positive_cands": idea["right"],
        "negative_cands": wrong,
        "abstracts": _abstracts([*idea["right"], *wrong], described),
    }


def _one_right(number: int, idea: Mapping[str, Any], described: Mapping[str, str]) -> dict[str, Any]:
    (answer,) = idea["right"]
    wrong = _wrong(number, idea["right"], list(described))
    return {
        "query": idea["query"],
        "keyphrase_query": idea["keyphrases"],
        "year": idea["year"],
        "answer": answer,
        "negative_cands": wrong,
        "abstracts": _abstracts([answer, *wrong], described),
    }


def _wrong(number: int, right: Sequence[str], names: Sequence[str]) -> list[str]:
    """A run of other names, beginning elsewhere for each question."""
    turned = [names[(5 * number + place) % len(names)] for place in range(len(names))]
    return [name for name in turned if name not in right][:_WRONG_CANDIDATES]


def _abstracts(names: Sequence[str], described: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"dkey": name, "dval": described[name]} for name in names]

"""Seeded references and replies of the nine held-out tasks: right in part, now and then wrapped in prose or broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from benchmarks.corpora import Words
from sciriff.scoring.tasks import eval_task

PROMPT_CHARACTERS = {
    "bioasq_list_qa": 3_500,
    "biored_ner": 3_000,
    "discomat_te": 3_500,
    "evidence_inference": 10_000,
    "multicite_intent_classification": 2_500,
    "mup_single_document_summarization": 11_000,
    "qasper_abstractive_qa": 11_000,
    "scierc_ner": 2_500,
    "scifact_entailment": 3_000,
}
"""Task -> length of its prompts at window 4096, about as in the published validation split."""

_INTENTS = ("Background", "Extends", "Uses", "Motivation", "Similarities", "Differences", "FutureWork")
_EFFECTS = ("significantly increased", "significantly decreased", "no significant difference")
_VERDICTS = ("SUPPORT", "CONTRADICT", "NEI")
_WORDS = 200_000


class Text:
    """Cheap running text: stretches of one long text with natural frequencies of words."""

    def __init__(self, seed: int) -> None:
        self._words = Words(seed).text(_WORDS).split(" ")
        self._all = " ".join(self._words)

    def words(self, random: Random, count: int) -> str:
        """So many words in a row."""
        start = random.randrange(_WORDS - count)
        return " ".join(self._words[start : start + count])

    def characters(self, random: Random, count: int) -> str:
        """So many characters in a row."""
        start = random.randrange(len(self._all) - count)
        return self._all[start : start + count]


class Sample(NamedTuple):
    """A sample: prompt, reference as a value (or text), and the same as it stands in the file."""

    prompt: str
    value: Any
    reference: str


def samples(task: str, count: int, text: Text, seed: int) -> Iterator[Sample]:
    """Draw samples of a task."""
    random = Random(f"{seed} {task} samples")
    for _ in range(count):
        value = _REFERENCES[task](random, text)
        reference = value if isinstance(value, str) else json.dumps(value)
        yield Sample(text.characters(random, PROMPT_CHARACTERS[task]), value, reference)


def reply(task: str, sample: Sample, quality: float, text: Text, random: Random) -> str:
    """Draw a reply whose parts are right with a probability of ``quality``."""
    chance = random.random()
    if chance < 0.01:
        return ""
    if chance < 0.03:
        return text.words(random, 60)
    if isinstance(sample.value, str):
        return _changed(sample.value, quality, text, random)
    answer = json.dumps(_ANSWERS[task](sample.value, quality, text, random))
    if chance < 0.06:
        return answer[: len(answer) * 2 // 3]
    if chance < 0.2:
        return f"Here is what I found.\n\n```json\n{answer}\n```\n"
    if chance < 0.3:
        return f"{text.words(random, 12)} [1] {answer} {text.words(random, 12)}"
    return answer


# --- references -----------------------------------------------------------------------------------------------------


def _phrases(random: Random, text: Text, most: int, words: int = 3) -> list[str]:
    return [text.words(random, random.randint(1, words)) for _ in range(random.randint(1, most))]


def _entities(types: tuple[str, ...]) -> Callable[[Random, Text], Any]:
    return lambda random, text: {name: _phrases(random, text, 4)[random.randint(0, 1) :] for name in types}


def _table(random: Random, text: Text) -> str:
    line = '{{"constituent": "{}", "value": "{}", "unit": "mol%", "id": "{}"}}'
    rows = range(random.randint(4, 16))
    return "\n".join(line.format(text.words(random, 1), random.randint(1, 99), row) for row in rows)


def _findings(random: Random, text: Text) -> Any:
    return [
        [
            text.words(random, 3),
            text.words(random, 2) if random.random() < 0.85 else None,
            text.words(random, 4),
            random.choice(_EFFECTS),
            text.words(random, 25),
        ]
        for _ in range(random.randint(1, 4))
    ]


def _answer(random: Random, text: Text) -> Any:
    return {"answer": text.words(random, 14), "evidence": [text.words(random, 80) for _ in range(random.randint(1, 2))]}


def _claim(random: Random, text: Text) -> Any:
    verdict = random.choice(_VERDICTS)
    evidence = [] if verdict == "NEI" else [text.words(random, 22) for _ in range(random.randint(1, 3))]
    return {"verdict": verdict, "evidence": evidence}


def _types(task: str) -> tuple[str, ...]:
    answer = eval_task(task).answer
    assert answer is not None
    return answer.keys


_REFERENCES: dict[str, Callable[[Random, Text], Any]] = {
    "bioasq_list_qa": lambda random, text: _phrases(random, text, 8),
    "biored_ner": _entities(_types("biored_ner")),
    "discomat_te": _table,
    "evidence_inference": _findings,
    "multicite_intent_classification": lambda random, _: random.sample(_INTENTS, random.randint(1, 2)),
    "mup_single_document_summarization": lambda random, text: text.words(random, 110),
    "qasper_abstractive_qa": _answer,
    "scierc_ner": _entities(_types("scierc_ner")),
    "scifact_entailment": _claim,
}


# --- replies --------------------------------------------------------------------------------------------------------


def _changed(right: str, quality: float, text: Text, random: Random) -> str:
    """A text in which stretches of ten words are right or not."""
    words = right.split(" ")
    stretches = (" ".join(words[start : start + 10]) for start in range(0, len(words), 10))
    return " ".join(each if random.random() < quality else text.words(random, 8) for each in stretches)


def _some(right: list[str], quality: float, text: Text, random: Random) -> list[str]:
    kept = [item for item in right if random.random() < quality]
    return kept + [text.words(random, 2) for _ in right if random.random() > quality]


def _finding(right: list[Any], quality: float, text: Text, random: Random) -> list[Any]:
    return [item if item is None or random.random() < quality else text.words(random, 3) for item in right]


def _intents(right: list[str], quality: float, text: Text, random: Random) -> list[str]:
    del text
    return [item if random.random() < quality else random.choice(_INTENTS) for item in right]


def _claim_reply(right: dict[str, Any], quality: float, text: Text, random: Random) -> dict[str, Any]:
    verdict = right["verdict"] if random.random() < quality else random.choice(_VERDICTS)
    return {"verdict": verdict, "evidence": _some(right["evidence"], quality, text, random)}


def _answer_reply(right: dict[str, Any], quality: float, text: Text, random: Random) -> dict[str, Any]:
    evidence = [_changed(each, quality, text, random) for each in right["evidence"]]
    return {"answer": _changed(right["answer"], quality, text, random), "evidence": evidence}


def _entity_reply(right: dict[str, list[str]], quality: float, text: Text, random: Random) -> dict[str, list[str]]:
    return {name: _some(mentions, quality, text, random) for name, mentions in right.items()}


_ANSWERS: dict[str, Callable[[Any, float, Text, Random], Any]] = {
    "bioasq_list_qa": _some,
    "biored_ner": _entity_reply,
    "evidence_inference": lambda right, *how: [_finding(each, *how) for each in right],
    "multicite_intent_classification": _intents,
    "qasper_abstractive_qa": _answer_reply,
    "scierc_ner": _entity_reply,
    "scifact_entailment": _claim_reply,
}

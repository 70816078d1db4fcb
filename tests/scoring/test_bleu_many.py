from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.scoring.metrics import bleu_many
from sciriff.scoring.metrics.bleu import bleu_counts
from sciriff.scoring.metrics.bleu_many import bleu_counts_of
from sciriff.scoring.outcome import Reply
from sciriff.scoring.samples import count_ahead, prepare, score
from sciriff.scoring.tasks import EVAL_TASKS

WORDS = st.lists(st.sampled_from(["a", "b", "c", "a.b", "5-6", ",", "&quot;", "\ud800", ""]), max_size=30)
TEXTS = WORDS.map(" ".join) | st.text(max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6), st.lists(TEXTS, max_size=3), TEXTS)
def test_many_replies_count_as_each_alone(pairs: list[tuple[str, str]], others: list[str], reference: str) -> None:
    pairs += [(other, reference) for other in others]
    assert bleu_counts_of(pairs) == [bleu_counts(*pair) for pair in pairs]


def test_long_texts_and_many_different_tokens() -> None:
    reference = " ".join(f"w{number % 700}" for number in range(2_000))
    predictions = [reference, reference[:5_000], " ".join(reversed(reference.split())), "w1 w2 w3 w4 x w699 w0"]
    pairs = [(prediction, text) for prediction in predictions for text in (reference, "w1 w2 w3", "")]
    assert bleu_counts_of(pairs) == [bleu_counts(*pair) for pair in pairs]


def test_what_is_counted_ahead_changes_no_score() -> None:
    for task in EVAL_TASKS:
        answer = {
            "answer": "the cats",
            "evidence": ["x y " * 60],
            "verdict": "SUPPORT",
            "Gene": ["TP53"],
            "Task": ["x"],
        }
        text = json.dumps(answer)
        if task.answer and task.answer.container == "list":
            text = json.dumps([["i", "c", "o", "significantly increased", "evidence " * 30]])
        replies = [Reply(each) for each in (text, text[:150], "", None, "s </s>", f"so: {text}", text.lower(), "[]")]
        alone, ahead = prepare(task, text), prepare(task, text)
        count_ahead([(reply, ahead) for reply in replies])
        assert len(ahead.bleu) >= 5
        assert [score(task, reply, ahead) for reply in replies] == [score(task, reply, alone) for reply in replies]


def test_words_that_are_forgotten_are_numbered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bleu_many, "_WORDS_KEPT", 4)
    pairs = [(f"the cat {number} sat, {'long' * number}.", f"the cat {number // 2} sat.") for number in range(20)]
    assert [bleu_counts_of([pair])[0] for pair in pairs] == [bleu_counts(*pair) for pair in pairs]

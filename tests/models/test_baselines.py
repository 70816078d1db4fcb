from __future__ import annotations

import pytest

from sciriff.errors import UsageError
from sciriff.models.baselines import BASELINES, baseline, document_part

ABSTRACT = "We built a parser. It is fast. It works on four corpora. Later work may extend it."
PROMPT = f"""You will be given an abstract. Tag it. For instance, tag "BLEU" as a metric.

For instance:
{{"Metric": ["BLEU"]}}

Abstract:
{ABSTRACT}

Answer:
"""
INSTANCE = {"_instance_id": "t:validation:0", "input": PROMPT, "output": '{"Metric": []}'}


def test_replies_of_the_baselines() -> None:
    replies = {name: answer(INSTANCE) for name, answer in BASELINES.items()}
    assert replies == {
        "gold": '{"Metric": []}',
        "empty": "",
        "lead": "We built a parser. It is fast. It works on four corpora.",
        "prompt-echo": PROMPT,
    }


@pytest.mark.parametrize(
    ("prompt", "document"),
    [
        (PROMPT, ABSTRACT),
        (f"Read this.\n\n{'-' * 40}\n{ABSTRACT}\n{'-' * 40}\n\nQuestion: why?\n\nAnswer:\n", ABSTRACT),
        (f"Read this.\n\n{ABSTRACT}\n\nSum it up.", ABSTRACT),
        ("Abstract:\n", "Abstract:"),
        ("", ""),
    ],
)
def test_the_document_is_found_by_the_layout(prompt: str, document: str) -> None:
    assert document_part(prompt) == document


def test_unknown_models_list_near_names() -> None:
    with pytest.raises(UsageError, match=r"no model 'golden'; did you mean gold"):
        baseline("golden")
    with pytest.raises(UsageError, match="gold, empty, lead, prompt-echo"):
        baseline("zzz")

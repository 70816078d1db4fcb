"""Which statistics are behind each headline metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sciriff.scoring.tasks import SUMMARY_COLUMNS, eval_task

COLUMNS = frozenset((column.task, column.metric) for column in SUMMARY_COLUMNS)
"""(task, metric) of the headline columns."""


class Headline(NamedTuple):
    """A metric of a task's summary.

    Attributes:
        metric: name in the summary.
        statistics: metric of the table ``scores`` whose sum over all samples it is made of.
        kind: kind of those statistics.
    """

    metric: str
    statistics: str
    kind: str


_STATISTICS: Mapping[str, Mapping[str, str]] = {
    "bioasq_list_qa": {"f1": "list_f1"},
    "biored_ner": {"f1": "entity_typed"},
    "discomat_te": {"bleu": "bleu"},
    "evidence_inference": {"f1_exact": "tuple_exact", "f1_substring": "tuple_substring", "f1_overlap": "tuple_overlap"},
    "multicite_intent_classification": {"f1": "list_f1"},
    "mup_single_document_summarization": {"lm_judge_reference": "lm_judge_reference", "rouge": "rougeL"},
    "qasper_abstractive_qa": {
        "lm_judge_answer": "lm_judge_answer",
        "f1_answer": "answer_f1",
        "f1_evidence": "evidence_f1",
    },
    "scierc_ner": {"f1": "entity_typed"},
    "scifact_entailment": {
        "f1_label": "label",
        "f1_evidence_sent": "evidence_sentences",
        "f1_evidence_token": "evidence_tokens",
    },
}
"""Task -> metric of its summary -> metric of the table ``scores``."""


def headlines(task: str) -> tuple[Headline, ...]:
    """The headline metrics of a task.

    Raises:
        UsageError: if there is no such task.
    """
    found = eval_task(task)
    kinds = dict((*found.metrics, *found.judged_metrics))
    return tuple(Headline(metric, statistics, kinds[statistics]) for metric, statistics in _STATISTICS[task].items())

"""The nine held-out tasks: what their answers look like, how they are scored, and the columns of the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sciriff.errors import UsageError
from sciriff.scoring.measures import Measure, answers, claims, entity_lists, findings, lists, plain_text, summaries
from sciriff.scoring.parsing import Shape
from sciriff.scoring.shapes import (
    Shaper,
    shape_claims,
    shape_entities,
    shape_findings,
    shape_lists,
    shape_plain_text,
    shape_qasper,
    shape_summaries,
)


@dataclass(frozen=True, slots=True)
class EvalTask:
    """One held-out task.

    Attributes:
        name: task name, as in the task files.
        answer: the shape of its JSON answers; None if answers are plain text.
        measure: how answers are read and compared.
        shaper: totals -> the nested, flat and summary metrics.
        judged: the metric that a judge gives, see :mod:`sciriff.scoring.judge`; empty if there is none.
    """

    name: str
    answer: Shape | None
    measure: Measure
    shaper: Shaper
    judged: str = ""

    @property
    def metrics(self) -> tuple[tuple[str, str], ...]:
        """Metric -> kind of its statistics (see :data:`sciriff.scoring.metrics.statistics.KINDS`); BLEU is the last.

        What a judge gives is not among them: it may come later, or never.
        """
        return (*self.measure.metrics, ("bleu", "bleu"))

    @property
    def judged_metrics(self) -> tuple[tuple[str, str], ...]:
        """The same of what a judge gives."""
        return ((self.judged, "mean"),) if self.judged else ()


class Column(NamedTuple):
    """A column of the summary.

    Attributes:
        task: task name.
        metric: key in the task's summary metrics.
        alias: short name of the task in the table's header.
    """

    task: str
    metric: str
    alias: str

    @property
    def name(self) -> str:
        """Name of the column in SQL, e.g. ``biored_f1``."""
        return f"{self.alias}_{self.metric}"


_BIORED_TYPES = ("CellLine", "Chemical", "Disease", "Gene", "Species", "Variant")
_SCIERC_TYPES = ("Task", "Method", "Metric", "Material", "OtherScientificTerm", "Generic")


def _list_task(name: str) -> EvalTask:
    return EvalTask(name, Shape("list", default="[]"), lists(), shape_lists)


def _entity_task(name: str, types: Sequence[str]) -> EvalTask:
    default = "{" + ", ".join(f'"{entity_type}": []' for entity_type in types) + "}"
    answer = Shape("object", default=default, keys=tuple(types))
    return EvalTask(name, answer, entity_lists(types), shape_entities)


_FINDINGS = Shape("list", default="[]", item="list", closing_brace_is_bracket=True)
_CLAIM = Shape("object", default='{"verdict": "NEI", "evidence": []}', keys=("verdict", "evidence"))
_ANSWER = Shape("object", default='{"answer": null, "evidence": null}', keys=("answer", "evidence"), nullable=True)

EVAL_TASKS: tuple[EvalTask, ...] = (
    _list_task("bioasq_list_qa"),
    _entity_task("biored_ner", _BIORED_TYPES),
    EvalTask("discomat_te", None, plain_text(), shape_plain_text),
    EvalTask("evidence_inference", _FINDINGS, findings(), shape_findings),
    _list_task("multicite_intent_classification"),
    EvalTask("mup_single_document_summarization", None, summaries(), shape_summaries, judged="lm_judge_reference"),
    EvalTask("qasper_abstractive_qa", _ANSWER, answers(), shape_qasper, judged="lm_judge_answer"),
    _entity_task("scierc_ner", _SCIERC_TYPES),
    EvalTask("scifact_entailment", _CLAIM, claims(), shape_claims),
)

SUMMARY_COLUMNS: tuple[Column, ...] = (
    Column("bioasq_list_qa", "f1", "bioasq"),
    Column("biored_ner", "f1", "biored"),
    Column("discomat_te", "bleu", "discomat"),
    Column("evidence_inference", "f1_overlap", "evidence_inference"),
    Column("multicite_intent_classification", "f1", "multicite"),
    Column("mup_single_document_summarization", "lm_judge_reference", "mup"),
    Column("qasper_abstractive_qa", "lm_judge_answer", "qasper"),
    Column("qasper_abstractive_qa", "f1_evidence", "qasper"),
    Column("scierc_ner", "f1", "scierc"),
    Column("scifact_entailment", "f1_label", "scifact"),
    Column("scifact_entailment", "f1_evidence_token", "scifact"),
)
"""The headline columns in their published order; their plain average is the leaderboard's mean."""


def eval_task(name: str) -> EvalTask:
    """Look a task up.

    Raises:
        UsageError: if it is not one of the nine; near names are listed.
    """
    for task in EVAL_TASKS:
        if task.name == name:
            return task
    from difflib import get_close_matches

    names = [task.name for task in EVAL_TASKS]
    near = get_close_matches(name, names, n=3) or names
    raise UsageError(f"{name!r} is not an evaluation task; did you mean {', '.join(near)}?")

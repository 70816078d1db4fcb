"""The nine held-out tasks: what their answers look like, how they are scored, and the columns of the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sciriff.errors import UsageError
from sciriff.scoring.parsing import Shape
from sciriff.scoring.samples import SampleScorer, score_entities, score_plain_text, score_qasper
from sciriff.scoring.shapes import Shaper, shape_entities, shape_plain_text, shape_qasper


@dataclass(frozen=True, slots=True)
class EvalTask:
    """One held-out task.

    Attributes:
        name: task name, as in the task files.
        answer: the shape of its JSON answers; None if answers are plain text.
        score: scores one reply; None while the task has no scorer.
        shaper: totals -> the nested, flat and summary metrics.
        metrics: metric -> kind of its statistics (see :data:`sciriff.scoring.metrics.statistics.KINDS`).
    """

    name: str
    answer: Shape | None = None
    score: SampleScorer | None = None
    shaper: Shaper | None = None
    metrics: tuple[tuple[str, str], ...] = ()

    @property
    def is_scored(self) -> bool:
        """Whether this version can score the task."""
        return self.score is not None


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

_BLEU = (("bleu", "bleu"),)
_ENTITY_METRICS = (("entity_typed", "counts"), ("entity_untyped", "counts"), *_BLEU)
_QASPER_METRICS = (
    ("answer_f1", "mean"),
    ("answer_f1_parsed", "mean"),
    ("evidence_f1", "mean"),
    ("evidence_f1_parsed", "mean"),
    ("answer_parsed", "mean"),
    ("evidence_parsed", "mean"),
    ("answer_is_text", "mean"),
    *_BLEU,
)


def _entity_answer(types: Sequence[str]) -> Shape:
    default = "{" + ", ".join(f'"{name}": []' for name in types) + "}"
    return Shape("object", default=default, keys=tuple(types))


def _entity_task(name: str, types: Sequence[str]) -> EvalTask:
    return EvalTask(name, _entity_answer(types), score_entities, shape_entities, _ENTITY_METRICS)


_LIST = Shape("list", default="[]")

EVAL_TASKS: tuple[EvalTask, ...] = (
    EvalTask("bioasq_list_qa", _LIST),
    _entity_task("biored_ner", _BIORED_TYPES),
    EvalTask("discomat_te", None, score_plain_text, shape_plain_text, _BLEU),
    EvalTask("evidence_inference", Shape("list", default="[]", item="list", closing_brace_is_bracket=True)),
    EvalTask("multicite_intent_classification", _LIST),
    EvalTask("mup_single_document_summarization"),
    EvalTask(
        "qasper_abstractive_qa",
        Shape("object", default='{"answer": null, "evidence": null}', keys=("answer", "evidence"), nullable=True),
        score_qasper,
        shape_qasper,
        _QASPER_METRICS,
    ),
    _entity_task("scierc_ner", _SCIERC_TYPES),
    EvalTask(
        "scifact_entailment",
        Shape("object", default='{"verdict": "NEI", "evidence": []}', keys=("verdict", "evidence")),
    ),
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

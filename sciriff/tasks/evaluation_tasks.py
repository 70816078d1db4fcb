"""The tasks held out for evaluation: training mixtures leave them out unless asked not to."""

from __future__ import annotations

EVAL_TASKS: tuple[str, ...] = (
    "bioasq_list_qa",
    "biored_ner",
    "discomat_te",
    "evidence_inference",
    "multicite_intent_classification",
    "mup_single_document_summarization",
    "qasper_abstractive_qa",
    "scierc_ner",
    "scifact_entailment",
)

"""Formatters: one source record -> the variables a template names.

A formatter is a plain generator function ``format_x(record, *, ...arguments) -> Iterator[dict[str, Any]]``. It yields
one dict per instance: zero, one or several per record. Keys that begin with ``_`` are not template variables:

- ``_suffix`` (int or str) makes the instance's ``_id`` ``<row>.<suffix>``, for records that give several instances;
- ``_document_id`` (str) names the document behind the record (PubMed id, paper id), for splitting by document and for
  reports on leakage; the binding's ``documents`` says what kind of id it is. A record that has none gives
  ``_document_text`` instead, the text whose digest will stand for the document; without either it is the longest text
  that the prompt quotes.

Raising :class:`~sciriff.errors.Dropped` leaves the record out, counted under its reason; raising
:class:`~sciriff.errors.RecordError` says that the record is malformed. A *fitted* formatter has a keyword parameter
``budget`` (:class:`~sciriff.tasks.formatters.budget.Budget`) and is called once per context window. A formatter that
has to choose at random takes ``random`` (:class:`random.Random`, seeded by the record); one whose fixes of the
original's defects change instances takes ``fidelity`` (``corrected`` or ``original``) and does
without them under ``original``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from sciriff.errors import UsageError

Formatter = Callable[..., Iterator[dict[str, Any]]]

FORMATTERS = {
    "acl_arc": "sciriff.tasks.formatters.acl_arc:format_acl_arc",
    "bioasq_factoid": "sciriff.tasks.formatters.bioasq:format_bioasq_factoid",
    "bioasq_list": "sciriff.tasks.formatters.bioasq:format_bioasq_list",
    "bioasq_summary": "sciriff.tasks.formatters.bioasq:format_bioasq_summary",
    "bioasq_yesno": "sciriff.tasks.formatters.bioasq:format_bioasq_yesno",
    "chemprot_relations": "sciriff.tasks.formatters.chemprot_relations:format_chemprot_relations",
    "chemsum": "sciriff.tasks.formatters.chemsum:format_chemsum",
    "covid_qa": "sciriff.tasks.formatters.covid_qa:format_covid_qa",
    "data_reco_mc": "sciriff.tasks.formatters.dataset_choice:format_several_right",
    "data_reco_sc": "sciriff.tasks.formatters.dataset_choice:format_one_right",
    "drug_combinations": "sciriff.tasks.formatters.drug_combinations:format_drug_combinations",
    "dygie": "sciriff.tasks.formatters.dygie:format_dygie",
    "entailment": "sciriff.tasks.formatters.entailment:format_entailment",
    "entities": "sciriff.tasks.formatters.entities:format_entities",
    "events": "sciriff.tasks.formatters.events:format_events",
    "genia": "sciriff.tasks.formatters.genia:format_genia",
    "evidence_inference": "sciriff.tasks.formatters.evidence_inference:format_evidence_inference",
    "identity": "sciriff.tasks.formatters.identity:format_identity",
    "lay_summary": "sciriff.tasks.formatters.lay_summary:format_lay_summary",
    "litcovid": "sciriff.tasks.formatters.litcovid:format_litcovid",
    "mslr": "sciriff.tasks.formatters.mslr:format_mslr",
    "multicite": "sciriff.tasks.formatters.multicite:format_multicite",
    "multixscience": "sciriff.tasks.formatters.multixscience:format_multixscience",
    "mup": "sciriff.tasks.formatters.mup:format_mup",
    "pubmedqa": "sciriff.tasks.formatters.pubmedqa:format_pubmedqa",
    "qasa": "sciriff.tasks.formatters.qasa:format_qasa",
    "qasper": "sciriff.tasks.formatters.qasper:format_qasper",
    "scicite": "sciriff.tasks.formatters.scicite:format_scicite",
    "scientific_paper": "sciriff.tasks.formatters.scientific_papers:format_scientific_paper",
    "scireviewgen": "sciriff.tasks.formatters.scireviewgen:format_scireviewgen",
    "scitldr": "sciriff.tasks.formatters.scitldr:format_scitldr",
    "tagged_sentence": "sciriff.tasks.formatters.tagged_sentence:format_tagged_sentence",
    "table_cells": "sciriff.tasks.formatters.tables:format_table_cells",
}
"""Formatter name (as in a task's binding) -> ``module:function``."""


def load_formatter(name: str) -> Formatter:
    """Import a formatter by name.

    Raises:
        UsageError: if there is none of that name.
    """
    if name not in FORMATTERS:
        raise UsageError(f"unknown formatter {name!r}; known: {', '.join(FORMATTERS)}")
    module, function = FORMATTERS[name].split(":")
    formatter: Formatter = getattr(import_module(module), function)
    return formatter


GIVEN = ("budget", "random", "fidelity")
"""Keyword parameters that a formatter gets from the build rather than from its binding."""


def given_parameters(formatter: Formatter) -> tuple[str, ...]:
    """Which of :data:`GIVEN` a formatter takes."""
    parameters = inspect.signature(formatter).parameters
    return tuple(name for name in GIVEN if name in parameters)


def is_fitted(formatter: Formatter) -> bool:
    """Whether a formatter fits its text to the context window, so that it must be called once per window."""
    return "budget" in inspect.signature(formatter).parameters

"""Formatters: one source record -> the variables a template names.

A formatter is a plain generator function ``format_x(record, *, ...arguments) -> Iterator[dict[str, Any]]``. It yields
one dict per instance: zero, one or several per record. Keys that begin with ``_`` are not template variables:

- ``_suffix`` (int or str) makes the instance's ``_id`` ``<row>.<suffix>``, for records that give several instances;
- ``_document_id`` names the document behind the record (PubMed id, paper id), for reports on leakage between splits.

Raising :class:`~sciriff.errors.Dropped` leaves the record out, counted under its reason; raising
:class:`~sciriff.errors.RecordError` says that the record is malformed. A *fitted* formatter has a keyword parameter
``budget`` (:class:`~sciriff.tasks.formatters.budget.Budget`) and is called once per context window.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from sciriff.errors import UsageError

Formatter = Callable[..., Iterator[dict[str, Any]]]

FORMATTERS = {
    "covid_qa": "sciriff.tasks.formatters.covid_qa:format_covid_qa",
    "dygie": "sciriff.tasks.formatters.dygie:format_dygie",
    "entities": "sciriff.tasks.formatters.entities:format_entities",
    "events": "sciriff.tasks.formatters.events:format_events",
    "identity": "sciriff.tasks.formatters.identity:format_identity",
    "pubmedqa": "sciriff.tasks.formatters.pubmedqa:format_pubmedqa",
    "qasper": "sciriff.tasks.formatters.qasper:format_qasper",
    "scicite": "sciriff.tasks.formatters.scicite:format_scicite",
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


def is_fitted(formatter: Formatter) -> bool:
    """Whether a formatter fits its text to the context window, so that it must be called once per window."""
    return "budget" in inspect.signature(formatter).parameters

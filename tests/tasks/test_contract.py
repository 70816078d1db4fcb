"""Formatters provide what the original's task files name, so that a lab's own copies of them load and render."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from contract import CONTRACT
from lab_templates import body, write_task_files
from pydantic import ConfigDict, TypeAdapter, ValidationError

from sciriff import api
from sciriff.errors import Dropped
from sciriff.readers import load_reader
from sciriff.readers.records import PassedOver
from sciriff.resources import resource_dir
from sciriff.settings import Settings
from sciriff.sources.archives import ArchiveView
from sciriff.sources.catalogue import source
from sciriff.tasks.binding import bound_tasks, load_binding
from sciriff.tasks.formatters import given_parameters, load_formatter
from sciriff.tasks.formatters.budget import Budget
from sciriff.tasks.rendering import BlankInstanceError, Fidelity, compile_template
from sciriff.tasks.taskfile import load_task

SAMPLES = resource_dir("samples")
FIDELITIES: tuple[Fidelity, ...] = ("corrected", "original")


def sample_variables(task: str, fidelity: Fidelity) -> Iterator[dict[str, Any]]:
    """The template variables of every record of a task's sample."""
    binding = load_binding(task)
    entries = json.loads((SAMPLES / "mirror.json").read_bytes())
    files = source(binding.source).files
    view = ArchiveView({key: SAMPLES / entries[file.url]["path"] for key, file in files.items() if file.url in entries})
    reader = load_reader(binding.reader)
    formatter = load_formatter(binding.formatter.name)
    given = {
        "budget": Budget(16364, lambda text: len(text.split()), Random(0)),
        "random": Random(0),
        "fidelity": fidelity,
    }
    arguments = binding.formatter.args | {name: given[name] for name in given_parameters(formatter)}
    for spec in binding.split_specs().values():
        for row in reader.rows(view, spec):
            if isinstance(row, PassedOver):
                continue
            try:
                yield from formatter(reader.parse(row, spec), **arguments)
            except Dropped:
                continue


def misfits(variables: dict[str, Any], contract: dict[str, Any]) -> list[str]:
    """What a dict of variables lacks, or has with another type."""
    found = []
    for name, kind in contract.items():
        if name not in variables:
            found.append(f"{name} is missing")
            continue
        try:
            TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(variables[name])
        except ValidationError as error:
            found.append(f"{name}: {error.errors()[0]['msg']}, found {variables[name]!r:.80}")
    return found


def test_the_contract_speaks_of_every_task() -> None:
    assert len(CONTRACT) == 54
    assert sorted(CONTRACT) == bound_tasks()


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("task", CONTRACT)
def test_formatters_provide_the_variables_and_types_of_the_catalogue(task: str, fidelity: Fidelity) -> None:
    count = 0
    for variables in sample_variables(task, fidelity):
        count += 1
        assert misfits(variables, CONTRACT[task]) == []
        assert variables.get("_document_id") or variables.get("_document_text"), "the record names no document"
    assert count >= 3


@pytest.mark.parametrize("task", CONTRACT)
def test_our_own_wordings_ask_for_nothing_that_is_not_there(task: str) -> None:
    variables = next(sample_variables(task, "corrected"))
    for template_id, template in load_task(resource_dir("templates") / "tasks" / f"{task}.yaml").templates.items():
        compiled = compile_template(template.jinja, template.answer_choices, f"{task}, template {template_id}")
        assert compiled.variables <= variables.keys()


@pytest.mark.parametrize("task", CONTRACT)
def test_a_template_with_the_original_constructs_renders(task: str) -> None:
    choices = "method ||| background ||| result" if task == "scicite_classification" else None
    for fidelity in FIDELITIES:
        template = compile_template(body(task, CONTRACT[task]), choices, task, fidelity)
        for number, variables in enumerate(sample_variables(task, fidelity)):
            blank = fidelity == "original" and not all(variables[name] != "" for name in CONTRACT[task])
            try:
                rendered = template.render({**variables, "_id": number})
            except BlankInstanceError:
                assert blank, "only the original lets records with a blank text through"
            else:
                assert rendered.input
                assert rendered.output


def test_a_folder_of_task_files_in_the_original_schema_builds(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    write_task_files(lab, CONTRACT)
    settings = Settings(
        templates_dir=lab, samples="always", offline=True, store=str(tmp_path / "store"), cache=tmp_path / "cache"
    )
    report = api.build(windows=[4096], workers=1, settings=settings)
    assert {outcome.task: outcome.message for outcome in report.outcomes if not outcome.done} == {}
    assert len(report.outcomes) == len(CONTRACT)

"""Where the records of each task come from and which formatter shapes them: all that is not wording.

One file per task, ``bindings/<task>.yaml``; its fields are those of :class:`Binding`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sciriff.errors import TaskFileError
from sciriff.plain_yaml import load_yaml
from sciriff.readers import READERS
from sciriff.readers.records import SplitSpec
from sciriff.tasks.formatters import FORMATTERS

BINDINGS = Path(__file__).with_name("bindings")

SplitName = Literal["train", "validation", "test"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitBinding(_Strict):
    """One source split.

    Attributes:
        path: member path of its records: a file key of the source, ``key!member`` or ``key!inner.zip!member``.
        options: the reader's options for it.
    """

    path: str = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)


class FormatterBinding(_Strict):
    """The formatter's name and its keyword arguments."""

    name: str
    args: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATTERS:
            raise ValueError(f"no formatter of this name; known: {', '.join(FORMATTERS)}")
        return name


class Binding(_Strict):
    """Where a task's records come from.

    Attributes:
        source: id in the source catalogue.
        reader: name in the table of readers.
        splits: source split -> where it lies.
        formatter: what makes template variables of a record.
        documents: namespace of the document ids that the formatter gives: ``pmid``, ``pmc``, ``doi``, ``arxiv``,
            ``acl``, ``s2`` (Semantic Scholar), ``nct`` (clinical trial) where they are such ids, so that tasks can be
            compared; else the source's id.
    """

    source: str
    reader: str
    splits: dict[SplitName, SplitBinding] = Field(min_length=1)
    formatter: FormatterBinding
    documents: str | None = Field(None, pattern=r"^[a-z0-9_]+$")

    @field_validator("reader")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in READERS:
            raise ValueError(f"no reader of this name; known: {', '.join(READERS)}")
        return name

    def split_specs(self) -> dict[str, SplitSpec]:
        """Source split -> what the reader needs, in the order train, validation, test."""
        ordered: tuple[SplitName, ...] = ("train", "validation", "test")
        found = ((name, self.splits[name]) for name in ordered if name in self.splits)
        return {name: SplitSpec(split.path, split.options) for name, split in found}


def bound_tasks(folder: Path = BINDINGS) -> list[str]:
    """Names of all tasks that have a binding, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


@cache
def load_binding(task: str, folder: Path = BINDINGS) -> Binding:
    """The binding of a task.

    Raises:
        TaskFileError: if there is none, it is not YAML, or a key or value is wrong; names the file and the keys.
    """
    path = folder / f"{task}.yaml"
    if task not in bound_tasks(folder):
        raise TaskFileError(
            f"{task}: no file sciriff/tasks/bindings/{task}.yaml says where its records come from; add one"
        )
    try:
        content = load_yaml(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TaskFileError(f"{path}: not valid YAML: {error}") from error
    try:
        return Binding.model_validate(content)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} (found {problem['input']!r})"
            for problem in error.errors()
        )
        raise TaskFileError(f"{path}: " + "; ".join(problems)) from error

"""From names to work: which task files, sources and recipes a build is made of, and each task's build key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import orjson

from sciriff.building.fingerprint import code_digest, library_versions
from sciriff.building.instances import Recipe
from sciriff.building.options import BuildOptions
from sciriff.building.splitting import SPLITS
from sciriff.building.suites import default_suite
from sciriff.building.tokens import TokenizerFile
from sciriff.errors import SciriffError, TaskFileError, UsageError
from sciriff.hashing import digest
from sciriff.readers import READERS
from sciriff.readers.records import SplitSpec
from sciriff.resources import resource_dir
from sciriff.sources import catalogue
from sciriff.sources.fetch import AcquiredSource
from sciriff.store import SCHEMA_VERSION
from sciriff.tasks.binding import Binding, load_binding
from sciriff.tasks.formatters import FORMATTERS, is_fitted, load_formatter
from sciriff.tasks.taskfile import TaskFile, load_tasks

_ENGINE: Final = (
    "sciriff.building.instances",
    "sciriff.building.sampling",
    "sciriff.building.splitting",
    "sciriff.building.assembly",
    "sciriff.building.writing",
)
"""Modules that decide the bytes of every task, besides its own reader and formatter."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task to build.

    Attributes:
        name: task name.
        task_file: its wording and metadata.
        binding: where its records come from and how they become variables.
        suite: its expectation suite.
    """

    name: str
    task_file: TaskFile
    binding: Binding
    suite: Mapping[str, Any]

    def splits(self) -> dict[str, SplitSpec]:
        """The source splits to read, by canonical name; those that the task file skips are left out."""
        bound = self.binding.split_specs()
        lookup = {str(ours): theirs for ours, theirs in (self.task_file.split_lookup or {}).items()}
        skipped = self.task_file.skip_splits or ()
        found = {name: bound.get(lookup.get(name, name)) for name in SPLITS if name not in skipped}
        return {name: spec for name, spec in found.items() if spec is not None}

    def files(self) -> list[str]:
        """Keys of the source's files that the task needs: those that its paths and its readers' options name."""
        try:
            known = list(catalogue.source(self.binding.source).files)
        except SciriffError:
            known = []  # acquiring the source says what is wrong with its entry
        found: set[str] = set()
        for spec in self.splits().values():
            key = spec.path.split("!", 1)[0]
            found.update([name for name in known if fnmatchcase(name, key)] or [key])
            found.update(name for name in _first_parts(spec.options.values()) if name in known)
        return sorted(found)

    def recipe(self, source: AcquiredSource, tokenizer: TokenizerFile, options: BuildOptions) -> Recipe:
        """What workers need to build the task from an acquired source; its ``key`` is the task's build key.

        Raises:
            TaskFileError: if the task has no template of a requested id.
        """
        known = self.task_file.templates
        if missing := [template_id for template_id in options.template_ids if template_id not in known]:
            raise TaskFileError(
                f"{self.name}: there is no template {', '.join(map(str, missing))}; "
                f"the task file has {', '.join(map(str, known))}"
            )
        formatter = self.binding.formatter
        return Recipe(
            key=self.key(source, tokenizer, options),
            task=self.name,
            metadata=self.task_file.metadata.model_dump(mode="json"),
            templates={
                number: (template.jinja, template.answer_choices, template.evaluate)
                for number, template in known.items()
            },
            template_ids=options.template_ids,
            formatter=formatter.name,
            formatter_args=dict(formatter.args),
            fitted=is_fitted(load_formatter(formatter.name)),
            documents=self.binding.documents or self.binding.source,
            reader=self.binding.reader,
            splits=self.splits(),
            windows=options.windows,
            seed=options.seed,
            tokenizer=tokenizer.path,
            fidelity=options.fidelity,
            suite=self.suite,
        )

    def key(self, source: AcquiredSource, tokenizer: TokenizerFile, options: BuildOptions) -> str:
        """Build key: a digest of everything that decides the bytes of the task's artifacts."""
        return digest(
            {
                "schema": SCHEMA_VERSION,
                "task": self.task_file.digest,
                "binding": self.binding.model_dump(mode="json"),
                "suite": self.suite,
                "source": {key: source.files[key].sha256 for key in self.files() if key in source.files},
                "options": options.describe(),
                "tokenizer": tokenizer.sha256,
                "code": self.code(),
                "libraries": library_versions(),
            }
        )

    def code(self) -> str:
        """Digest of the engine, the reader and the formatter with what they import from this package."""
        formatter = FORMATTERS[self.binding.formatter.name].split(":")[0]
        return code_digest((*_ENGINE, READERS[self.binding.reader], formatter))


def _first_parts(options: Iterable[Any]) -> Iterator[str]:
    """What the values of a reader's options would name as keys, were they member paths or lists of such."""
    for value in options:
        for path in value if isinstance(value, list) else (value,):
            if isinstance(path, str):
                yield path.split("!", 1)[0]


def tasks_folder(templates_dir: Path | None) -> Path:
    """The folder of task files: the user's own, or the bundled one."""
    return templates_dir if templates_dir is not None else resource_dir("templates") / "tasks"


def plan_tasks(names: Sequence[str] | None, templates_dir: Path | None) -> dict[str, TaskPlan | SciriffError]:
    """Plan the named tasks, or all that have a task file, in alphabetical order.

    A task whose files are wrong stands in the result as its error, so that the others can go on.

    Raises:
        UsageError: if a name is not a task, with the nearest names.
        TaskFileError: if there are no task files at all.
    """
    files = load_tasks(tasks_folder(templates_dir))
    if names is not None:
        for name in names:
            if name not in files:
                close = difflib.get_close_matches(name, files, n=3)
                hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(files)}"
                raise UsageError(f"unknown task {name!r}; {hint}")
    wanted = sorted(set(names)) if names is not None else sorted(files)
    plans: dict[str, TaskPlan | SciriffError] = {}
    for name in wanted:
        try:
            plans[name] = _plan(name, files[name])
        except SciriffError as error:
            plans[name] = error
    return plans


def _plan(name: str, task_file: TaskFile | TaskFileError) -> TaskPlan:
    if isinstance(task_file, TaskFileError):
        raise task_file
    return TaskPlan(name, task_file, load_binding(name), load_suite(name, task_file.metadata.output_context))


def load_suite(name: str, output_context: str) -> dict[str, Any]:
    """The expectation suite of a task: its file in ``expectations/``, or what its output context promises by itself.

    Raises:
        TaskFileError: if the file is not a JSON object.
    """
    path = resource_dir("expectations") / f"{name}.json"
    if not path.is_file():
        return default_suite(name, output_context)
    try:
        suite = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise TaskFileError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(suite, dict):
        raise TaskFileError(f"{path}: expected a JSON object")
    return suite

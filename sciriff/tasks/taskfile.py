"""Task files: one YAML file a task, with the same keys as the original SciRIFF task files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from sciriff.errors import TaskFileError
from sciriff.hashing import digest
from sciriff.names import flaw, folded
from sciriff.plain_yaml import DuplicateKeyError, load_yaml
from sciriff.tasks.rendering import CompiledTemplate, Fidelity, compile_template

TaskFamily = Literal[
    "summarization",
    "ie.named_entity_recognition",
    "ie.relation_extraction",
    "ie.event_extraction",
    "ie.structure_to_json",
    "qa.yes_no",
    "qa.multiple_choice",
    "qa.extractive",
    "qa.abstractive",
    "entailment",
    "classification",
    "generation",
    "dialog",
    "ranking",
]
Domain = Literal[
    "clinical_medicine", "biomedicine", "chemistry", "artificial_intelligence", "materials_science", "misc"
]
SourceType = Literal["single_source", "multiple_source"]
InputContext = Literal["sentence", "paragraph", "multiple_paragraphs", "structured"]
OutputContext = Literal["label", "sentence", "paragraph", "multiple_paragraphs", "json", "jsonlines", "ranking"]
SplitName = Literal["train", "validation", "test"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class TaskMetadata(_Strict):
    """What kind of task this is; copied to every instance. All keys are required."""

    task: TaskFamily
    """Task family."""
    domains: tuple[Domain, ...]
    """Scientific fields of the texts."""
    source_type: SourceType
    """Whether one instance draws on one document or on several."""
    input_context: InputContext
    """Size or kind of the text in the input; `multiple_paragraphs` includes whole documents."""
    output_context: OutputContext
    """Size or format of the output."""
    contributor: StrictStr
    """Who wrote the task file."""


class FormatterSpec(_Strict):
    """The function that turns records into template variables."""

    name: StrictStr
    """Name of the formatter."""
    args: dict[str, Any] | None
    """Its keyword arguments; the key must be there, `null` means none."""


class TemplateSpec(_Strict):
    """One wording of the task."""

    jinja: StrictStr
    """Jinja source: input, `|||`, output."""
    answer_choices: StrictStr | None = None
    """Jinja source of the answer choices, separated by `|||`."""
    name: StrictStr | None = None
    """A name for people; not used."""
    metadata: dict[str, Any] | None = None
    """Notes on this wording; not used."""
    evaluate: StrictBool = False
    """Whether this wording is meant for evaluation; written to `metadata.template_metadata.use_for_eval`."""


def _consecutive_ids(templates: Any) -> Any:
    if not isinstance(templates, dict):
        return templates
    ids = list(templates)
    if any(type(number) is not int for number in ids) or sorted(ids) != list(range(len(ids))) or not ids:
        found = ", ".join(map(repr, ids)) or "none"
        raise ValueError(f"template ids must count from 0 without gaps; found {found}")
    return dict(sorted(templates.items()))


class TaskFile(_Strict):
    """One task: where its records come from, how they become variables, and how it is worded.

    Where the records come from is read from `sciriff/tasks/bindings/` when that has a file of the task's name;
    `dataset`, `subset`, `data_dir` and `formatter` then only document what the original used.
    """

    name: StrictStr
    """Task name; must equal the file's stem."""
    metadata: TaskMetadata
    templates: Annotated[
        dict[StrictInt, TemplateSpec],
        BeforeValidator(_consecutive_ids),
        Field(json_schema_extra={"propertyNames": {"pattern": "^(0|[1-9][0-9]*)$"}, "minProperties": 1}),
    ]
    """Template id, counting from 0, to template. The test split always uses template 0."""
    dataset: StrictStr | None = None
    """Dataset repository on the Hugging Face Hub."""
    subset: StrictStr | None = None
    """Configuration of the dataset."""
    data_dir: StrictStr | None = None
    """Local folder of processed records; wins over `dataset`."""
    formatter: FormatterSpec | None = None
    skip_splits: tuple[SplitName, ...] | None = None
    """Splits to ignore."""
    split_lookup: dict[SplitName, StrictStr] | None = None
    """Our split name to the source's, where they differ."""
    standardize_splits: StrictBool = True
    """Whether missing validation and test splits are carved out of the others."""
    evaluate: dict[str, Any] | None = None
    """Accepted for compatibility; not used."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that can change an output: equal for files that differ in comments, layout or unused keys."""
        used = self.model_dump(mode="json", exclude={"evaluate"})
        for template in used["templates"].values():
            del template["name"], template["metadata"]
        return digest({**used, "templates": [used["templates"][str(number)] for number in self.templates]})

    def compile(self, template_id: int, fidelity: Fidelity = "corrected") -> CompiledTemplate:
        """Compile one template for rendering.

        Raises:
            TaskFileError: if the task has no such template, or Jinja does not accept it.
        """
        if template_id not in self.templates:
            offered = ", ".join(map(str, self.templates))
            raise TaskFileError(f"{self.name}: there is no template {template_id}; the task file has {offered}")
        template = self.templates[template_id]
        where = f"{self.name}.yaml, template {template_id}"
        return compile_template(template.jinja, template.answer_choices, where, fidelity)


def load_task(path: Path) -> TaskFile:
    """Read and check one task file, down to the syntax of its templates.

    Raises:
        TaskFileError: naming the file, each wrong key, what was expected there, and the nearest valid word.
    """
    content = _read_yaml(path)
    if not isinstance(content, dict):
        raise TaskFileError(f"{path}: expected a mapping with name, metadata and templates; found {_kind(content)}")
    try:
        task = TaskFile.model_validate(content)
    except ValidationError as error:
        raise TaskFileError(_report(path, error)) from None
    if task.name != path.stem:
        raise TaskFileError(f"{path}: name: is {task.name!r} but the file is called {path.stem!r}; they must be equal")
    if problem := flaw(task.name):
        raise TaskFileError(f"{path}: name: {task.name!r} cannot be that of a folder of artifacts: {problem}")
    for template_id in task.templates:
        try:
            task.compile(template_id)
        except TaskFileError as error:
            raise TaskFileError(f"{path.parent}/{error}") from None
    return task


def load_tasks(folder: Path) -> dict[str, TaskFile | TaskFileError]:
    """Read every task file (``*.yaml``, ``*.yml``) of a folder, by file stem in alphabetical order.

    A file that is wrong stands in the result as its error, so that the other tasks can go on.

    Raises:
        TaskFileError: if the folder does not exist or holds no task file.
    """
    if not folder.is_dir():
        raise TaskFileError(f"{folder}: no such folder of task files")
    paths = sorted((path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"}), key=lambda path: path.name)
    if not paths:
        raise TaskFileError(f"{folder}: holds no task files (*.yaml)")
    tasks: dict[str, TaskFile | TaskFileError] = {}
    alike: dict[str, str] = {}
    for path in paths:
        if (other := alike.setdefault(folded(path.stem), path.stem)) != path.stem:
            tasks[path.stem] = TaskFileError(
                f"{path}: there is also a task file {other!r}, whose name is the same where case is ignored; rename one"
            )
            continue
        if path.stem in tasks:
            tasks[path.stem] = TaskFileError(
                f"{path}: there are two task files of this name, .yaml and .yml; remove one"
            )
            continue
        try:
            tasks[path.stem] = load_task(path)
        except TaskFileError as error:
            tasks[path.stem] = error
    return tasks


def task_schema() -> dict[str, Any]:
    """The JSON Schema of a task file, for editors; kept in ``templates/task.schema.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TaskFile.model_json_schema()}


def _read_yaml(path: Path) -> Any:
    try:
        return load_yaml(path.read_bytes())
    except OSError as error:
        raise TaskFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TaskFileError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except DuplicateKeyError as error:
        raise TaskFileError(f"{path}: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        if "could not determine a constructor for the tag" in (error.problem or ""):
            problem = f"{error.problem}; task files hold plain data only, remove the tag"
        else:
            problem = f"not valid YAML: {' '.join(filter(None, (error.context, error.problem)))}"
        raise TaskFileError(f"{path}{place}: {problem}") from error
    except yaml.YAMLError as error:
        raise TaskFileError(f"{path}: not valid YAML: {error}") from error


_MODELS: Mapping[str, type[BaseModel]] = {
    "": TaskFile,
    "metadata": TaskMetadata,
    "formatter": FormatterSpec,
    "templates": TemplateSpec,
}


def _report(path: Path, error: ValidationError) -> str:
    """One line for each thing wrong in a file, in the order of the file's keys."""
    lines = [_problem(item["loc"], item["type"], item["msg"], item["input"]) for item in error.errors()]
    if len(lines) == 1:
        return f"{path}: {lines[0]}"
    return "\n  - ".join([f"{path}: {len(lines)} problems", *lines])


def _problem(location: tuple[int | str, ...], kind: str, message: str, found: Any) -> str:
    key = ".".join(str(part) for part in location if part != "[key]")
    if kind == "extra_forbidden":
        known = list(_MODELS[str(location[0]) if len(location) > 1 else ""].model_fields)
        return f"{key}: unknown key{_nearest(location[-1], known)}; known keys here: {', '.join(known)}"
    if kind == "missing":
        hint = "; write `args: null` if there are none" if location == ("formatter", "args") else ""
        return f"{key}: this key is missing{hint}"
    if kind == "literal_error":
        allowed = _allowed(location)
        return f"{key}: {found!r} is not allowed{_nearest(found, allowed)}; allowed: {', '.join(allowed)}"
    if kind == "value_error":
        return f"{key}: {message.removeprefix('Value error, ')}"
    wanted = _WANTED.get(kind, message)
    return f"{key}: expected {wanted}, found {_kind(found)}" if kind in _WANTED else f"{key}: {wanted}"


_WANTED: Mapping[str, str] = {
    "string_type": "text (put it in quotes if it looks like a number, a date or yes/no)",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "bool_type": "true or false",
}


def _allowed(location: tuple[int | str, ...]) -> list[str]:
    words: Mapping[str, Any] = {
        "task": TaskFamily,
        "domains": Domain,
        "source_type": SourceType,
        "input_context": InputContext,
        "output_context": OutputContext,
    }
    place = str(location[1]) if location[0] == "metadata" else ""
    return list(get_args(words.get(place, SplitName)))


def _nearest(word: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return repr(value)

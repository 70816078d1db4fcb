"""Templates: from the variables of one record to the input and output of one instance.

A template is Jinja source whose rendering holds one separator ``|||`` between input and output. It runs sandboxed and
within bounds (:mod:`sciriff.sandbox`): no loader, no imports, no filter that draws random numbers, and every missing
variable is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError

from sciriff.errors import RecordError, TaskFileError
from sciriff.sandbox.budget import LARGEST_VALUE, BoundError, weight
from sciriff.sandbox.environment import BoundedEnvironment

if TYPE_CHECKING:
    from jinja2 import Template

SEPARATOR = "|||"
ANSWER_CHOICES = "answer_choices"
Fidelity = Literal["corrected", "original"]
"""Whether a build puts right what changes instances of the original SciRIFF, or does as the original did.

Here: under ``corrected``, ``tojson`` writes plain UTF-8 JSON; under ``original`` as Jinja does, ASCII with HTML
characters escaped. What formatters and splitting do stands in ``docs/fidelity.md``.
"""

# Stands for the separator inside compiled templates, so that a ``|||`` (or a lone ``|``) of a record is only text.
_CUT = "6a1f0c8be2d94b7793d5c04e7fa2b916"
_TEMPLATE_REFERENCES = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


class BlankInstanceError(RecordError):
    """A record whose rendered input or output is empty; counted per record, never fatal to its task."""


class Rendered(NamedTuple):
    """The two texts of one instance, stripped of surrounding white space."""

    input: str
    output: str


class CompiledTemplate:
    """A template ready to render many records. Not picklable: each process compiles its own.

    Attributes:
        where: task file and template id, for messages.
        variables: the record variables that the template (or its answer choices) names.
        prompt_variables: those of them that it names before the separator, in the order of first use.
    """

    __slots__ = ("_body", "_choices", "_fixed_choices", "prompt_variables", "variables", "where")

    def __init__(
        self,
        body: Template,
        choices: Template | None,
        variables: frozenset[str],
        prompt_variables: tuple[str, ...],
        where: str,
    ) -> None:
        self._body = body
        self._choices = choices
        self.variables = variables
        self.prompt_variables = prompt_variables
        self.where = where
        self._fixed_choices: list[str] | None = None

    def render(self, variables: Mapping[str, Any]) -> Rendered:
        """Render one record.

        Args:
            variables: the formatter's variables; names that the template does not use are ignored.

        Raises:
            TaskFileError: if the template names a variable that the record lacks, does something the sandbox forbids,
                or if the record brings the reserved variable ``answer_choices``.
            BlankInstanceError: if input or output is blank.
            RecordError: if the template cannot cope with this record's values.
        """
        if ANSWER_CHOICES in variables:
            raise TaskFileError(
                f"{self.where}: the record has a variable named {ANSWER_CHOICES!r}, which is reserved for the "
                f"template's own answer choices; rename it in the formatter"
            )
        try:
            text = self._body.render(variables, answer_choices=self._answer_choices(variables))
            text.encode()  # a lone surrogate can be neither counted nor written
        except BoundError as error:
            raise self._excess(variables, error) from error
        except SecurityError as error:
            raise TaskFileError(f"{self.where}: forbidden in a template: {error}") from error
        except jinja2.UndefinedError as error:
            raise self._missing(variables, error) from error
        except Exception as error:
            raise RecordError(
                self._record(variables), f"cannot be rendered: {type(error).__name__}: {error}"
            ) from error
        parts = text.split(_CUT)
        if len(parts) != 2:
            raise TaskFileError(
                f"{self.where}: rendered {len(parts)} parts separated by {SEPARATOR!r}, expected 2 (input and output)"
            )
        rendered = Rendered(parts[0].strip(), parts[1].strip())
        if not rendered.input or not rendered.output:
            raise BlankInstanceError(self._record(variables), f"blank {'output' if rendered.input else 'input'}")
        return rendered

    def _answer_choices(self, variables: Mapping[str, Any]) -> list[str] | None:
        if self._choices is None or self._fixed_choices is not None:
            return self._fixed_choices
        return [choice.strip() for choice in self._choices.render(variables).split(_CUT)]

    def _excess(self, variables: Mapping[str, Any], error: BoundError) -> TaskFileError | RecordError:
        try:
            is_large = weight(list(variables.values())) > LARGEST_VALUE // 8
        except BoundError:
            is_large = True
        if is_large:
            return RecordError(self._record(variables), f"cannot be rendered: the record is too large: {error}")
        return TaskFileError(f"{self.where}, record {variables.get('_id', '?')}: more than a template may do: {error}")

    def _missing(self, variables: Mapping[str, Any], error: jinja2.UndefinedError) -> TaskFileError | RecordError:
        missing = sorted(self.variables - variables.keys())
        if not missing:  # a key or an element that this record's values lack
            return RecordError(self._record(variables), f"cannot be rendered: {error}")
        offered = ", ".join(sorted(name for name in variables if not name.startswith("_"))) or "none"
        return TaskFileError(
            f"{self.where}: the template uses {_listed(missing)}, which the task's formatter does not provide "
            f"(it provides: {offered})"
        )

    def _record(self, variables: Mapping[str, Any]) -> str:
        return f"{self.where}, record {variables.get('_id', '?')}"


def compile_template(
    source: str, answer_choices: str | None, where: str, fidelity: Fidelity = "corrected"
) -> CompiledTemplate:
    """Compile the Jinja source of one template.

    Args:
        source: the template; its rendering must hold one ``|||``.
        answer_choices: Jinja source of the choices, separated by ``|||``; seen by the template as a list of strings,
            or as none without it.
        where: task file and template id, for messages.
        fidelity: how ``tojson`` writes, see :data:`Fidelity`. Keys are sorted and separators are ``", "`` and ``": "``
            in both.

    Raises:
        TaskFileError: if the source is not a valid template or holds no separator, or more than one without a
            condition between them.
    """
    separators = source.count(SEPARATOR)
    if separators == 0 or (separators > 1 and "{%" not in source):
        raise TaskFileError(
            f"{where}: found {separators} separators {SEPARATOR!r}, expected 1 between the input and the output"
        )
    environment = _environment(fidelity)
    body, names, prompt_names = _compile(environment, source, where)
    choices: Template | None = None
    choice_names: frozenset[str] = frozenset()
    if answer_choices is not None:
        choices, choice_names, _ = _compile(environment, answer_choices, f"{where}, answer_choices")
    variables = (names | choice_names) - {ANSWER_CHOICES}
    prompt_variables = tuple(name for name in prompt_names if name in variables)
    compiled = CompiledTemplate(body, choices, variables, prompt_variables, where)
    if choices is not None and not choice_names:
        compiled._fixed_choices = compiled._answer_choices({})
    return compiled


def _compile(
    environment: jinja2.Environment, source: str, where: str
) -> tuple[Template, frozenset[str], tuple[str, ...]]:
    """The template, its undeclared variables, and all names before the separator in the order of first use."""
    try:
        tree = environment.parse(source.replace(SEPARATOR, _CUT))
        if (reference := next(tree.find_all(_TEMPLATE_REFERENCES), None)) is not None:
            raise TaskFileError(
                f"{where}, line {reference.lineno}: {type(reference).__name__.lower()} of another template; "
                f"a task file must hold the whole template"
            )
        names = meta.find_undeclared_variables(tree) - environment.globals.keys()
        before = takewhile(lambda node: not (isinstance(node, nodes.TemplateData) and _CUT in node.data), _nodes(tree))
        prompt_names = tuple(dict.fromkeys(node.name for node in before if isinstance(node, nodes.Name)))
        return environment.from_string(tree), frozenset(names), prompt_names
    except jinja2.TemplateSyntaxError as error:
        raise TaskFileError(f"{where}, line {error.lineno}: {error.message}") from error
    except SecurityError as error:  # in what is worked out once, when the template is compiled
        raise TaskFileError(f"{where}: more than a template may do: {error}") from error
    except RecursionError as error:
        raise TaskFileError(f"{where}: the template is too deeply nested") from error


def _nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    """All nodes in the order of the source."""
    yield tree
    for child in tree.iter_child_nodes():
        yield from _nodes(child)


@cache
def _environment(fidelity: Fidelity) -> BoundedEnvironment:
    environment = BoundedEnvironment(undefined=jinja2.StrictUndefined)
    environment.globals["zip"] = zip
    if fidelity == "original":
        environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _refuse}
    else:
        environment.set_filter("tojson", _tojson)
    return environment


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent, default=_refuse)


def _refuse(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined):
        str(value)  # StrictUndefined raises and names the variable
    raise TypeError(f"{type(value).__name__} is not JSON data")


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)

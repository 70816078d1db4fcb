"""The judge's prompts, ``templates/judge/``: one for each judged task, and ``again`` for replies without a rating.

Templates run sandboxed and within bounds (:mod:`sciriff.sandbox`), and what stands in papers and replies is never read
as a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from sciriff.errors import SciriffError
from sciriff.hashing import digest
from sciriff.models.requests import Message, Prompt
from sciriff.resources import resource_dir

if TYPE_CHECKING:
    from jinja2 import Template

AGAIN = "again"
_NOTHING = "(an empty response)"


def opening(task: str, shown: Mapping[str, str]) -> str:
    """What a judge is asked first.

    Args:
        task: task name.
        shown: variables of the task's template.
    """
    return _render(task, shown)


def first_prompt(text: str) -> Prompt:
    """The request for a rating: one message, as in the original."""
    return (Message("user", text),)


def second_prompt(text: str, reply: str, marker: str) -> Prompt:
    """The request for the rating that a reply lacked: the conversation so far, and a line of the rating alone.

    Args:
        text: the first message.
        reply: the judge's reply to it.
        marker: word in front of the rating.
    """
    return (
        Message("user", text),
        Message("assistant", _encodable(reply).strip() or _NOTHING),
        Message("user", _render(AGAIN, {"marker": marker})),
    )


def prompts_digest(task: str) -> str:
    """Digest of the templates that a task is judged with."""
    return digest([_source(name) for name in (task, AGAIN)])


def _render(name: str, variables: Mapping[str, str]) -> str:
    from jinja2 import TemplateError

    try:
        return _template(name).render({key: _encodable(value) for key, value in variables.items()}).strip()
    except TemplateError as error:
        raise SciriffError(f"the judge's prompt templates/judge/{name}.jinja: {error}") from error


def _encodable(text: str) -> str:
    """Replace lone surrogates, which models do send and no request can hold."""
    return text.encode("utf-8", "replace").decode()


def _source(name: str) -> str:
    path = resource_dir("templates") / "judge" / f"{name}.jinja"
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SciriffError(f"the judge's prompt {path} cannot be read: {error}") from error


@cache
def _template(name: str) -> Template:
    from jinja2 import StrictUndefined, TemplateError

    from sciriff.sandbox.environment import BoundedEnvironment

    environment = BoundedEnvironment(undefined=StrictUndefined, trim_blocks=True)
    try:
        return environment.from_string(_source(name))
    except TemplateError as error:
        raise SciriffError(f"the judge's prompt templates/judge/{name}.jinja: {error}") from error

"""Chat formats: how the text of an instance becomes the text that a model's tokenizer gets.

``templates/chat/NAME.jinja`` holds one format each, with one variable, ``input``; the line feed at the end of a file is
not part of it. ``auto`` is the chat template that comes with a tokenizer, rendered as transformers does. Templates are
data: they run sandboxed, and what stands in an instance is never read as a template.

What comes out is the whole prompt. Backends tokenise it as it stands and add no special tokens: a format that wants a
token for the beginning of text writes it.

A tokenizer's template comes with a checkpoint and is trusted as little as any other: what it may reach, make and take
is bounded (:mod:`sciriff.sandbox`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff.errors import UsageError
from sciriff.hashing import digest
from sciriff.models.registry import AUTO
from sciriff.resources import resource_dir

if TYPE_CHECKING:
    from jinja2 import Template

    from sciriff.models.checkpoint import Checkpoint

GENERAL = "general"
"""The format that adds nothing."""

BEGINNINGS_OF_TEXT = ("<s>", "<|begin_of_text|>", "<bos>")
"""How common tokenizers write their token for the beginning of text."""

_PLACE = "\x02the text of an instance\x03"
_MARKERS = (
    ("<|user|>", "<|assistant|>"),
    ("[INST]", "[/INST]"),
    ("<|start_header_id|>", "<|end_header_id|>"),
    ("<|im_start|>", "<|im_start|>assistant"),
    ("<start_of_turn>", "<start_of_turn>model"),
)
"""How a text begins and ends that is in a chat format already."""


@dataclass(frozen=True)
class ChatFormat:
    """A way to wrap the text of an instance.

    Attributes:
        name: what it is called: ``auto``, a name of ``templates/chat/``, or a path.
        digest: of its source, for keys.
        wrap: the text of an instance -> the whole prompt, which has that text once, as it is.
    """

    name: str
    digest: str
    wrap: Callable[[str], str]

    def __post_init__(self) -> None:
        times = self.wrap(_PLACE).count(_PLACE)
        if times != 1:
            raise UsageError(
                f"chat format {self.name}: the text of an instance must stand in the prompt once, as it is; "
                f"it stands there {times} times"
            )


def chat_formats() -> list[str]:
    """Names of the bundled formats, sorted."""
    return sorted(path.stem for path in (resource_dir("templates") / "chat").glob("*.jinja"))


def chat_format(name: str, checkpoint: Checkpoint | None = None) -> ChatFormat:
    """The format of that name.

    Args:
        name: ``auto``, a name of ``templates/chat/``, or the path of a ``.jinja`` file.
        checkpoint: for ``auto``: whose template to take.

    Raises:
        UsageError: if there is no such format, its template is wrong, or the checkpoint has no template.
    """
    if name == AUTO:
        return _own_format(checkpoint)
    if name.endswith(".jinja"):
        return _file_format(name, Path(name).expanduser())
    known = chat_formats()
    if name not in known:
        near = get_close_matches(name, [AUTO, *known], n=3, cutoff=0.4) or [AUTO, *known]
        raise UsageError(
            f"no chat format {name!r}; did you mean {', '.join(near)}? (formats: {AUTO}, {', '.join(known)}, or a file "
            "NAME.jinja of your own)"
        )
    return _file_format(name, resource_dir("templates") / "chat" / f"{name}.jinja")


@cache
def _file_format(name: str, path: Path) -> ChatFormat:
    from jinja2 import StrictUndefined, TemplateError

    from sciriff.sandbox.environment import BoundedEnvironment

    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"chat format {path} cannot be read: {error}") from error
    environment = BoundedEnvironment(undefined=StrictUndefined)
    try:
        template = environment.from_string(source)
    except TemplateError as error:
        raise UsageError(f"chat format {path}: {error}") from error
    return ChatFormat(name, digest(source), lambda text: _rendered(template, name, input=text))


def _own_format(checkpoint: Checkpoint | None) -> ChatFormat:
    if checkpoint is None or checkpoint.chat_template is None:
        whose = f"the tokenizer of {checkpoint.name}" if checkpoint is not None else "this model"
        raise UsageError(
            f"{whose} brings no chat template that can be read here; name a chat format ({', '.join(chat_formats())}) "
            "with --chat-format or in the model's entry"
        )
    template = _compiled(checkpoint.chat_template, checkpoint.name)
    tokens = dict(checkpoint.special_tokens)

    def wrap(text: str) -> str:
        messages = [{"role": "user", "content": text}]
        return _rendered(
            template, f"auto of {checkpoint.name}", messages=messages, add_generation_prompt=True, **tokens
        )

    return ChatFormat(AUTO, digest([checkpoint.chat_template, tokens]), wrap)


def _compiled(source: str, whose: str) -> Template:
    """Compile a tokenizer's template for the environment that such templates are written for.

    It has no clock: a template that writes today's date where it can falls back to its fixed date.
    """
    from jinja2 import TemplateError

    from sciriff.sandbox.environment import BoundedEnvironment

    environment = BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _generation_blocks()]
    )
    environment.set_filter("tojson", _tojson)
    environment.globals["raise_exception"] = _raise
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise UsageError(f"the chat template of {whose} cannot be read: {error}; name a chat format instead") from error


def _rendered(template: Template, name: str, **variables: Any) -> str:
    from jinja2 import TemplateError

    try:
        return template.render(**variables)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError) as error:
        raise UsageError(f"chat format {name} cannot be rendered: {error}; name another with --chat-format") from error


@cache
def _generation_blocks() -> type[Any]:
    """Extension for ``{% generation %}``, by which templates mark replies for training; here it marks nothing."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Generation


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


def beginning_of_text(prompt: str) -> str:
    """The token for the beginning of text that a prompt begins with; empty if it begins with none."""
    return next((token for token in BEGINNINGS_OF_TEXT if prompt.startswith(token)), "")


def without_beginning_of_text(prompt: str) -> str:
    """The prompt for a server whose tokenizer adds the token itself and cannot be told not to."""
    return prompt[len(beginning_of_text(prompt)) :]


def require_one_beginning(prompt: str, label: str) -> None:
    """Refuse a prompt with two tokens for the beginning of text at its beginning.

    Raises:
        UsageError: if it has two.
    """
    if (first := beginning_of_text(prompt)) and beginning_of_text(prompt[len(first) :]):
        raise UsageError(f"{label}: the prompt begins with {first} twice; take one out of the chat format or the data")


def require_unwrapped(text: str, label: str) -> None:
    """Refuse an instance that is in a chat format already. One that merely contains markers is data.

    Raises:
        UsageError: if its beginning and its end are those of a chat format.
    """
    bare = without_beginning_of_text(text.strip())
    for opening, closing in _MARKERS:
        if bare.startswith(opening) and bare.endswith(closing):
            raise UsageError(
                f"{label}: the text is in a chat format already (from {opening} to {closing}); take --chat-format "
                f"{GENERAL} for such data, or give it without the markers"
            )


def describe(form: ChatFormat) -> Mapping[str, str]:
    """As plain data, for manifests."""
    return {"name": form.name, "digest": form.digest}

"""What the flows have in common: run names, settings from parameters, links, retries of what can pass."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import State

from flows.logs import keep_secrets_out
from sciriff.errors import can_pass
from sciriff.redaction import redacted

if TYPE_CHECKING:
    from prefect.client.schemas.objects import TaskRun
    from prefect.tasks import Task

    from sciriff.settings import Settings
    from sciriff.store import Store

_LONGEST_NAME = 120
_LONGEST_CELL = 160
_MARKS = re.compile(r"[\[\]|]|!(?=\[)")

keep_secrets_out()  # every flow imports this module, in whatever process Prefect runs it


def run_name() -> str:
    """Name a flow run after its flow and what was chosen, e.g. ``build-sciriff tasks=scierc_ner``."""
    from prefect.context import FlowRunContext
    from prefect.runtime import flow_run

    context = FlowRunContext.get()
    signature = inspect.signature(context.flow.fn) if context is not None and context.flow is not None else None
    defaults = {name: each.default for name, each in signature.parameters.items()} if signature is not None else {}
    return name_of(flow_run.flow_name or "run", flow_run.parameters, defaults)


def name_of(flow: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The run name for these parameters; those left at their default are not in it, and a long name is cut."""
    plain = {name: _plain(value) for name, value in parameters.items()}
    chosen = [f"{name}={value}" for name, value in plain.items() if value != _plain(defaults.get(name))]
    name = redacted(" ".join([flow, *chosen]))
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "all" if value is None else str(value)


def settings_with(**parameters: Any) -> Settings:
    """The settings of the worker's environment, with the flow parameters that were given on top.

    Raises:
        UsageError: if a parameter or a ``SCIRIFF_*`` variable of the worker has an impossible value.
    """
    from pydantic import ValidationError

    from sciriff.errors import UsageError
    from sciriff.settings import Settings

    try:
        return Settings(**{name: value for name, value in parameters.items() if value is not None})
    except ValidationError as error:
        wrong = [f"{problem['loc'][0]}: {problem['msg']}, found {problem['input']!r}" for problem in error.errors()]
        raise UsageError(f"settings of the worker or parameters of the run: {'; '.join(wrong)}") from error


def link_to(store: Store, relative: str) -> str:
    """URL of an artifact, also for a local store."""
    path = store.path(relative)
    return Path(path).resolve().as_uri() if store.is_local else path


def retry_if_it_can_pass(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's
    """``retry_condition_fn`` of tasks that use the network or the store.

    What a task run came to is the data of ``state``: an error that it raised, or a state that it returned, whose own
    data is an error, or an outcome that says whether its error may pass.
    """
    data = state.data
    while isinstance(data, State):
        data = data.data
    if isinstance(data, Mapping):
        return bool(data.get("may_pass"))
    return isinstance(data, BaseException) and can_pass(data)


def escaped_lines(text: str) -> str:
    """Markdown of our own making, with each line as :func:`escaped` leaves it, at its indentation."""
    lines = text.splitlines()
    return "\n".join(f"{line[: len(line) - len(line.lstrip())]}{escaped(line)}" for line in lines)


def cell(text: str) -> str:
    """Text for a cell of a table artifact, which the UI takes for Markdown: its first line, cut where it gets long."""
    line = (text.strip() or " ").splitlines()[0].strip()
    return escaped(line if len(line) <= _LONGEST_CELL else f"{line[:_LONGEST_CELL]}...")


def escaped(text: str) -> str:
    """Text for one line of a Markdown artifact: HTML, tables, links and images are shown, not obeyed."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKS.sub(r"\\\g<0>", line)

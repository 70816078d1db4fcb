"""Option types and options that several verbs share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sciriff.errors import UsageError

if TYPE_CHECKING:
    from sciriff.models.plan import AskOptions
    from sciriff.models.prompts import PromptOptions
    from sciriff.models.quote import Quote
    from sciriff.results.judge_options import JudgeOptions
    from sciriff.results.judging import Confirm
    from sciriff.settings import Settings

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class CommaList(click.ParamType[tuple[Any, ...]]):
    """A list typed as ``a,b,c``; empty parts are skipped, repeats are dropped."""

    def __init__(self, item: Callable[[str], Any], name: str) -> None:
        self._item = item
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Cut at commas and convert each part."""
        if not isinstance(value, str):
            return tuple(value)
        try:
            parts = dict.fromkeys(self._item(part.strip()) for part in value.split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 4096,8192.", param, ctx)
        if not parts:
            self.fail("the list is empty.", param, ctx)
        return tuple(parts)


class CountOrAll(click.ParamType[int]):
    """A whole number from 0, or ``all``, which becomes -1 (click takes None for "not given")."""

    name = "N|all"
    all = -1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number."""
        if value in ("all", self.all):
            return self.all
        try:
            count = int(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is neither a whole number nor 'all'.", param, ctx)
        if count < 0:
            self.fail(f"{value} is below 0.", param, ctx)
        return count


class PathOrUrl(click.Path):
    """A path that exists, or a URL, of which that is found out later."""

    name = "path or URL"

    def __init__(self) -> None:
        super().__init__(exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Let URLs be, and check paths."""
        return str(value) if "://" in str(value) else str(super().convert(value, param, ctx))


def count_or_none(value: int) -> int | None:
    """Return a :class:`CountOrAll` value as the library takes it: None for all."""
    return None if value == CountOrAll.all else value


NAMES = CommaList(str, "a,b,...")
NUMBERS = CommaList(int, "N,N,...")

tasks_option = click.option("--tasks", type=NAMES, help="Only these tasks (default: all).")
windows_option = click.option(
    "--windows", type=NUMBERS, default="4096,8192,16384", show_default=True, help="Context windows in tokens."
)
window_option = click.option("--window", type=int, default=4096, show_default=True, help="Context window in tokens.")
split_option = click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True, help="Which split."
)
store_option = click.option("--store", metavar="URL", help="Where artifacts lie: a path or any fsspec URL.")
templates_option = click.option(
    "--templates-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of task files to use in place of the bundled ones.",
)


def runner_options(verb: _Decorated) -> _Decorated:
    """Options that say which machines work; :func:`settings_with` takes their values."""
    for option in (
        click.option(
            "--cluster", metavar="ADDRESS", help="The cluster: tcp://HOST:8786 of Dask, HOST:6379 or ray://HOST:10001."
        ),
        click.option(
            "--runner",
            type=click.Choice(["local", "dask", "ray"]),
            help="Spread the work over an existing Dask or Ray cluster (docs/scale.md).  [default: local]",
        ),
    ):
        verb = option(verb)
    return verb


def source_options(verb: _Decorated) -> _Decorated:
    """Options that say where source files come from."""
    for option in (
        click.option("--update-lock", is_flag=True, help="Accept source files that changed since sources.lock."),
        click.option("--offline", is_flag=True, default=None, help="Forbid the network."),
        click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, looked up before the network."),
    ):
        verb = option(verb)
    return verb


def settings_with(**overrides: Any) -> Settings:
    """Return the settings of the environment with the given options on top; None means not given.

    Raises:
        UsageError: if a variable or option has an impossible value.
    """
    from pydantic import ValidationError

    from sciriff.settings import Settings

    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problems = [
            f"{_spelling(str(problem['loc'][0]), given)}: {problem['msg']}, found {problem['input']!r}"
            for problem in error.errors()
        ]
        raise UsageError("; ".join(problems)) from error
    if "cluster" in given and settings.runner == "local":
        raise UsageError(f"--cluster {settings.cluster}: say which kind it is as well, --runner dask or --runner ray")
    return settings


def _spelling(field: str, given: dict[str, Any]) -> str:
    return f"option --{field.replace('_', '-')}" if field in given else f"setting SCIRIFF_{field.upper()}"


def data_options(verb: _Decorated) -> _Decorated:
    """Options that say which instances a model is asked."""
    for option in (
        split_option,
        window_option,
        click.option(
            "--data",
            metavar="built|published|PATH|URL",
            default="built",
            show_default=True,
            help="Instances built here, those published as allenai/SciRIFF, or a file or folder of your own.",
        ),
    ):
        verb = option(verb)
    return verb


def prompt_options(verb: _Decorated) -> _Decorated:
    """Options that say how an instance is put to a model; :func:`prompt_choices` takes their values."""
    for option in (
        click.option(
            "--add-bos",
            is_flag=True,
            help="Put the tokenizer's token for the beginning of text in front if it is missing.",
        ),
        click.option(
            "--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="Most tokens of a reply."
        ),
        click.option(
            "--too-long",
            type=click.Choice(["truncate-left", "truncate-middle", "refuse"]),
            default="truncate-left",
            show_default=True,
            help="What happens to prompts that do not fit the model's context.",
        ),
        click.option(
            "--shots-from",
            type=click.Choice(["evaluated", "train"]),
            default="evaluated",
            show_default=True,
            help="Where examples come from: the evaluated split, as the original, or the training split.",
        ),
        click.option(
            "--shots",
            type=click.IntRange(min=0),
            metavar="N",
            help="Examples in front of each question.  [default: 1 in evidence_inference, else 0]",
        ),
        click.option(
            "--chat-format",
            metavar="NAME",
            help="auto, general, tulu, tulu_nl, llama2, llama3, qwen, or a .jinja file.  [default: as its entry says]",
        ),
    ):
        verb = option(verb)
    return verb


def prompt_choices(values: dict[str, Any]) -> PromptOptions:
    """Take the values of :func:`prompt_options` out of a verb's keyword arguments.

    Raises:
        UsageError: if a value is impossible.
    """
    from dataclasses import fields

    from sciriff.models.prompts import PromptOptions

    return PromptOptions(**{each.name: values.pop(each.name) for each in fields(PromptOptions)})


max_cost_option = click.option(
    "--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="DOLLARS", help="Spend no more than this."
)
no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Of batches: submit them, and collect with the same command later."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask whether to go on at the price of the quote.")


def confirmation(*, yes: bool) -> Confirm | None:
    """Return what asks at a terminal whether to go on at the price of the quote; None where nobody is asked."""
    return None if yes or not sys.stdin.isatty() else _confirmed


def _confirmed(quotes: Sequence[Quote]) -> bool:
    """Ask whether to go on, if that costs money as far as is known."""
    from sciriff.models.quote import spell_cost

    cost = sum(each.cost or 0.0 for each in quotes)
    return cost == 0 or click.confirm(f"Ask for about {spell_cost(cost)}?", err=True)


def ask_options(verb: _Decorated) -> _Decorated:
    """Options that say how a model is asked; :func:`ask_choices` takes their values."""
    for option in (
        click.option(
            "--gpus", type=click.IntRange(min=1), help="GPUs to spread weights over (default: as its entry says)."
        ),
        click.option("--json-schema", is_flag=True, help="Constrain replies to the JSON Schema of the task's answers."),
        click.option(
            "--retry-errors", is_flag=True, help="Ask again for what was refused before, such as prompts too long."
        ),
        click.option(
            "--request-timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            metavar="SECONDS",
            help="From sending a request to an API to the last byte of its reply.",
        ),
        click.option(
            "--max-concurrency",
            type=click.IntRange(min=1),
            default=128,
            show_default=True,
            help="Most requests to an API at once; how many it takes well is found out.",
        ),
        click.option(
            "--base-url", metavar="URL", help="Server that speaks the OpenAI protocol, in place of the model's own."
        ),
        max_cost_option,
        no_wait_option,
        click.option("--batch", is_flag=True, help="Ask APIs by the Batch API: half the price, within a day."),
    ):
        verb = option(verb)
    return verb


def judge_options(verb: _Decorated) -> _Decorated:
    """Options that say who judges summaries and answers; :func:`judge_choices` takes their values."""
    for option in (
        click.option(
            "--judge-samples",
            type=CountOrAll(),
            metavar="N|all",
            help="Most samples per task that are judged.  [default: 100 of MuP, all of Qasper]",
        ),
        click.option(
            "--judge-base-url", metavar="URL", help="The judge's server, if it is not that of its entry or OpenAI's."
        ),
        click.option(
            "--judge-model",
            metavar="NAME",
            default="gpt-4o-2024-08-06",
            show_default=True,
            help="Who judges: an API model of deployments/models.yaml, openai:NAME, vllm:NAME.",
        ),
        click.option(
            "--judge",
            type=click.Choice(["live", "batch", "off"]),
            default="live",
            show_default=True,
            help="How the judge of MuP and Qasper is asked. Without a key it is not asked, and nothing else waits.",
        ),
    ):
        verb = option(verb)
    return verb


def judge_choices(values: dict[str, Any]) -> JudgeOptions:
    """Take the values of :func:`judge_options` out of a verb's keyword arguments.

    Raises:
        UsageError: if a value is impossible.
    """
    from sciriff.results.judge_options import JudgeOptions

    samples = values.pop("judge_samples")
    return JudgeOptions(
        mode=values.pop("judge"),
        model=values.pop("judge_model"),
        base_url=values.pop("judge_base_url"),
        samples="all" if samples == CountOrAll.all else samples,
    )


def ask_choices(values: dict[str, Any]) -> AskOptions:
    """Take the values of :func:`ask_options` (but ``json_schema``) and :func:`prompt_options` out of arguments.

    Raises:
        UsageError: if a value is impossible.
    """
    from sciriff.models.openai_server import Patience
    from sciriff.models.plan import AskOptions

    return AskOptions(
        prompts=prompt_choices(values),
        batch=values["batch"],
        stay=not values["no_wait"],
        base_url=values["base_url"],
        most_at_once=values["max_concurrency"],
        gpus=values["gpus"],
        retry_errors=values["retry_errors"],
        max_cost=values["max_cost"],
        patience=Patience(reply_seconds=values["request_timeout"]),
    )

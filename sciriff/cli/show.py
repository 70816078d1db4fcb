"""``sciriff show``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import settings_with, store_option, templates_option, window_option

if TYPE_CHECKING:
    from sciriff.building.plan import TaskPlan
    from sciriff.settings import Settings
    from sciriff.store import Store
    from sciriff.tasks.rendering import Fidelity

_PREVIEW_ROWS = 60


@click.command()
@click.argument("task")
@click.option("--n", "count", type=click.IntRange(min=1), default=2, show_default=True, help="How many instances.")
@window_option
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Which split.",
)
@click.option(
    "--fidelity",
    type=click.Choice(["corrected", "original"]),
    help="Show them as built with this setting (see build).  [default: as they lie in the store]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@store_option
@templates_option
@click.option("--offline", is_flag=True, default=None, help="Forbid the network.")
@click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, looked up before the network.")
def show_command(
    task: str,
    count: int,
    window: int,
    split: str,
    fidelity: Fidelity | None,
    as_json: bool,
    store: str | None,
    templates_dir: Path | None,
    offline: bool | None,
    mirror: str | None,
) -> int:
    """Print rendered instances of TASK as a model would see them.

    They come from the store if it holds the task as its task file now words it, and with the fidelity asked for; else
    a few records are rendered afresh and nothing is stored.
    """
    settings = settings_with(store=store, templates_dir=templates_dir, offline=offline, mirror=mirror)
    instances = list(islice(_instances(task, window, split, fidelity, settings), count))
    if not instances:
        click.echo(f"{task} has no {split} instances at window {window}", err=True)
        return 1
    for instance in instances:
        if as_json:
            import orjson

            click.echo(orjson.dumps(instance))
        else:
            click.echo(instance_text(instance))
    return 0


def instance_text(instance: dict[str, Any]) -> str:
    """Return one instance under headings, as plain text."""
    tokens = f"{instance['_input_toks']:,} + {instance['_output_toks']:,} tokens"
    return "\n".join(
        [
            f"=== {instance['_instance_id']} (template {instance['_template_id']}, {tokens})",
            "--- input",
            instance["input"],
            "--- output",
            instance["output"],
            "",
        ]
    )


def _instances(
    task: str, window: int, split: str, fidelity: Fidelity | None, settings: Settings
) -> Iterator[dict[str, Any]]:
    from sciriff.building.plan import plan_tasks
    from sciriff.building.status import is_current
    from sciriff.errors import SciriffError
    from sciriff.store import Store

    plan = plan_tasks([task], settings.templates_dir)[task]
    if isinstance(plan, SciriffError):
        raise plan
    store = Store.of(settings)
    manifest = store.read_manifest(f"instructions/{window}/{task}")
    if manifest is None:
        state = "not built"
    elif not is_current(plan, manifest):
        state = "built from an older task file or older code"
    elif fidelity not in (None, built_with := manifest["parameters"]["fidelity"]):
        state = f"built with fidelity {built_with}"
    else:
        return _read(store, task, window, split)
    click.echo(f"{task} is {state} at window {window} in {store.path('')}; rendering a few records now", err=True)
    settings = _seeing_files_by_hand(plan, settings)
    return _read(_preview(task, window, fidelity or "corrected", settings), task, window, split)


def _seeing_files_by_hand(plan: TaskPlan, settings: Settings) -> Settings:
    """Settings under which a build into memory finds the files that the user fetched by hand into the store.

    Raises:
        ByHandError: if they are not there.
    """
    from sciriff.building.by_hand import acquire_source
    from sciriff.building.progress import Silent
    from sciriff.sources.catalogue import source
    from sciriff.sources.fetch import AcquiredSource
    from sciriff.sources.manual import ByHandError

    if source(plan.binding.source).kind != "manual":
        return settings
    acquired = acquire_source(plan.binding.source, plan.files(), settings, Silent())
    if isinstance(acquired, ByHandError):
        raise acquired
    files = acquired.files.values() if isinstance(acquired, AcquiredSource) else ()
    folders = dict.fromkeys(str(file.path.parent) for file in files if file.origin == "primary")
    return settings.model_copy(update={"manual": ",".join(folders)}) if folders else settings


def _preview(task: str, window: int, fidelity: Fidelity, settings: Settings) -> Store:
    """Build a small sample of the task in memory."""
    from sciriff import api
    from sciriff.errors import SciriffError
    from sciriff.store import Store

    url = "memory://preview"
    report = api.build(
        [task],
        windows=[window],
        n_instances=_PREVIEW_ROWS,
        fidelity=fidelity,
        workers=1,
        store=url,
        force=True,
        combining=False,
        settings=settings,
    )
    for outcome in report.outcomes:
        if not outcome.done:
            raise SciriffError(outcome.message)
    return Store(url)


def _read(store: Store, task: str, window: int, split: str) -> Iterator[dict[str, Any]]:
    import orjson

    with store.open_read(f"instructions/{window}/{task}/{split}.jsonl") as stream:
        for line in stream:
            yield orjson.loads(line)

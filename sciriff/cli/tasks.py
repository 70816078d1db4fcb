"""``sciriff tasks``."""

from __future__ import annotations

from pathlib import Path

import click

from sciriff.cli.parameters import settings_with, store_option, templates_option


@click.command()
@store_option
@templates_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tasks_command(store: str | None, templates_dir: Path | None, as_json: bool) -> int:
    """List the tasks: family, source, licence, and how each stands in the store.

    built: its artifacts are there and come from the present task file and code. stale: they come from older ones; the
    next build makes them anew. blocked: its source must be got by hand. wrong: its task file, binding or suite has an
    error.
    """
    from typing import get_args

    from sciriff.building.status import State, task_statuses
    from sciriff.store import Store

    settings = settings_with(store=store, templates_dir=templates_dir)
    opened = Store.of(settings)
    statuses = task_statuses(opened, settings)
    if as_json:
        import orjson

        click.echo(orjson.dumps(statuses, option=orjson.OPT_INDENT_2))
        return 0
    from sciriff.cli.tables import counted, shared_remarks, table, told_once

    rows = [
        (status.task, status.family, status.source, status.licence, status.state, " ".join(map(str, status.windows)))
        for status in statuses
    ]
    click.echo(table(("task", "family", "source", "licence", "state", "windows"), rows))
    told = ((state, [s for s in statuses if s.state == state and s.remark]) for state in get_args(State))
    for state, group in told:
        tell = told_once if state == "blocked" else shared_remarks
        for line in tell(state, ((status.task, status.remark) for status in group)):
            click.echo(line)
    click.echo(f"{counted(len(statuses), 'task')}; store {opened.path('')}")
    return 0

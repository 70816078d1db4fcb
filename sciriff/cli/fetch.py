"""``sciriff fetch``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import settings_with, source_options, tasks_option, templates_option

if TYPE_CHECKING:
    from sciriff.errors import SciriffError
    from sciriff.sources.fetch import AcquiredSource


@click.command()
@tasks_option
@templates_option
@source_options
def fetch_command(
    tasks: tuple[str, ...] | None,
    templates_dir: Path | None,
    update_lock: bool,
    offline: bool | None,
    mirror: str | None,
) -> int:
    """Get the source files of tasks without building, and check them against sources.lock."""
    from sciriff import api
    from sciriff.cli.progress import terminal_progress

    settings = settings_with(templates_dir=templates_dir, offline=offline, mirror=mirror)
    sources = api.fetch(tasks, update_lock=update_lock, settings=settings, progress=terminal_progress())
    click.echo(fetch_text(sources))
    return fetch_exit_code(sources)


def fetch_exit_code(sources: Mapping[str, AcquiredSource | SciriffError]) -> int:
    """1 if a source failed, 3 if one waits for the user, else 0."""
    from sciriff.errors import ExitCode, SciriffError

    codes = {source.exit_code for source in sources.values() if isinstance(source, SciriffError)}
    return int(ExitCode.FAILED if ExitCode.FAILED in codes else max(codes, default=ExitCode.DONE))


def fetch_text(sources: Mapping[str, AcquiredSource | SciriffError]) -> str:
    """Return a table of the files, and the errors under it."""
    from sciriff.cli.progress import megabytes
    from sciriff.cli.tables import table, told_once
    from sciriff.errors import ExitCode, SciriffError

    rows, problems = [], []
    for name, source in sources.items():
        if isinstance(source, SciriffError):
            kind = "BLOCKED" if source.exit_code is ExitCode.BLOCKED else "FAILED"
            problems += told_once(kind, [(name, str(source))])
            continue
        for file in source.files.values():
            rows.append((name, file.origin, megabytes(file.bytes), file.sha256[:12], file.url))
            if file.note:
                problems.append(f"note: {file.url}: {file.note}")
        problems += [f"missing: {name}: {reason}" for reason in source.missing.values()]
    return "\n".join([table(("source", "from", "size", "sha256", "url"), rows), *problems])

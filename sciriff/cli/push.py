"""``sciriff push``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import settings_with, store_option

if TYPE_CHECKING:
    from sciriff.dataset.push import PushOutcome


@click.command()
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make the repository private, if this makes it.")
@click.option("--revision", metavar="BRANCH", help="Branch to upload to (default: the main one).")
@click.option(
    "--include-restricted",
    is_flag=True,
    help="Upload tasks, too, whose licence does not allow copies to be passed on, as far as it is stated.",
)
@click.option("--include-samples", is_flag=True, help="Upload tasks, too, that were built from bundled samples.")
@store_option
def push_command(
    repository: str,
    private: bool,
    revision: str | None,
    include_restricted: bool,
    include_samples: bool,
    store: str | None,
) -> int:
    """Upload the combined dataset to the dataset repository OWNER/NAME of the Hugging Face Hub.

    Everything goes up in one commit: Parquet and JSON lines of every window, the dataset card, croissant.json. Tasks
    that may not be passed on stay behind and are named. The token is that of HF_TOKEN or of `hf auth login`;
    HF_ENDPOINT names another server.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress

    outcome = api.push(
        repository,
        private=private,
        revision=revision,
        include_restricted=include_restricted,
        include_samples=include_samples,
        settings=settings_with(store=store),
        progress=terminal_progress(),
    )
    click.echo(push_text(outcome))
    return 0


def push_text(outcome: PushOutcome) -> str:
    """Return what went up, what stayed behind and why."""
    from sciriff.cli.tables import counted, shared_remarks

    lines = shared_remarks("left out", outcome.left_out.items())
    if outcome.stand_ins:
        lines.append(f"note: not of whole primary sources: {', '.join(outcome.stand_ins)}")
    windows = ", ".join(map(str, outcome.windows))
    return "\n".join([*lines, f"uploaded {counted(len(outcome.tasks), 'task')} at windows {windows}: {outcome.url}"])

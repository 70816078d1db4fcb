"""Waiting, in a run, for files that the user must fetch by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed

from flows.runs import escaped_lines
from flows.states import end_state
from flows.work import done_or_told, pause
from sciriff.errors import ExitCode

if TYPE_CHECKING:
    from flows.progress import ArtifactProgress
    from sciriff.building.build import Build

SECONDS_BETWEEN_LOOKS = 10.0
_HOURS_FOR_LOOKS = 1.0


@task(task_run_name="wait for {sources}", cache_policy=NO_CACHE, persist_result=False)
def wait_for_files(sources: str, build: Build, minutes: float, progress: ArtifactProgress) -> Any:
    """Look for the files of sources now and again, until all are there and right or time is up.

    A look costs a few file-system calls; a run that is cancelled ends at once.

    Args:
        sources: ids of the sources, with commas.
        build: the build that lacks them.
        minutes: when to give up.
        progress: told how long is left.
    """
    work = partial(_look_and_wait, sources.split(", "), build, minutes, progress)
    return done_or_told(f"wait for {sources}", work, minutes / 60 + _HOURS_FOR_LOOKS, "run the same again")


def _look_and_wait(waiting: Sequence[str], build: Build, minutes: float, progress: ArtifactProgress) -> State[Any]:
    logger = get_run_logger()
    deadline = time.monotonic() + 60 * minutes
    told = ""
    while lacking := [error for error in map(build.lack_of, waiting) if error is not None]:
        left = deadline - time.monotonic()
        message = "\n\n".join(map(str, lacking))
        if message != told:  # at first, and when a wrong file is found
            told = message
            logger.info("waiting for files, %s:\n%s", _span(left), message)
            _show(f"# Waiting for you\n\n{escaped_lines(message)}\n\nThe run goes on by itself once they are there.")
        if left <= 0:
            return end_state(ExitCode.BLOCKED, f"not there after {minutes:g} minutes; {message}")
        progress.note(f"waiting for the files of {', '.join(waiting)}, {_span(left)}")
        pause(min(SECONDS_BETWEEN_LOOKS, left))
        for source in waiting:
            if build.lack_of(source) is not None:
                build.acquire(source)
    _show("# Nothing to wait for\n\nThe files are there; what waited for them is being built.")
    return Completed(message="the files are there")


def _show(page: str) -> None:
    create_markdown_artifact(page, key="build-waiting", description="Files that the user must fetch by hand")


def _span(seconds: float) -> str:
    return f"{max(0, math.ceil(seconds / 60))} minutes left"

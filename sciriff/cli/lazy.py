"""A click group that imports a verb's module when the verb is called, and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from sciriff.cli.screen import screened
from sciriff.errors import SciriffError, disk_full

INTERRUPTED = 130
"""Exit status of a process stopped by Ctrl-C, as shells give it (128 + SIGINT)."""
TERMINATED = 143
"""The same for SIGTERM."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM came. It ends the work as Ctrl-C does, so that what is held is let go of."""


class LazyGroup(click.Group):
    """A group whose verb ``x`` is the click command ``x_command`` of the module ``<package>.x``."""

    def __init__(self, name: str, *, package: str, verbs: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self._package = package
        self._verbs = dict(verbs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a new user meets them."""
        del ctx
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module."""
        del ctx
        if cmd_name not in self._verbs:
            return None
        command = getattr(import_module(f"{self._package}.{cmd_name}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verbs when there is none of that name."""
        if args and args[0] not in self._verbs and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self._verbs)
            hint = f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(self._verbs)}."
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of verbs without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self._verbs.items()))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and exit: the errors a user can meet become one message on standard error."""
        with screened():
            self._run(*args, **kwargs)
        raise AssertionError("a command ends by an exit")

    def _run(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            with _heeding_sigterm():
                status = super().main(*args, **(kwargs | {"standalone_mode": False}))
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort as error:
            click.echo("stopped; what is finished is kept: the same command goes on from there", err=True)
            sys.exit(TERMINATED if isinstance(error.__cause__, _Terminated) else INTERRUPTED)
        except SciriffError as error:
            _fail(error)
        except OSError as error:
            if told := disk_full(error, error.filename or "a file"):
                _fail(told)
            raise
        sys.exit(int(status or 0))


def _fail(error: SciriffError) -> NoReturn:
    if os.environ.get("SCIRIFF_DEBUG"):
        traceback.print_exc()
    click.echo(f"error: {error}", err=True)
    sys.exit(int(error.exit_code))


@contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """Let SIGTERM end the work from inside; a second one ends the process where it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

from __future__ import annotations

import io

from sciriff.building.progress import Transfers
from sciriff.cli.bars import BarProgress
from sciriff.cli.progress import LineProgress, terminal_progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_every_ten_seconds_and_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    with LineProgress(stream, clock).stage("render", 4) as stage:
        for clock.now in (1.0, 11.0, 12.0):
            stage.advance(note="cdr_ner")
        clock.now = 13.0
    assert stream.getvalue() == "render: 2 of 4, cdr_ner\nrender: 3 of 4 in 13 s\n"


def test_quick_stage_is_silent_but_logs_are_not() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, Clock())
    with progress.stage("render") as stage:
        stage.advance()
    progress.log("tokens are counted with x")
    assert stream.getvalue() == "tokens are counted with x\n"


def test_transfers_are_told_in_bytes() -> None:
    stream, clock = io.StringIO(), Clock()
    transfers = Transfers(LineProgress(stream, clock))
    transfers.started("somewhere/a.zip", 30_000_000)
    transfers.advanced(12_000_000)
    clock.now = 11.0
    transfers.advanced(3_000_000)
    transfers.finished()
    assert stream.getvalue() == (
        "fetch somewhere/a.zip: 15.0 MB of 30.0 MB\nfetch somewhere/a.zip: 15.0 MB of 30.0 MB in 11 s\n"
    )


def test_bars_show_open_stages_and_leave_logged_lines() -> None:
    stream = io.StringIO()
    progress = BarProgress(stream)
    with progress.stage("tasks", 2) as outer, progress.stage("fetch host/folder/file[1].zip", 2_000_000) as inner:
        outer.advance(note="[brackets] stay")
        inner.advance(1_000_000)
        progress._bars.refresh()  # it redraws itself ten times a second
        progress.log("a line with [brackets] that is long " + "x" * 100)
    written = stream.getvalue()
    assert "a line with [brackets] that is long " + "x" * 100 in written
    assert "file[1].zip" in written
    assert "1.0 MB/2.0 MB" in written


def test_pipe_gets_lines_and_terminal_gets_bars() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(terminal_progress(io.StringIO()), LineProgress)
    assert isinstance(terminal_progress(Terminal()), BarProgress)

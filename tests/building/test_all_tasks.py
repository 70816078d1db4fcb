"""The bundled samples alone give all of SciRIFF: every task, and every split of it in every window."""

from __future__ import annotations

from pathlib import Path

from build_kit import WINDOWS, sample_settings

from sciriff import api
from sciriff.errors import ExitCode
from sciriff.tasks.binding import bound_tasks
from sciriff.tasks.evaluation_tasks import EVAL_TASKS


def test_samples_give_every_task_in_all_splits_and_windows(tmp_path: Path) -> None:
    report = api.build(windows=WINDOWS, settings=sample_settings(tmp_path / "store", tmp_path, workers=2))
    assert {outcome.task: outcome.message for outcome in report.outcomes if outcome.state != "built"} == {}
    assert report.exit_code is ExitCode.DONE
    assert len(report.outcomes) == len(bound_tasks()) == 54
    assert {outcome.task for outcome in report.outcomes} > set(EVAL_TASKS)
    empty = [
        (outcome.task, window, split)
        for outcome in report.outcomes
        for window in WINDOWS
        for split in ("train", "validation", "test")
        if not outcome.rows[window][split]
    ]
    assert empty == []
    assert report.combined is not None
    assert [len(window.tasks) for window in report.combined.windows] == [54, 54, 54]

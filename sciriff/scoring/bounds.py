"""What a metric would be if the replies that never came were all wrong, or all right.

System failures are in no denominator, so a metric says nothing of them; its bounds do. A reference that cannot be read
has no bounds: nobody can say what a right reply would have counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sciriff.scoring.outcome import Profile, Reply
from sciriff.scoring.samples import Reference, prepare, score
from sciriff.scoring.shapes import Flat
from sciriff.scoring.tasks import EvalTask
from sciriff.scoring.totals import Totals, merged, total


class Bounds(NamedTuple):
    """Summary metrics, as fractions; None where there is no value even then.

    Attributes:
        low: if none of the missing replies had been understood. (One that claims much, all of it wrong, costs more
            still where precision counts; how much more, nothing bounds.)
        high: if each of them had been the reference itself.
    """

    low: Flat
    high: Flat


def bounds(task: EvalTask, totals: Totals, unanswered: Iterable[str]) -> Bounds:
    """Bounds of the summary metrics of one run in one profile.

    Args:
        task: the task.
        totals: sums over the run, as of :func:`sciriff.scoring.totals.total`.
        unanswered: references of the samples that no reply came for.
    """
    references = [prepare(task, text) for text in unanswered]
    if not references:
        summary = task.shaper(totals).summary
        return Bounds(summary, summary)
    wrong = _totals(task, totals.profile, ((Reply(""), reference) for reference in references))
    right = _totals(task, totals.profile, ((Reply(reference.text), reference) for reference in references))
    return Bounds(*(task.shaper(merged(totals, others)).summary for others in (wrong, right)))


def _totals(task: EvalTask, profile: Profile, pairs: Iterable[tuple[Reply, Reference]]) -> Totals:
    return total((score(task, *pair)[profile] for pair in pairs), task.metrics, profile)

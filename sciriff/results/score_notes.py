"""What a user should know of scored predictions, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from sciriff.results.existing.identify import Identified, Naming

if TYPE_CHECKING:
    from sciriff.results.score import ScoreReport

_SHOWN = 3


class Note(NamedTuple):
    """One thing to know.

    Attributes:
        kind: ``note`` (of what was read), ``not checked``, ``ignored`` or ``missing``.
        about: model and task, file, task or model.
        text: the thing.
    """

    kind: str
    about: str
    text: str


def notes(report: ScoreReport) -> Iterator[Note]:
    """All there is to know of a scoring apart from its results and failures."""
    for file in report.read:
        for remark in remarks(file.found):
            yield Note("note", f"{file.model} {file.task}", remark)
    if report.unchecked:
        reason = next(iter(report.unchecked.values()))
        yield Note("not checked", ", ".join(report.unchecked), f"ids, documents and references ({reason})")
    for path, other in report.superseded.items():
        yield Note("ignored", path, f"{other} counts in its place")
    if report.unknown:
        yield Note("ignored", _listed(report.unknown, len(report.unknown)), "no evaluation task has that name")
    for model, tasks in report.missing.items():
        yield Note("missing", model, f"no predictions of {', '.join(tasks)}")


def remarks(found: Identified) -> Iterator[str]:
    """Say what of a file does not count and why, and how instances were found; nothing if there is nothing to say."""
    lines = sum(found.naming.values())
    if found.bad:
        told = "; ".join(f"line {bad.number}: {bad.reason}" for bad in found.bad[:_SHOWN])
        yield f"{_counted(len(found.bad), 'line is', 'lines are')} no prediction ({told}{_more(len(found.bad), '; ')})"
    if found.repeated:
        numbers = _listed(map(str, found.repeated), len(found.repeated))
        yield (
            f"{_counted(len(found.repeated), 'line answers', 'lines answer')} an instance again, and the first answer "
            f"counts (line {numbers})"
        )
    for name, number in found.other_filters.items():
        yield f"{_counted(number, 'line', 'lines')} of the harness filter {name!r} left out"
    yield from _about_ids(found, lines)
    if found.differing:
        yield (
            f"{_counted(len(found.differing), 'reference differs', 'references differ')} from the known instance; the "
            f"file's own counts ({_listed(found.differing, len(found.differing))})"
        )
    if found.answered and found.answered < found.known:
        yield f"{found.known - found.answered:,} of {found.known:,} known instances are not answered"


def _about_ids(found: Identified, lines: int) -> Iterator[str]:
    matched, numbered = found.naming.get(Naming.MATCHED, 0), found.naming.get(Naming.NUMBERED, 0)
    if matched:
        yield f"{_share(matched, lines)} found by the text of their prompt"
    if numbered:
        yield f"{_share(numbered, lines)} numbered by line, having no ids"
    unknown = lines - found.answered - numbered
    if found.known and unknown:
        yield f"{unknown:,} of {lines:,} instances are not among the {found.known:,} known ones"


def _share(number: int, total: int) -> str:
    return "instances" if number == total else f"{number:,} of {total:,} instances"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _listed(names: Iterable[str], number: int) -> str:
    """The first few of so many names, and how many more there are."""
    shown = [name for name, _ in zip(names, range(_SHOWN), strict=False)]
    return ", ".join(shown) + _more(number, ", ")


def _more(number: int, separator: str) -> str:
    return f"{separator}{number - _SHOWN:,} more" if number > _SHOWN else ""

"""Systematic reviews and their studies (MSLR 2022), see https://github.com/allenai/mslr-shared-task.

Two CSV files make a split: inputs (``ReviewID``, ``PMID``, ``Title``, ``Abstract``; a line for each study) and targets
(``ReviewID``, ``Target``, and ``Background`` in MS^2; a line for each review). One record is a review with its studies;
reviews stand in the order in which the inputs first name them.

Options:
    ``targets``: member path of the targets. Required.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers.csv_rows import cells, cut_records, parse_record
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_REVIEW = "ReviewID"
_STUDY = ("PMID", "Title", "Abstract")


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the reviews; ``raw`` is ``(number of targets, inputs header, targets header, *targets, *studies)``.

    The inputs are read twice, so that a review is held only until its last study has come, wherever that stands.

    Raises:
        SourceError: if a file cannot be cut into records, or lacks a column.
    """
    split.check_options("mslr", "targets")
    if "targets" not in split.options:
        raise TaskFileError(f"{split.path}: reader 'mslr' needs the option 'targets', the member path of the targets")
    targets: dict[bytes, list[bytes]] = {}
    targets_header = b""
    for header, review, _, line in _lines(view, str(split.options["targets"]), ("Target",)):
        targets_header = header
        targets.setdefault(review, []).append(line)
    if not targets:
        raise SourceError(f"{split.options['targets']} has no targets")
    expected = Counter(review for _, review, _, _ in _lines(view, split.path, _STUDY))
    waiting: dict[bytes, tuple[str, list[bytes]]] = {}
    index = 0
    for header, review, where, line in _lines(view, split.path, _STUDY):
        waiting.setdefault(review, (where, []))[1].append(line)
        while waiting:
            first = next(iter(waiting))
            begin, studies = waiting[first]
            if len(studies) < expected[first]:
                break
            del waiting[first]
            found = targets.get(first, [])
            yield Row(index, begin, (len(found), header, targets_header, *found, *studies))
            index += 1


def parse(row: Row, split: SplitSpec) -> dict[str, Any]:
    """Parse one review: ``review_id``, ``target``, ``background`` (MS^2), and lists ``pmid``, ``title``, ``abstract``.

    Raises:
        RecordError: if a line is malformed, or there is no target for the review, or more than one.
    """
    count, header, targets_header, *lines = row.raw
    studies = [parse_record(header, line, row.where) for line in lines[count:]]
    review = studies[0][_REVIEW]
    if count != 1:
        raise RecordError(
            row.where, f"review {review!r} has {count or 'no'} targets in {split.options['targets']}; expected one"
        )
    target = parse_record(targets_header, lines[0], f"{split.options['targets']}, review {review!r}")
    return {
        "review_id": review,
        **{column.lower(): [study[column] for study in studies] for column in _STUDY},
        **{column.lower(): target[column] for column in ("Target", "Background") if column in target},
    }


def _lines(view: ArchiveView, path: str, needed: tuple[str, ...]) -> Iterator[tuple[bytes, bytes, str, bytes]]:
    """Yield header, review id, place and content of each line. A line without readable id is a review of its own."""
    with view.open(path) as stream:
        header, records = cut_records(stream, path)
        columns = cells(header, path)
        if missing := [name for name in (_REVIEW, *needed) if name not in columns]:
            raise SourceError(f"{path}: no column {', '.join(missing)}; found {', '.join(columns)}")
        column = columns.index(_REVIEW)
        for where, record in records:
            yield header, _cell(record, column, where), where, record


def _cell(record: bytes, column: int, where: str) -> bytes:
    """One of the first fields, without parsing the long ones behind it where no quote makes that necessary."""
    fields = record.split(b",", column + 1)
    if len(fields) > column and not any(b'"' in field for field in fields[: column + 1]):
        return fields[column].strip()
    try:
        return cells(record, where)[column].strip().encode()
    except (RecordError, IndexError):
        return b"\0" + where.encode()

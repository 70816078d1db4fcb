"""PubMedQA's labelled questions (``ori_pqal.json``), split as its authors split them.

The authors publish no split files but the procedure that makes them (``preprocess/split_dataset.py`` of
https://github.com/pubmedqa/pubmedqa; Jin et al. 2019): with one random generator seeded 0, halve the questions label by
label into a cross-validation half and a test half, then cut the former into ten folds the same way. Fold ``f`` is the
development set of split ``f``; the other nine, in order, are its training set. The published test ids confirm it.

Options:
    ``part``: ``train``, ``dev`` or ``test``. Required.
    ``fold``: 0 (default) to 9; ``test`` is the same in all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.json_text import cut_container, load_json_object, require_field
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_LABELS = ("yes", "no", "maybe")
_FOLDS = 10
_PARTS = ("train", "dev", "test")


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the questions of one part in the procedure's order; ``raw`` is ``(pmid, bytes)``.

    A question whose label cannot be read belongs to no part: it comes at the end of the training rows, so that it is
    reported once.

    Raises:
        SourceError: if the file cannot be cut into questions.
    """
    split.check_options("pubmedqa", "part", "fold")
    part, fold = split.options.get("part"), split.options.get("fold", 0)
    if part not in _PARTS or fold not in range(_FOLDS):
        raise TaskFileError(
            f"{split.path}: reader 'pubmedqa' needs part train, dev or test and fold 0 to 9, found {part!r}, {fold!r}"
        )
    questions: dict[str, bytes] = {}
    labels: dict[str, str] = {}
    unlabelled: list[str] = []
    with view.open(split.path) as stream:
        for key, raw in cut_container(stream, split.path):
            pmid = str(key)
            questions[pmid] = raw
            label = _label(raw)
            if label is None:
                unlabelled.append(pmid)
            else:
                labels[pmid] = label
    pmids = parts(labels, fold)[part] + (unlabelled if part == "train" else [])
    for index, pmid in enumerate(pmids):
        yield Row(index, f"{split.path}:{pmid}", (pmid, questions[pmid]))


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one question: ``pmid``, ``QUESTION``, ``CONTEXTS``, ``LABELS``, ``final_decision`` and the other fields.

    Raises:
        RecordError: if a field is missing, there is not one label for each context, or the decision is none of three.
    """
    pmid, raw = row.raw
    record = load_json_object(raw, row.where)
    require_field(record, "QUESTION", str, row.where)
    contexts, labels = (require_field(record, name, list, row.where) for name in ("CONTEXTS", "LABELS"))
    if len(contexts) != len(labels):
        raise RecordError(row.where, f"{len(contexts)} CONTEXTS but {len(labels)} LABELS; expected one for each")
    if require_field(record, "final_decision", str, row.where) not in _LABELS:
        raise RecordError(
            row.where, f"final_decision is {record['final_decision']!r}; expected one of {', '.join(_LABELS)}"
        )
    return {"pmid": pmid, **record}


def parts(labels: Mapping[str, str], fold: int) -> dict[str, list[str]]:
    """Split pmids as the authors do.

    Args:
        labels: ``yes``, ``no`` or ``maybe`` of each pmid, in the order of the file.
        fold: number of the fold that is the development set.

    Returns:
        The pmids of ``train``, ``dev`` and ``test``, in the procedure's order.
    """
    random = Random(0)
    halves = _stratified(labels, 2, random)
    folds = _stratified({pmid: labels[pmid] for pmid in halves[0]}, _FOLDS, random)
    train = [pmid for number, pmids in enumerate(folds) if number != fold for pmid in pmids]
    return {"train": train, "dev": folds[fold], "test": halves[1]}


def _stratified(labels: Mapping[str, str], count: int, random: Random) -> list[list[str]]:
    """Cut into parts of equal share of every label: the last one short, then filled by one draw from each other."""
    result: list[list[str]] = [[] for _ in range(count)]
    for label in _LABELS:
        pmids = [pmid for pmid, found in labels.items() if found == label]
        random.shuffle(pmids)
        size = math.ceil(len(pmids) / count)
        for number, members in enumerate(result):
            members += pmids[number * size : (number + 1) * size]
    if len(result[-1]) != len(result[0]):
        for members in result[:-1]:
            # On the full data no part is this small; a miniature sample must not lose its development set.
            if len(members) > 1:
                result[-1].append(members.pop(random.randrange(len(members))))
    return result


def _label(raw: bytes) -> str | None:
    try:
        label = load_json_object(raw, "").get("final_decision")
    except RecordError:
        return None
    return label if isinstance(label, str) and label in _LABELS else None

"""Instances are named whose text or document stands in another split, or in what another task is evaluated on."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sciriff.building.overlaps import (
    Entry,
    Overlap,
    Place,
    TrainingOverlaps,
    count_overlaps,
    entry_of_line,
    find_overlaps,
    named,
    training_overlaps,
)


def entry(task: str, split: str, row: int, document: str, text: str) -> Entry:
    return Entry(Place(task, split), f"{task}:{split}:{row}", document, text)


def told(entries: list[Entry]) -> list[tuple[str, str, str, int, int, str]]:
    """(instance, other task, other split, same text, same document, the other instance) of each overlap."""
    return [
        (found.entry.instance_id, *found.other, found.same_text, found.same_document, found.other_id)
        for found in find_overlaps(entries)
    ]


def test_splits_of_a_task_are_compared_both_ways() -> None:
    entries = [
        entry("ner", "train", 0, "pmid:1", "t1"),
        entry("ner", "test", 0, "pmid:1", "t1"),
        entry("ner", "test", 1, "pmid:2", "t2"),
    ]
    assert told(entries) == [
        ("ner:test:0", "ner", "train", 1, 1, "ner:train:0"),
        ("ner:train:0", "ner", "test", 1, 1, "ner:test:0"),
    ]


def test_another_task_counts_with_its_evaluation_splits_only() -> None:
    entries = [
        entry("ner", "train", 0, "pmid:1", "t1"),
        entry("re", "validation", 7, "pmid:1", "t1"),
        entry("qa", "train", 3, "pmid:1", "t1"),
    ]
    assert told(entries) == [
        ("ner:train:0", "re", "validation", 1, 1, "re:validation:7"),
        ("qa:train:3", "re", "validation", 1, 1, "re:validation:7"),
    ]


def test_the_same_text_is_told_from_the_same_document() -> None:
    entries = [
        entry("qa", "train", 0, "arxiv:1", "excerpt a"),
        entry("qa", "test", 0, "arxiv:1", "excerpt b"),
        entry("qa", "test", 1, "arxiv:1", "excerpt c"),
        entry("sum", "test", 2, "text:x", "excerpt a"),
    ]
    assert told(entries) == [
        ("qa:test:0", "qa", "train", 0, 1, "qa:train:0"),
        ("qa:test:1", "qa", "train", 0, 1, "qa:train:0"),
        ("qa:train:0", "qa", "test", 0, 2, "qa:test:0"),
        ("qa:train:0", "sum", "test", 1, 0, "sum:test:2"),
    ]
    assert count_overlaps(find_overlaps(entries)) == [
        {
            "task": "qa",
            "split": "test",
            "other_task": "qa",
            "other_split": "train",
            "same_text": 0,
            "same_document": 2,
        },
        {
            "task": "qa",
            "split": "train",
            "other_task": "qa",
            "other_split": "test",
            "same_text": 0,
            "same_document": 1,
        },
        {
            "task": "qa",
            "split": "train",
            "other_task": "sum",
            "other_split": "test",
            "same_text": 1,
            "same_document": 0,
        },
    ]


def test_a_match_by_text_is_named_before_one_by_document() -> None:
    entries = [
        entry("qa", "train", 0, "arxiv:1", "same"),
        entry("qa", "test", 0, "arxiv:1", "else"),
        entry("qa", "test", 1, "arxiv:1", "same"),
    ]
    assert told(entries)[-1] == ("qa:train:0", "qa", "test", 1, 2, "qa:test:1")


def test_an_instance_of_several_templates_is_one() -> None:
    entries = [entry("ner", "train", 0, "d", "t")] * 3 + [entry("ner", "test", 0, "d", "t")] * 2
    assert [(found.same_text, found.same_document) for found in find_overlaps(entries)] == [(1, 1), (1, 1)]


def test_an_output_line_gives_its_entry() -> None:
    line = {"_instance_id": "ner:train:0", "_document_id": "pmid:1", "_text_id": "t1", "input": "…"}
    assert entry_of_line(Place("ner", "test"), line) == Entry(Place("ner", "test"), "ner:train:0", "pmid:1", "t1")


def test_names_are_told_once_and_not_without_end() -> None:
    entries = [entry("ner", "train", row, "d", "t") for row in range(5)]
    entries += [entry("ner", split, 0, "d", "t") for split in ("validation", "test")]
    found = [overlap for overlap in find_overlaps(entries) if overlap.entry.place.split == "train"]
    assert len(found) == 10
    assert named(found, 3) == ["ner:train:0", "ner:train:1", "ner:train:2"]


def test_training_instances_that_meet_evaluation_are_counted_once_each() -> None:
    entries = [
        entry("qa", "train", 0, "d1", "t1"),
        entry("qa", "train", 1, "d2", "t2"),
        entry("qa", "train", 2, "d3", "t3"),
        entry("qa", "validation", 0, "d1", "t1"),
        entry("qa", "test", 0, "d1", "other"),
        entry("ner", "test", 0, "d1", "t1"),
        entry("ner", "test", 1, "d2", "other"),
        entry("re", "train", 0, "d3", "t3"),
    ]
    overlaps = list(find_overlaps(entries))
    assert training_overlaps(overlaps, ["ner"]) == TrainingOverlaps(1, 2, 1, 2)
    assert training_overlaps(overlaps, ["qa"]) == TrainingOverlaps(1, 2, 1, 1)
    assert training_overlaps([], ["qa"]) == TrainingOverlaps()


def test_counts_are_told_in_one_line() -> None:
    assert str(TrainingOverlaps()) == "no training instance meets an evaluation split"
    assert str(TrainingOverlaps(1200, 3, 4, 0)) == (
        "training instances that meet an evaluation split: 1,200 by text, 3 by document (of a held-out task: 4, 0)"
    )


places = st.builds(Place, st.sampled_from(["a", "b"]), st.sampled_from(["train", "validation", "test"]))
entries = st.builds(
    lambda place, row, document, text: Entry(place, f"{place.task}:{place.split}:{row}", document, text),
    places,
    st.integers(0, 3),
    st.sampled_from(["d1", "d2", "d3", "d4"]),
    st.sampled_from(["t1", "t2", "t3", "t4"]),
)


@given(st.lists(entries, max_size=30), st.randoms(use_true_random=False))
def test_every_pair_is_found_and_the_order_does_not_matter(found: list[Entry], random: Random) -> None:
    shuffled = random.sample(found, len(found))
    overlaps = list(find_overlaps(found))
    assert overlaps == list(find_overlaps(shuffled)) == sorted(overlaps)
    assert overlaps == [each for one in sorted(set(found)) for each in overlaps_of(one, sorted(set(found)))]


def overlaps_of(one: Entry, distinct: list[Entry]) -> list[Overlap]:
    """The overlaps of one entry, the slow way."""
    result = []
    for place in sorted({other.place for other in distinct}):
        within = place.task == one.place.task and place.split != one.place.split
        if within or (place.task != one.place.task and place.split != "train"):
            texts = [other for other in distinct if other.place == place and other.text == one.text]
            documents = [other for other in distinct if other.place == place and other.document == one.document]
            if texts or documents:
                first = (texts or documents)[0].instance_id
                result.append(Overlap(one, place, len(texts), len(documents), first))
    return result

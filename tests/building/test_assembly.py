"""From what sampling keeps to final splits, and what a user should know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pytest

from sciriff.building.assembly import Shared, assemble
from sciriff.building.facts import InstanceFacts
from sciriff.building.instances import ANY_WINDOW, Instance
from sciriff.building.sampling import Selection
from sciriff.building.splitting import SPLITS
from sciriff.errors import UsageError

FACTS = InstanceFacts("id", 0, 10, 10, 10, True, 0, 0, 0, "")


def instance(
    row: int, text: str, *, document: str = "", split: str = "train", order: int = 0, window: int = ANY_WINDOW
) -> Instance:
    content = hashlib.blake2b(text.encode(), digest_size=16).digest()
    facts = FACTS._replace(instance_id=f"task:{split}:{row}")
    return Instance(row, order, window, 10, "spool", 0, 0, content, document or f"text:{text}", text, facts)


def selection(texts: Sequence[str], split: str = "train") -> Selection:
    return Selection([instance(row, text, split=split) for row, text in enumerate(texts)], {})


def selections(windows: Mapping[int, Mapping[str, Sequence[str]]]) -> dict[int, dict[str, Selection]]:
    return {
        window: {split: selection(texts, split) for split, texts in splits.items()}
        for window, splits in windows.items()
    }


def numbered(name: str, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(count)]


def sizes(placed: Mapping[str, Sequence[Instance]]) -> tuple[int, ...]:
    return tuple(len(placed[split]) for split in SPLITS)


def test_independent_splits_stay_in_keyed_order() -> None:
    given = selections({4096: {"train": numbered("a", 4), "validation": numbered("b", 2), "test": numbered("c", 3)}})
    assembly = assemble("task", 76, given)
    placed = assembly.windows[4096]
    assert [placed[split] for split in SPLITS] == [given[4096][split].instances for split in SPLITS]
    assert assembly.notes == ()
    assert assembly.shared == {}


def test_a_split_that_repeats_another_is_left_out_and_carved_anew() -> None:
    train = numbered("a", 20)
    given = selections({4096: {"train": train, "validation": train[5:12], "test": numbered("c", 4)}})
    assembly = assemble("task", 76, given)
    assert assembly.notes == ("source split validation left out: every text of it also stands in train",)
    assert sizes(assembly.windows[4096]) == (16, 4, 4)
    assert assembly.shared == {}
    kept = [found.content for split in ("train", "validation") for found in assembly.windows[4096][split]]
    assert sorted(kept) == sorted(found.content for found in given[4096]["train"].instances)


def test_a_split_that_repeats_another_but_for_one_text_stays_and_is_counted() -> None:
    train = numbered("a", 20)
    given = selections({4096: {"train": train, "validation": [*train[5:12], "new"], "test": [*train[:2], "c"]}})
    assembly = assemble("task", 76, given)
    assert sizes(assembly.windows[4096]) == (20, 8, 3)
    assert assembly.notes == ()
    assert assembly.shared == {
        ("train", "validation"): Shared(7, 7, tuple(f"task:validation:{row}" for row in range(7))),
        ("train", "test"): Shared(2, 2, ("task:test:0", "task:test:1")),
    }


def test_repeats_are_kept_where_splits_are_not_standardised() -> None:
    train = numbered("a", 20)
    given = selections({4096: {"train": train, "validation": train}})
    assembly = assemble("task", 76, given, standardise=False)
    assert sizes(assembly.windows[4096]) == (20, 20, 0)
    assert assembly.notes == ("too few instances fit 4096 tokens: test empty",)
    assert {pair: shared.texts for pair, shared in assembly.shared.items()} == {("train", "validation"): 20}
    assert len(assembly.shared["train", "validation"].first) == 20


def test_the_largest_window_decides_what_repeats_at_all_windows() -> None:
    train = numbered("a", 20)
    given = selections(
        {
            4096: {"train": train[:10], "validation": train[:2], "test": numbered("c", 2)},
            8192: {"train": train, "validation": [*train[:2], "new"], "test": numbered("c", 2)},
        }
    )
    assembly = assemble("task", 76, given)
    assert [sizes(placed) for placed in assembly.windows.values()] == [(10, 2, 2), (20, 3, 2)]
    assert {pair: shared.texts for pair, shared in assembly.shared.items()} == {("train", "validation"): 2}


def test_an_empty_split_does_not_repeat_any_other() -> None:
    given = selections({4096: {"train": numbered("a", 5), "validation": [], "test": numbered("c", 2)}})
    assembly = assemble("task", 76, given)
    assert sizes(assembly.windows[4096]) == (5, 0, 2)
    assert assembly.notes == ("too few instances fit 4096 tokens: validation empty",)


def test_too_few_instances_are_told_for_each_window() -> None:
    given = selections({4096: {"train": []}, 8192: {"train": numbered("a", 2)}, 16384: {"train": numbered("a", 10)}})
    assembly = assemble("task", 76, given)
    assert assembly.notes == (
        "too few instances fit 4096 tokens: train, validation, test empty",
        "too few instances fit 8192 tokens: validation, test empty",
    )
    assert sizes(assembly.windows[16384]) == (6, 2, 2)


def test_instances_of_one_row_stay_together() -> None:
    several = [instance(row, f"{row} {order}", order=order) for row in range(20) for order in range(3)]
    assembly = assemble("task", 76, {4096: {"train": Selection(several, {})}})
    placed = assembly.windows[4096]
    assert sizes(placed) == (36, 12, 12)
    homes = {found.row: split for split in SPLITS for found in placed[split]}
    assert all(homes[found.row] == split for split in SPLITS for found in placed[split])


def test_what_is_carved_by_instance_depends_on_task_and_seed_alone() -> None:
    given = selections({4096: {"train": numbered("a", 50)}})
    backwards = {4096: {"train": Selection(given[4096]["train"].instances[::-1], {})}}

    def test_rows(task: str, seed: int, taken: Mapping[int, Mapping[str, Selection]]) -> set[int]:
        return {found.row for found in assemble(task, seed, taken, split_by="instance").windows[4096]["test"]}

    assert test_rows("task", 76, given) == test_rows("task", 76, backwards)
    assert test_rows("task", 76, given) != test_rows("task", 77, given)
    assert test_rows("task", 76, given) != test_rows("other", 76, given)


def of_documents(documents: Sequence[str], *, window: int = ANY_WINDOW) -> Selection:
    return Selection(
        [instance(row, f"{window} {row}", document=document, window=window) for row, document in enumerate(documents)],
        {},
    )


def documents_of(placed: Mapping[str, Sequence[Instance]], split: str) -> set[str]:
    return {found.document for found in placed[split]}


def test_a_document_is_not_cut() -> None:
    given = {4096: {"train": of_documents([f"pmid:{row % 15}" for row in range(60)])}}
    placed = assemble("task", 76, given).windows[4096]
    assert sizes(placed) == (36, 12, 12)
    assert [len(documents_of(placed, split)) for split in SPLITS] == [9, 3, 3]
    by_instance = assemble("task", 76, given, split_by="instance").windows[4096]
    assert sizes(by_instance) == (36, 12, 12)
    assert documents_of(by_instance, "train") & documents_of(by_instance, "test")


def test_tasks_over_the_same_documents_hold_out_the_same_ones() -> None:
    documents = [f"pmid:{row}" for row in range(50)]
    one = assemble("one", 76, {4096: {"train": of_documents(documents)}})
    other = assemble("other", 76, {4096: {"train": of_documents(documents[::-1])}})
    for split in SPLITS:
        assert documents_of(one.windows[4096], split) == documents_of(other.windows[4096], split)
    seeded = assemble("one", 77, {4096: {"train": of_documents(documents)}})
    assert documents_of(seeded.windows[4096], "test") != documents_of(one.windows[4096], "test")


def test_a_row_with_several_documents_holds_them_together() -> None:
    several = [
        instance(row, f"{row} {order}", document=f"pmid:{row + order}", order=order)
        for row in range(0, 40, 2)
        for order in range(3)  # the last document of a row is the first of the next
    ]
    assembly = assemble("task", 76, {4096: {"train": Selection(several, {})}})
    assert sizes(assembly.windows[4096]) == (60, 0, 0)
    assert assembly.notes == ("too few documents fit 4096 tokens: validation, test empty",)


def test_a_document_named_otherwise_at_another_window_is_still_one() -> None:
    """Rows without a document id of their own have the id of their text, which fitting makes differ by window."""
    names = {window: [f"text:{window}-{row}" for row in range(20)] for window in (4096, 8192)}
    given = {window: {"train": of_documents(names[window], window=window)} for window in names}
    windows = assemble("task", 76, given).windows
    for split in SPLITS:
        assert {found.row for found in windows[4096][split]} == {found.row for found in windows[8192][split]}


def test_documents_that_the_source_itself_has_in_two_splits_are_counted_and_stay() -> None:
    papers = [f"paper:{row % 5}" for row in range(20)]
    train = of_documents(papers)
    test = Selection([instance(row, f"new {row}", document=f"paper:{row}", split="test") for row in range(8)], {})
    assembly = assemble("task", 76, {4096: {"train": train, "test": test}})
    placed = assembly.windows[4096]
    assert sizes(placed) == (16, 4, 8)
    assert documents_of(placed, "train").isdisjoint(documents_of(placed, "validation"))
    assert assembly.shared["train", "test"].texts == 0
    both = documents_of(placed, "train") & documents_of(placed, "test")
    assert assembly.shared["train", "test"].documents == len(both) > 0


def test_a_repeated_split_is_kept_where_that_is_asked_for() -> None:
    train = numbered("a", 20)
    given = selections({4096: {"train": train, "validation": train, "test": numbered("c", 4)}})
    assembly = assemble("task", 76, given, keep_repeated=True)
    assert sizes(assembly.windows[4096]) == (20, 20, 4)
    assert assembly.shared["train", "validation"].texts == 20


def test_splits_that_cannot_be_standardised_are_named() -> None:
    with pytest.raises(UsageError, match="train is missing"):
        assemble("task", 76, selections({4096: {"validation": ["a"], "test": ["b"]}}))

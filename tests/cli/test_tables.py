from __future__ import annotations

from sciriff.cli.tables import named, split_counts, table


def test_numbers_align_right_and_text_left() -> None:
    text = table(("task", "rows", "score"), [("cdr_ner", 12345, 0.5), ("x", 7, None)])
    assert text == (
        "task       rows  score\n"
        "-------  ------  -----\n"
        "cdr_ner  12,345   0.50\n"
        "x             7"
    )  # fmt: skip


def test_empty_table_keeps_its_headers() -> None:
    assert table(("a", "b"), []) == "a  b\n-  -"


def test_a_cell_never_breaks_its_row() -> None:
    assert table(("a",), [("two\nlines",)]).splitlines()[-1] == "two lines"


def test_split_counts_and_names() -> None:
    assert split_counts({"train": 1500, "test": 2}) == "1,500/0/2"
    assert named("cdr_ner", "cdr_ner: broken") == "cdr_ner: broken"
    assert named("cdr_ner", "broken") == "cdr_ner: broken"

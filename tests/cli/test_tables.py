from __future__ import annotations

from sciriff.cli.tables import counted, named, shared_remarks, split_counts, table


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


def test_a_number_agrees_with_its_noun() -> None:
    assert [counted(count, "task") for count in (0, 1, 1200)] == ["0 tasks", "1 task", "1,200 tasks"]


def test_what_is_said_several_times_is_told_once() -> None:
    remarks = [
        ("a_ner", "https://x.example/1.zip: cut"),
        ("a_ner", "https://x.example/2.zip: cut"),
        ("a_ner", "https://x.example/3.zip: 9 of 10 papers"),
        ("b_ner", "a sample"),
        ("c_ner", "https://x.example/4.zip: a sample"),
    ]
    assert shared_remarks("note", remarks) == [
        "note: a_ner: cut",
        "note: a_ner: https://x.example/3.zip: 9 of 10 papers",
        "note: a sample: b_ner, c_ner",
    ]

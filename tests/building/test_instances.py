"""What workers make of rows: parsed, formatted, rendered, counted, serialised; nothing lost without a count."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sciriff.building import instances as instances_module
from sciriff.building.instances import ANY_WINDOW, CHAT_MARKUP_TOKENS, Batch, Instance, Recipe, make_instances
from sciriff.building.texts import text_id
from sciriff.building.tokenizer import bundled_tokenizer
from sciriff.building.tokens import TokenCounter
from sciriff.errors import Dropped, RecordError, TaskFileError
from sciriff.readers.records import Reader, Row, SplitSpec
from sciriff.tasks.formatters.budget import Budget

WINDOWS = (128, 256)
_KEYS = itertools.count()


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(bundled_tokenizer().path)


def parse(row: Row, split: SplitSpec) -> dict[str, Any]:
    """Rows of these tests are JSON texts."""
    try:
        record: dict[str, Any] = json.loads(row.raw)
    except json.JSONDecodeError as error:
        raise RecordError(row.where, f"not valid JSON: {error}") from error
    return record


def format_as_told(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A record says itself what becomes of it."""
    if "drop" in record:
        raise Dropped(*record["drop"])
    if "refuse" in record:
        raise RecordError("here", record["refuse"])
    yield from record.get("several", [record])


def format_fitted(record: dict[str, Any], *, budget: Budget) -> Iterator[dict[str, Any]]:
    """As many words as the budget allows, and one draw of the record's generator."""
    words = record["text"].split()
    while budget.count(" ".join(words)) > budget.window - 40:
        words.pop()
    if len(words) < record.get("least", 0):
        raise Dropped("too little of it fits")
    yield {"text": " ".join(words), "answer": f"{budget.random.random():.17f}"}


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    formatters = {"as told": format_as_told, "fitted": format_fitted}
    monkeypatch.setattr(instances_module, "load_reader", lambda name: Reader(lambda view, split: iter(()), parse))
    monkeypatch.setattr(instances_module, "load_formatter", formatters.__getitem__)


def recipe(**changes: Any) -> Recipe:
    plain = Recipe(
        key=f"key {next(_KEYS)}",
        task="my_task",
        metadata={"task": "classification", "domains": ["misc"]},
        templates={
            0: ("Read.\n{{ text }}\n|||\n{{ answer }}", None, False),
            1: ("Also read.\n{{ text }}\n|||\n{{ answer }}", None, True),
        },
        template_ids=(0,),
        formatter="as told",
        formatter_args={},
        fitted=False,
        documents="toy",
        reader="json",
        splits={split: SplitSpec(split) for split in ("train", "validation", "test")},
        windows=WINDOWS,
        seed=76,
        tokenizer=bundled_tokenizer().path,
        fidelity="corrected",
        suite={"name": "my_task", "meta": {"sciriff": {"output": "text"}}},
    )
    return replace(plain, **changes)


def rows(*records: Any) -> list[Row]:
    return [
        Row(index, f"file:{index + 1}", record if isinstance(record, str) else json.dumps(record))
        for index, record in enumerate(records)
    ]


def make(recipe: Recipe, split: str, rows: list[Row], windows: tuple[int, ...], spool: Path) -> Batch:
    return make_instances(recipe=recipe, split=split, rows=rows, windows=windows, spool=spool)


def lines(batch: Batch, folder: Path) -> list[dict[str, Any]]:
    return [json.loads(raw_line(instance, folder)) for instance in batch.instances]


def raw_line(instance: Instance, folder: Path) -> bytes:
    with (folder / instance.spool).open("rb") as stream:
        stream.seek(instance.offset)
        return stream.read(instance.length)


def test_a_line_holds_what_the_output_format_asks_for(tmp_path: Path, counter: TokenCounter) -> None:
    batch = make(recipe(), "train", rows({"text": "Gelöst.", "answer": "é|x"}), WINDOWS, tmp_path)
    (instance,) = batch.instances
    raw = raw_line(instance, tmp_path)
    assert raw.endswith(b"\n")
    assert "Gelöst".encode() in raw
    assert json.loads(raw) == {
        "input": "Read.\nGelöst.",
        "output": "é|x",
        "metadata": {
            "task": "classification",
            "domains": ["misc"],
            "split": "train",
            "template_metadata": {"use_for_eval": False},
        },
        "_instance_id": "my_task:train:0",
        "_document_id": f"text:{text_id('Gelöst.')}",
        "_text_id": text_id("Gelöst."),
        "_template_id": 0,
        "_input_toks": counter.count("Read.\nGelöst."),
        "_output_toks": counter.count("é|x"),
    }
    assert instance.window == ANY_WINDOW
    assert instance.tokens == counter.count("Read.\nGelöst.") + counter.count("é|x")
    assert instance.facts.instance_id == "my_task:train:0"


def test_document_and_text_do_not_depend_on_the_wording(tmp_path: Path) -> None:
    records = [
        {"text": "The text. ", "answer": "x", "_document_id": "12"},
        {"text": "the  text", "answer": "y", "_document_text": "Its title"},
        {"text": "the text", "answer": "z", "_document_id": "", "_document_text": ""},
    ]
    batch = make(recipe(template_ids=(0, 1)), "train", rows(*records), WINDOWS, tmp_path)
    told = [(line["_document_id"], line["_text_id"]) for line in lines(batch, tmp_path)]
    same = text_id("The text.")
    documents = ("toy:12", f"text:{text_id('its title')}", f"text:{same}")
    assert told == [(document, same) for document in documents for _ in (0, 1)]
    assert [(instance.document, instance.text) for instance in batch.instances] == told


def test_several_instances_of_a_row_are_numbered_by_their_suffix(tmp_path: Path) -> None:
    several = [{"text": f"Part {part}.", "answer": "yes", "_suffix": part} for part in ("a", "b", 3)]
    batch = make(recipe(), "validation", rows({"text": "One.", "answer": "x"}, {"several": several}), WINDOWS, tmp_path)
    assert [line["_instance_id"] for line in lines(batch, tmp_path)] == [
        "my_task:validation:0",
        *(f"my_task:validation:1.{suffix}" for suffix in ("a", "b", "3")),
    ]
    assert [(instance.row, instance.order) for instance in batch.instances] == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert make(recipe(), "train", rows({"several": []}), WINDOWS, tmp_path).instances == []


def test_templates_are_applied_in_turn_but_the_source_test_split_takes_the_first(tmp_path: Path) -> None:
    both = recipe(template_ids=(0, 1))
    record = {"text": "One.", "answer": "x"}
    batch = make(both, "train", rows(record), WINDOWS, tmp_path)
    made = lines(batch, tmp_path)
    assert [(line["_instance_id"], line["_template_id"]) for line in made] == [
        ("my_task:train:0", 0),
        ("my_task:train:0", 1),
    ]
    assert [line["metadata"]["template_metadata"]["use_for_eval"] for line in made] == [False, True]
    assert [instance.order for instance in batch.instances] == [0, 1]
    tested = make(recipe(template_ids=(1,)), "test", rows(record), WINDOWS, tmp_path)
    assert [line["_template_id"] for line in lines(tested, tmp_path)] == [0]


def test_dropped_records_are_counted_by_each_reason(tmp_path: Path) -> None:
    batch = make(
        recipe(),
        "train",
        rows({"drop": ["no answer"]}, {"text": "One.", "answer": "x"}, {"drop": ["no answer", "two", "two"]}),
        WINDOWS,
        tmp_path,
    )
    assert batch.dropped == [
        (0, ANY_WINDOW, "no answer"),
        (2, ANY_WINDOW, "no answer"),
        (2, ANY_WINDOW, "two"),
        (2, ANY_WINDOW, "two"),
    ]
    assert [instance.row for instance in batch.instances] == [1]


def test_malformed_records_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    several = [{"text": "a", "answer": "x", "_suffix": 0}, {"text": "b", "answer": " ", "_suffix": 1}]
    batch = make(
        recipe(),
        "train",
        rows(
            {"text": "One.", "answer": "x"},
            "{broken",
            {"refuse": "no passages"},
            {"text": "lone \ud800 surrogate", "answer": "x"},
            {"several": [*several, {"text": "c", "answer": "x", "_suffix": 2}]},
            {"text": "Six.", "answer": "x"},
        ),
        WINDOWS,
        tmp_path,
    )
    assert [line["_instance_id"].split(":")[2] for line in lines(batch, tmp_path)] == ["0", "4.0", "4.2", "5"]
    assert [row for row, _ in batch.malformed] == [1, 2, 3, 4]
    messages = [message for _, message in batch.malformed]
    assert messages[0].startswith("file:2: not valid JSON")
    assert messages[1] == "here: no passages"
    assert "record 3: cannot be rendered: UnicodeEncodeError" in messages[2]
    assert messages[3].endswith("record 4.1: blank output")


def test_a_formatter_that_breaks_off_keeps_what_it_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking_off(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {**record, "_suffix": 0}
        raise RecordError("paper 7", "second question has no text")

    monkeypatch.setattr(instances_module, "load_formatter", lambda name: breaking_off)
    batch = make(recipe(), "train", rows({"text": "One.", "answer": "x"}), WINDOWS, tmp_path)
    assert len(batch.instances) == 1
    assert batch.malformed == [(0, "paper 7: second question has no text")]


def test_a_missing_variable_is_an_error_of_the_task(tmp_path: Path) -> None:
    with pytest.raises(
        TaskFileError, match=r"my_task\.yaml, template 0: the template uses 'answer', which .* not provide"
    ):
        make(recipe(), "train", rows({"text": "One."}), WINDOWS, tmp_path)


def exactly(tokens: int, counter: TokenCounter) -> str:
    """A text that makes input and output together as long as this."""
    text = "a"
    while counter.count(f"Read.\n{text}") + counter.count("x") < tokens:
        text += " a"
    assert counter.count(f"Read.\n{text}") + counter.count("x") == tokens
    return text


def test_what_fits_no_window_asked_for_is_told_and_not_written(tmp_path: Path, counter: TokenCounter) -> None:
    fitting, too_long = (exactly(256 - CHAT_MARKUP_TOKENS + more, counter) for more in (0, 1))
    given = rows({"text": fitting, "answer": "x"}, {"text": too_long, "answer": "x"})
    batch = make(recipe(), "train", given, WINDOWS, tmp_path)
    assert [(instance.row, instance.tokens) for instance in batch.instances] == [(0, 236)]
    assert batch.too_long == [(1, ANY_WINDOW)]
    smaller = make(recipe(), "train", given, (128,), tmp_path)
    assert smaller.instances == []
    assert smaller.too_long == [(0, ANY_WINDOW), (1, ANY_WINDOW)]


def test_a_long_output_counts_too(tmp_path: Path) -> None:
    batch = make(recipe(), "train", rows({"text": "One.", "answer": "word " * 300}), WINDOWS, tmp_path)
    assert (batch.instances, batch.too_long) == ([], [(0, ANY_WINDOW)])


FITTED = {"formatter": "fitted", "fitted": True}
LONG = {"text": " ".join(f"word{number}" for number in range(300))}


def test_fitted_formatters_run_once_per_window(tmp_path: Path) -> None:
    batch = make(recipe(**FITTED), "train", rows(LONG), WINDOWS, tmp_path)
    assert [instance.window for instance in batch.instances] == [128, 256]
    small, large = lines(batch, tmp_path)
    assert small["_instance_id"] == large["_instance_id"]
    assert len(small["input"]) < len(large["input"])
    for window, line in zip(WINDOWS, (small, large), strict=True):
        assert line["_input_toks"] + line["_output_toks"] <= window - CHAT_MARKUP_TOKENS
    only = make(recipe(**FITTED), "train", rows(LONG), (256,), tmp_path)
    assert lines(only, tmp_path) == [large]


def test_the_generator_belongs_to_the_record(tmp_path: Path) -> None:
    fitted = recipe(**FITTED)
    draws = [
        line["output"]
        for split in ("train", "validation")
        for line in lines(make(fitted, split, rows(LONG, LONG), WINDOWS, tmp_path), tmp_path)
    ]
    assert len(set(draws)) == 4
    assert draws[0] == draws[1]  # the same record at two windows
    other_seed = make(recipe(**FITTED, seed=77), "train", rows(LONG), WINDOWS, tmp_path)
    assert lines(other_seed, tmp_path)[0]["output"] not in draws


def test_reasons_of_fitted_instances_belong_to_their_window(tmp_path: Path) -> None:
    batch = make(recipe(**FITTED), "train", rows({**LONG, "least": 20}), (64, *WINDOWS), tmp_path)
    assert batch.dropped == [(0, 64, "too little of it fits")]
    assert [instance.window for instance in batch.instances] == [128, 256]


def test_batches_do_not_change_what_becomes_of_a_row(tmp_path: Path) -> None:
    given = rows(*({"text": f"Text {number}.", "answer": "x"} for number in range(12)))
    whole = lines(make(recipe(), "train", given, WINDOWS, tmp_path), tmp_path)
    parts = [
        line
        for start in (8, 0, 4)
        for line in lines(make(recipe(), "train", given[start : start + 4], WINDOWS, tmp_path), tmp_path)
    ]
    assert sorted(parts, key=lambda line: int(line["_instance_id"].split(":")[2])) == whole


def test_equal_texts_have_equal_content_keys(tmp_path: Path) -> None:
    given = rows({"text": "a", "answer": "b"}, {"text": "a", "answer": "b"}, {"text": "a", "answer": "c"})
    content = [instance.content for instance in make(recipe(), "train", given, WINDOWS, tmp_path).instances]
    assert content[0] == content[1] != content[2]

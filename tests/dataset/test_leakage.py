from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff import api
from sciriff.building.overlaps import Place
from sciriff.cli import main
from sciriff.dataset.leakage import MIXTURE, Cell, Item, Signatures, find_leakage
from sciriff.dataset.shingles import SHINGLE_WORDS, shingles, wording
from sciriff.errors import UsageError
from sciriff.settings import Settings
from sciriff.store import Store

TRAIN, TEST, OTHER_TRAIN = Place("a", "train"), Place("a", "test"), Place("b", "train")


def words(seed: int, count: int) -> list[str]:
    random = Random(seed)
    return ["".join(random.choices("abcdefghij", k=6)) for _ in range(count)]


def test_shingles_are_runs_of_thirteen_words_without_case_and_punctuation() -> None:
    text = "One, two; THREE four five six seven eight nine ten eleven twelve thirteen (fourteen)."
    assert shingles(text) == {
        "one two three four five six seven eight nine ten eleven twelve thirteen",
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen",
    }
    assert shingles("Short text.") == {"short text"}
    assert shingles("?!") == set()


@given(st.text())
def test_shingles_of_any_text_have_at_most_thirteen_words(text: str) -> None:
    assert all(1 <= len(shingle.split(" ")) <= SHINGLE_WORDS for shingle in shingles(text))


def test_the_wording_of_a_template_is_told_from_the_texts() -> None:
    prompt = " ".join(words(0, 40))
    texts = {f"pmid:{number}": f"{prompt} {' '.join(words(number, 60))}" for number in range(1, 9)}
    assert wording(texts) == shingles(prompt)
    assert wording(dict(list(texts.items())[:2])) == frozenset()


def item(place: Place, name: str, text: str = "", document: str = "") -> Item:
    return Item(place, name, document, text)


def test_documents_texts_and_near_texts_are_counted_apart() -> None:
    items = [
        item(TEST, "t0", "x", "pmid:1"),
        item(TEST, "t1", "y", "pmid:2"),
        item(TEST, "t2", "z"),
        item(TRAIN, "r0", "x", "pmid:1"),
        item(TRAIN, "r1", "q", "pmid:2"),
        item(OTHER_TRAIN, "o0", "z2"),
    ]
    found = find_leakage(items, {"z": {"z2": 0.8}, "z2": {"z": 0.8}})
    assert found.cells[TEST, TRAIN] == Cell(same_document=2, same_text=1, near_text=0)
    assert found.cells[TEST, OTHER_TRAIN] == Cell(same_document=0, same_text=0, near_text=1)
    assert found.cells[OTHER_TRAIN, TEST] == Cell(0, 0, 1)
    assert (TRAIN, OTHER_TRAIN) not in found.cells
    assert found.leaked == {TEST: 2}
    assert found.share(TEST) == pytest.approx(2 / 3)
    pairs = {(match.item.instance_id, match.other_id, match.similarity) for match in found.matches}
    assert {("t0", "r0", 1.0), ("t1", "r1", 0.0), ("t2", "o0", 0.8)} <= pairs


def test_with_a_mixture_only_the_mixture_is_training_data() -> None:
    mixed = Place("science.b", MIXTURE)
    items = [item(TEST, "t0", "x"), item(TEST, "t1", "y"), item(TRAIN, "r0", "x"), item(mixed, "m0", "y")]
    found = find_leakage(items, {}, training=MIXTURE)
    assert found.leaked == {TEST: 1}
    assert found.cells[TEST, TRAIN].same_text == 1, "the matrix has all places all the same"


def test_an_empty_document_or_text_is_nobodys() -> None:
    assert find_leakage([item(TEST, "t0"), item(TRAIN, "r0")], {}).cells == {}


@given(st.lists(st.builds(item, st.sampled_from([TRAIN, TEST]), st.text("ab", min_size=1), st.sampled_from("xyz"))))
def test_the_order_of_items_does_not_matter(items: list[Item]) -> None:
    assert find_leakage(items, {}) == find_leakage(reversed(items), {})


@pytest.mark.parametrize("kept", [0.95, 0.8, 0.6])
def test_similarities_are_near_the_true_ones(kept: float) -> None:
    """A text, and the same with its end replaced: the Jaccard similarity of the shingles is known exactly."""
    text = words(1, 600)
    other = text[: int(600 * kept)] + words(2, 600 - int(600 * kept))
    sets = {
        "text": shingles(" ".join(text)),
        "other": shingles(" ".join(other)),
        "far": shingles(" ".join(words(3, 600))),
    }
    true = len(sets["text"] & sets["other"]) / len(sets["text"] | sets["other"])
    signatures = Signatures(threshold=0.3)
    for name, found in sets.items():
        signatures.add(name, found)
    near = signatures.near()
    assert near["text"].keys() == {"other"}
    assert near["text"]["other"] == pytest.approx(true, abs=4 * 0.044)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two tasks; a text of the first one's test split stands, with its end changed, in the other's training split."""
    store = Store(str(tmp_path_factory.mktemp("leakage") / "store"))
    leaked = words(100, 200)
    changed = leaked[:150] + words(101, 50)
    texts = {
        ("scierc_ner", "train"): [words(seed, 200) for seed in range(8)],
        ("scierc_ner", "validation"): [words(20, 200)],
        ("scierc_ner", "test"): [leaked, words(21, 200)],
        ("scicite_classification", "train"): [changed, *(words(seed, 200) for seed in range(30, 38))],
        ("scicite_classification", "validation"): [words(40, 200)],
        ("scicite_classification", "test"): [words(41, 200)],
    }
    for (task, split), found in texts.items():
        prompt = f"Here is what to do in {task} and it is said at some length so that it makes a shingle of its own. "
        lines = [instance(task, split, number, prompt + " ".join(text)) for number, text in enumerate(found)]
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        store.write_bytes(f"instructions/4096/{task}/{split}.jsonl", content)
    for task in ("scierc_ner", "scicite_classification"):
        store.write_manifest(f"instructions/4096/{task}", {"key": task, "files": {}})
    tulu = {"dataset": "flan_v2", "id": "flan_1", "messages": [{"role": "user", "content": " ".join(leaked)}]}
    store.write_bytes("training_mix/mine.jsonl", json.dumps(tulu).encode() + b"\n")
    return store


def instance(task: str, split: str, number: int, prompt: str) -> dict[str, Any]:
    name = f"{task}:{split}:{number}"
    return {"input": prompt, "output": "x", "_instance_id": name, "_document_id": f"{task}:{split}{number}"}


def report(store: Store, **options: Any) -> Any:
    settings = Settings(_env_file=None, store=store.path(""))
    return api.leakage(settings=settings, **options)


def test_a_changed_copy_in_another_tasks_training_split_is_found(store: Store) -> None:
    found = report(store)
    assert found.leakage.leaked == {Place("scierc_ner", "test"): 1}
    matches = pq.read_table(Path(store.path(found.folder)) / "matches.parquet").to_pylist()
    (match,) = [row for row in matches if row["task"] == "scierc_ner"]
    assert (match["instance_id"], match["other_instance_id"]) == ("scierc_ner:test:0", "scicite_classification:train:0")
    assert 0.5 < match["similarity"] < 0.7
    assert not match["same_text"]
    matrix = pq.read_table(Path(store.path(found.folder)) / "matrix.parquet").to_pylist()
    assert [row["near_text"] for row in matrix if row["task"] == "scierc_ner"] == [1]
    page = Path(store.path(found.folder), "index.html").read_text(encoding="utf-8")
    assert "scierc_ner/test" in page
    assert "held out" in page


def test_a_mixture_is_compared_with_its_tulu_part(store: Store) -> None:
    found = report(store, mixture="mine")
    (match,) = [match for match in found.leakage.matches if match.other.split == MIXTURE]
    assert match.other == Place("flan_v2", MIXTURE)
    assert match.item.instance_id == "scierc_ner:test:0"
    assert match.similarity > 0.8


def test_a_threshold_fails(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def status(limit: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["leakage", "--store", store.path(""), "--max-leakage", limit])
        return int(ended.value.code or 0)

    assert status("0.6") == 0
    capsys.readouterr()
    assert status("0.4") == 1
    assert "50.0% of scierc_ner/test stands in training data; --max-leakage allows 40.0%" in capsys.readouterr().err


def test_wrong_options_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no mixture 'yours' .*; there is mine"):
        report(store, mixture="yours")
    with pytest.raises(UsageError, match="threshold 0: give a similarity above 0"):
        report(store, threshold=0)
    with pytest.raises(UsageError, match="no task is built at window 128"):
        report(store, window=128)


def test_a_build_fails_beyond_the_limit_and_keeps_what_it_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in {"SAMPLES": "always", "OFFLINE": "1", "CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(f"SCIRIFF_{variable}", value)
    arguments = ["build", "--tasks", "biored_ner,gnormplus_ner", "--windows", "4096", "--workers", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--store", str(tmp_path / "store"), "--max-leakage", "0"])
    assert ended.value.code == 1
    assert "biored_ner/validation stands in training data; --max-leakage allows 0.0%" in capsys.readouterr().err
    assert (tmp_path / "store/instructions_hf/4096/train.parquet").is_file()

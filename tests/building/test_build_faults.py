"""Each fault gives one clear message and the right exit status; other tasks finish; what was there stays."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from build_kit import (
    CHECKOUT,
    change_source,
    copy_of_samples,
    edit_index,
    lines,
    manifest,
    repacked,
    task_hashes,
    tree,
)
from click.testing import CliRunner, Result

from sciriff.building.pool import stop_workers
from sciriff.cli import main
from sciriff.sources import catalogue

TASKS = ("chemprot_ner", "scicite_classification", "scierc_ner")
SCIERC = "scierc/sciERC_processed.tar.gz"
SCICITE = "scicite/scicite.tar.gz"
CHEMPROT = "chemprot/ChemProt_Corpus.zip"
WINDOW = 4096


@dataclass
class Lab:
    """A user's folder: a mirror, task files, a store, and the command."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.root / "artifacts"

    @property
    def mirror(self) -> Path:
        return self.root / "mirror"

    @property
    def task_files(self) -> Path:
        return self.root / "tasks"

    def sciriff(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env=self.environment)

    def build(self, *arguments: str, tasks: tuple[str, ...] = TASKS) -> Result:
        options = ["--workers", "1", "--windows", f"{WINDOW},8192", "--templates-dir", str(self.task_files)]
        return self.sciriff("build", "--tasks", ",".join(tasks), *options, *arguments)

    def edit(self, task: str, change: Callable[[str], str]) -> None:
        path = self.task_files / f"{task}.yaml"
        text = path.read_text("utf-8")
        assert change(text) != text
        path.write_text(change(text), "utf-8")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    import os

    for name in list(os.environ):
        if name.startswith("SCIRIFF_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    copy_of_samples(tmp_path / "mirror")
    shutil.copytree(CHECKOUT / "templates" / "tasks", tmp_path / "tasks")
    environment = {
        "SCIRIFF_MIRROR": str(tmp_path / "mirror"),
        "SCIRIFF_OFFLINE": "1",
        "SCIRIFF_CACHE": str(tmp_path / "cache"),
    }
    return Lab(tmp_path, environment)


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    stop_workers()


def states(result: Result) -> dict[str, str]:
    """Task -> state, as the printed table says."""
    rows = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if row[0] in TASKS and len(row) > 1}


def failures(result: Result, state: str = "FAILED") -> list[str]:
    """The messages of the tasks in this state; one that lists several problems goes on in indented lines."""
    return re.findall(rf"^{state}: .*(?:\n  .*)*", result.stdout, re.MULTILINE)


def require_one_failure(result: Result, task: str, *parts: str) -> None:
    """The command failed because of one task; one message names what is wrong; the others are built."""
    assert result.exit_code == 1, result.output
    assert states(result) == {name: "FAILED" if name == task else "built" for name in TASKS}
    (message,) = failures(result)
    for part in (task, *parts):
        assert part in message
    assert "Traceback" not in result.output
    assert "internal error" not in result.output


def garbled(content: bytes) -> bytes:
    """The middle of a file overwritten."""
    middle = len(content) // 2
    return content[:middle] + bytes(200) + content[middle + 200 :]


SOURCE_FAULTS: dict[str, tuple[str, Callable[[Lab], object], tuple[str, ...]]] = {
    "hash differs": (
        "scierc_ner",
        lambda lab: change_source(lab.mirror, SCIERC, garbled((lab.mirror / SCIERC).read_bytes()), index=False),
        ("sciERC_processed.tar.gz", "mirror.json", "expected sha256", "found"),
    ),
    "corrupted tar.gz": (
        "scierc_ner",
        lambda lab: change_source(lab.mirror, SCIERC, garbled((lab.mirror / SCIERC).read_bytes())),
        ("sciERC_processed.tar.gz is damaged or cut off", "fetch it again"),
    ),
    "truncated tar.gz": (
        "scierc_ner",
        lambda lab: change_source(lab.mirror, SCIERC, (lab.mirror / SCIERC).read_bytes()[:20_000]),
        ("sciERC_processed.tar.gz is damaged or cut off", "fetch it again"),
    ),
    "corrupted zip": (
        "chemprot_ner",
        lambda lab: change_source(lab.mirror, CHEMPROT, garbled((lab.mirror / CHEMPROT).read_bytes())),
        ("ChemProt_Corpus.zip",),
    ),
    "truncated zip": (
        "chemprot_ner",
        lambda lab: cut_whole_file(lab.mirror, CHEMPROT, 30_000),
        ("ChemProt_Corpus.zip",),
    ),
    "truncated stand-in": (
        "chemprot_ner",
        lambda lab: change_source(lab.mirror, CHEMPROT, (lab.mirror / CHEMPROT).read_bytes()[:30_000]),
        ("ChemProt_Corpus.zip", "holds no records", "source split train missing"),
    ),
    "error page instead of an archive": (
        "scierc_ner",
        lambda lab: change_source(lab.mirror, SCIERC, b"<!DOCTYPE html><html><body>503 Service Unavailable</body>"),
        ("sciERC_processed.tar.gz",),
    ),
    "empty file": (
        "chemprot_ner",
        lambda lab: change_source(lab.mirror, CHEMPROT, b""),
        ("ChemProt_Corpus.zip",),
    ),
    "file of the mirror deleted": (
        "scierc_ner",
        lambda lab: (lab.mirror / SCIERC).unlink(),
        ("sciERC_processed.tar.gz", "mirror.json says it lies at", "there is no such file"),
    ),
    "no entry in the mirror": (
        "scicite_classification",
        lambda lab: drop_entry(lab.mirror, SCICITE),
        ("scicite.tar.gz", "source not available", "has no entry for it", "SCIRIFF_OFFLINE"),
    ),
    "records of another format": (
        "scierc_ner",
        lambda lab: change_source(lab.mirror, SCIERC, (lab.mirror / SCICITE).read_bytes()),
        ("processed_data/json/",),
    ),
}


def cut_whole_file(mirror: Path, path: str, size: int) -> None:
    """A file that the mirror calls complete, although it is not."""
    change_source(mirror, path, (mirror / path).read_bytes()[:size])
    edit_index(mirror, path, partial=False)


def drop_entry(mirror: Path, path: str) -> None:
    entries = json.loads((mirror / "mirror.json").read_text("utf-8"))
    kept = {url: entry for url, entry in entries.items() if entry["path"] != path}
    assert len(kept) == len(entries) - 1
    (mirror / "mirror.json").write_text(json.dumps(kept), "utf-8")


@pytest.mark.parametrize("case", SOURCE_FAULTS)
def test_a_bad_source_fails_its_task_alone(case: str, lab: Lab) -> None:
    task, damage, parts = SOURCE_FAULTS[case]
    damage(lab)
    require_one_failure(lab.build(), task, *parts)
    assert not (lab.store / f"instructions/{WINDOW}/{task}").exists()
    assert not (lab.store / ".staging").exists()
    combined = manifest_of_combined(lab)
    assert sorted(combined["inputs"]) == [name for name in TASKS if name != task]


def manifest_of_combined(lab: Lab) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((lab.store / f"instructions_hf/{WINDOW}/manifest.json").read_text("utf-8"))
    return content


@pytest.mark.parametrize("case", ["hash differs", "corrupted tar.gz", "file of the mirror deleted"])
def test_artifacts_of_earlier_builds_stay_when_a_source_goes_bad(case: str, lab: Lab) -> None:
    assert lab.build().exit_code == 0
    before = tree(lab.store)
    task, damage, _ = SOURCE_FAULTS[case]
    damage(lab)
    result = lab.build()
    assert result.exit_code == 1
    assert states(result) == {name: "FAILED" if name == task else "already done" for name in TASKS}
    assert tree(lab.store) == before


WORDING_FAULTS: dict[str, tuple[str, Callable[[str], str], tuple[str, ...]]] = {
    "missing variable": (
        "scierc_ner",
        lambda text: text.replace("{{ org_text }}", "{{ org_texts }}", 1),
        ("template 0", "'org_texts'", "does not provide", "org_text"),
    ),
    "bad metadata": (
        "scicite_classification",
        lambda text: text.replace("domains: [artificial_intelligence]", "domains: [computer_science]"),
        ("scicite_classification.yaml", "metadata.domains", "'computer_science'", "artificial_intelligence"),
    ),
    "unknown key": (
        "scicite_classification",
        lambda text: text.replace("metadata:", "metdata:", 1),
        ("scicite_classification.yaml", "metdata", "did you mean 'metadata'"),
    ),
    "no separator": (
        "chemprot_ner",
        lambda text: text.replace("|||", "", 1),
        ("chemprot_ner", "template 0", "'|||'"),
    ),
    "template syntax": (
        "chemprot_ner",
        lambda text: text.replace("|||", "{% if %} |||", 1),
        ("chemprot_ner", "template 0"),
    ),
    "not YAML": (
        "chemprot_ner",
        lambda text: text.replace("metadata:", "metadata: [", 1),
        ("chemprot_ner.yaml", "line"),
    ),
    "label outside the set": (
        "scicite_classification",
        lambda text: text.replace("{{ answer_choices[label] | capitalize }}", "{{ answer_choices[label] }}", 1),
        ("does not meet its expectations", "labels only", "unknown label", "scicite_classification:train:"),
    ),
    "output that is not JSON": (
        "scierc_ner",
        lambda text: text.replace("{{ ner_dict | tojson }}", "Answer: {{ ner_dict | tojson }}", 1),
        ("does not meet its expectations", "promised form", "scierc_ner:train:"),
    ),
    "mentions that are not in the text": (
        "chemprot_ner",
        lambda text: text.replace("{{ ner_dict | tojson }}", '{{ ner_dict | tojson | replace("s", "z") }}', 1),
        ("does not meet its expectations", "copied from the input", "not in the input"),
    ),
}


@pytest.mark.parametrize("case", WORDING_FAULTS)
def test_a_bad_task_file_fails_its_task_alone(case: str, lab: Lab) -> None:
    task, edit, parts = WORDING_FAULTS[case]
    lab.edit(task, edit)
    require_one_failure(lab.build(), task, *parts)
    assert not (lab.store / f"instructions/{WINDOW}/{task}").exists()
    assert not (lab.store / f"validation/results/{task}.json").exists()
    assert task not in (lab.store / "validation/index.html").read_text("utf-8")
    assert not (lab.store / ".staging").exists()


@pytest.mark.parametrize("case", ["missing variable", "bad metadata", "label outside the set"])
def test_artifacts_of_earlier_builds_stay_when_the_wording_goes_bad(case: str, lab: Lab) -> None:
    assert lab.build().exit_code == 0
    before = tree(lab.store)
    task, edit, _ = WORDING_FAULTS[case]
    lab.edit(task, edit)
    assert lab.build().exit_code == 1
    assert tree(lab.store) == before
    shutil.copy(CHECKOUT / "templates" / "tasks" / f"{task}.yaml", lab.task_files)
    mended = lab.build()
    assert mended.exit_code == 0
    assert set(states(mended).values()) == {"already done"}
    assert tree(lab.store) == before


def test_everything_wrong_at_once(lab: Lab) -> None:
    """Each task has its own message; nothing is combined; the next run, with all put right, builds all."""
    lab.edit("scicite_classification", WORDING_FAULTS["bad metadata"][1])
    SOURCE_FAULTS["hash differs"][1](lab)
    drop_entry(lab.mirror, CHEMPROT)
    result = lab.build()
    assert result.exit_code == 1
    assert states(result) == dict.fromkeys(TASKS, "FAILED")
    assert len(failures(result)) == 3
    assert tree(lab.store) in ({}, {"/": ""})
    shutil.rmtree(lab.mirror)
    copy_of_samples(lab.mirror)
    shutil.copy(CHECKOUT / "templates/tasks/scicite_classification.yaml", lab.task_files)
    assert set(states(lab.build()).values()) == {"built"}


def change_line(number: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        found = content.splitlines(keepends=True)
        found[number - 1] = change(found[number - 1])
        return b"".join(found)

    return edit


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:50] + b"\n",
        lambda line: b"\xff\xfe not UTF-8\n",
        lambda line: b"[]\n",
        lambda line: line.replace(b'"sentences"', b'"sentencing"'),
    ],
)
def test_a_bad_record_in_the_middle_is_named_and_the_others_are_kept(
    change: Callable[[bytes], bytes], lab: Lab
) -> None:
    whole = lab.build(tasks=("scierc_ner",))
    assert whole.exit_code == 0
    before = {line["_instance_id"]: line for line in lines(lab.store, WINDOW, "scierc_ner", "train")}
    archive = (lab.mirror / SCIERC).read_bytes()
    member = "processed_data/json/train.json"
    change_source(lab.mirror, SCIERC, repacked(archive, member, change_line(5, change)))
    result = lab.build(tasks=("scierc_ner",))
    assert result.exit_code == 0
    after = {line["_instance_id"]: line for line in lines(lab.store, WINDOW, "scierc_ner", "train")}
    assert before.keys() - after.keys() == {"scierc_ner:train:4"}
    assert after.items() <= before.items()
    told = manifest(lab.store, WINDOW, "scierc_ner")
    assert told["malformed_records"] == {"train": 1}
    assert told["dropped"]["train"] == {"malformed record": 1}
    (message,) = told["malformed"]["train"]
    assert "train.json" in message
    assert "5" in message.replace("train.json", "")
    (note,) = [note for note in told["notes"] if "malformed" in note]
    assert message in note
    assert f"note: scierc_ner: {note}" in result.stdout or note in result.stdout


def test_what_a_reader_passes_over_on_purpose_is_counted_and_named(lab: Lab) -> None:
    result = lab.build(tasks=("scicite_classification",))
    assert result.exit_code == 0
    told = manifest(lab.store, WINDOW, "scicite_classification")
    assert told["passed_over"] == {split: {"repeated unique_id": 1} for split in ("train", "test")}
    notes = [note for note in told["notes"] if "passed over" in note]
    for note, split in zip(notes, ("train", "test"), strict=True):
        assert note.startswith(
            f"passed over in {split}: repeated unique_id: 1, the first: archive!scicite/{split}.jsonl:"
        )
        assert note in result.stdout


def test_a_source_of_bad_records_alone_is_not_published(lab: Lab) -> None:
    archive = (lab.mirror / SCICITE).read_bytes()
    for split in ("train", "dev", "test"):
        archive = repacked(archive, f"scicite/{split}.jsonl", lambda content: b"{}\n" * content.count(b"\n"))
    change_source(lab.mirror, SCICITE, archive)
    result = lab.build()
    assert result.exit_code == 1
    assert states(result)["scicite_classification"] == "FAILED"
    assert not (lab.store / f"instructions/{WINDOW}/scicite_classification").exists()
    (message,) = failures(result)
    assert "scicite_classification" in message


def test_a_split_that_a_partial_source_lacks_is_told(lab: Lab) -> None:
    """Rules for missing splits apply, and the manifest says why."""
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(lab.mirror / SCIERC) as old, tarfile.open(fileobj=out, mode="w:gz") as new:
        for entry in old:
            if not entry.name.endswith("dev.json"):
                new.addfile(entry, old.extractfile(entry))
    change_source(lab.mirror, SCIERC, out.getvalue())
    assert lab.build(tasks=("scierc_ner",)).exit_code == 0
    told = manifest(lab.store, WINDOW, "scierc_ner")
    assert any("source split validation missing" in note and "dev.json" in note for note in told["notes"])
    assert told["inputs"]["partial"] is True
    assert all(entry["rows"] for entry in told["files"].values())
    edit_index(lab.mirror, SCIERC, partial=False)
    shutil.rmtree(lab.store)
    result = lab.build(tasks=("scierc_ner",))
    assert result.exit_code == 1
    assert "dev.json" in result.stdout


def test_unknown_tasks_get_near_names_before_anything_is_done(lab: Lab) -> None:
    result = lab.sciriff("build", "--tasks", "scierc_ner,scirc_ner")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unknown task 'scirc_ner'; did you mean ")
    assert "scierc_ner" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not lab.store.exists()
    nothing_near = lab.sciriff("build", "--tasks", "zzz")
    assert nothing_near.exit_code == 1
    assert "known: " in nothing_near.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--windows", "64"], 1, "at least 128 tokens"),
        (["--n-instances", "0"], 1, "give at least 1, or 'all'"),
        (["--template-ids", "-1"], 1, "counted from 0"),
        (["--seed", str(2**64)], 1, "at most 64 bits"),
        (["--workers", "0"], 2, "--workers"),
        (["--fidelity", "exact"], 2, "--fidelity"),
        (["--windows", "big"], 2, "big"),
        (["--no-such-option"], 2, "--no-such-option"),
        (["--templates-dir", "nowhere"], 2, "nowhere"),
        (["--store", "nosuchprotocol://x"], 1, "nosuchprotocol"),
        (["--mirror", "nowhere"], 1, "nowhere"),
        (["--tokenizer", "nowhere/tokenizer.json"], 1, "nowhere/tokenizer.json"),
    ],
)
def test_wrong_options(arguments: list[str], code: int, message: str, lab: Lab) -> None:
    result = lab.sciriff("build", "--tasks", "scierc_ner", *arguments)
    assert result.exit_code == code, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert "internal error" not in result.output
    assert tree(lab.root / "artifacts") in ({}, {"/": ""}) if lab.store.exists() else True


def test_a_template_that_a_task_does_not_have(lab: Lab) -> None:
    result = lab.build("--template-ids", "0,7")
    assert result.exit_code == 1
    assert "there is no template 7; the task file has 0, 1" in result.stdout


def test_an_unwritable_store_is_one_message_before_any_work(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciriff.building.build.acquire_source", lambda *_, **__: pytest.fail("began to work"))
    (lab.root / "file").write_bytes(b"in the way")
    result = lab.build("--store", str(lab.root / "file" / "store"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: cannot write {lab.root}/file/store")
    assert "check that the store" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_store_that_fills_up_fails_what_it_failed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the second task is published; when there is room again, only that task is built."""
    from sciriff.store import Store

    publish = Store.publish

    def full(self: Store, relative: str, local: Path) -> None:
        if "/scicite_classification/" in relative and "8192" in relative:
            with self._named_errors("write", relative):
                raise OSError(28, "No space left on device")
        publish(self, relative, local)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish", full)
        require_one_failure(lab.build(), "scicite_classification", "No space left on device", "make room there")
    assert not (lab.store / ".staging").exists()
    assert states(lab.build()) == {
        name: "built" if name == "scicite_classification" else "already done" for name in TASKS
    }


def test_a_source_to_be_got_by_hand_blocks_its_tasks_and_exits_3(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    find = catalogue.source

    def by_hand(source_id: str) -> catalogue.Source:
        source = find(source_id)
        return source.model_copy(update={"kind": "manual"}) if source_id == "scicite" else source

    monkeypatch.setattr(catalogue, "source", by_hand)
    drop_entry(lab.mirror, SCICITE)
    result = lab.build()
    assert result.exit_code == 3, result.output
    assert states(result) == {name: "BLOCKED" if name.startswith("scicite") else "built" for name in TASKS}
    (message,) = failures(result, "BLOCKED")
    assert "must be fetched by hand" in message
    assert "scicite.tar.gz" in message
    lab.edit("scierc_ner", WORDING_FAULTS["missing variable"][1])
    assert lab.build().exit_code == 1


def test_samples_do_not_replace_what_was_built_from_real_data(lab: Lab) -> None:
    """With the mirror gone, a build that falls back to samples keeps the artifacts of real data."""
    edit_index(lab.mirror, SCIERC, partial=False)
    assert lab.build(tasks=("scierc_ner",)).exit_code == 0
    assert manifest(lab.store, WINDOW, "scierc_ner")["inputs"]["sample"] is False
    before = task_hashes(tree(lab.store), "scierc_ner")
    del lab.environment["SCIRIFF_MIRROR"]
    lab.edit("scierc_ner", lambda text: text.replace("Return the JSON object only", "Return only the object", 1))
    result = lab.build(tasks=("scierc_ner",))
    assert result.exit_code == 1
    assert "were built from real data; they are kept" in result.stdout
    assert task_hashes(tree(lab.store), "scierc_ner") == before
    assert lab.build("--force", tasks=("scierc_ner",)).exit_code == 0
    assert manifest(lab.store, WINDOW, "scierc_ner")["inputs"]["sample"] is True


def test_a_tar_that_ends_in_the_middle_of_a_member_is_named(lab: Lab) -> None:
    content = (lab.mirror / SCIERC).read_bytes()
    change_source(lab.mirror, SCIERC, gzip.compress(gzip.decompress(content)[:5000]))
    require_one_failure(lab.build(), "scierc_ner", "sciERC_processed.tar.gz")

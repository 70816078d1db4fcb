"""`sciriff verify`: damage is found by hashes, forgery by making records anew."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from sciriff import api
from sciriff.building.plan import TaskPlan
from sciriff.building.progress import Silent
from sciriff.cli import main
from sciriff.errors import ExitCode, UsageError
from sciriff.mixture import create_mixture
from sciriff.resources import resource_dir
from sciriff.settings import Settings
from sciriff.store import Store
from sciriff.verifying.files import audit
from sciriff.verifying.sampling import draw
from sciriff.verifying.verify import TaskVerified, VerifyReport, verify_store

TASKS = ("cdr_ner", "covid_deepset_qa", "qasper_abstractive_qa", "scierc_ner")
"""Two that fit texts to the window, two that do not."""
WINDOWS = (4096, 8192)
TASK = "instructions/4096/scierc_ner"


def settings_for(store: Path | str, workspace: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "store": str(store),
        "cache": workspace / "cache",
        "lock": workspace / "sources.lock",
        "mirror": None,
        "manual": str(workspace / "manual"),
        "offline": True,
        "samples": "always",
        "tokenizer": None,
        "templates_dir": None,
        "workers": 1,
    }
    return Settings(_env_file=None, **{**given, **changes})


def build(settings: Settings, tasks: tuple[str, ...] = TASKS, **options: Any) -> None:
    report = api.build(tasks, settings=settings, **{"windows": WINDOWS, **options})
    assert report.exit_code is ExitCode.DONE


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    build(settings_for(folder / "store", folder))
    create_mixture(
        Store(str(folder / "store")), instances_per_task=5, tulu="none", include_eval_tasks=True, window=4096
    )
    return folder / "store"


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A store of the test's own."""
    shutil.copytree(built, tmp_path / "store")
    return tmp_path / "store"


Verify = Callable[..., VerifyReport]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    def call(
        store: Path | str, *, share: float = 1.0, settings: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        found = settings_for(store, tmp_path, **{"samples": "auto", **(settings or {})})
        return verify_store(Store(str(store)), found, Silent(), share=share, **options)

    return call


def task_of(report: VerifyReport, name: str) -> TaskVerified:
    return next(task for task in report.tasks if task.task == name)


def forge(
    store: Path, change: Callable[[list[dict[str, Any]]], None], folder: str = TASK, file: str = "train.jsonl"
) -> None:
    """Alter records, and the manifest so that every hash is right again."""
    path = store / folder / file
    records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    change(records)
    data = b"".join(orjson.dumps(record) + b"\n" for record in records)
    path.write_bytes(data)
    shelf = Store(str(store))
    manifest = shelf.read_manifest(folder)
    assert manifest is not None
    manifest["files"][file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(records)}
    shelf.write_manifest(folder, manifest)


def reseal(store: Path, change: Callable[[dict[str, Any]], None], tasks: tuple[str, ...] = ("scierc_ner",)) -> None:
    """Alter the manifests of tasks."""
    shelf = Store(str(store))
    for folder in (f"instructions/{window}/{task}" for window in WINDOWS for task in tasks):
        manifest = shelf.read_manifest(folder)
        assert manifest is not None
        change(manifest)
        shelf.write_manifest(folder, manifest)


# --- a store as it was built ----------------------------------------------------------------------------------------


def test_of_a_clean_store_every_record_is_made_anew_and_equal(built: Path, verify: Verify) -> None:
    report = verify(built)
    assert [task.task for task in report.tasks] == list(TASKS)
    for task in report.tasks:
        rows = sum(
            len((built / f"instructions/{window}/{task.task}/{split}.jsonl").read_bytes().splitlines())
            for window in WINDOWS
            for split in ("train", "validation", "test")
        )
        assert (task.proof.records, task.proof.sampled, task.proof.equal) == (rows, rows, rows)
        assert (task.intact, task.damage, task.proof.differences, task.proof.other_code) == (6, (), [], "")
    assert {"instructions_hf", "training_mix", "validation"} <= set(report.others)
    assert report.others["training_mix"] == (1, ())
    assert report.unnamed == ()
    assert report.exit_code is ExitCode.DONE


def test_nothing_is_written(copy: Path, tmp_path: Path, verify: Verify) -> None:
    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}

    before = state()
    verify(copy)
    assert state() == before


def test_a_sample_is_drawn_by_a_key(built: Path, verify: Verify) -> None:
    store = Store(str(built))
    first, again, other = (draw(store, "cdr_ner", list(WINDOWS), 0.3, seed) for seed in (0, 0, 1))
    assert first.rows.keys() == again.rows.keys() != other.rows.keys()
    assert 0 < first.sampled < first.records
    assert {line.window for lines in first.rows.values() for line in lines} == set(WINDOWS)
    report = verify(built, share=0.3)
    assert task_of(report, "cdr_ner").proof.sampled == first.sampled


def test_the_smallest_share_is_one_row(built: Path, verify: Verify) -> None:
    report = verify(built, share=1e-12)
    assert all(task.proof.sampled >= 1 and task.proof.equal == task.proof.sampled for task in report.tasks)


def test_only_some_tasks(built: Path, verify: Verify) -> None:
    report = verify(built, tasks=["scierc_ner"])
    assert {task.task for task in report.tasks if task.proof.sampled} == {"scierc_ner"}
    assert all(task.intact == 6 for task in report.tasks), "files are hashed all the same"


@pytest.mark.slow
def test_a_subset_of_windows_with_a_cap_and_other_wordings(tmp_path: Path, verify: Verify) -> None:
    build(
        settings_for(tmp_path / "store", tmp_path),
        ("scierc_ner", "covid_deepset_qa"),
        windows=(8192,),
        n_instances=3,
        template_ids=(0, 1),
        seed=5,
        fidelity="original",
    )
    report = verify(tmp_path / "store")
    assert [task.windows for task in report.tasks] == [(8192,), (8192,)]
    assert all(task.proof.equal == task.proof.sampled > 0 and not task.proof.differences for task in report.tasks)
    assert report.exit_code is ExitCode.DONE


# --- damage ---------------------------------------------------------------------------------------------------------


def test_a_bit_that_flips_in_any_file_is_found(copy: Path) -> None:
    store = Store(str(copy))
    clean = audit(store, Silent())
    assert not any(folder.damage for folder in clean.folders)
    kinds = sum(clean.kinds.values())
    looked_at = 0
    for number, path in enumerate(sorted(copy.rglob("*"))):
        if not path.is_file():
            continue
        name = path.relative_to(copy).as_posix()
        data = path.read_bytes()
        if not data:
            continue
        place = number * 7919 % len(data)
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        found = audit(store, Silent())
        path.write_bytes(data)
        damaged = [each.path for folder in found.folders for each in folder.damage]
        if name in damaged:
            looked_at += 1
        else:
            assert damaged == []
            kinds -= 1
    assert kinds == 0, "every other file is of a kind that has no manifest"
    assert looked_at > 30


def test_a_changed_file_is_named_and_the_rest_is_proved(copy: Path, verify: Verify) -> None:
    path = copy / TASK / "train.jsonl"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    report = verify(copy)
    task = task_of(report, "scierc_ner")
    assert [(each.path, each.flaw) for each in task.damage] == [(f"{TASK}/train.jsonl", "changed")]
    assert task.proof.equal == task.proof.sampled > 0, "the other window is proved"
    assert report.exit_code is ExitCode.FAILED
    assert all(other.exit_code is ExitCode.DONE for other in report.tasks if other is not task)


def test_missing_files_and_files_without_a_manifest_are_named(copy: Path, verify: Verify) -> None:
    (copy / TASK / "test.jsonl").unlink()
    (copy / TASK / "stray.jsonl").write_text("{}\n")
    (copy / "instructions/8192/cdr_ner/manifest.json").unlink()
    report = verify(copy)
    assert [(each.path, each.flaw) for each in task_of(report, "scierc_ner").damage] == [
        (f"{TASK}/test.jsonl", "missing")
    ]
    assert f"{TASK}/stray.jsonl" in report.unnamed
    assert "instructions/8192/cdr_ner/train.jsonl" in report.unnamed
    assert report.exit_code is ExitCode.FAILED


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"files": {}}', b"\xff\xfe"], ids=repr)
def test_a_broken_manifest_is_damage(content: bytes, copy: Path, verify: Verify) -> None:
    (copy / TASK / "manifest.json").write_bytes(content)
    report = verify(copy, tasks=["scierc_ner"], share=0.01)
    assert [each.path for each in task_of(report, "scierc_ner").damage] == [f"{TASK}/manifest.json"]
    assert report.exit_code is ExitCode.FAILED


# --- forgery: every hash is right -----------------------------------------------------------------------------------


def assert_forged(report: VerifyReport, what: str, name: str = "scierc_ner") -> None:
    task = task_of(report, name)
    assert task.damage == ()
    assert what in [each.what for each in task.proof.differences], task.proof.differences
    assert report.exit_code is ExitCode.FAILED
    assert task.proof.other_code == ""


def test_an_altered_answer_is_found_though_every_hash_is_right(copy: Path, verify: Verify) -> None:
    forge(copy, lambda records: records[1].update(output=records[1]["output"].replace("[", "[ ", 1)))
    report = verify(copy)
    assert_forged(report, "output")
    (difference,) = task_of(report, "scierc_ner").proof.differences
    assert (difference.path, difference.line) == (f"{TASK}/train.jsonl", 2)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda record: record.update(_input_toks=record["_input_toks"] - 1), "_input_toks"),
        (lambda record: record.update(_document_id="other:1"), "_document_id"),
        (lambda record: record["metadata"].update(domains=["mathematics"]), "metadata"),
        (lambda record: record.update(extra=1), "extra"),
        (lambda record: record.pop("_text_id"), "_text_id"),
        (lambda record: record.update(_template_id=7), "its source gives no such record"),
        (lambda record: record.update(_instance_id="scierc_ner:train:9999"), "its source gives no such record"),
        (lambda record: record.update(_instance_id="scierc_ner:nowhere:1"), "its source gives no such record"),
        (lambda record: record.update(_instance_id="cdr_ner:train:1"), "no line of this task"),
        (lambda record: record.update(_instance_id=None), "no line of this task"),
    ],
)
def test_every_field_is_compared(
    change: Callable[[dict[str, Any]], Any], what: str, copy: Path, verify: Verify
) -> None:
    forge(copy, lambda records: change(records[0]))
    report = verify(copy, tasks=["scierc_ner"])
    task = task_of(report, "scierc_ner")
    found = [each.what for each in task.proof.differences]
    assert what in found or (what.startswith("its source") and "it does not fit its window" in found), found
    assert report.exit_code is ExitCode.FAILED


@pytest.mark.parametrize("name", ["qasper_abstractive_qa", "covid_deepset_qa"])
def test_texts_that_were_fitted_to_a_window_are_fitted_again(name: str, copy: Path, verify: Verify) -> None:
    forge(
        copy,
        lambda records: records[0].update(input=records[0]["input"] + " Trust me."),
        f"instructions/8192/{name}",
    )
    report = verify(copy, tasks=[name])
    assert_forged(report, "input", name)
    assert len(task_of(report, name).proof.differences) == 1


def test_records_that_were_taken_out_or_put_in_twice_are_missed(copy: Path, verify: Verify) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        del records[0]

    forge(copy, change, "instructions/8192/scierc_ner")
    assert_forged(verify(copy, tasks=["scierc_ner"]), "its source gives it, and no file has it")


def test_a_manifest_that_says_nothing_of_its_making_proves_nothing(copy: Path, verify: Verify) -> None:
    reseal(copy, lambda manifest: manifest.pop("parameters"))
    assert_forged(verify(copy), "it does not say what a task was made of")


def test_a_combined_dataset_that_was_altered_with_its_manifest_is_found(copy: Path, verify: Verify) -> None:
    report = verify(copy)
    assert [(proof.window, proof.differences) for proof in report.combined] == [(window, []) for window in WINDOWS]
    assert all(proof.equal == proof.sampled > 0 for proof in report.combined)
    forge(copy, lambda records: records[0].update(output="altered"), "instructions_hf/8192", "validation.jsonl")
    report = verify(copy)
    assert report.exit_code is ExitCode.FAILED
    assert [task.exit_code for task in report.tasks] == [ExitCode.DONE] * len(TASKS)
    (difference,) = [each for proof in report.combined for each in proof.differences]
    assert difference.path == "instructions_hf/8192/validation.jsonl"
    assert "not as in instructions/8192/" in difference.what


def test_a_combined_dataset_with_more_than_its_tasks_is_found(copy: Path, verify: Verify) -> None:
    forge(copy, lambda records: records.append(records[0]), "instructions_hf/4096", "train.jsonl")
    report = verify(copy, share=0.01)
    assert any("records, its tasks have" in each.what for proof in report.combined for each in proof.differences)
    assert report.exit_code is ExitCode.FAILED


def test_a_combined_dataset_in_parquet_is_looked_at_too(copy: Path, verify: Verify) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = copy / "instructions_hf/4096/train.parquet"
    table = pq.read_table(path)
    outputs = ["altered", *table.column("output").to_pylist()[1:]]
    pq.write_table(table.set_column(table.schema.get_field_index("output"), "output", pa.array(outputs)), path)
    store = Store(str(copy))
    manifest = store.read_manifest("instructions_hf/4096")
    assert manifest is not None
    manifest["files"]["train.parquet"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    store.write_manifest("instructions_hf/4096", manifest)
    report = verify(copy)
    assert [each.path for proof in report.combined for each in proof.differences] == [
        "instructions_hf/4096/train.parquet"
    ]


def test_a_combined_dataset_of_earlier_builds_is_told(copy: Path, verify: Verify) -> None:
    store = Store(str(copy))
    manifest = store.read_manifest("instructions_hf/4096")
    assert manifest is not None
    manifest["inputs"]["cdr_ner"] = "0" * 64
    store.write_manifest("instructions_hf/4096", manifest)
    report = verify(copy)
    assert report.combined[0].stale == ("cdr_ner",)
    assert report.exit_code is ExitCode.BLOCKED


# --- what cannot be proved here -------------------------------------------------------------------------------------


def test_a_source_that_is_not_here_is_counted_and_not_passed(tmp_path: Path, verify: Verify) -> None:
    """Built from a mirror (here the bundled files): without it nothing can be proved, with another neither."""
    mirror = tmp_path / "mirror"
    shutil.copytree(resource_dir("samples"), mirror, ignore=shutil.ignore_patterns("tool"))
    settings = settings_for(tmp_path / "store", tmp_path, samples="never", mirror=str(mirror))
    build(settings, ("scierc_ner", "cdr_ner"), windows=(4096,))
    store = tmp_path / "store"

    report = verify(store, settings={"mirror": str(mirror)})
    assert report.exit_code is ExitCode.DONE
    assert all(task.proof.equal for task in report.tasks)

    report = verify(store)
    assert report.exit_code is ExitCode.BLOCKED
    for task in report.tasks:
        assert "not available" in task.proof.not_possible
        assert (task.proof.equal, task.proof.differences) == (0, [])
        assert task.proof.sampled > 0


def test_another_source_is_told_from_the_one_it_was_made_of(copy: Path, verify: Verify) -> None:
    def change(manifest: dict[str, Any]) -> None:
        for entry in manifest["inputs"]["files"].values():
            entry["sha256"] = "0" * 64

    reseal(copy, change)
    report = verify(copy, tasks=["scierc_ner"])
    assert "the artifacts were made of 000000000000" in task_of(report, "scierc_ner").proof.not_possible
    assert report.exit_code is ExitCode.BLOCKED


def test_another_tokenizer_is_told(copy: Path, verify: Verify) -> None:
    reseal(copy, lambda manifest: manifest["tokenizer"].update(sha256="1" * 64))
    report = verify(copy, tasks=["scierc_ner"])
    assert "tokenizer" in task_of(report, "scierc_ner").proof.not_possible
    assert report.exit_code is ExitCode.BLOCKED


def test_artifacts_of_other_code_are_told_from_damage(
    built: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskPlan, "code", lambda self: "other")
    report = verify(built)
    for task in report.tasks:
        assert task.proof.other_code == "built by other code"
        assert task.proof.equal == task.proof.sampled
    assert report.exit_code is ExitCode.DONE


def test_artifacts_of_another_wording_differ_and_are_no_damage(built: Path, tmp_path: Path, verify: Verify) -> None:
    shutil.copytree(resource_dir("templates") / "tasks", tmp_path / "tasks")
    path = tmp_path / "tasks" / "scierc_ner.yaml"
    text = path.read_text("utf-8")
    assert "Abstract:" in text
    path.write_text(text.replace("Abstract:", "The abstract:"), "utf-8")
    report = verify(built, settings={"templates_dir": tmp_path / "tasks"})
    task = task_of(report, "scierc_ner")
    assert "another template" in task.proof.other_code
    assert {each.what for each in task.proof.differences} <= {"input, _input_toks", "input"}
    assert task.exit_code is ExitCode.BLOCKED
    assert report.exit_code is ExitCode.BLOCKED


def test_a_task_without_a_task_file_cannot_be_proved(built: Path, tmp_path: Path, verify: Verify) -> None:
    (tmp_path / "tasks").mkdir()
    shutil.copyfile(resource_dir("templates") / "tasks/cdr_ner.yaml", tmp_path / "tasks/cdr_ner.yaml")
    report = verify(built, settings={"templates_dir": tmp_path / "tasks"})
    assert "no task file" in task_of(report, "scierc_ner").proof.not_possible
    assert task_of(report, "cdr_ner").exit_code is ExitCode.DONE


# --- usage and the command ------------------------------------------------------------------------------------------


def test_usage_errors(built: Path, tmp_path: Path, verify: Verify) -> None:
    with pytest.raises(UsageError, match=r"nope: not built in .*; built: cdr_ner"):
        verify(built, tasks=["nope"])
    with pytest.raises(UsageError, match="holds no manifest"):
        verify(tmp_path / "empty")
    for share in (0.0, -1.0, 1.5):
        with pytest.raises(UsageError, match="share"):
            verify(built, share=share)


def test_the_command(copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    forge(copy, lambda records: records[0].update(output="\x1b[31mred"))
    done = CliRunner().invoke(
        main, ["verify", "--store", str(copy), "--sample", "100%", "--tasks", "scierc_ner,cdr_ner"]
    )
    assert done.exit_code == 1, done.output
    assert f"DIFFERENT: {TASK}/train.jsonl:1 scierc_ner:train:" in done.output
    assert "\x1b" not in done.output
    assert "0 damaged" in done.output
    for wrong in ("0", "101%", "many", "-5%"):
        refused = CliRunner().invoke(main, ["verify", "--store", str(copy), "--sample", wrong])
        assert refused.exit_code == 2
        assert "share" in refused.output or "above 0" in refused.output


@pytest.mark.slow
def test_a_store_on_s3(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verify: Verify
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    url = "s3://bucket/verify"
    build(settings_for(url, tmp_path), ("scierc_ner", "covid_deepset_qa"))
    report = verify(url)
    assert report.exit_code is ExitCode.DONE
    assert all(task.proof.equal == task.proof.sampled > 0 for task in report.tasks)
    store = Store(url)
    store.write_bytes(f"{TASK}/train.jsonl", store.read_bytes(f"{TASK}/train.jsonl") + b"\n")
    store.delete("instructions/4096/covid_deepset_qa/test.jsonl")
    report = verify(url)
    assert [each.flaw for task in report.tasks for each in task.damage] == ["missing", "changed"]

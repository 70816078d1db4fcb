"""The report says what the facts say, hides nothing, and cannot be used against its reader."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from sciriff import api
from sciriff.cli import main
from sciriff.errors import UsageError
from sciriff.reporting.content import Asked, Content, Counts, Pair, Sample, Standing, TaskContent, TaskRun, Usage, Value
from sciriff.reporting.page import dollars, p_value, pages, percent, points, task_page
from sciriff.reporting.publish import REPORT, report_folder, write_report
from sciriff.reporting.text import excerpt
from sciriff.results.headlines import headlines
from sciriff.results.query import sql
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS
from sciriff.settings import Settings
from sciriff.store import MANIFEST, Store

ATTACK = (
    "</pre><script>alert(1)</script><img src=x onerror=alert(2)>"
    "\x1b[31mred\x1b[0m \u202eevil\u202c {{ 7 * 7 }} {% raw %} &lt; \" ' ]]> <!-- "
)
SCRIPTS = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Page(HTMLParser):
    """A page as a browser would see it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "wbr", "br", "line", "circle", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("line", "circle", "rect"):
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(store: Store, page: str = "index.html", folder: str = REPORT) -> Page:
    page = Page(store.read_bytes(f"{folder}/{page}").decode())  # type: ignore[assignment]
    assert page.open == [], "every element is closed"  # type: ignore[attr-defined]
    return page  # type: ignore[return-value]


def publish(store: Store, task: str, answers: list[str], window: int = 4096) -> None:
    """Instances of a task as a build would leave them."""
    lines = [
        {"input": f"{task}, question {number}", "output": answer, "_instance_id": f"{task}:validation:{number}"}
        for number, answer in enumerate(answers)
    ]
    data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(lines)}
    folder = f"instructions/{window}/{task}"
    store.write_bytes(f"{folder}/validation.jsonl", data)
    store.write_manifest(folder, {"key": f"key of {task}", "inputs": {}, "files": {"validation.jsonl": entry}})


ANSWERS = {
    "scierc_ner": [orjson.dumps({"Task": [f"task {n}"], "Method": [f"method {n}"]}).decode() for n in range(6)],
    "bioasq_list_qa": [orjson.dumps([f"gene {n}"]).decode() for n in range(6)],
    "discomat_te": [f'{{"value": "{n}", "type": "Other"}}' for n in range(6)],
}

Predict = Callable[[str, Callable[[str, int, str], str | None]], None]


def settings_for(folder: Path) -> Settings:
    """Settings of a store in a folder."""
    return Settings(store=str(folder / "store"), cache=folder / "cache", offline=True, workers=1, _env_file=None)


def score(folder: Path, model: str, reply: Callable[[str, int, str], str | None]) -> None:
    """Score replies as if a model had given them."""
    for task, answers in ANSWERS.items():
        records = [
            {"prompt": f"{task}, question {number}", "pred": reply(task, number, answer), "ref": answer}
            for number, answer in enumerate(answers)
        ]
        place = folder / "given" / model / task
        place.mkdir(parents=True)
        (place / "raw_predictions.jsonl").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in records))
    report = api.score(folder / "given", model=model, settings=settings_for(folder))
    assert not report.failures, report.failures


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    for task, answers in ANSWERS.items():
        publish(Store(str(folder / "store")), task, answers)
    return folder


@pytest.fixture(scope="module")
def evaluated_once(built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(built_once, folder, dirs_exist_ok=True)
    api.evaluate(["gold", "lead", "empty"], settings=settings_for(folder))
    score(folder, "half", lambda task, number, answer: answer if number % 2 else ATTACK)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


@pytest.fixture
def store(built_once: Path, tmp_path: Path) -> Store:
    shutil.copytree(built_once, tmp_path, dirs_exist_ok=True)
    return Store(str(tmp_path / "store"))


@pytest.fixture
def evaluated(evaluated_once: Path, tmp_path: Path) -> Store:
    shutil.copytree(evaluated_once, tmp_path, dirs_exist_ok=True)
    return Store(str(tmp_path / "store"))


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    return partial(score, tmp_path)


# --- content --------------------------------------------------------------------------------------------------------


def test_the_leaderboard_is_that_of_the_index(evaluated: Store, settings: Settings) -> None:
    page = read(evaluated)
    columns, rows = api.sql("from leaderboard", settings=settings)
    assert len(rows) == 4
    for row in (dict(zip(columns, row, strict=True)) for row in rows):
        assert row["model"] in page.text
        assert f"{row['mean']:.2f}" in page.text
        assert f"[{row['mean_low']:.1f}, {row['mean_high']:.1f}]" in page.text
        assert f"{row['coverage'].split('/')[0]} of 11 columns" in page.text, "a partial mean is marked"
    order = [page.text.index(f"{number} {row[0]} ") for number, row in enumerate(rows, start=1)]
    assert order == sorted(order), "best first"
    assert "no model has a value of biored_f1" in page.text


def test_evaluate_and_score_write_the_report_and_say_where(
    evaluated: Store, settings: Settings, tmp_path: Path
) -> None:
    command = ["evaluate", "--model", "gold", "--store", evaluated.url, "--offline"]
    done = CliRunner().invoke(main, command, env={"SCIRIFF_CACHE": str(tmp_path / "cache")})
    assert done.exit_code == 0, done.output
    assert f"report       {evaluated.path(REPORT)}/index.html" in done.output
    given = CliRunner().invoke(main, ["score", str(tmp_path / "given"), "--model", "half", "--store", evaluated.url])
    assert f"report       {evaluated.path(REPORT)}/index.html" in given.output


def test_a_task_has_a_page_with_everything(evaluated: Store) -> None:
    index = read(evaluated)
    links = {attributes["href"] for attributes in index.of("a")}
    assert {task_page(task) for task in ANSWERS} <= links
    page = read(evaluated, "scierc_ner.html")
    assert {"href": "index.html"} in page.of("a")
    for words in (
        "corrected",
        "original",
        "6 documents",
        "unparseable 3",
        "unparseable 6",
        "empty 6",
        "half: model failed",
    ):
        assert words in page.text, words
    assert re.search(r"scierc_ner, question \d", page.text), "the prompt"
    assert "(3 characters)" not in page.text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.of("a") if str(a["href"]).startswith("#")} <= set(ids)


def test_comparisons_are_those_of_the_index(evaluated: Store, settings: Settings) -> None:
    page = read(evaluated, "scierc_ner.html")
    query = """select * from comparisons
    where task = 'scierc_ner' and metric = 'f1' and model_a = 'gold' and model_b = 'half'"""
    columns, rows = sql(query, Path(evaluated.path("results/metrics.duckdb")))
    row = dict(zip(columns, rows[0], strict=True))
    assert f"gold half f1 100.00 {percent(row['value_b'])} {points(row['difference'])}" in page.text
    assert f"{p_value(row['p_value'])} {p_value(row['p_holm'])} {percent(row['detectable'])} 6 6 documents" in page.text
    assert "lead gold" not in page.text, "the better placed model comes first"
    assert len(rows) == 1


def test_replies_that_never_came_give_bounds(store: Store, settings: Settings, predict: Predict) -> None:
    predict("silent", lambda task, number, answer: None if number == 0 else answer)
    page = read(store, "scierc_ner.html")
    assert "no reply 1 (system)" in page.text
    assert re.search(r"\(\d+\.\d to 100\.0\)", page.text), "bounds"
    assert "There is none." in page.text


def test_why_profiles_differ(evaluated: Store, predict: Predict) -> None:
    predict("chatty", lambda task, number, answer: f"{answer}</s>" if number else "")
    page = read(evaluated)
    _, rows = sql(
        "select distinct differences from samples where differences <> ''",
        Path(evaluated.path("results/metrics.duckdb")),
    )
    assert rows
    for (names,) in rows:
        assert all(name in page.text for name in names.split(","))


def test_the_other_profile_may_come_first(evaluated: Store, settings: Settings) -> None:
    done = write_report(evaluated, settings, profile=Profile.ORIGINAL)
    assert done.state == "written"
    assert "in the profile original; the value of the profile corrected" in read(evaluated).text


def test_some_models_only(evaluated: Store, settings: Settings) -> None:
    done = write_report(evaluated, settings, models=["half", "gold"])
    assert done.models == ("gold", "half")
    page = read(evaluated)
    assert "2 models (of 4)" in page.text
    assert "lead" not in page.text
    with pytest.raises(UsageError, match="did you mean half"):
        write_report(evaluated, settings, models=["halff"])


def test_one_model_only(store: Store, settings: Settings) -> None:
    api.evaluate(["gold"], settings=settings)
    page = read(store)
    assert "There is nothing to compare" in page.text
    assert "1 model on 3 of 9" in page.text
    assert "Every reply was understood and is right." in read(store, "scierc_ner.html").text


def test_other_windows_have_reports_of_their_own(store: Store, settings: Settings) -> None:
    publish(store, "scierc_ner", ANSWERS["scierc_ner"], 8192)
    api.evaluate(["gold"], settings=settings)
    api.evaluate(["lead"], window=8192, settings=settings)
    assert report_folder(8192, "validation") == f"{REPORT}/8192-validation"
    page = read(store, folder=f"{REPORT}/8192-validation")
    assert "window 8,192 tokens" in page.text
    assert "There are also results at 4,096 validation" in page.text
    assert "lead" not in read(store).text


def test_without_results_there_is_no_report(store: Store, settings: Settings) -> None:
    with pytest.raises(UsageError, match="nothing is evaluated"):
        write_report(store, settings)
    api.evaluate(["gold"], settings=settings)
    with pytest.raises(UsageError, match="nothing is evaluated at window 16384, split test"):
        write_report(store, settings, window=16384, split="test")


# --- bytes ----------------------------------------------------------------------------------------------------------


def report_bytes(store: Store) -> dict[str, bytes]:
    return {name: store.read_bytes(f"{REPORT}/{name}") for name in store.files(REPORT)}


def test_equal_facts_give_equal_bytes(evaluated: Store, settings: Settings, tmp_path: Path) -> None:
    before = report_bytes(evaluated)
    assert write_report(evaluated, settings).state == "cached"
    for name in before:
        evaluated.delete(f"{REPORT}/{name}")
    Path(evaluated.path("results/metrics.duckdb")).unlink()
    assert write_report(evaluated, settings).state == "written"
    assert report_bytes(evaluated) == before
    assert all(str(tmp_path).encode() not in data for data in before.values()), "no path of this machine"
    manifest = evaluated.read_manifest(REPORT)
    assert manifest is not None
    assert set(manifest["files"]) == {name for name in before if name != MANIFEST}
    assert not evaluated.damaged(REPORT, manifest)


@pytest.mark.slow
def test_a_damaged_or_older_page_is_written_anew(evaluated: Store, settings: Settings) -> None:
    before = report_bytes(evaluated)
    evaluated.write_bytes(f"{REPORT}/index.html", b"<html>")
    assert write_report(evaluated, settings).state == "written"
    assert report_bytes(evaluated) == before
    write_report(evaluated, settings, models=["gold"])
    api.evaluate(["prompt-echo"], tasks=["scierc_ner"], settings=settings)
    assert "prompt-echo" in read(evaluated).text


@pytest.mark.slow
def test_pages_of_tasks_that_went_away_go_too(evaluated: Store, settings: Settings) -> None:
    api.evaluate(["prompt-echo"], tasks=["scierc_ner"], settings=settings)
    write_report(evaluated, settings, models=["prompt-echo"])
    assert [name for name in evaluated.files(REPORT) if name.endswith(".html")] == ["index.html", "scierc_ner.html"]


def test_a_store_that_is_not_local(tmp_path: Path, settings: Settings) -> None:
    store = Store("memory://report-of-tests")
    publish(store, "scierc_ner", ANSWERS["scierc_ner"])
    elsewhere = settings.model_copy(update={"store": store.url})
    api.evaluate(["gold", "lead"], settings=elsewhere)
    assert "gold" in read(store).text


# --- attacks --------------------------------------------------------------------------------------------------------


def assert_harmless(page: Page, source: str) -> None:
    """Nothing but what we wrote runs, loads or points elsewhere."""
    assert len(page.of("script")) == 1
    assert page.of("img") == page.of("iframe") == page.of("link") == page.of("object") == page.of("base") == []
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "srcdoc", "action") for name in attributes), (
            tag
        )
        target = attributes.get("href") or ""
        assert re.fullmatch(r"#[a-z-]+|[a-z_]+\.html|", target), target
    policy = next(a["content"] or "" for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    (script,) = SCRIPTS.findall(source)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    style = source[source.index("<style>") + 7 : source.index("</style>")]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert "url(" not in style
    assert "\x1b" not in source
    assert "\u202e" not in source


def test_a_hostile_reply_is_shown_as_text(evaluated: Store) -> None:
    shown = 0
    for name in evaluated.files(REPORT):
        if not name.endswith(".html"):
            continue
        source = evaluated.read_bytes(f"{REPORT}/{name}").decode()
        page = read(evaluated, name)
        assert_harmless(page, source)
        if name != "index.html":
            assert "<script>alert(1)</script>" in page.text, "as text"
            assert "{{ 7 * 7 }}" in page.text
            assert "␛[31mred␛[0m ⟨U+202E⟩evil⟨U+202C⟩" in page.text
            shown += 1
    assert shown == len(ANSWERS)


def content(models: list[str], text: str, note: str = "") -> Content:
    """A report of all tasks with the same numbers everywhere."""
    value = Value(0.123456, 0.1, 0.2, 0.05, 0.3)
    counts = Counts(2500, 2000, 400, 100)
    both = tuple(Profile)
    cut = excerpt(text, 1600)

    def pairs(metrics: list[str]) -> Iterator[Pair]:
        for place, first in enumerate(models):
            for second in models[place + 1 :]:
                for metric in metrics:
                    yield Pair(first, second, metric, 0.5, 0.4, Value(0.1, -0.05, 0.25), 0.01, 0.04, 0.07, 900, 2400, 5)

    judge: dict[str, Any] = {"task": note or "t", "judge_model": note or "judge", "state": "done", "note": note}
    judge |= dict.fromkeys(("judged", "rated", "no_answer", "judge_failed", "asked_again"), 1)
    judge |= {"low": 0.1, "high": 0.2, "failures": ((note, 1),)}
    build = dict.fromkeys(("source", "licence", "fidelity", "template_ids", "split_by", "tokenizer"), note or "x")
    build |= {
        "is_sample": False,
        "is_partial": True,
        "seed": 1,
        "cap": 2500,
        "tokenizer_sha256": "0" * 64,
        "build_key": "1" * 64,
    }
    run = {
        "task": note or "t",
        "run_id": "r",
        "samples": 1,
        "sample_limit": 5,
        "predictions_sha256": "",
        "instances_sha256": "",
    }
    tasks = []
    for task in EVAL_TASKS:
        metrics = [headline.metric for headline in headlines(task.name)]
        tasks.append(
            TaskContent(
                name=task.name,
                metrics=tuple(metrics),
                columns=tuple(column.metric for column in SUMMARY_COLUMNS if column.task == task.name),
                runs=tuple(
                    TaskRun(
                        model,
                        counts,
                        (("model_failed", note or "empty", 400), ("system_failed", "no_reply", 100)),
                        {(metric, profile): value for metric in metrics for profile in both},
                        900,
                        2500,
                    )
                    for model in models
                ),
                pairs=tuple(pairs(metrics)),
                judges=tuple({**judge, "model": model} for model in models) if task.judged else (),
                differences=(),
                samples=tuple(
                    Sample(
                        models[0], note or "id", "model_failed", note or "empty", "", note, None, "f1", cut, cut, cut
                    )
                    for _ in range(8)
                ),
                build=build,
            )
        )
    return Content(
        window=4096,
        split="validation",
        profile=Profile.CORRECTED,
        columns=SUMMARY_COLUMNS,
        standings=tuple(
            Standing(
                model,
                dict.fromkeys(both, value),
                11,
                {(column.name, profile): value for column in SUMMARY_COLUMNS for profile in both},
                counts,
                "judge",
                note,
            )
            for model in models
        ),
        left_out=0,
        pairs=tuple(pairs(["mean"])),
        tasks=tuple(tasks),
        missing_columns=(),
        elsewhere=(),
        asked=tuple(
            Asked(
                model,
                "2" * 64,
                {note or "shots": note or "0"},
                ("t",),
                Usage(5, 4, 10**9, 10**6, 0.004, (note or "m",)),
            )
            for model in models
        ),
        runs=tuple({**run, "model": model} for model in models),
        versions={"sciriff": "0", note or "scorer": note},
    )


def test_no_value_from_outside_can_break_out() -> None:
    """Names, notes, reasons, answers of judges: every one of them is hostile."""
    for _, data in pages(content([ATTACK, ATTACK + "2"], ATTACK * 500 + "\ud800", ATTACK)):
        source = data.decode()
        page = Page(source)
        assert page.open == []
        assert_harmless(page, source)
        assert "<script>alert(1)</script>" in page.text


def test_long_replies_are_cut_and_their_length_is_said() -> None:
    page = Page(dict(pages(content(["m"], "x" * 1_000_000)))["scierc_ner.html"].decode())
    assert "… 998,400 of 1,000,000 characters left out …" in page.text
    assert "(1,000,000 characters)" in page.text


def test_twenty_models_fit_into_pages_that_open_at_once() -> None:
    models = [f"a-model-with-a-rather-long-name-{number}-70b-instruct" for number in range(20)]
    sizes = {name: len(data) for name, data in pages(content(models, "word " * 3000))}
    assert len(sizes) == 10
    assert sizes["index.html"] < 700_000
    assert max(sizes.values()) < 1_000_000
    assert sum(sizes.values()) < 6_000_000


def test_tables_have_heads_and_charts_have_words() -> None:
    for _, data in pages(content(["one", "two"], "text")):
        page = Page(data.decode())
        assert all("scope" in attributes for attributes in page.of("th"))
        assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in page.of("svg"))
        ids = {attributes.get("id") for _, attributes in page.tags}
        assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= ids
        assert page.of("html") == [{"lang": "en"}]


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (percent(0.5), "50.00"),
        (percent(None), "–"),
        (points(-0.1), "−10.00"),
        (points(-0.0), "+0.00"),
        (p_value(0.00009999), "< 0.001"),
        (p_value(0.05), "0.050"),
        (dollars(0.0), "$0.00"),
        (dollars(0.0041), "$0.0041"),
        (dollars(12.345), "$12.35"),
    ],
)
def test_numbers_are_spelled(spelled: str, expected: str) -> None:
    assert spelled == expected


def test_the_command(evaluated: Store, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["report", "--store", evaluated.url, *arguments])

    done = run("--profile", "original", "--models", "gold,half")
    assert done.exit_code == 0, done.output
    assert f"report       {evaluated.path(REPORT)}/index.html" in done.output
    assert "it was there already" in run("--profile", "original", "--models", "gold,half").output
    assert run("--window", "1").exit_code == 1
    assert run("--profile", "mine").exit_code == 2


@pytest.mark.slow
def test_a_page_on_s3_is_one_that_browsers_show(
    evaluated_once: Path, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import fsspec

    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    here, there = Store(str(evaluated_once / "store")), Store("s3://bucket/report")
    for name in here.files("results/facts"):
        there.write_bytes(f"results/facts/{name}", here.read_bytes(f"results/facts/{name}"))
    for name in here.files("results/predictions"):
        there.write_bytes(f"results/predictions/{name}", here.read_bytes(f"results/predictions/{name}"))
    done = write_report(there, settings_for(tmp_path).model_copy(update={"store": there.url}))
    assert done.state == "written"
    assert report_bytes(there) == report_bytes(here), "the same bytes as on disk"
    filesystem = fsspec.filesystem("s3", endpoint_url=s3_environment["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    assert filesystem.info(f"bucket/report/{REPORT}/index.html")["ContentType"].startswith("text/html")

"""Runs that are judged by a real server of the OpenAI protocol: what is asked, kept, counted and published."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from models.openai_server import BatchPlan, Body, FakeServer, content_of, running

from sciriff.building.progress import Silent
from sciriff.cli.leaderboard import leaderboard_text
from sciriff.errors import ExitCode, UsageError
from sciriff.hashing import text_sha256
from sciriff.models.openai_batch import Looks
from sciriff.models.openai_server import Patience
from sciriff.models.plan import AskOptions
from sciriff.models.quote import Quote
from sciriff.results.evaluate import EvaluationReport, evaluate
from sciriff.results.facts import Run
from sciriff.results.judge_facts import JudgeState, judge_prompt
from sciriff.results.judge_options import DEFAULT_JUDGE, JudgeOptions, find_judge
from sciriff.results.judging import quote_judging
from sciriff.results.query import sql
from sciriff.results.score import score_predictions
from sciriff.settings import Settings
from sciriff.store import Store

from .built import write_lines

MUP, QASPER = "mup_single_document_summarization", "qasper_abstractive_qa"
TASKS = (MUP, QASPER)
QUICK = Patience(tries=3, connect_tries=2, given_up=3, first_wait=0.01, longest_wait=0.02, reply_seconds=10)
SOON = Looks(first=0.02, longest=0.05, grace=0.01)
ASKING = AskOptions(patience=QUICK, looks=SOON, most_at_once=4)
NUMBER = 5
"""Instances of each task; the references ask for the ratings 1 to 5 in turn."""


def instance(task: str, number: int) -> dict[str, Any]:
    wish = f"Paper {number} deserves grade {number % 5 + 1}"
    if task == MUP:
        text = (
            f"Summarize.\n\nPaper title:\nPaper {number}\n\nPaper body:\nText {number}.\n\n12-sentence paper summary:"
        )
        output = f"{wish}."
    else:
        rule = "-" * 40
        text = f"Read.\n\n{rule}\nPaper {number}\n\nText.\n{rule}\n\nQuestion: which grade?\n\nJSON:"
        output = json.dumps({"answer": wish, "evidence": [f"Excerpt {number}."]})
    return {"input": text, "output": output, "_instance_id": f"{task}:validation:{number}"}


def publish(store: Store, number: int = NUMBER, tasks: tuple[str, ...] = TASKS) -> None:
    for task in tasks:
        write_lines(store, task, [instance(task, place) for place in range(number)])


def wished_for(body: Body) -> str:
    """A judge that gives what the candidate asks for."""
    candidate = body["messages"][0]["content"].rpartition("<candidate_")[2]
    marker = "Decision" if "summar" in candidate else "Rating"
    found = re.search(r"grade (\d)", candidate)
    return f"Explanation: as it says.\n{marker}: {found[1] if found else 3}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "artifacts"))
    publish(store)
    return store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", offline=True, workers=1)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer(reply=wished_for)) as server:
        yield server


def judge(server: FakeServer, **options: Any) -> JudgeOptions:
    return replace(JudgeOptions(model="openai:m", base_url=server.url), **options)


def run(
    store: Store,
    settings: Settings,
    options: JudgeOptions | None,
    models: tuple[str, ...] = ("gold",),
    asking: AskOptions = ASKING,
    **more: Any,
) -> EvaluationReport:
    more = {"tasks": TASKS, **more}
    return evaluate(models, store=store, settings=settings, judge=options, options=asking, **more)


def summaries(report: EvaluationReport) -> dict[tuple[str, str], float | None]:
    metric = {MUP: "lm_judge_reference", QASPER: "lm_judge_answer"}
    return {(result.model, result.task): result.summary[metric[result.task]] for result in report.results}


def metric_file(store: Store, name: str, task: str = MUP, root: str = "metrics") -> Any:
    return json.loads(store.read_bytes(f"results/{root}/by_model/gold/{task}/{name}.json"))


# --- values ----------------------------------------------------------------------------------------------------------


def test_ratings_fill_the_metric_files_and_the_summary(store: Store, settings: Settings, server: FakeServer) -> None:
    report = run(store, settings, judge(server))
    assert report.exit_code is ExitCode.DONE
    assert summaries(report) == {("gold", MUP): 0.5, ("gold", QASPER): 0.5}
    assert metric_file(store, "metrics")["lm_judge"] == {
        "reference_comparison": {"lm_judge_n_samples": 5, "avg_rating": 0.5}
    }
    flat = metric_file(store, "metrics_flat")
    assert flat["lm_judge_reference_comparison_n_samples"] == 5
    assert flat["lm_judge_reference_comparison_avg_rating"] == 0.5
    assert list(metric_file(store, "metrics_summary")) == ["lm_judge_reference", "rouge"]
    qasper = metric_file(store, "metrics", QASPER)["results"]
    assert (qasper["all"]["scores"]["lm_judge"], "lm_judge" in qasper["valid_json"]["scores"]) == (0.5, False)
    assert metric_file(store, "metrics_flat", QASPER)["all_lm_judge"] == 0.5
    assert list(metric_file(store, "metrics_summary", QASPER)) == ["lm_judge_answer", "f1_answer", "f1_evidence"]
    row = store.read_bytes("results/metrics/tables/summary.tsv").decode().splitlines()[2].split("\t")
    assert row[6:8] == ["50.00", "50.00"]
    table = store.read_bytes(f"results/metrics/tables/{MUP}.tsv").decode().splitlines()
    assert dict(zip(table[0].split("\t"), table[1].split("\t"), strict=True))[
        "lm_judge_reference_comparison_n_samples"
    ] == ("5")


def test_a_rating_of_1_counts(store: Store, settings: Settings, server: FakeServer) -> None:
    server.reply = lambda body: "Explanation: no.\nDecision: 1"
    report = run(store, settings, judge(server), tasks=[MUP])
    assert summaries(report) == {("gold", MUP): 0.0}
    assert report.judged["gold", MUP].rated == NUMBER


def test_the_judge_gets_one_message_and_every_parameter(store: Store, settings: Settings, server: FakeServer) -> None:
    run(store, settings, judge(server))
    for body in server.bodies:
        assert [message["role"] for message in body["messages"]] == ["user"]
        assert (body["temperature"], body["max_tokens"], body["seed"], "stop" in body) == (0.0, 1024, 1234, False)
    shown = next(body["messages"][0]["content"] for body in server.bodies if "Text 3." in str(body))
    assert "<paper_text>\nText 3.\n</paper_text>" in shown


def test_facts_say_what_was_asked_and_answered(store: Store, settings: Settings, server: FakeServer) -> None:
    report = run(store, settings, judge(server))
    columns = "instance_id, judge_model, verdict, rating, value, original_value, reply, prompt_sha256, run_id"
    rows = sql(f"SELECT {columns} FROM judgements WHERE task = '{MUP}' ORDER BY rating", report.index).rows
    assert [row[:6] for row in rows] == [
        (f"{MUP}:validation:{place}", "m", "rated", place + 1, place / 4, place / 4) for place in range(5)
    ]
    assert rows[0][6] == "Explanation: as it says.\nDecision: 1"
    found = Run(
        **store.read_manifest(f"results/facts/gold/{MUP}/4096-validation")["inputs"]  # type: ignore[index]
    )
    prompt = judge_prompt(found, rows[2][0], store)
    assert prompt is not None
    assert (text_sha256(prompt), found.run_id) == (rows[2][7], rows[2][8])
    assert "grade 3" in prompt
    assert judge_prompt(found, "no such instance", store) is None
    [judged] = sql(
        f"SELECT judge_model, state, note, most, seed, judged, rated, low, high FROM judges WHERE task = '{MUP}'",
        report.index,
    ).rows
    assert judged == ("m", "done", "", 100, 42, 5, 5, 0.5, 0.5)


def test_the_sample_of_summaries_is_the_originals_and_answers_are_all_judged(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    publish(store, 120)
    report = run(store, settings, judge(server))
    places = sorted(Random(42).sample(range(120), 100))
    asked = sql(f"SELECT instance_id FROM judgements WHERE task = '{MUP}'", report.index).rows
    assert {row[0] for row in asked} == {f"{MUP}:validation:{place}" for place in places}
    assert (report.judged["gold", MUP].judged, report.judged["gold", QASPER].judged) == (100, 120)
    assert metric_file(store, "metrics_flat")["lm_judge_reference_comparison_n_samples"] == 100


@pytest.mark.parametrize(("samples", "number"), [(3, 3), ("all", 5), (9, 5)])
def test_another_number_of_samples(
    store: Store, settings: Settings, server: FakeServer, samples: Any, number: int
) -> None:
    report = run(store, settings, judge(server, samples=samples, seed=7))
    assert {each.judged for each in report.judged.values()} == {number}
    if samples == 3:
        asked = sql(f"SELECT instance_id FROM judgements WHERE task = '{QASPER}'", report.index).rows
        assert {row[0] for row in asked} == {f"{QASPER}:validation:{n}" for n in Random(7).sample(range(5), 3)}


def test_missing_answers_are_worth_nothing_and_ask_nobody(store: Store, settings: Settings, server: FakeServer) -> None:
    report = run(store, settings, judge(server), models=("empty",))
    assert summaries(report) == {("empty", MUP): 0.0, ("empty", QASPER): 0.0}
    assert {each.no_answer for each in report.judged.values()} == {NUMBER}
    assert server.bodies == []


def test_equal_questions_of_two_models_are_asked_once(store: Store, settings: Settings, server: FakeServer) -> None:
    report = run(store, settings, judge(server), models=("gold", "prompt-echo"))
    assert len(report.judged) == 4
    assert set(server.billed.values()) == {1}


def test_intervals_and_comparisons_have_the_judge(store: Store, settings: Settings, server: FakeServer) -> None:
    publish(store, 40)
    report = run(store, settings, judge(server), models=("gold", "empty"))
    query = f"SELECT value, low, high, at_worst, at_best FROM summary WHERE model = 'gold' AND task = '{QASPER}'"
    [(value, low, high, worst, best)] = sql(
        f"{query} AND metric = 'lm_judge_answer' AND profile = 'corrected'", report.index
    ).rows
    assert (value, worst, best) == (50.0, 50.0, 50.0)
    assert 30 < low < value < high < 70
    compared = sql(
        "SELECT metric, difference, is_significant, samples FROM compare('gold', 'empty')"
        " WHERE metric LIKE 'lm_judge%' ORDER BY metric",
        report.index,
    )
    assert compared.rows == [("lm_judge_answer", 50.0, True, 40), ("lm_judge_reference", 50.0, True, 40)]


def test_models_of_different_judges_are_not_compared(store: Store, settings: Settings, server: FakeServer) -> None:
    run(store, settings, judge(server))
    run(store, settings, judge(server, model="openai:other"), models=("prompt-echo",))
    query = f"SELECT metric FROM compare('gold', 'prompt-echo') WHERE task = '{MUP}'"
    report = run(store, settings, None)
    assert sql(query, report.index).rows == [("rouge",)]
    run(store, settings, judge(server), models=("prompt-echo",))
    assert sql(query, report.index).rows == [("lm_judge_reference",), ("rouge",)]


# --- two profiles ----------------------------------------------------------------------------------------------------


def test_the_original_profile_has_what_the_original_makes_of_the_same_replies(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    def dressed(body: Body) -> str:
        return wished_for(body).replace("Decision: 5", "Decision: 5/5").replace("Rating: 1", "**Rating:** 1")

    server.reply = dressed
    report = run(store, settings, judge(server))
    assert summaries(report) == {("gold", MUP): 0.5, ("gold", QASPER): 0.5}
    original = metric_file(store, "metrics_flat", root="metrics_original")
    assert original["lm_judge_reference_comparison_n_samples"] == 4  # 5/5 is an "error", and left out
    assert original["lm_judge_reference_comparison_avg_rating"] == pytest.approx((0 + 0.25 + 0.5 + 0.75) / 4)
    answers = metric_file(store, "metrics_summary", QASPER, "metrics_original")
    assert answers["lm_judge_answer"] == pytest.approx((0.5 + 0.25 + 0.5 + 0.75 + 1) / 5)  # a fallback of 3


# --- failures --------------------------------------------------------------------------------------------------------


def test_without_a_key_the_cells_are_empty_and_say_why(store: Store, settings: Settings) -> None:
    online = settings.model_copy(update={"offline": False})
    report = run(store, online, JudgeOptions())
    assert report.exit_code is ExitCode.DONE
    assert summaries(report) == {("gold", MUP): None, ("gold", QASPER): None}
    assert {(each.state, each.judge_model) for each in report.judged.values()} == {
        (JudgeState.STOPPED, "gpt-4o-2024-08-06")
    }
    assert all("set OPENAI_API_KEY" in each.note for each in report.judged.values())
    assert "--judge-base-url" in report.judged["gold", MUP].note
    assert metric_file(store, "metrics_summary") == {"lm_judge_reference": None, "rouge": 1.0}
    rows = sql("SELECT DISTINCT state, note LIKE '%OPENAI_API_KEY%' FROM judges", report.index).rows
    assert rows == [("stopped", True)]
    assert sql("SELECT count(*) FROM judgements", report.index).rows == [(0,)]


def test_offline_only_servers_of_this_machine_are_asked(store: Store, settings: Settings) -> None:
    report = run(store, settings, JudgeOptions(model="openai:m", base_url="http://judge.example/v1"))
    assert (report.exit_code, summaries(report)["gold", MUP]) == (ExitCode.DONE, None)
    assert "needs the network" in report.judged["gold", MUP].note


def test_the_judge_can_be_off(store: Store, settings: Settings, server: FakeServer) -> None:
    report = run(store, settings, judge(server, mode="off"))
    assert {(each.state, each.note) for each in report.judged.values()} == {(JudgeState.OFF, "the judge is off")}
    assert (summaries(report)["gold", MUP], server.bodies, report.exit_code) == (None, [], ExitCode.DONE)
    run(store, settings, judge(server))
    again = run(store, settings, judge(server, mode="off"))
    assert summaries(again)["gold", MUP] == 0.5
    assert "earlier evaluation" in again.judged["gold", MUP].note


def test_a_server_that_is_not_there_fails_the_judge_alone(store: Store, settings: Settings) -> None:
    with running(FakeServer()) as gone:
        pass
    report = run(store, settings, judge(gone))
    assert report.exit_code is ExitCode.FAILED
    assert set(report.failures) == {("gold", MUP), ("gold", QASPER)}
    assert "cannot be reached" in report.failures["gold", MUP]
    assert metric_file(store, "metrics_summary") == {"lm_judge_reference": None, "rouge": 1.0}


def test_everything_else_is_published_before_the_judge_is_asked(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    seen: list[Any] = []

    def looking(body: Body) -> str:
        seen.append(metric_file(store, "metrics_summary"))
        return wished_for(body)

    server.reply = looking
    run(store, settings, judge(server))
    assert seen[0] == {"lm_judge_reference": None, "rouge": 1.0}


def test_a_reply_without_a_rating_is_asked_again_once(store: Store, settings: Settings, server: FakeServer) -> None:
    def hesitant(body: Body) -> str:
        return wished_for(body) if len(body["messages"]) > 1 or "Paper 3" not in str(body) else "It is nice."

    server.reply = hesitant
    report = run(store, settings, judge(server))
    assert summaries(report) == {("gold", MUP): 0.5, ("gold", QASPER): 0.5}
    assert {(each.asked_again, each.rated) for each in report.judged.values()} == {(1, 5)}
    rows = sql("SELECT rating, original_value, first_reply FROM judgements WHERE first_reply IS NOT NULL", report.index)
    assert sorted(rows.rows, key=str) == [(4, 0.5, "It is nice."), (4, None, "It is nice.")]
    conversation = next(body["messages"] for body in server.bodies if len(body["messages"]) > 1)
    assert [message["role"] for message in conversation] == ["user", "assistant", "user"]


def test_no_rating_twice_is_no_score_and_has_bounds(store: Store, settings: Settings, server: FakeServer) -> None:
    server.reply = lambda body: wished_for(body) if "Paper 4" not in str(body) else "It is nice."
    report = run(store, settings, judge(server))
    assert report.exit_code is ExitCode.DONE
    assert summaries(report) == {("gold", MUP): 0.375, ("gold", QASPER): 0.375}
    found = report.judged["gold", MUP]
    assert (found.rated, found.judge_failed, found.low, found.high, found.note) == (4, 1, 0.3, 0.5, "1 unparseable")
    assert metric_file(store, "metrics_flat")["lm_judge_reference_comparison_n_samples"] == 4
    query = f"SELECT at_worst, at_best FROM summary WHERE task = '{MUP}' AND metric = 'lm_judge_reference'"
    assert sql(f"{query} AND profile = 'corrected'", report.index).rows == [(30.0, 50.0)]
    assert sql("SELECT DISTINCT system_failed FROM runs", report.index).rows == [(0,)]
    assert sql("SELECT judge FROM leaderboard", report.index).rows == [("m",)]
    assert "(30.00 to 50.00)" in leaderboard_text(sql("FROM leaderboard", report.index))
    sent = len(server.bodies)
    assert sent == 2 * (NUMBER + 1)
    run(store, settings, judge(server))
    assert len(server.bodies) == sent


def test_a_refused_request_fails_for_good_and_a_broken_one_is_asked_in_the_next_run(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    def fault(body: Body, before: int) -> str | None:
        if "Paper 4" in str(body):
            return "too-long"
        return "500" if "Paper 3" in str(body) else None

    server.fault = fault
    first = run(store, settings, judge(server))
    assert summaries(first) == {("gold", MUP): 0.25, ("gold", QASPER): 0.25}
    found = first.judged["gold", QASPER]
    assert (found.rated, found.judge_failed, found.low, found.high) == (3, 2, 0.15, 0.55)
    assert "2 error" in found.note
    original = metric_file(store, "metrics_summary", QASPER, "metrics_original")
    assert original["lm_judge_answer"] == 0.25  # a request that failed is missing, not a 3
    server.fault = lambda body, before: None
    sent = server.sent.copy()
    second = run(store, settings, judge(server))
    assert summaries(second) == {("gold", MUP): 0.375, ("gold", QASPER): 0.375}
    assert sum((server.sent - sent).values()) == 2
    third = run(store, settings, judge(server), asking=replace(ASKING, retry_errors=True))
    assert summaries(third) == {("gold", MUP): 0.5, ("gold", QASPER): 0.5}
    assert set(server.billed.values()) == {1}


def test_a_judge_that_runs_out_of_money_goes_on_later(store: Store, settings: Settings, server: FakeServer) -> None:
    server.fault = lambda body, before: "quota" if len(server.billed) >= 4 else None
    first = run(store, settings, judge(server), asking=replace(ASKING, most_at_once=1))
    assert first.exit_code is ExitCode.BLOCKED
    assert set(first.waiting) == {("gold", MUP), ("gold", QASPER)} - {
        where for where, each in first.judged.items() if each.state is JudgeState.DONE
    }
    assert summaries(first)["gold", QASPER] is None
    assert "are not answered" in first.waiting["gold", QASPER]
    server.fault = lambda body, before: None
    second = run(store, settings, judge(server))
    assert (second.exit_code, summaries(second)) == (ExitCode.DONE, {("gold", MUP): 0.5, ("gold", QASPER): 0.5})
    assert len(server.billed) == 2 * NUMBER
    assert set(server.billed.values()) == {1}


# --- again -----------------------------------------------------------------------------------------------------------


def test_a_second_run_asks_nothing_and_changes_nothing(store: Store, settings: Settings, server: FakeServer) -> None:
    first = run(store, settings, judge(server))
    names = [name for name in store.files("results") if ".duckdb" not in name]
    before = {name: store.read_bytes(f"results/{name}") for name in names}
    second = run(store, settings, judge(server))
    assert second.judged == first.judged
    assert len(server.bodies) == 2 * NUMBER
    assert {name: store.read_bytes(f"results/{name}") for name in names} == before


def test_judgements_are_made_again_from_the_ledger_without_asking(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    run(store, settings, judge(server))
    for task in TASKS:
        store.delete(f"results/facts/gold/{task}/4096-validation/judge/manifest.json")
    sent = len(server.bodies)
    assert summaries(run(store, settings, judge(server)))["gold", MUP] == 0.5
    assert len(server.bodies) == sent


def test_new_replies_are_judged_anew(store: Store, settings: Settings, server: FakeServer) -> None:
    run(store, settings, judge(server))
    write_lines(store, MUP, [instance(MUP, 4), instance(MUP, 9)])
    off = run(store, settings, judge(server, mode="off"))
    assert summaries(off)["gold", MUP] is None  # what was said of other replies is gone
    report = run(store, settings, judge(server))
    assert summaries(report)["gold", MUP] == 1.0
    assert sql(f"SELECT count(*) FROM judgements WHERE task = '{MUP}'", report.index).rows == [(2,)]


def test_another_judge_takes_the_place_of_the_first_only_when_it_has_judged(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    run(store, settings, judge(server))
    unreachable = run(store, settings, JudgeOptions(model="openai:other", base_url="http://judge.example/v1"))
    assert (summaries(unreachable)["gold", MUP], unreachable.judged["gold", MUP].judge_model) == (0.5, "m")
    server.reply = lambda body: "Decision: 5"
    report = run(store, settings, judge(server, model="openai:other"))
    assert summaries(report)["gold", MUP] == 1.0
    assert sql("SELECT DISTINCT judge_model FROM judgements", report.index).rows == [("other",)]


KILLED = """
import sys
from pathlib import Path
from sciriff.models.plan import AskOptions
from sciriff.results.evaluate import evaluate
from sciriff.results.judge_options import JudgeOptions
from sciriff.settings import Settings
from sciriff.store import Store
url, store, cache = sys.argv[1:]
evaluate(["gold"], store=Store(store), settings=Settings(cache=Path(cache), offline=True, workers=1),
         tasks=["mup_single_document_summarization", "qasper_abstractive_qa"], options=AskOptions(most_at_once=1),
         judge=JudgeOptions(model="openai:m", base_url=url))
"""


def test_killed_between_two_ratings_no_rating_is_paid_twice(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    publish(store, 20)
    server.seconds = 0.03
    for goal in (5, 15):
        command = [sys.executable, "-c", KILLED, server.url, store.url, str(settings.cache)]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": "0"})
        while len(server.billed) < goal and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    server.seconds = 0.0
    report = run(store, settings, judge(server))
    assert summaries(report) == {("gold", MUP): 0.5, ("gold", QASPER): 0.5}
    assert len(server.billed) == 40
    assert sum(server.billed.values()) <= 42  # at most the one that was under way at each kill


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        BatchPlan(),
        BatchPlan(drop=0.3),
        BatchPlan(duplicate=0.5),
        BatchPlan(fail=0.3),
        BatchPlan(tear=True),
        BatchPlan(drop=0.2, duplicate=0.3, fail=0.2, tear=True),
        BatchPlan(status="expired", share=0.5),
    ],
    ids=["shuffled", "dropped", "duplicated", "failed", "torn", "all", "expired"],
)
def test_ratings_of_a_batch_belong_to_their_samples(
    store: Store, settings: Settings, server: FakeServer, plan: BatchPlan
) -> None:
    publish(store, 30)
    server.batch_plans = [plan]
    report = run(store, settings, judge(server, mode="batch"))
    assert {each.state for each in report.judged.values()} == {JudgeState.DONE}
    rows = sql("SELECT instance_id, rating FROM judgements", report.index).rows
    assert len(rows) == 60
    assert all(rating == int(instance_id.rpartition(":")[2]) % 5 + 1 for instance_id, rating in rows)
    assert server.bodies == []


def test_a_batch_is_collected_by_the_same_command_later(store: Store, settings: Settings, server: FakeServer) -> None:
    server.batch_plans = [BatchPlan(seconds=3600)]
    asking = replace(ASKING, stay=False)
    first = run(store, settings, judge(server, mode="batch"), asking=asking)
    assert first.exit_code is ExitCode.BLOCKED
    assert {each.state for each in first.judged.values()} == {JudgeState.WAITING}
    assert summaries(first) == {("gold", MUP): None, ("gold", QASPER): None}
    assert metric_file(store, "metrics_summary")["rouge"] == 1.0
    again = run(store, settings, judge(server, mode="batch"), asking=asking)
    assert {each.state for each in again.judged.values()} == {JudgeState.WAITING}
    server.end_batches()
    last = run(store, settings, judge(server, mode="batch"), asking=asking)
    assert summaries(last) == {("gold", MUP): 0.5, ("gold", QASPER): 0.5}
    assert len(server.batches) == 1
    assert set(server.billed.values()) == {1}


def test_what_batches_brought_is_not_asked_live(store: Store, settings: Settings, server: FakeServer) -> None:
    run(store, settings, judge(server, mode="batch"))
    run(store, settings, judge(server, samples="all"))
    assert server.bodies == []


def test_unrated_replies_of_a_batch_are_asked_again_in_a_second(
    store: Store, settings: Settings, server: FakeServer
) -> None:
    server.reply = lambda body: wished_for(body) if len(body["messages"]) > 1 else "It is nice."
    report = run(store, settings, judge(server, mode="batch"))
    assert {(each.asked_again, each.rated) for each in report.judged.values()} == {(5, 5)}
    assert len(server.batches) == 2


# --- costs and names -------------------------------------------------------------------------------------------------


def test_a_limit_of_costs_holds_for_the_judge(store: Store, settings: Settings, server: FakeServer) -> None:
    asking = replace(ASKING, max_cost=1.0)
    unknown = run(store, settings, judge(server), asking=asking)
    assert "price of m is not known" in unknown.failures["gold", MUP]
    models = store.path("models.yaml")
    price = "{input: 1000, output: 1000, looked_up: 2026-11-24}"
    Path(models).write_text(
        f"priced: {{backend: openai, api_model: m, base_url: '{server.url}', price: {price}}}\n", encoding="utf-8"
    )
    priced = settings.model_copy(update={"models": Path(models)})
    refused = run(store, priced, JudgeOptions(model="priced"), asking=asking)
    assert "more than the $1.00 that are left" in refused.failures["gold", MUP]
    assert server.bodies == []
    allowed = run(store, priced, JudgeOptions(model="priced"), asking=replace(asking, max_cost=1000.0))
    assert summaries(allowed)["gold", MUP] == 0.5
    assert allowed.cost > 0


def test_a_person_is_asked_before_the_judge_is(store: Store, settings: Settings, server: FakeServer) -> None:
    asked: list[str] = []

    def confirm(quotes: Any) -> bool:
        asked.extend(quote.model for quote in quotes)
        return False

    report = run(store, settings, judge(server), confirm=confirm)
    assert asked == ["judge m"]
    assert (server.bodies, summaries(report)["gold", MUP]) == ([], None)
    assert "not wanted" in report.judged["gold", MUP].note


def test_one_question_covers_the_model_and_its_judge(store: Store, settings: Settings, server: FakeServer) -> None:
    asked: list[list[str]] = []

    def confirm(quotes: Any) -> bool:
        asked.append([quote.model for quote in quotes])
        return True

    model = f"openai:model@{server.url}"
    report = run(store, settings, judge(server), models=(model,), confirm=confirm)
    assert asked == [["model", "judge m"]]
    assert report.judged["model", MUP].state is JudgeState.DONE


def test_the_quote_of_the_judge_comes_near_what_is_asked(store: Store, settings: Settings, server: FakeServer) -> None:
    from sciriff.models.instances import load_instances

    instances = [load_instances(store, task, 4096, "validation") for task in TASKS]
    expected = quote_judging(instances, 2, judge(server), settings)
    assert isinstance(expected, Quote)
    run(store, settings, judge(server))
    characters = sum(len(content_of(body)) for body in server.bodies)
    assert expected.to_ask == 2 * len(server.bodies)
    assert sum(expected.input_tokens.values()) == pytest.approx(2 * characters / 4, rel=0.01)
    assert quote_judging(instances, 2, judge(server, mode="off"), settings) is None
    assert quote_judging(instances, 2, JudgeOptions(), settings) is None  # nobody can be asked offline


def test_judges_by_name(settings: Settings) -> None:
    assert JudgeOptions().model == DEFAULT_JUDGE == "gpt-4o-2024-08-06"
    default = find_judge(JudgeOptions(), settings)
    assert (default.name, default.api_model) == ("gpt-4o", DEFAULT_JUDGE)
    assert default.price is not None
    elsewhere = find_judge(JudgeOptions(base_url="http://127.0.0.1:1/v1"), settings)
    assert (elsewhere.base_url, elsewhere.price) == ("http://127.0.0.1:1/v1", None)
    assert find_judge(JudgeOptions(model="vllm:some/model", base_url="http://h/v1"), settings).takes_messages


@pytest.mark.parametrize("name", ["gold", "scitulu-7b"])
def test_a_judge_speaks_the_openai_protocol(store: Store, settings: Settings, name: str) -> None:
    with pytest.raises(UsageError, match=f"judge {name}: a judge is asked by the OpenAI protocol"):
        run(store, settings, JudgeOptions(model=name))
    assert store.files("results") == []


def test_impossible_judges_are_named_before_anything_happens(store: Store, settings: Settings) -> None:
    with pytest.raises(UsageError, match="did you mean gpt-4o"):
        run(store, settings, JudgeOptions(model="gpt-4"))
    with pytest.raises(UsageError, match="0 samples to judge are too few"):
        JudgeOptions(samples=0)
    run(store, settings, JudgeOptions(mode="off", model="gpt-4"))


# --- existing predictions --------------------------------------------------------------------------------------------


def test_existing_predictions_are_judged_too(
    tmp_path: Path, store: Store, settings: Settings, server: FakeServer
) -> None:
    folder = tmp_path / "predictions" / "mine" / MUP
    folder.mkdir(parents=True)
    lines = [instance(MUP, place) for place in range(3)]
    rows = [{"prompt": each["input"], "pred": each["output"], "ref": each["output"]} for each in lines]
    (folder / f"{MUP}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    report = score_predictions(
        folder.parents[1], store=store, settings=settings, judge=judge(server), asking=ASKING, progress=Silent()
    )
    assert report.exit_code is ExitCode.DONE
    assert report.judged["mine", MUP].rated == 3
    assert report.results[0].summary["lm_judge_reference"] == 0.25
    silent = score_predictions(folder.parents[1], store=Store(str(tmp_path / "other")), settings=settings)
    assert silent.judged["mine", MUP].state is JudgeState.OFF
    assert silent.results[0].summary["lm_judge_reference"] is None

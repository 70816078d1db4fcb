"""What the pages say is so: their commands run, their links lead somewhere, their options and files exist."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from docs_kit import CHECKOUT, Commands, agrees, changed, steps

from sciriff.cli import VERBS, main
from sciriff.cli.sql import spell
from sciriff.results.query import sql
from sciriff.results.schema import INDEX_TABLES
from sciriff.results.views import VIEWS
from sciriff.scoring.outcome import Reason
from sciriff.scoring.rules import Rule
from sciriff.scoring.tasks import EVAL_TASKS
from sciriff.settings import Settings
from sciriff.sources.catalogue import source
from sciriff.sources.containers import Limits
from sciriff.sources.mirror import MirrorEntry, load_mirror
from sciriff.store import Store
from sciriff.tasks.binding import bound_tasks

DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLE_ROOT = "/home/me/sciriff"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as commands:
        yield commands


def test_adding_a_task_works_as_the_page_shows(tmp_path: Path, commands: Commands) -> None:
    for folder in ("sciriff", "templates", "expectations", "samples"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    printed = ""
    for step in steps(page("adding-a-task.md")):
        path = tmp_path / step.path
        match step.kind:
            case "write":
                path.parent.mkdir(exist_ok=True)
                path.write_text(step.text, encoding="utf-8")
            case "append":
                with path.open("a", encoding="utf-8") as file:
                    file.write(step.text)
            case "change":
                path.write_text(changed(path.read_text(encoding="utf-8"), step.text), encoding="utf-8")
            case "run":
                printed = "".join(run_line(line, commands, tmp_path) for line in step.text.splitlines())
            case "output":
                printed = printed.replace(str(tmp_path), EXAMPLE_ROOT)
                assert agrees(step.text, printed), f"the page shows\n{step.text}\nbut this was printed\n{printed}"
            case _:
                pytest.fail(f"unknown mark {step.kind}")


def run_line(line: str, commands: Commands, folder: Path) -> str:
    """Run one command line of a page; returns what it printed."""
    words = shlex.split(line)
    variables = dict(word.split("=", 1) for word in words if re.match(r"SCIRIFF_\w+=", word))
    words = words[len(variables) :]
    if words[0] == "sciriff":
        status, printed = commands.run(folder, *words[1:], **variables)
    else:
        shell = f'PATH="{Path(sys.executable).parent}:$PATH"; {line}'
        environment = {**commands.environment, "PYTHONPATH": str(folder)}
        done = subprocess.run(
            shell, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        status, printed = done.returncode, done.stdout + done.stderr
    assert status == 0, f"{line}\n{printed}"
    return printed


DEFAULTS_IN_WORDS = {
    "cache": "`$XDG_CACHE_HOME/sciriff`, else `~/.cache/sciriff`",
    "workers": "the cores of this process",
    "hub_endpoint": "`$HF_ENDPOINT`, else `https://huggingface.co`",
}


def settings_table() -> str:
    """The table of ``docs/settings.md``, from the code."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = DEFAULTS_IN_WORDS.get(name, "" if field.default is None else f"`{plain(field.default)}`")
        rows.append(f"| `SCIRIFF_{name.upper()}` | {default} | {field.description} |\n")
    return "".join(rows)


def plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_settings_page_is_the_code() -> None:
    assert set(DEFAULTS_IN_WORDS) == {
        name for name, field in Settings.model_fields.items() if field.default_factory is not None
    }
    table = page("settings.md").partition("|---|---|---|\n")[2].partition("\n\n")[0]
    assert table + "\n" == settings_table(), "put this into docs/settings.md:\n" + settings_table()


LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists() or (anchor and anchor not in anchors(other.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def without_code(text: str) -> str:
    """A page without its code blocks and code spans."""
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().strip().replace(" ", "-") for heading in headings}


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OTHER_COMMANDS = {"--watch"}
"""Options of ``prefect``, told of in docs/prefect.md."""


def options_of(verb: str) -> set[str]:
    command = main.get_command(click.Context(main), verb)
    assert command is not None, f"no verb {verb}"
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_options_and_verbs_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for verb, rest in re.findall(r"(?:^|[`/ ])sciriff ([a-z]+)\b([^`\n|>]*)", text, re.MULTILINE):
        if OPTION.search(rest) or verb in VERBS:
            assert sorted(set(OPTION.findall(rest)) - options_of(verb)) == [], f"sciriff {verb}{rest}"
    known = set().union(*(options_of(verb) for verb in VERBS)) | {"--version"}
    alone = set(re.findall(r"`(--[a-z][a-z-]+)", text))
    assert sorted(alone - known - OTHER_COMMANDS) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_variables_exist(path: Path) -> None:
    known = {f"SCIRIFF_{name.upper()}" for name in Settings.model_fields} | {"SCIRIFF_DEBUG"}
    assert sorted(set(re.findall(r"\bSCIRIFF_[A-Z0-9_]*[A-Z]", path.read_text(encoding="utf-8"))) - known) == []


FILE = re.compile(
    r"`((?:sciriff|flows|templates|expectations|samples|deployments|benchmarks|tests|docs)/[\w./-]*|[A-Za-z_]+\.(?:toml|lock))`"
)
MADE_BY_RUNS = {"prefect.toml", "sources.lock"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    made = {step.path for step in steps(text) if step.kind == "write"} if path.name == "adding-a-task.md" else set()
    named = {name for name in FILE.findall(text) if "NAME" not in name} - made - MADE_BY_RUNS
    assert sorted(name for name in named if not (CHECKOUT / name).exists()) == []


def test_the_fidelity_page_has_a_row_for_every_task() -> None:
    section = page("fidelity.md").partition("## Task by task")[2]
    rows = re.findall(r"^\| (\w+) \|.*\|$", section, re.MULTILINE)
    assert rows == ["task", *bound_tasks()]


MESSAGES = re.compile(r"^\| `([^`|]+)` \| ", re.MULTILINE)
SHORTEST_PIECE = 9


@pytest.mark.parametrize(
    ("name", "heading"), [("sources.md", "## Messages"), ("adding-a-task.md", "## When something is wrong")]
)
def test_messages_are_those_of_the_code(name: str, heading: str) -> None:
    section = page(name).partition(heading)[2].partition("\n## ")[0]
    messages = MESSAGES.findall(section)
    assert messages
    texts = code_texts()
    missing = [
        piece
        for message in messages
        for piece in re.split(r"\s*(?:…|'[^']+'|[\w]+\.[\w]+)\s*", message)
        if len(piece) >= SHORTEST_PIECE and not any(piece in text for text in texts)
    ]
    assert missing == []


def code_texts() -> set[str]:
    """Every string of the package's code; f-strings in the pieces between their values."""
    trees = (ast.parse(path.read_bytes()) for path in sorted((CHECKOUT / "sciriff").rglob("*.py")))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_mirror_script_makes_a_mirror_of_what_there_is(tmp_path: Path) -> None:
    script = page("sources.md").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "make_mirror.py").write_text(script, encoding="utf-8")
    variables = {
        "SCIRIFF_MIRROR": str(CHECKOUT / "samples"),
        "SCIRIFF_OFFLINE": "1",
        "SCIRIFF_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [sys.executable, "make_mirror.py", "mirror"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, **variables}, check=True)
    made, original = load_mirror(str(tmp_path / "mirror")), load_mirror(str(CHECKOUT / "samples"))
    assert made.entries.keys() == original.entries.keys()
    for url, entry in made.entries.items():
        assert made.local_file(entry, tmp_path).is_file()
        assert (entry.sha256, entry.partial) == (original.entries[url].sha256, True)


def test_the_mirror_entry_shown_is_that_of_the_catalogue() -> None:
    shown = json.loads(page("sources.md").partition("```json\n")[2].partition("```")[0])
    ((url, entry),) = ((url, MirrorEntry(url=url, **entry)) for url, entry in shown.items())
    file = source("pubmedqa").files["labelled"]
    assert (file.url, file.sha256, file.bytes) == (url, entry.sha256, entry.bytes)


def test_the_limits_of_archives_are_those_of_the_code() -> None:
    limits = Limits()
    section = page("sources.md").partition("## What archives may not do")[2].partition("\n## ")[0]
    for amount in (
        f"{limits.member_bytes >> 30} GiB",
        f"{limits.loaded_bytes >> 30} GiB",
        f"{limits.members:,} members",
        f"{limits.ratio} bytes out of 1 byte",
        f"{limits.ratio_floor >> 20} MiB",
    ):
        assert amount in section


QUESTION = re.compile(r"<!-- query -->\n```sql\n(.*?)```\n\n<!-- answer -->\n```text\n(.*?)```", re.DOTALL)
EVALUATED = "biored_ner,discomat_te,qasper_abstractive_qa,scierc_ner"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """A folder whose ``artifacts`` hold the evaluation that docs/sql.md is about."""
    folder = tmp_path_factory.mktemp("evaluated")
    sample_run = {"SCIRIFF_OFFLINE": "1", "SCIRIFF_SAMPLES": "always", "PYTHONPATH": str(CHECKOUT)}
    for line in (
        f"build --tasks {EVALUATED} --windows 4096",
        "evaluate --model gold,empty,lead,prompt-echo",
    ):
        assert line in page("sql.md")
        status, printed = commands.run(folder, *line.split(), **sample_run)
        assert status == 0, printed
    return folder


def test_the_answers_to_queries_are_those_shown(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With UPDATE_DOCS=1 the page gets the new answers."""
    monkeypatch.chdir(evaluated)
    text = page("sql.md")
    questions = QUESTION.findall(text)
    assert len(questions) == text.count("<!-- query -->") >= 12
    index = evaluated / "artifacts/results/metrics.duckdb"
    store = Store("artifacts")
    answers = [f"{spell(sql(query, index, store=store), None)}\n" for query, _ in questions]
    if os.environ.get("UPDATE_DOCS"):
        fresh = iter(answers)
        replaced = QUESTION.sub(lambda found: found[0].replace(f"```text\n{found[2]}", f"```text\n{next(fresh)}"), text)
        (DOCS / "sql.md").write_text(replaced, encoding="utf-8")
    assert [shown for _, shown in questions] == answers, "run again with UPDATE_DOCS=1, and read what changed"


def test_the_scoring_page_tells_of_every_rule_reason_and_metric() -> None:
    text = page("scoring.md")
    rules = text.partition("| rule |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", rules, re.MULTILINE) == [rule.value for rule in Rule]
    named = set(re.findall(r"`(\w+)`", text))
    assert {reason.value for reason in Reason if reason} <= named
    scores = {metric for task in EVAL_TASKS for metric, kind in task.metrics if kind != "share"}
    assert {metric for metric in scores if not metric.endswith("_parsed")} <= named


def test_the_tables_and_views_are_all_told_of() -> None:
    section = page("sql.md").partition("## Tables and views")[2].partition("\n`profile`")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert told == [
        *sorted((table.name for table in INDEX_TABLES), key=told.index),
        *(view.name for view in VIEWS),
    ]

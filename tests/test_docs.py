"""What the pages say is so: their commands run, their links lead somewhere, their options and files exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs_kit import CHECKOUT, Commands, agrees, changed, steps

from sciriff.settings import Settings

DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLE_ROOT = "/home/me/sciriff"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_adding_a_task_works_as_the_page_shows(tmp_path: Path) -> None:
    for folder in ("sciriff", "templates", "expectations", "samples"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    printed = ""
    with Commands(tmp_path) as commands:
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
        status, printed = commands.run(*words[1:], **variables)
    else:
        shell = f'PATH="{Path(sys.executable).parent}:$PATH"; {line}'
        done = subprocess.run(
            shell, shell=True, cwd=folder, env=commands.environment, capture_output=True, text=True, check=False
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

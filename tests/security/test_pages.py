"""Pages made of what strangers wrote, opened in a browser: nothing of it runs, and nothing leaves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from flows.runs import escaped, escaped_lines
from sciriff.building.data_docs import build_data_docs
from sciriff.building.overlaps import Place
from sciriff.dataset.leakage import Cell, Leakage
from sciriff.reporting.page import pages
from tests.reporting.test_report import content
from tests.security.test_plain_data import listening

RAN = "it ran"


def attack(port: int) -> str:
    """Tries every way that a value can end up in a page, and tells by title or by a request if it worked."""
    call = (
        f"document.title='{RAN}';fetch('http://127.0.0.1:{port}/fetched');new Image().src='http://127.0.0.1:{port}/i'"
    )
    return (
        f"</pre></td></script></style><script>{call}</script>"
        f'<img src="http://127.0.0.1:{port}/image" onerror="{call}">"\'><svg/onload="{call}">'
        f'<iframe src="http://127.0.0.1:{port}/frame"></iframe><link rel=stylesheet href="http://127.0.0.1:{port}/css">'
        f'<meta http-equiv="refresh" content="0;url=http://127.0.0.1:{port}/moved">'
        f'<form action="http://127.0.0.1:{port}/form"><input autofocus onfocus="{call}"></form>'
        f'{{{{7*7}}}} ${{7*7}} <a href="javascript:{call}">x</a>'
    )


def data_docs(value: str, folder: Path) -> Path:
    from tests.building.test_validate import fact, validate

    facts = [fact("cdr_ner", 0, problem=value, instance_id=value), fact("cdr_ner", 1, problem=value)]
    build_data_docs({"cdr_ner": validate("cdr_ner", *facts).document}, folder)
    return next(folder.rglob("cdr_ner.html"))


def leakage(value: str, path: Path) -> Path:
    from sciriff.dataset.leakage_page import leakage_page

    train, test = Place(value, "train"), Place(value + "2", "test")
    found = Leakage(
        sizes={train: 1, test: 1}, cells={(test, train): Cell(1, 1, 1)}, leaked={test: 1}, matches=(), training="train"
    )
    path.write_bytes(leakage_page(found, 4096, value, 0.5))
    return path


def opened(page: Path, profile: Path) -> str:
    """The document that a browser makes of a page, after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser to look with")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--no-first-run"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    command += ["--disable-background-networking", "--virtual-time-budget=3000", "--timeout=20000", "--dump-dom"]
    shown = subprocess.run([*command, page.as_uri()], capture_output=True, check=True, timeout=120)
    return shown.stdout.decode()


def test_the_attack_works_where_nobody_takes_care(tmp_path: Path) -> None:
    with listening() as (port, asked):
        page = tmp_path / "naive.html"
        page.write_text(f"<title>page</title><td>{attack(port)}</td>", encoding="utf-8")
        shown = opened(page, tmp_path / "profile")
    assert f"<title>{RAN}" in shown or asked


@pytest.mark.parametrize("kind", [pytest.param("data docs", marks=pytest.mark.slow), "leakage", "report"])
def test_nothing_runs_and_nothing_leaves(kind: str, tmp_path: Path) -> None:
    with listening() as (port, asked):
        value = attack(port)
        if kind == "data docs":
            page = data_docs(value, tmp_path / "site")
        elif kind == "leakage":
            page = leakage(value, tmp_path / "leakage.html")
        else:
            page = tmp_path / "task.html"
            made: Mapping[str, bytes] = dict(pages(content([value, f"{value}2"], value, value)))
            page.write_bytes(made["scierc_ner.html"])
        assert "Content-Security-Policy" in page.read_text(encoding="utf-8")
        shown = opened(page, tmp_path / "profile")
    assert asked == []
    assert f"<title>{RAN}" not in shown
    assert "&lt;script&gt;document.title" in shown, "it is there, as text"


def test_data_docs_hold_values_as_text(tmp_path: Path) -> None:
    page = data_docs(attack(9), tmp_path / "site").read_text(encoding="utf-8")
    assert "<script>document.title" not in page
    assert "&lt;script&gt;document.title" in page
    assert "<iframe" not in page
    assert "Content-Security-Policy" in page


def test_markdown_of_artifacts_shows_what_it_quotes() -> None:
    hostile = "<script>x</script> ![](http://evil.example/x.png) [click](javascript:x) a|b &lt;img&gt;"
    line = escaped(hostile)
    assert "<" not in line
    assert line == (
        "&lt;script>x&lt;/script> \\!\\[\\](http://evil.example/x.png) \\[click\\](javascript:x) a\\|b "
        "&amp;lt;img&amp;gt;"
    )
    assert escaped_lines(f"  {hostile}\n{hostile}") == f"  {line}\n{line}"

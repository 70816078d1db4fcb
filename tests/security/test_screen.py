"""What strangers wrote, on a terminal: it is shown, never obeyed."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.cli.bars import BarProgress
from sciriff.cli.progress import LineProgress
from sciriff.cli.screen import harmless, screened
from sciriff.errors import SourceError

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "colour": "\x1b[31mred\x1b[0m",
    "one-byte CSI": "\x9b31m",
    "one-byte OSC": "\x9d0;owned\x9c",
    "device": "\x1bP$q\x1b\\",
    "overwritten": "wrong\rright",
    "erased": "secret\x08\x08\x08\x08\x08\x08public",
    "bell": "\x07",
    "backwards": "user\u202e txt.exe\u202c",
    "isolated": "\u2066hidden\u2069",
    "line separator": "a\u2028b",
    "half a surrogate": "\ud83d",
    "NUL": "a\x00b",
    "delete": "a\x7fb",
}
MARKUP = "[red]not red[/red] [link=http://evil.example]x[/link] [bold"


def is_harmless(text: str) -> bool:
    return not any((ord(each) < 0x20 and each not in "\n\t") or 0x7F <= ord(each) < 0xA0 for each in text) and not any(
        0x202A <= ord(each) <= 0x202E or 0x2066 <= ord(each) <= 0x2069 or 0xD800 <= ord(each) <= 0xDFFF for each in text
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_steers_a_terminal_is_shown(text: str) -> None:
    shown = harmless(text)
    assert is_harmless(shown)
    assert shown != text


def test_what_people_write_stays() -> None:
    text = "α-helix\t5 µm — “10 °C”\nعربي עברית 日本語 🧬 e\u0301 a\u00a0b x\u200dy"
    assert harmless(text) == text
    assert harmless("one\r\ntwo\r\n") == "one\ntwo\n"
    assert harmless("\x1b[31m") == "␛[31m"


@given(st.text())
def test_nothing_gets_through(text: str) -> None:
    shown = harmless(text)
    assert is_harmless(shown)
    assert harmless(shown) == shown


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_all_that_is_printed_passes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    import click

    with screened():
        print(text)
        print(text, file=sys.stderr)
        click.echo(text)
        click.echo(text, err=True)
        LineProgress(sys.stderr).log(text)
        sys.stdout.writelines([text])
    captured = capsys.readouterr()
    assert is_harmless(captured.out)
    assert is_harmless(captured.err)
    assert captured.out.strip()


def test_bytes_for_programs_stay_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    import click

    with screened():
        click.echo("a\x9bb\r\n".encode(), nl=False)
    assert capfdbinary.readouterr().out == "a\x9bb\r\n".encode()


@pytest.mark.parametrize("text", [*HOSTILE.values(), MARKUP], ids=[*HOSTILE, "markup"])
def test_bars_show_what_they_are_given(text: str) -> None:
    stream = io.StringIO()
    bars = BarProgress(stream)
    with bars.stage(f"stage {text}", total=2) as stage:
        stage.advance(1, note=text)
        bars.log(f"logged {text}")
    drawn = stream.getvalue()
    for sequence in ("\x1b]", "\x1bP", "\x9b", "\x9d", "\x07", "\x08", "\x1b[31m", "\x1b[2J", "\u202e", "\u2066"):
        assert sequence not in drawn
    assert "logged" in drawn


@pytest.mark.slow
def test_a_terminal_gets_no_sequence_of_a_dataset(tmp_path: Path) -> None:
    """The command itself, on a real terminal and in a pipe."""
    hostile = "".join(HOSTILE.values()).replace("\ud83d", "")
    store = tmp_path / "store"
    environment = {**os.environ, "SCIRIFF_OFFLINE": "1", "SCIRIFF_SAMPLES": "always", "SCIRIFF_STORE": str(store)}
    environment |= {"SCIRIFF_CACHE": str(tmp_path / "cache"), "SCIRIFF_LOCK": str(tmp_path / "lock"), "TERM": "xterm"}
    command = [sys.executable, "-m", "sciriff.cli"]
    build = [*command, "build", "--tasks", "scierc_ner", "--windows", "4096", "--n-instances", "5"]
    subprocess.run(build, env=environment, check=True, capture_output=True, timeout=300)
    path = store / "instructions" / "4096" / "scierc_ner" / "train.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(orjson.dumps({**orjson.loads(lines[0]), "input": hostile, "output": hostile}) + b"\n")
    show = [*command, "show", "scierc_ner", "--n", "1"]
    for refused_or_shown in (show, [*command, "show", hostile.replace("\x00", "")]):
        piped = subprocess.run(refused_or_shown, env=environment, check=False, capture_output=True, timeout=300)
        assert is_harmless((piped.stdout + piped.stderr).decode())
    for on_screen in (show, [*show, "--json"]):
        assert is_harmless(on_terminal(on_screen, environment).replace("\r\n", "\n"))
    as_json = subprocess.run(
        [*command, "show", "scierc_ner", "--n", "1", "--json"], env=environment, check=True, capture_output=True
    )
    assert orjson.loads(as_json.stdout)["input"] == hostile


def on_terminal(command: list[str], environment: dict[str, str]) -> str:
    """What a command writes on a terminal of its own."""
    above, below = pty.openpty()
    process = subprocess.Popen(command, env=environment, stdin=below, stdout=below, stderr=below)
    os.close(below)
    written = b""
    while True:
        try:
            chunk = os.read(above, 65536)
        except OSError:
            break
        if not chunk:
            break
        written += chunk
    os.close(above)
    process.wait(timeout=300)
    assert written
    return written.decode()


def test_an_error_that_quotes_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    with screened():
        print(f"error: {SourceError(HOSTILE['title'])}", file=sys.stderr)
    assert capsys.readouterr().err == "error: ␛]0;owned␇\n"

"""Every reader on damaged sources: a named error or a correct result, never anything else."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from fuzz_kit import cases, intact, read_damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASES = sorted(cases())
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOSTILE = (b"\0", b"\xff", b"\xed\xa0\x80", b"\r", b"\n", b"\t", b'"', b"{", b"]", b"<", b"&", b"|", b"NaN", b"1e999")
"""What upsets parsers: NUL, no UTF-8, a lone surrogate, line ends, quotes, brackets, mark-up, numbers out of range."""

WITH_SIDE_TABLES = {"chemprot:chemprot_ner"}
"""Readers whose first stream holds annotations of many records: cut between two lines, it lacks those after the cut.
Only the archive around it can tell (its checksums do, see ``tests/sources/test_archives.py``)."""


@pytest.mark.parametrize("name", CASES)
def test_the_sample_is_read_whole(name: str) -> None:
    assert len(intact(name)) >= 3


@QUICK
@given(data=st.data())
@pytest.mark.parametrize("name", CASES)
def test_a_truncated_stream_gives_a_named_error_or_the_records_before_the_cut(name: str, data: st.DataObject) -> None:
    share = data.draw(st.floats(0, 1))
    outcome = read_damaged(cases()[name], lambda content: content[: int(len(content) * share)])
    whole = intact(name)
    if outcome.stopped is None and not outcome.malformed and name not in WITH_SIDE_TABLES:
        assert sum(record not in whole for record in outcome.records) <= 1, "only the record at the cut may differ"
    assert len(outcome.records) <= len(whole)


@QUICK
@given(data=st.data())
@pytest.mark.parametrize("name", CASES)
def test_hostile_bytes_never_break_a_reader(name: str, data: st.DataObject) -> None:
    victim = data.draw(st.integers(0, 2), label="stream")
    places = data.draw(st.lists(st.tuples(st.floats(0, 1), st.sampled_from(HOSTILE), st.booleans()), min_size=1))

    def damage(content: bytes) -> bytes:
        for share, piece, insert in places:
            at = int(len(content) * share)
            content = content[:at] + piece + content[at if insert else at + len(piece) :]
        return content

    read_damaged(cases()[name], damage, victim)


@QUICK
@given(content=st.binary(max_size=200))
@pytest.mark.parametrize("name", CASES)
def test_any_bytes_at_all(name: str, content: bytes) -> None:
    outcome = read_damaged(cases()[name], lambda _: content)
    assert len(outcome.records) <= max(len(content), len(intact(name)))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="Atheris has wheels for Linux on x86-64 only")
def test_a_coverage_guided_run_finds_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("fuzz_readers.py")
    arguments = ["-max_total_time=30", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Done " in done.stderr

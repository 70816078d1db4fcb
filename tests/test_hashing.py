from __future__ import annotations

import hashlib
import io
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.hashing import canonical_json, digest, file_sha256, keyed_random, keyed_rank, stream_sha256

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_values_are_golden() -> None:
    """Changing any of these changes every artifact of every user: raise the schema version if it is meant."""
    assert digest({"b": [1, "é"], "a": None}) == "f8f17faab95c024891d173fa43442b0e52007736a1f36715ac721ab22deeefc5"
    assert keyed_rank(76, "scierc_ner", "train", "sample")(0) == 9102114599343747674
    assert keyed_random(76, "scierc_ner").random() == 0.37448721964895393


@given(st.dictionaries(st.text(), plain))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert digest(value) == digest(backwards)


@given(plain, plain)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    assert (digest(one) == digest(other)) == (canonical_json(one) == canonical_json(other))


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", {"deep": [Path()]}])
def test_only_plain_data_has_a_digest(value: object) -> None:
    with pytest.raises(TypeError):
        digest(value)


def test_purposes_are_kept_apart() -> None:
    """Joined names must not collide: ("a", "bc") is another order than ("ab", "c")."""
    orders = {
        tuple(sorted(range(50), key=keyed_rank(*purpose)))
        for purpose in ((1, "a", "bc"), (1, "ab", "c"), (1, "abc"), (2, "a", "bc"), (1, "bc", "a"))
    }
    assert len(orders) == 5


@given(
    st.integers(-(2**63), 2**63 - 1), st.text(), st.lists(st.integers(0, 10**6) | st.text(), unique=True, max_size=30)
)
def test_a_rank_depends_on_its_item_alone(seed: int, purpose: str, items: list[int | str]) -> None:
    rank, again = keyed_rank(seed, purpose), keyed_rank(seed, purpose)
    ranks = {item: rank(item) for item in items}
    assert {item: again(item) for item in reversed(items)} == ranks
    assert all(0 <= value < 2**64 for value in ranks.values())


def test_ranks_are_spread_evenly() -> None:
    rank = keyed_rank(5, "spread")
    shares = [rank(item) / 2**64 for item in range(4000)]
    assert abs(statistics.fmean(shares) - 0.5) < 0.02
    assert len(set(shares)) == 4000


def test_generators_of_different_records_differ() -> None:
    draws = {keyed_random(76, "task", "train", "fit", str(row)).random() for row in range(200)}
    assert len(draws) == 200


def test_nothing_depends_on_the_process() -> None:
    program = (
        "from sciriff.hashing import *; print(digest({'b': [1.5, 'x'], 'a': {}}), keyed_rank(1, 'p')('x'), "
        "keyed_random(1, 'p').random())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "random")
    }
    assert len(printed) == 1


@given(st.binary(max_size=4000))
def test_streams_hash_as_their_bytes(content: bytes) -> None:
    assert stream_sha256(io.BytesIO(content)) == hashlib.sha256(content).hexdigest()


def test_files_larger_than_one_read_hash_whole(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()

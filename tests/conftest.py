"""What tests of several parts share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_proxy import Proxy, faulty_proxy
from s3_server import RCLONE, S3Server

for _key in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):  # no test may spend anybody's money
    os.environ.pop(_key, None)


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Reference values of the original scorers; not part of the repository."""
    shared = os.environ.get("SCIRIFF_SHARED")
    folder = (Path(shared) if shared else Path(__file__).parents[1].parent / "shared") / "conformance"
    if not folder.is_dir():
        pytest.skip(f"no reference values at {folder} (set SCIRIFF_SHARED)")
    return folder


@pytest.fixture(scope="session")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server of the S3 protocol for all tests, which nobody kills."""
    if not RCLONE.exists():
        pytest.skip("rclone is not installed")
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def s3_environment(_s3_server: S3Server) -> dict[str, str]:
    """A real server of the S3 protocol with a bucket named ``bucket``: the variables that its clients need."""
    return _s3_server.environment


@pytest.fixture
def s3_proxy(_s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy in front of that server, which breaks what it is asked to; ``s3_variables(s3_proxy.url)`` leads to it."""
    with faulty_proxy(_s3_server.url) as proxy:
        yield proxy


@pytest.fixture
def own_s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """A server of the test's own, which it may kill and start again."""
    if not RCLONE.exists():
        pytest.skip("rclone is not installed")
    server = S3Server(tmp_path / "s3")
    yield server
    server.kill()

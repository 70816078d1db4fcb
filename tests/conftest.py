"""What tests of several parts share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real server of the S3 protocol with a bucket named ``bucket``: the variables that its clients need."""
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        pytest.skip("rclone is not installed")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "served" / "bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(rclone), "serve", "s3", "--auth-key", "KEY,SECRET", "--addr", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "--config", str(folder / "rclone.conf"), str(folder / "served")], stderr=subprocess.DEVNULL
    )
    try:
        while not _answers(port):
            assert process.poll() is None, "the server ended before it answered"
            time.sleep(0.05)
        yield {
            "AWS_ACCESS_KEY_ID": "KEY",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

"""A real server of the S3 protocol (``rclone serve s3``) that tests may kill and start again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

RCLONE = Path(sys.executable).with_name("rclone")
KEY, SECRET = "KEY", "SECRET"


def s3_variables(url: str) -> dict[str, str]:
    """The variables that clients of a server at ``url`` need."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


class S3Server:
    """A server with a bucket named ``bucket``; always at the same address.

    Attributes:
        url: its address.
        bucket: the folder behind the bucket: what is visible there is what a client sees.
        environment: the variables that its clients need.
    """

    def __init__(self, folder: Path) -> None:
        """Start it.

        Args:
            folder: an empty folder for all that it keeps.
        """
        self._folder = folder
        self.bucket = folder / "served" / "bucket"
        self.bucket.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = s3_variables(self.url)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        command = [str(RCLONE), "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{self._port}"]
        self._process = subprocess.Popen(
            [*command, "--config", str(self._folder / "rclone.conf"), str(self._folder / "served")],
            stderr=subprocess.DEVNULL,
        )
        while not self._answers():
            assert self._process.poll() is None, "the server ended before it answered"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True

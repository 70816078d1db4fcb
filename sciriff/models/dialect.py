"""What a server is told besides prompt and sampling, from a model's entry."""

from __future__ import annotations

from sciriff.models.openai_requests import Dialect
from sciriff.models.registry import ModelSpec
from sciriff.models.vllm_server import SERVER_FIELDS


def dialect_of(spec: ModelSpec) -> Dialect:
    """The dialect of a model with backend ``openai``.

    vLLM takes what a request leaves open from the checkpoint and puts a token for the beginning of text in front of a
    text; it is told not to. Fields of the entry win.
    """
    assert spec.api_model is not None
    served_by_vllm = SERVER_FIELDS if spec.server == "vllm" else {}
    return Dialect(spec.api_model, spec.token_limit, {**served_by_vllm, **spec.body})

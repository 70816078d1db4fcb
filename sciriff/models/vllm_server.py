"""vLLM behind the OpenAI protocol: how ``vllm serve`` and ``vllm run-batch`` come to answer as the engine here does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sciriff.models.requests import Message, Request
from sciriff.models.vllm_engine import FIXED_SAMPLING

SERVER_FIELDS: Mapping[str, Any] = {**FIXED_SAMPLING, "add_special_tokens": False}
"""Fields of a body besides the OpenAI API's (:attr:`sciriff.models.openai_requests.Dialect.extra`). A server takes what
is not set from the checkpoint's ``generation_config.json`` and puts a token for the beginning of text in front."""

VERBATIM_TEMPLATE = "{{ messages[0]['content'] }}"
"""A chat template that hands a finished text on as it stands."""


def as_one_turn(request: Request) -> Request:
    """A request whose finished text stands in the one message of a chat, with the key that it had.

    ``vllm run-batch`` takes chat completions only; with ``--chat-template`` and :data:`VERBATIM_TEMPLATE` its prompt is
    the text itself.
    """
    if not isinstance(request.prompt, str):
        return request
    return replace(request, prompt=(Message("user", request.prompt),))

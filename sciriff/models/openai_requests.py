"""Requests in the words of the OpenAI API: one writer for live requests, batch files and ``vllm run-batch``.

Definition: the OpenAI API reference, chat completions, completions and batch input; vLLM takes the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sciriff.hashing import digest
from sciriff.models.lines import dump_line
from sciriff.models.requests import Request, Sampling

MOST_STOPS = 4
"""Stop strings that the API takes; at the others we cut the reply ourselves, see ``cut_at_stops``."""

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the server wants to be told apart from prompt and sampling.

    Attributes:
        model: the model's name on the server.
        token_limit: name of the field that limits the reply; reasoning models of OpenAI know only
            ``max_completion_tokens``.
        extra: further fields of every body, e.g. vLLM's ``add_special_tokens``. They win over ours; a field that is
            None is left out (for models that refuse ``temperature`` or ``stop``).
    """

    model: str
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As plain data, for keys and manifests."""
        return {"model": self.model, "token_limit": self.token_limit, "extra": dict(self.extra)}


def identity_of(url: str, dialect: Dialect) -> str:
    """Digest of all that a reply of the server at a base URL depends on apart from prompt and sampling.

    It is the same live and in batches.
    """
    return digest({"backend": "openai", "url": url, **dialect.describe()})


def endpoint(request: Request) -> str:
    """Path that a request goes to: messages to chat completions, text to completions."""
    return TEXT if isinstance(request.prompt, str) else CHAT


def body(request: Request, dialect: Dialect) -> dict[str, Any]:
    """The JSON body of a request; every sampling field is in it."""
    if isinstance(request.prompt, str):
        prompt: dict[str, Any] = {"prompt": request.prompt}
    else:
        prompt = {"messages": [message._asdict() for message in request.prompt]}
    fields = {"model": dialect.model, **prompt, **_sampling(request.sampling, dialect), **dialect.extra}
    return {name: value for name, value in fields.items() if value is not None}


def _sampling(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    return {
        dialect.token_limit: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "n": 1,
        "seed": sampling.seed,
        "stop": list(sampling.stop[:MOST_STOPS]) or None,
        "response_format": _response_format(sampling.json_schema),
    }


def _response_format(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def batch_line(request: Request, dialect: Dialect) -> bytes:
    """A line of a batch input file; its ``custom_id`` is the request's key."""
    return dump_line(
        {"custom_id": request.key, "method": "POST", "url": endpoint(request), "body": body(request, dialect)}
    )


def batch_lines(requests: Iterable[Request], dialect: Dialect) -> Iterator[bytes]:
    """The lines of a batch input file, one a request."""
    return (batch_line(request, dialect) for request in requests)

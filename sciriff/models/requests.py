"""What is asked of a model and what comes back: the values that backends, the ledger, batches and the judge exchange.

A request has a key: a digest of all that its reply depends on. Equal keys are one request, whoever asks: a reply that
the ledger holds is never asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from sciriff.hashing import digest

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]
"""As the OpenAI API names them."""


class Message(NamedTuple):
    """A turn of a conversation."""

    role: Role
    content: str


Prompt = str | tuple[Message, ...]
"""Exactly what the model gets: the text that is tokenised, or the messages of a chat request."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn; every field is set by us and recorded, none is left to a server's default.

    Attributes:
        max_tokens: most tokens of the reply.
        temperature: 0 is greedy.
        top_p: share of the probability that is drawn from.
        seed: for servers that take one; None sends none.
        stop: strings that end the reply and are not part of it.
        json_schema: the JSON Schema that the reply is constrained to; None leaves it free.
    """

    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = 1234
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """As plain data, for keys and manifests."""
        return {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": list(self.stop),
            "json_schema": self.json_schema,
        }


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one model.

    Attributes:
        key: 64 hex digits, see :func:`make_request`; also the ``custom_id`` in batches.
        prompt: what the model gets.
        sampling: how the reply is drawn.
        label: for people: what the request is about, e.g. an instance id. Not part of the key.
    """

    key: str
    prompt: Prompt
    sampling: Sampling
    label: str


def make_request(model_identity: str, prompt: Prompt, sampling: Sampling, label: str) -> Request:
    """Make a request with its key: the digest of model identity, sampling parameters and exact prompt.

    Args:
        model_identity: digest of all that a reply depends on apart from prompt and sampling
            (:attr:`Backend.identity`).
        prompt: what the model gets.
        sampling: how the reply is drawn.
        label: what the request is about, for people.
    """
    exact = prompt if isinstance(prompt, str) else [list(message) for message in prompt]
    return Request(digest([model_identity, sampling.describe(), exact]), prompt, sampling, label)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: a reply, or the error that stands in its place.

    Attributes:
        key: the request's key.
        text: the reply; None if there is none.
        finish_reason: why the reply ended; None if there is none.
        input_tokens, output_tokens: as the server or engine counted them; None if it did not say.
        seconds: from sending to the last byte, in the try that succeeded.
        error: why there is no reply, without secrets; empty if there is one.
        final: whether asking again is of no use (a refused prompt, a prompt that is too long); replies are final.
        served_model: what the server says it is, e.g. a dated model name; empty if it does not say.
        lost_tries: tries that were sent and brought neither a reply nor a refusal (hung, reset, cut off): the server
            may have done the work, and billed it.
    """

    key: str
    text: str | None
    finish_reason: FinishReason | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float = 0.0
    error: str = ""
    final: bool = True
    served_model: str = ""
    lost_tries: int = 0


class Backend(Protocol):
    """Something that answers requests.

    Attributes:
        identity: digest of all that a reply depends on apart from prompt and sampling: kind of backend, weights and
            their revision, dtype, address of a server. Not how many are asked at once, nor on how many GPUs.
    """

    @property
    def identity(self) -> str:
        """See the class."""
        ...

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yield one answer per request, as they arrive, in any order. A request that fails is an answer with an error.

        Closing the iterator ends all work under way.

        Raises:
            SciriffError: only for what stops every request: no such model, no key, no connection at all.
        """
        ...

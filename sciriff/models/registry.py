"""The models that can be asked by name: ``deployments/models.yaml``, and a file of the user's over it.

A model needs no entry: a local folder with weights, a repository of the Hub (``owner/name``, ``owner/name@revision``),
an API model (``openai:NAME``, ``openai:NAME@https://host/v1``) or one that vLLM serves (``vllm:NAME@http://host:8000/v1``)
is a model as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sciriff.errors import UsageError
from sciriff.models.baselines import BASELINES
from sciriff.names import flaw, folded
from sciriff.plain_yaml import load_yaml
from sciriff.resources import resource_dir
from sciriff.settings import Settings

BackendName = Literal["baseline", "vllm", "openai"]
ServerKind = Literal["openai", "vllm"]
Dtype = Literal["auto", "float16", "bfloat16", "float32"]

AUTO = "auto"
"""The chat format that is the model's own: an API gets messages, weights get their tokenizer's chat template."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HUB_ID = re.compile(rf"(?P<id>{_NAME}/{_NAME})(?:@(?P<revision>[\w./-]+))?")
_API_MODEL = re.compile(r"(?P<server>openai|vllm):(?P<name>[^\s@]+)(?:@(?P<url>https?://\S+))?")
_CONFIG = "config.json"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Entry):
    """What an API asks for tokens.

    Attributes:
        input, output: US dollars per million tokens of prompts and of replies.
        looked_up: the day it was read.
        batch_discount: share of the price that the batch API lets off.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    looked_up: date
    batch_discount: float = Field(0.5, ge=0, lt=1)

    def cost(self, input_tokens: int, output_tokens: int, *, batch: bool = False) -> float:
        """US dollars for so many tokens."""
        full = (self.input * input_tokens + self.output * output_tokens) / 1_000_000
        return full * (1 - self.batch_discount) if batch else full


class ModelSpec(_Entry):
    """One model: how it is asked.

    Attributes:
        name: what results are filed under.
        backend: ``baseline``: a function of ours; ``vllm``: weights, in process; ``openai``: a server that speaks the
            OpenAI protocol.
        weights: for ``vllm``: a repository of the Hub or a local folder.
        revision: for ``vllm``: branch, tag or commit of the repository; None for its main branch.
        api_model: for ``openai``: what the server calls the model.
        chat_format: how a prompt is wrapped: ``auto`` (the model's own way), a name of ``templates/chat/``, or the path
            of a ``.jinja`` file. See :mod:`sciriff.models.chat`.
        tensor_parallel_size: GPUs that the weights are spread over.
        dtype: number format of the weights; ``auto``: that of the checkpoint.
        context_tokens: most tokens of prompt and reply together; None: what the checkpoint's ``config.json`` says, and
            for an API unlimited as far as we know.
        engine: for ``vllm``: further options of its engine, by their names in vLLM's ``EngineArgs``, e.g.
            ``gpu_memory_utilization``.
        price: what an API asks; None for unknown or free.
        base_url: address of the server; None for the client's own (``OPENAI_BASE_URL``, else OpenAI).
        server: for ``openai``: what the server is, and so what it must be told besides the OpenAI API's fields; see
            :func:`sciriff.models.dialect.dialect_of`.
        body: for ``openai``: further fields of every request; one that is None is left out although it is ours.
        token_limit: for ``openai``: the field that limits a reply; some models know ``max_completion_tokens`` only.
        api_key_variable: environment variable with the server's key.
        notes: for people.
        unconfirmed: fields whose value could not be confirmed when the entry was written.
    """

    name: str = Field(pattern=rf"^{_NAME}$")
    backend: BackendName
    weights: str | None = None
    revision: str | None = None
    api_model: str | None = None
    chat_format: str = AUTO
    tensor_parallel_size: int = Field(1, ge=1)
    dtype: Dtype = "auto"
    context_tokens: int | None = Field(None, ge=1)
    engine: Mapping[str, Any] = {}
    price: Price | None = None
    base_url: str | None = Field(None, pattern=r"^https?://")
    server: ServerKind = "openai"
    body: Mapping[str, Any] = {}
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    api_key_variable: str = Field("OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    notes: str = ""
    unconfirmed: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_what_is_asked(self) -> ModelSpec:
        if problem := flaw(self.name):
            raise ValueError(f"the name {self.name!r} cannot be that of a folder: {problem}")
        if self.backend == "vllm" and not self.weights:
            raise ValueError("backend vllm needs weights: a repository of the Hub or a local folder")
        if self.backend == "openai" and not self.api_model:
            raise ValueError("backend openai needs api_model: what the server calls the model")
        if self.backend == "baseline" and self.name not in BASELINES:
            raise ValueError(f"there is no baseline of that name, only {', '.join(BASELINES)}")
        if unknown := sorted(set(self.unconfirmed) - set(ModelSpec.model_fields)):
            raise ValueError(f"unconfirmed names what is no field: {', '.join(unknown)}")
        return self

    @property
    def folder(self) -> Path | None:
        """The local folder of the weights; None if they are on the Hub or there are none."""
        if self.weights is None or not Path(self.weights).expanduser().is_dir():
            return None
        return Path(self.weights).expanduser()

    @property
    def takes_messages(self) -> bool:
        """Whether its prompts are messages of a conversation, which the server wraps, rather than finished text."""
        return self.backend == "openai" and self.chat_format == AUTO


def load_models(settings: Settings) -> dict[str, ModelSpec]:
    """The bundled entries with those of ``SCIRIFF_MODELS`` over them: name -> model, sorted by name.

    A user's entry of a bundled name changes only the fields it gives.

    Raises:
        UsageError: if a file cannot be read or an entry is wrong; names file, entry and field.
    """
    bundled = resource_dir("deployments") / "models.yaml"
    entries = _read(bundled)
    own = settings.models
    if own is not None:
        for name, fields in _read(own).items():
            entries[name] = {**entries.get(name, {}), **fields}
    return {name: _entry(name, entries[name], own or bundled) for name in sorted(entries)}


def find_model(name: str, settings: Settings) -> ModelSpec:
    """The model of that name, or the one that the name itself describes.

    In this order: an entry; ``openai:NAME`` or ``vllm:NAME``, with or without ``@URL``; a local folder with a
    ``config.json``; an entry with these weights; a repository of the Hub.

    Raises:
        UsageError: if it is none of these; near names are listed.
    """
    models = load_models(settings)
    if name in models:
        return models[name]
    if api := _API_MODEL.fullmatch(name):
        fields = {"api_model": api["name"], "base_url": api["url"], "server": api["server"]}
        return _described(name, backend="openai", name=_last(api["name"]), **fields)
    if (folder := Path(name).expanduser()).is_dir():
        if not (folder / _CONFIG).is_file():
            raise UsageError(
                f"model {name}: the folder has no {_CONFIG}; give a folder with weights as the Hub has them"
            )
        return _described(name, backend="vllm", weights=str(folder), name=_last(str(folder.resolve())))
    if hub := _HUB_ID.fullmatch(name):
        same = [spec for spec in models.values() if (spec.weights, spec.revision) == (hub["id"], hub["revision"])]
        if len(same) == 1:
            return same[0]
        return _described(name, backend="vllm", weights=hub["id"], revision=hub["revision"], name=_last(hub["id"]))
    near = get_close_matches(name, models, n=3, cutoff=0.5)
    raise UsageError(
        f"no model {name!r}; "
        + (f"did you mean {', '.join(near)}? " if near else "")
        + f"(models: {', '.join(models)}; or a repository of the Hub as owner/name, a local folder, openai:NAME)"
    )


def find_models(names: Iterable[str], settings: Settings) -> list[ModelSpec]:
    """The models of those names, each once.

    Raises:
        UsageError: as :func:`find_model`, or if two different models would be filed under one name.
    """
    found: dict[str, tuple[str, ModelSpec]] = {}
    for name in dict.fromkeys(names):
        spec = find_model(name, settings)
        other, known = found.setdefault(folded(spec.name), (name, spec))
        if known != spec:
            raise UsageError(
                f"models {other} and {name} would both be filed under {spec.name!r}; give one of them an entry of its "
                "own in a file of models (SCIRIFF_MODELS)"
            )
    return [spec for _, spec in found.values()]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = load_yaml(path.read_bytes())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"models {path} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(fields, dict) for fields in content.values()):
        raise UsageError(f"models {path}: expected a mapping from model name to its fields, see docs/evaluation.md")
    return {str(name): dict(fields) for name, fields in content.items()}


def _entry(name: str, fields: Mapping[str, Any], path: Path) -> ModelSpec:
    try:
        return ModelSpec.model_validate({"name": name, **fields})
    except ValidationError as error:
        raise UsageError(f"models {path}, entry {name}: {_problems(error)}") from error


def _described(given: str, **fields: Any) -> ModelSpec:
    try:
        return ModelSpec.model_validate(fields)
    except ValidationError as error:
        raise UsageError(f"model {given}: {_problems(error)}; give it an entry (SCIRIFF_MODELS)") from error


def _problems(error: ValidationError) -> str:
    known = ", ".join(field for field in ModelSpec.model_fields if field != "name")
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'entry'}: "
        + (f"unknown field; known: {known}" if problem["type"] == "extra_forbidden" else problem["msg"])
        for problem in error.errors()
    )


def _last(path: str) -> str:
    """The part of a path after its last slash: what the original files results under."""
    return path.rstrip("/").rpartition("/")[2]

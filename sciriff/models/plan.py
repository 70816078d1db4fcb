"""What an evaluation asks a model, decided before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sciriff.errors import SciriffError, UsageError
from sciriff.models.dialect import dialect_of
from sciriff.models.instances import InstanceSet
from sciriff.models.openai_batch import Looks
from sciriff.models.openai_live import DEFAULT_CONCURRENCY, LiveBackend
from sciriff.models.openai_server import OPENAI, Patience, Server, find_server
from sciriff.models.prompts import PromptKit, PromptOptions, PromptSet, needs_training, open_kit, prepare_prompts
from sciriff.models.prompts import requests_for as make_requests
from sciriff.models.registry import ModelSpec
from sciriff.models.requests import Backend, Request
from sciriff.settings import Settings


@dataclass(frozen=True)
class AskOptions:
    """How models are asked.

    Attributes:
        prompts: how instances are put to them.
        batch: whether APIs are asked in batches (half the price, within a day).
        stay: whether to wait for batches; if not, a run ends once they are submitted, and the next one collects.
        base_url: server of models with backend ``openai``, in place of that of their entries.
        most_at_once: requests under way at once, at most.
        gpus: GPUs that weights are spread over, in place of the number in their entries.
        retry_errors: whether to ask again for what was refused in an earlier run, too.
        max_cost: US dollars that all models together may cost; None for no limit.
        schemas: task -> JSON Schema that its replies are constrained to, where the backend can.
        patience: how long a request is tried for.
        looks: how often a batch is looked at.
    """

    prompts: PromptOptions = field(default_factory=PromptOptions)
    batch: bool = False
    stay: bool = True
    base_url: str | None = None
    most_at_once: int = DEFAULT_CONCURRENCY
    gpus: int | None = None
    retry_errors: bool = False
    max_cost: float | None = None
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    looks: Looks = field(default_factory=Looks)

    def __post_init__(self) -> None:
        if self.most_at_once < 1:
            raise UsageError(f"{self.most_at_once} requests at once are too few; ask for at least 1")
        if self.max_cost is not None and not self.max_cost > 0:
            raise UsageError(f"--max-cost {self.max_cost} is not a positive number of US dollars")
        if self.gpus is not None and self.gpus < 1:
            raise UsageError(f"{self.gpus} GPUs are too few; ask for at least 1")


@dataclass(frozen=True)
class TaskPlan:
    """What a model is asked of one task.

    Attributes:
        instances: the instances.
        prompts: what is made of them.
        requests: instance id -> its request; those refused for their length have none.
    """

    instances: InstanceSet
    prompts: PromptSet
    requests: Mapping[str, Request]


class Questions(Protocol):
    """What one model is asked, whoever wants to know.

    Attributes:
        spec: the model.
        backend: who answers.
        server: for an API, where it is.
        requests: key -> request: one queue.
    """

    @property
    def spec(self) -> ModelSpec:
        """See the class."""
        ...

    @property
    def backend(self) -> Backend:
        """See the class."""
        ...

    @property
    def server(self) -> Server | None:
        """See the class."""
        ...

    @property
    def requests(self) -> Mapping[str, Request]:
        """See the class."""
        ...


@dataclass(frozen=True)
class ModelPlan:
    """What a model is asked.

    Attributes:
        spec: the model.
        kit: what its prompts are made with.
        backend: who answers.
        server: for an API, where it is.
        tasks: task -> what is asked of it.
        problems: task -> why nothing can be asked of it.
    """

    spec: ModelSpec
    kit: PromptKit
    backend: Backend
    server: Server | None
    tasks: Mapping[str, TaskPlan]
    problems: Mapping[str, SciriffError]

    @property
    def requests(self) -> dict[str, Request]:
        """Key -> request, over all tasks: one queue."""
        return {request.key: request for task in self.tasks.values() for request in task.requests.values()}


def plan_model(
    spec: ModelSpec,
    instances: Mapping[str, InstanceSet],
    options: AskOptions,
    settings: Settings,
    training: Callable[[str], InstanceSet],
    stack: ExitStack,
) -> ModelPlan:
    """Decide what a model is asked.

    Args:
        spec: a model other than a baseline.
        instances: task -> its instances.
        options: how it is asked.
        settings: where files of weights are found.
        training: task -> its training split, for tasks that show examples of it.
        stack: what closes the backend.

    Raises:
        SciriffError: if the model cannot be asked anything.
    """
    if options.gpus is not None:
        spec = spec.model_copy(update={"tensor_parallel_size": options.gpus})
    kit = open_kit(spec, options.prompts, settings)
    server = find_server(options.base_url or spec.base_url, spec.api_key_variable) if spec.backend == "openai" else None
    backend = _backend(spec, kit, server, options, settings, stack)
    tasks, problems = {}, {}
    for task, each in instances.items():
        try:
            prompts = prepare_prompts(each, kit, training(task) if needs_training(task, kit) else None)
        except SciriffError as error:
            problems[task] = error
            continue
        prompts = _constrained(prompts, options.schemas.get(task), server)
        requests = {request.label: request for request in make_requests(prompts, backend.identity)}
        tasks[task] = TaskPlan(each, prompts, requests)
    return ModelPlan(spec, kit, backend, server, tasks, problems)


def _backend(
    spec: ModelSpec, kit: PromptKit, server: Server | None, options: AskOptions, settings: Settings, stack: ExitStack
) -> Backend:
    if server is not None:
        return LiveBackend(server, dialect_of(spec), most_at_once=options.most_at_once, patience=options.patience)
    from sciriff.models.vllm_backend import open_vllm

    return stack.enter_context(open_vllm(spec, settings, kit.checkpoint))


def _constrained(prompts: PromptSet, schema: Mapping[str, Any] | None, server: Server | None) -> PromptSet:
    """Constrain replies to a schema; OpenAI's own server takes only objects, so there other answers stay free."""
    if schema is None or (server is not None and server.url == OPENAI and schema.get("type") != "object"):
        return prompts
    return replace(prompts, sampling=replace(prompts.sampling, json_schema=schema))

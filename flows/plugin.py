"""Let a bare deployment name stand for ``flow/deployment``: ``prefect deployment run build-sciriff``.

Stock Prefect wants the qualified form. Flows and deployments of this project share a name, so the short form is enough
wherever only one deployment has it. The hook runs when Prefect is imported, if plugins are enabled
(``[tool.prefect.plugins] enabled = true`` in the pyproject.toml of the folder in which the command is typed, or
``PREFECT_PLUGINS_ENABLED=true``). A name with a slash goes through untouched.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn

from prefect.plugins import register_hook

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.plugins import HookContext

_SEEN_AT_MOST = 20


class DeploymentNameError(ValueError):
    """A bare deployment name that belongs to no deployment, or to several."""


@register_hook
def setup_environment(*, ctx: HookContext) -> None:  # noqa: ARG001 - keyword-only, as in the hook specification
    """Teach both of Prefect's clients to read a deployment by its bare name. Running it twice changes nothing."""
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient

    if not hasattr(PrefectClient.read_deployment_by_name, "__wrapped__"):
        PrefectClient.read_deployment_by_name = _resolving(PrefectClient.read_deployment_by_name)  # type: ignore[method-assign,assignment]
    if not hasattr(SyncPrefectClient.read_deployment_by_name, "__wrapped__"):
        SyncPrefectClient.read_deployment_by_name = _resolving_sync(SyncPrefectClient.read_deployment_by_name)  # type: ignore[method-assign,assignment]


def _resolving(
    read: Callable[[PrefectClient, str], Awaitable[DeploymentResponse]],
) -> Callable[[PrefectClient, str], Awaitable[DeploymentResponse]]:
    @wraps(read)
    async def read_deployment_by_name(self: PrefectClient, name: str) -> DeploymentResponse:
        if "/" in name:
            return await read(self, name)
        named = await self.read_deployments(**_named(name))
        if len(named) == 1:
            return named[0]
        every = named or await self.read_deployments(limit=_SEEN_AT_MOST)
        flows = [(await self.read_flow(deployment.flow_id)).name for deployment in every]
        _refuse(name, named, _qualified(flows, every))

    return read_deployment_by_name


def _resolving_sync(
    read: Callable[[SyncPrefectClient, str], DeploymentResponse],
) -> Callable[[SyncPrefectClient, str], DeploymentResponse]:
    @wraps(read)
    def read_deployment_by_name(self: SyncPrefectClient, name: str) -> DeploymentResponse:
        if "/" in name:
            return read(self, name)
        named = self.read_deployments(**_named(name))
        if len(named) == 1:
            return named[0]
        every = named or self.read_deployments(limit=_SEEN_AT_MOST)
        flows = [self.read_flow(deployment.flow_id).name for deployment in every]
        _refuse(name, named, _qualified(flows, every))

    return read_deployment_by_name


def _named(name: str) -> dict[str, Any]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    return {"deployment_filter": DeploymentFilter(name=DeploymentFilterName(any_=[name])), "limit": _SEEN_AT_MOST}


def _qualified(flow_names: Sequence[str], deployments: Sequence[DeploymentResponse]) -> list[str]:
    return sorted(f"{flow}/{deployment.name}" for flow, deployment in zip(flow_names, deployments, strict=True))


def _refuse(name: str, named: Sequence[DeploymentResponse], qualified: Sequence[str]) -> NoReturn:
    listing = ", ".join(qualified)
    if named:
        message = f"Deployment name {name!r} is ambiguous: say which of {listing} you mean."
    elif qualified:
        message = (
            f"No deployment is named {name!r}. This server has {listing}; `prefect deploy --all` deploys the rest."
        )
    else:
        message = (
            f"No deployment is named {name!r}: this server has no deployments yet. "
            "Run `prefect deploy --all` in the project folder first."
        )
    # The command line prints the message of a SystemExit; of any other error it shows a page of traceback.
    if "prefect.cli.deployment" in sys.modules:
        raise SystemExit(message)
    raise DeploymentNameError(message)

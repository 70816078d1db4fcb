"""Bare deployment names, by both of Prefect's clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows import plugin

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture(autouse=True)
def hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(plugin.sys.modules, "prefect.cli.deployment", raising=False)
    plugin.setup_environment(ctx=None)  # type: ignore[arg-type]


@pytest.fixture
def deployments(in_process: Server) -> dict[str, UUID]:
    """Two flows; ``twin`` is a deployment of each, ``only`` of one."""

    @flow(name="first-flow")
    def first() -> None: ...

    @flow(name="second-flow")
    def second() -> None: ...

    made = {}
    with get_client(sync_client=True) as client:
        for each, name in ((first, "twin"), (second, "twin"), (first, "only")):
            made[f"{each.name}/{name}"] = client.create_deployment(client.create_flow(each), name)
    return made


def read(name: str, *, wait: bool) -> Any:
    async def ask() -> Any:
        async with get_client() as client:
            return (await client.read_deployment_by_name(name)).id

    if wait:
        with get_client(sync_client=True) as client:
            return client.read_deployment_by_name(name).id
    return asyncio.run(ask())


@pytest.mark.parametrize("wait", [True, False])
def test_a_bare_name_is_the_one_deployment_of_that_name(deployments: dict[str, UUID], wait: bool) -> None:
    assert read("only", wait=wait) == deployments["first-flow/only"]
    assert read("second-flow/twin", wait=wait) == deployments["second-flow/twin"]


@pytest.mark.parametrize("wait", [True, False])
def test_an_ambiguous_name_is_refused_with_the_choices(deployments: dict[str, UUID], wait: bool) -> None:
    with pytest.raises(plugin.DeploymentNameError, match="ambiguous: say which of first-flow/twin, second-flow/twin"):
        read("twin", wait=wait)


@pytest.mark.parametrize("wait", [True, False])
def test_an_unknown_name_is_refused_with_what_there_is(deployments: dict[str, UUID], wait: bool) -> None:
    with pytest.raises(plugin.DeploymentNameError, match=r"No deployment is named 'nobody'.*first-flow/only"):
        read("nobody", wait=wait)
    with pytest.raises(ObjectNotFound):
        read("nobody/nowhere", wait=wait)


def test_the_hook_can_run_twice(deployments: dict[str, UUID]) -> None:
    plugin.setup_environment(ctx=None)  # type: ignore[arg-type]
    assert read("only", wait=True) == deployments["first-flow/only"]

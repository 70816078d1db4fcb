from __future__ import annotations

from collections.abc import Iterator

import pytest
from build_kit import BuildServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildServer]:
    """Builds of the checkout in processes of their own."""
    environment = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    with BuildServer(tmp_path_factory.mktemp("server"), environment) as running:
        yield running

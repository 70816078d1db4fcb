from __future__ import annotations

from collections.abc import Iterator

import pytest
from build_kit import BuildServer, s3_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildServer]:
    """Builds of the checkout in processes of their own."""
    with BuildServer(tmp_path_factory.mktemp("server"), PYTHONHASHSEED="0", TZ="UTC", LC_ALL="C.UTF-8") as running:
        yield running


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What clients of a real server of the S3 protocol need; it has a bucket named ``bucket``."""
    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment

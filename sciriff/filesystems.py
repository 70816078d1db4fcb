"""From a URL to the fsspec file system behind it, with the settings that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec

if TYPE_CHECKING:
    from sciriff.settings import Settings

_S3 = ("s3", "s3a")


def open_url(url: str, settings: Settings | None = None, *, remembering: bool = False) -> tuple[Any, str]:
    """Open the file system of a path or URL.

    Args:
        url: a local path or an fsspec URL.
        settings: keys and address of object stores; None for those of the environment.
        remembering: the file system is a new one that asks about each file once: for one query of DuckDB, which asks
            about each some fifteen times.

    Returns:
        The file system, and the path of the URL in it.

    Raises:
        ValueError: if there is no such file system.
        ImportError: if what it needs is not installed.
    """
    if url.partition("://")[0] not in _S3 or "::" in url:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    from sciriff.s3 import S3Options, s3_filesystem
    from sciriff.settings import Settings

    filesystem = s3_filesystem(S3Options.of(settings or Settings()), remembering=remembering)
    return filesystem, filesystem._strip_protocol(url)

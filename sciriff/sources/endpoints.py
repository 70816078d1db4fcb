"""Where requests go in place of the public hosts, for networks that let them through to a proxy of their own only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from sciriff.errors import UsageError
from sciriff.settings import Settings
from sciriff.sources.addresses import HUB, is_on

_ORIGIN = re.compile(r"https?://[^/\s=,]+")
_BASE = re.compile(r"https?://[^/\s,]+[^\s,]*")


def routed(url: str, settings: Settings) -> str:
    """The address at which to ask for ``url``: that of the endpoint its origin is mapped to, or itself.

    Raises:
        UsageError: if ``SCIRIFF_ENDPOINTS`` cannot be read.
    """
    for origin, base in {HUB: settings.hub_endpoint.rstrip("/"), **endpoints(settings.endpoints)}.items():
        if is_on(url, origin):
            return base + url.removeprefix(origin)
    return url


@lru_cache(maxsize=8)
def endpoints(setting: str | None) -> Mapping[str, str]:
    """Read ``SCIRIFF_ENDPOINTS``: origin -> base address, from ``ORIGIN=BASE,ORIGIN=BASE``.

    Raises:
        UsageError: if it is malformed; names the part.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in (setting or "").split(","))):
        origin, _, base = part.partition("=")
        if not _ORIGIN.fullmatch(origin) or not _BASE.fullmatch(base):
            raise UsageError(
                f"SCIRIFF_ENDPOINTS: found {part!r}; expected ORIGIN=BASE, for example "
                "https://github.com=https://proxy.example/github, with commas between several"
            )
        found[origin] = base.rstrip("/")
    return MappingProxyType(found)

"""Which settings go with work that is done on another machine, and which are that machine's own.

What decides the result goes along: the store, what may stand in for sources, the tokenizer, and public hosts' stand-ins
where the client names some. Where a worker keeps and finds files is its own business: cache, folders of files fetched
by hand, clones. Its mirror and the address of its object store are its own if it has any, else the client's. Either
side may forbid the network. Secrets never go along, since whoever looks at the cluster's dashboard can read what its
workers are sent; every worker has them in its own environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciriff.errors import UsageError
from sciriff.settings import Settings, load_settings
from sciriff.store import Store

_DECIDING = ("samples", "tokenizer")
_IF_GIVEN = ("hub_endpoint", "endpoints")
_UNLESS_SET = ("mirror", "s3_endpoint", "s3_region")
_CREDENTIALS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s,@]+@", re.IGNORECASE)


def travelling(settings: Settings) -> dict[str, Any]:
    """The settings that go along with work, by name.

    Raises:
        UsageError: if one of them holds a user name or password.
    """
    found = {name: getattr(settings, name) for name in _DECIDING}
    found |= {name: getattr(settings, name) for name in _IF_GIVEN if name in settings.model_fields_set}
    found["store"] = shared_address(Store.of(settings))
    if settings.offline:
        found["offline"] = True
    found |= {name: getattr(settings, name) for name in _UNLESS_SET if getattr(settings, name)}
    for name in ("tokenizer", "mirror"):
        if found.get(name) and Path(found[name]).exists():
            found[name] = str(Path(found[name]).resolve())
    for name, value in found.items():
        if isinstance(value, str) and _CREDENTIALS.search(value):
            raise UsageError(
                f"setting SCIRIFF_{name.upper()} holds a user name or password, which everybody who can look at the "
                "cluster would see; leave it out of the address and set it in the environment of the workers"
            )
    return found


def shared_address(store: Store) -> str:
    """How other machines name a store; a path that is relative to this process's folder is not to theirs."""
    return store.path("") if store.is_local else store.url


def worker_settings(given: Mapping[str, Any]) -> Settings:
    """The settings of this machine, with those that came along on top."""
    own = load_settings()
    kept = [name for name in _UNLESS_SET if getattr(own, name)]
    return own.model_copy(update={name: value for name, value in given.items() if name not in kept})

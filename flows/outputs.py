"""Where the outputs of a run lie, on one page.

A browser does not follow a ``file://`` link on a page that it got from a server, so what lies on the worker's disk is
told as an address to copy, with the machine it is on; what has a web address is a link.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prefect.artifacts import create_markdown_artifact

from flows.runs import escaped, link_to

if TYPE_CHECKING:
    from sciriff.store import Store


class Output(NamedTuple):
    """Something that a run has made.

    Attributes:
        what: what it is, for people.
        place: where it lies, relative to the store; a path of this machine if it is not in the store.
        note: more to know of it.
    """

    what: str
    place: str | Path
    note: str = ""


def publish_outputs(store: Store, outputs: Sequence[Output], key: str, description: str) -> None:
    """Create the page. Call it inside its flow run.

    Args:
        store: where the outputs lie.
        outputs: what there is.
        key: key of the artifact.
        description: what the list of artifacts says of it.
    """
    create_markdown_artifact(
        outputs_page(store, outputs, socket.gethostname()),
        key=key,
        description=description,
    )


def outputs_page(store: Store, outputs: Sequence[Output], host: str) -> str:
    """The page as Markdown, with the name of the machine whose disk it speaks of."""
    lines = [f"| {escaped(each.what)} | {_where(store, each.place)} | {escaped(each.note)} |" for each in outputs]
    table = "\n".join(["| output | where | |", "|---|---|---|", *lines])
    if not store.is_local and not any(isinstance(each.place, Path) for each in outputs):
        return f"{table}\n"
    told = (
        f"What begins with `/` or `file://` is on the disk of the machine `{host}`: copy the address of a page into "
        "the address bar of a browser there (a link would not open from here)."
    )
    return f"{table}\n\n{told}\n"


def _where(store: Store, place: str | Path) -> str:
    if isinstance(place, Path):
        return f"`{place.resolve()}`"
    url = link_to(store, place)
    if url.startswith(("http://", "https://")):
        return f"[{escaped(place)}]({url})"
    return f"`{url}`" if not store.is_local or place.endswith(".html") else f"`{Path(store.path(place)).resolve()}`"

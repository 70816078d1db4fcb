"""Files and batches of a server that speaks the OpenAI protocol, each call repeated until it goes through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote

from sciriff.errors import ModelError, TransientModelError
from sciriff.models.lines import dump_line, load_json
from sciriff.models.loops import run
from sciriff.models.openai_replies import without_secrets
from sciriff.models.openai_server import Failure, Patience, Server
from sciriff.models.openai_try import Upload, call, open_client

_PAGE, _MOST_PAGES = 100, 50
_DAY = "24h"


class Batch(NamedTuple):
    """A batch as the server describes it.

    Attributes:
        id: the server's name for it.
        status: ``validating``, ``in_progress``, ``finalizing``, ``completed``, ``expired``, ``cancelling``,
            ``cancelled`` or ``failed``.
        input_file, output_file, error_file: ids of its files; empty if there are none.
        metadata: what we wrote into it.
        processed, total: requests that are done, and all of them; 0 if the server does not say.
        problem: why it failed, in the server's words; else empty.
        problem_code: the server's name for that.
    """

    id: str
    status: str
    input_file: str
    output_file: str
    error_file: str
    metadata: dict[str, str]
    processed: int
    total: int
    problem: str
    problem_code: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ("completed", "expired", "cancelled", "failed")


class BatchServer:
    """What there is to do with batches. Every method raises ModelError or BlockedError when it has to give up."""

    def __init__(self, server: Server, patience: Patience, wait: Callable[[float], None] = time.sleep) -> None:
        """Name the server; nothing is sent yet."""
        self._server, self._patience, self._wait = server, patience, wait

    def upload(self, lines: bytes, name: str) -> str:
        """Upload an input file; returns its id."""
        return str(self._patiently(lambda: self._json("POST", "/v1/files", Upload(lines, name)))["id"])

    def create(self, file: str, endpoint: str, metadata: Mapping[str, str]) -> Batch:
        """Make a batch of an input file, once only.

        A call that ends without an answer may have made it all the same. So before the call is repeated, the list of
        batches is searched for one with this metadata.
        """
        order = dump_line(
            {"input_file_id": file, "endpoint": endpoint, "completion_window": _DAY, "metadata": metadata}
        )
        tries = 0

        def attempt() -> Any:
            nonlocal tries
            tries += 1
            made = (
                next((raw for raw in self._raw_list() if raw.get("metadata") == metadata), None) if tries > 1 else None
            )
            return made or self._json("POST", "/v1/batches", order)

        return _batch(self._patiently(attempt))

    def get(self, batch: str) -> Batch:
        """How a batch stands."""
        return _batch(self._patiently(lambda: self._json("GET", f"/v1/batches/{quote(batch, safe='')}")))

    def list(self) -> Iterator[Batch]:
        """The newest batches, the newest first; at most 5,000."""
        return map(_batch, self._raw_list())

    def download(self, file: str) -> bytes:
        """The content of a file."""
        content: bytes = self._patiently(lambda: self._call("GET", f"/v1/files/{quote(file, safe='')}/content"))
        return content

    def _raw_list(self) -> Iterator[Any]:
        after = ""
        for _ in range(_MOST_PAGES):
            page = self._patiently(partial(self._json, "GET", f"/v1/batches?limit={_PAGE}{after}"))
            found = [each for each in page.get("data") or [] if isinstance(each, dict) and each.get("id")]
            yield from found
            if not page.get("has_more") or not found:
                return
            after = f"&after={quote(str(found[-1]['id']), safe='')}"

    def _patiently(self, attempt: Callable[[], Any]) -> Any:
        """Call until there is something other than a failure that may pass."""
        for failures in count(1):
            said = attempt()
            if not isinstance(said, Failure):
                return said
            if said.fatal is not None:
                raise said.fatal
            if not said.may_pass or failures >= self._patience.tries:
                kind = TransientModelError if said.may_pass else ModelError
                raise kind(f"{self._server.url}: {said.reason}; batches of this server cannot be used now")
            asked = said.wait if said.wait is not None and said.wait <= self._patience.longest_retry_after else None
            self._wait(self._patience.backoff(failures) if asked is None else asked)
        raise AssertionError("unreachable")

    def _json(self, method: str, path: str, data: bytes | Upload | None = None) -> dict[str, Any] | Failure:
        said = self._call(method, path, data)
        if isinstance(said, Failure):
            return said
        try:
            value = load_json(said)
        except ValueError as error:
            return Failure(f"the answer is not JSON: {error}", may_pass=True)
        if not isinstance(value, dict) or not ("id" in value or "data" in value):
            return Failure("the answer is not what was asked for", may_pass=True)
        return value

    def _call(self, method: str, path: str, data: bytes | Upload | None = None) -> bytes | Failure:
        async def once() -> bytes | Failure:
            patience = self._patience
            async with open_client(self._server, patience.connect_seconds, patience.reply_seconds) as client:
                return await call(client, method, path, data)

        return run(once)


def _batch(raw: Mapping[str, Any]) -> Batch:
    counts = raw.get("request_counts") or {}
    problems = [each for each in (raw.get("errors") or {}).get("data") or [] if isinstance(each, dict)]
    return Batch(
        id=str(raw["id"]),
        status=str(raw.get("status") or ""),
        input_file=str(raw.get("input_file_id") or ""),
        output_file=str(raw.get("output_file_id") or ""),
        error_file=str(raw.get("error_file_id") or ""),
        metadata={str(name): str(value) for name, value in (raw.get("metadata") or {}).items()},
        processed=int(counts.get("completed") or 0) + int(counts.get("failed") or 0),
        total=int(counts.get("total") or 0),
        problem=without_secrets("; ".join(str(each.get("message") or "") for each in problems[:3])),
        problem_code=str(problems[0].get("code") or "") if problems else "",
    )

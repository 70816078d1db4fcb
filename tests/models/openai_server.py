"""A real HTTP server of the OpenAI protocol on the loopback, which can be told to misbehave and counts what it bills.

Chat completions, completions, models, files and batches, over plain sockets. What it answers depends on the content of
a request alone. A request is billed when a whole reply to it is about to be sent, or, in a batch, when the batch has
processed it.
"""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import hashlib
import itertools
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]
Fault = str
"""``429``, ``429-silent`` (without Retry-After), ``500``, ``503``, ``hang``, ``cut``, ``malformed``, ``reset``,
``no-choices``; ``refuse`` (400) and ``too-long`` (400) stay."""


def content_of(body: Body) -> str:
    """What a request is about: the text of its prompt."""
    return str(body["prompt"]) if "prompt" in body else str(body["messages"][-1]["content"])


def echo(body: Body) -> str:
    """A reply that depends on the content of a request."""
    return "reply " + hashlib.sha256(content_of(body).encode()).hexdigest()[:12]


@dataclass
class BatchPlan:
    """How a batch goes.

    Attributes:
        seconds: from its creation to its end.
        status: how it ends: completed, expired, failed or cancelled.
        share: share of its requests that are processed before it ends.
        drop, duplicate, fail: shares of the processed lines that are left out of the output (and not billed), stand
            there twice, or end in the error file with status 500 (not billed).
        tear: whether the last line of the output file is cut in half (and not billed).
        shuffle: whether lines are reordered.
        code: of the error of a failed batch.
    """

    seconds: float = 0.0
    status: str = "completed"
    share: float = 1.0
    drop: float = 0.0
    duplicate: float = 0.0
    fail: float = 0.0
    tear: bool = False
    shuffle: bool = True
    code: str = "invalid_request"


@dataclass
class FakeServer:
    """The state of a server.

    Attributes:
        url: base URL, once it runs.
        key: the bearer token it wants; empty for none.
        reply: request body -> text of the reply.
        fault: (request body, how often it was sent before) -> what goes wrong this time; None for nothing.
        seconds: until a reply is sent.
        most_at_once: more requests at once than this get 429; None for no limit.
        retry_after: seconds of Retry-After in 429.
        batch_plans: how the next batches go; then all go well.
        billed: content -> replies billed.
        sent: content -> times it was sent, live.
        uploads, batches: what was uploaded and created.
    """

    url: str = ""
    key: str = ""
    model: str = "m"
    reply: Callable[[Body], str] = echo
    fault: Callable[[Body, int], Fault | None] = lambda body, before: None
    seconds: float = 0.0
    most_at_once: int | None = None
    retry_after: float = 0.05
    batch_plans: list[BatchPlan] = field(default_factory=list)
    billed: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    uploads: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, Body] = field(default_factory=dict)
    bodies: list[Body] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    at_once: int = 0
    peak: int = 0
    on_batch_created: Callable[[], Fault | None] = lambda: None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _ends: dict[str, tuple[float, BatchPlan]] = field(default_factory=dict)

    # Live

    async def completion(
        self, path: str, body: Body, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        content = content_of(body)
        before = self.sent[content]
        self.sent[content] += 1
        self.bodies.append(body)
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        try:
            fault = self.fault(body, before)
            if self.most_at_once is not None and self.at_once > self.most_at_once:
                fault = "429"
            if fault is None or fault in ("cut", "malformed", "reset", "no-choices"):
                await asyncio.sleep(self.seconds)
            if fault == "hang":
                await reader.read(1)  # until whoever asked hangs up
            else:
                await self._answer(path, body, fault, writer)
        finally:
            self.at_once -= 1

    async def _answer(self, path: str, body: Body, fault: Fault | None, writer: asyncio.StreamWriter) -> None:
        whole = json.dumps(self.completed(path, body)).encode()
        match fault:
            case None:
                self.billed[content_of(body)] += 1
                await respond(writer, 200, whole)
            case "429":
                await respond(writer, 429, failure("slow down"), {"Retry-After": f"{self.retry_after:g}"})
            case "429-silent":
                await respond(writer, 429, failure("slow down"))
            case "500" | "503":
                await respond(writer, int(fault), failure("something broke"))
            case "cut":
                await respond(writer, 200, whole[: len(whole) // 2], length=len(whole))
                writer.transport.abort()
            case "malformed":
                await respond(writer, 200, whole[: len(whole) // 2])
            case "reset":
                writer.transport.abort()
            case "no-choices":
                await respond(writer, 200, json.dumps({"model": self.model, "choices": []}).encode())
            case "too-long":
                await respond(writer, 400, failure("maximum context length", "context_length_exceeded"))
            case "filter":
                await respond(writer, 400, failure("filtered", "content_filter"))
            case "quota":
                await respond(writer, 429, failure("you have no money", "insufficient_quota"))
            case "no-model":
                await respond(writer, 404, failure("no such model", "model_not_found"))
            case _:
                await respond(writer, int(fault), failure("refused"))

    def completed(self, path: str, body: Body) -> Body:
        text = self.reply(body)
        text, cut = text[: body["max_tokens"] * 4], len(text) > body["max_tokens"] * 4
        choice: Body = {"index": 0, "finish_reason": "length" if cut else "stop"}
        if path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        tokens = {"prompt_tokens": len(content_of(body)) // 4 + 1, "completion_tokens": len(text) // 4 + 1}
        usage = {**tokens, "total_tokens": sum(tokens.values())}
        return {"id": "c", "model": f"{body['model']}-2024", "choices": [choice], "usage": usage}

    # Files and batches

    def upload(self, data: bytes) -> Body:
        name = f"file-{next(self._numbers)}"
        self.uploads[name] = data
        return {"id": name, "object": "file", "bytes": len(data), "purpose": "batch"}

    def create_batch(self, order: Body) -> Body:
        name = f"batch_{next(self._numbers)}"
        plan = self.batch_plans.pop(0) if self.batch_plans else BatchPlan()
        self._ends[name] = (time.monotonic() + plan.seconds, plan)
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": order["endpoint"],
            "input_file_id": order["input_file_id"],
            "completion_window": order["completion_window"],
            "metadata": order.get("metadata"),
            "status": "in_progress",
            "created_at": int(time.time()),
        }
        return self.batches[name]

    def end_batches(self) -> None:
        """End every batch now, however long it was to take."""
        self._ends = {name: (time.monotonic(), plan) for name, (_, plan) in self._ends.items()}

    def batch(self, name: str) -> Body:
        batch = self.batches[name]
        end, plan = self._ends[name]
        if batch["status"] == "in_progress" and time.monotonic() >= end:
            self._end(batch, plan)
        return batch

    def _end(self, batch: Body, plan: BatchPlan) -> None:
        chance = random.Random(batch["id"])
        lines = [json.loads(line) for line in self.uploads[batch["input_file_id"]].splitlines()]
        processed = lines[: round(plan.share * len(lines))]
        output, errors = [], [expired(line) for line in lines[len(processed) :] if plan.status == "expired"]
        for line in processed:
            if chance.random() < plan.fail:
                errors.append(batch_line(line, 500, {"error": {"message": "broke"}}))
            elif chance.random() >= plan.drop:
                done = batch_line(line, 200, self.completed(line["url"], line["body"]))
                output += [(line, done)] * (2 if chance.random() < plan.duplicate else 1)
        if plan.shuffle:
            chance.shuffle(output)
        torn = output.pop()[1] if plan.tear and output else b""
        for content in {content_of(line["body"]) for line, _ in output}:
            self.billed[content] += 1
        data = b"".join(done for _, done in output) + torn[: len(torn) // 2]
        batch["status"] = plan.status
        batch["request_counts"] = {"total": len(lines), "completed": len(processed), "failed": 0}
        batch["output_file_id"] = self.upload(data)["id"]
        batch["error_file_id"] = self.upload(b"".join(errors))["id"] if errors else None
        if plan.status == "failed":
            batch["errors"] = {"data": [{"code": plan.code, "message": "the file is bad"}]}

    # Plumbing

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split("\r\n", 1)[0].split(" ")
                headers = {name.lower(): value.strip() for name, _, value in map(parted, head.split("\r\n")[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.headers.append(headers)
                path, _, query = target.partition("?")
                if self.key and headers.get("authorization") != f"Bearer {self.key}":
                    said = f"Incorrect API key provided: {headers.get('authorization')}"
                    await respond(writer, 401, failure(said))
                elif path in ("/v1/chat/completions", "/v1/completions"):
                    await self.completion(path, json.loads(body), reader, writer)
                else:
                    await self._route(method, path, query, headers, body, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # whoever asked is gone, or the server ends
        finally:
            writer.close()

    async def _route(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
    ) -> None:
        if path == "/v1/models":
            await respond(writer, 200, json.dumps({"data": [{"id": self.model}]}).encode())
        elif (method, path) == ("POST", "/v1/files"):
            await respond(writer, 200, json.dumps(self.upload(uploaded(headers["content-type"], body))).encode())
        elif found := re.fullmatch(r"/v1/files/([\w-]+)/content", path):
            await respond(writer, 200, self.uploads[found[1]])
        elif (method, path) == ("POST", "/v1/batches"):
            await self._create(json.loads(body), writer)
        elif path == "/v1/batches":
            await respond(writer, 200, json.dumps(self._list(query)).encode())
        elif found := re.fullmatch(r"/v1/batches/(\w+)", path):
            await respond(writer, 200, json.dumps(self.batch(found[1])).encode())
        else:
            await respond(writer, 404, failure(f"no such path {path}"))

    async def _create(self, order: Body, writer: asyncio.StreamWriter) -> None:
        fault = self.on_batch_created()
        if fault == "500":
            await respond(writer, 500, failure("broke before it was made"))
            return
        batch = self.create_batch(order)
        if fault == "reset":
            writer.transport.abort()
        else:
            await respond(writer, 200, json.dumps(batch).encode())

    def _list(self, query: str) -> Body:
        asked = dict(pair.split("=") for pair in query.split("&") if pair)
        names = list(reversed(self.batches))
        start = names.index(asked["after"]) + 1 if "after" in asked else 0
        page = names[start : start + int(asked.get("limit", 20))]
        return {"data": [self.batch(name) for name in page], "has_more": start + len(page) < len(names)}


def parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def batch_line(line: Body, status: int, body: Body) -> bytes:
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "b", "custom_id": line["custom_id"], "response": response, "error": None}).encode() + b"\n"


def expired(line: Body) -> bytes:
    error = {"code": "batch_expired", "message": "This request could not be executed before the batch expired."}
    return json.dumps({"id": "b", "custom_id": line["custom_id"], "response": None, "error": error}).encode() + b"\n"


def failure(message: str, code: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": "server_error", "code": code}}).encode()


def uploaded(content_type: str, body: bytes) -> bytes:
    """The file in a multipart form."""
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    form = parser.parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    for part in form.iter_parts():
        if part.get_filename():
            return bytes(part.get_payload(decode=True))
    raise ValueError("no file in the form")


async def respond(
    writer: asyncio.StreamWriter,
    status: int,
    data: bytes,
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> None:
    lines = [f"HTTP/1.1 {status} x", "Content-Type: application/json", f"Content-Length: {length or len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + data)
    await writer.drain()


def at_random(faults: Mapping[Fault, float], seed: int = 1, most: int = 3) -> Callable[[Body, int], Fault | None]:
    """Faults with their probabilities; a request sent more often than ``most`` times goes well."""

    def fault(body: Body, before: int) -> Fault | None:
        if before >= most:
            return None
        draw = random.Random(f"{seed} {before} {content_of(body)}").random()
        for name, share in faults.items():
            draw -= share
            if draw < 0:
                return name
        return None

    return fault


@contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    """Run a server on a free port until the end of the block."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def main() -> None:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        started.set()
        await asyncio.Event().wait()

    def work() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(main())
        loop.run_forever()
        for each in asyncio.all_tasks(loop):
            each.cancel()
        loop.run_until_complete(asyncio.gather(task, *asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)

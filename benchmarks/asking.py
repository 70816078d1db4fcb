"""``python -m benchmarks.asking``: what it costs to ask a server, from the prompt to the durable reply.

A server on the loopback answers each request after 0.2 s (a quick reply of a model). Asked are instances of one task,
with prompts of some 3,000 tokens: prompts made, quoted, sent, replies read and kept in a ledger on the local disk, as
in an evaluation. The floor is a bare asyncio client over plain sockets that sends the same bytes over as many
connections and reads the replies' text, no more; beside it stands a bare client of aiohttp. All run in turn, in one
process; times to start up are outside.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from benchmarks.loopback import serving
from benchmarks.measured import cpu_seconds
from sciriff.building.progress import Silent
from sciriff.models.ask_model import Asking, ask_model
from sciriff.models.budget import Purse
from sciriff.models.instances import InstanceSet
from sciriff.models.ledger import open_ledger
from sciriff.models.openai_requests import Dialect, body
from sciriff.models.plan import AskOptions, plan_model
from sciriff.models.quote import estimate_for, quote_model
from sciriff.models.registry import ModelSpec
from sciriff.models.requests import Message, Sampling, make_request
from sciriff.settings import Settings
from sciriff.store import Store

SAMPLES, ROUNDS, CONCURRENCY, SECONDS = 2_000, 5, 64, 0.2
MOST_CPU_MILLISECONDS, LEAST_SHARE = 2.5, 0.9
WORDS = 2_300

Client = Callable[[str, Sequence[str], int], None]
"""(base URL, prompts, connections): asks them all."""


class Cost(NamedTuple):
    """What one run took: CPU and wall-clock seconds."""

    cpu: float
    wall: float


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.asking", description=__doc__)
    arguments.add_argument("--samples", type=int, default=SAMPLES, help=f"prompts per round (default {SAMPLES:,})")
    arguments.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds (default {ROUNDS})")
    arguments.add_argument("--concurrency", type=int, default=CONCURRENCY, help=f"at once (default {CONCURRENCY})")
    arguments.add_argument("--seconds", type=float, default=SECONDS, help=f"until a reply (default {SECONDS})")
    arguments.add_argument("--library", action="store_true", help="measure the openai library as well")
    given = arguments.parse_args()
    clients: dict[str, Client] = {
        "bare asyncio client": ask_bare,
        "bare aiohttp client": ask_by_aiohttp,
        "sciriff": ask_kept,
    }
    if given.library:
        clients["openai library"] = ask_by_library
    costs: dict[str, list[Cost]] = {name: [] for name in clients}
    with serving(given.seconds) as url:
        for client in clients.values():
            client(url, list(prompts(given.concurrency, "warm")), given.concurrency)
        for number in range(given.rounds):
            asked = list(prompts(given.samples, str(number)))
            for name, client in clients.items():
                costs[name].append(measured(lambda client=client, asked=asked: client(url, asked, given.concurrency)))
    report(costs, given.samples)


def measured(work: Callable[[], None]) -> Cost:
    cpu, wall = cpu_seconds(), time.perf_counter()
    work()
    return Cost(cpu_seconds() - cpu, time.perf_counter() - wall)


def report(costs: dict[str, list[Cost]], samples: int) -> None:
    print(f"{'median of rounds':22}{'CPU ms/sample':>15}{'samples/s':>12}")
    for name, rounds in costs.items():
        cpu, wall = (median(getattr(each, part) for each in rounds) for part in ("cpu", "wall"))
        print(f"{name:22}{1000 * cpu / samples:15.2f}{samples / wall:12.0f}")
    cpu = 1000 * median(each.cpu for each in costs["sciriff"]) / samples
    print(f"CPU per sample: {cpu:.2f} ms, {cpu / MOST_CPU_MILLISECONDS:.2f} x the {MOST_CPU_MILLISECONDS} ms allowed")
    for name in ("bare asyncio client", "bare aiohttp client"):
        shares = [bare.wall / ours.wall for bare, ours in zip(costs[name], costs["sciriff"], strict=True)]
        print(f"throughput: {median(shares):.2f} x that of the {name} (at least {LEAST_SHARE}; {_spelt(shares)})")


def _spelt(shares: Sequence[float]) -> str:
    return f"rounds: {', '.join(f'{share:.2f}' for share in shares)}"


def prompts(number: int, name: str) -> Iterator[str]:
    """Prompts of about 3,000 tokens that differ."""
    text = " ".join(f"word{place % 97}" for place in range(WORDS))
    return (f"{name} {place} {text}" for place in range(number))


def ask_kept(url: str, texts: Sequence[str], concurrency: int) -> None:
    """Ask as an evaluation does, and keep every reply."""
    lines = [{"_instance_id": f"bench:{place}", "input": text, "output": "{}"} for place, text in enumerate(texts)]
    instances = InstanceSet("scierc_ner", 4096, "validation", None, "bench", "", "", "", tuple(lines), tuple(lines))
    spec = ModelSpec(name="bench", backend="openai", api_model="bench", base_url=url)
    options, settings = AskOptions(most_at_once=concurrency), Settings(offline=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = Store(folder)
        plan = plan_model(spec, {"scierc_ner": instances}, options, settings, lambda _: instances, stack)
        ledger = stack.enter_context(open_ledger(store, plan.backend.identity, "bench", Path(folder)))
        quoted = quote_model(plan, ledger, estimate_for(spec, settings), batch=False)
        asked = ask_model(Asking(plan, quoted, ledger, options, Purse(), settings, Silent()))
        assert asked.problem is None
        assert len(ledger.answers) == len(texts)


def ask_bare(url: str, texts: Sequence[str], concurrency: int) -> None:
    """Ask as quickly as asyncio can, and keep nothing."""
    asyncio.run(_ask_bare(url, texts, concurrency))


async def _ask_bare(url: str, texts: Sequence[str], concurrency: int) -> None:
    place, waiting = urlsplit(url), iter(texts)
    head = f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for text in waiting:
            data = orjson.dumps(_body(text))
            writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            said = await reader.readexactly(int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            assert orjson.loads(said)["choices"][0]["message"]["content"]
        writer.close()

    await asyncio.gather(*(connection() for _ in range(concurrency)))


def ask_by_aiohttp(url: str, texts: Sequence[str], concurrency: int) -> None:
    """Ask with the HTTP client below the library that is used here, and keep nothing."""
    asyncio.run(_ask_by_aiohttp(url, texts, concurrency))


async def _ask_by_aiohttp(url: str, texts: Sequence[str], concurrency: int) -> None:
    import aiohttp

    waiting, headers = iter(texts), {"Content-Type": "application/json"}

    async def worker(session: aiohttp.ClientSession) -> None:
        for text in waiting:
            data = orjson.dumps(_body(text))
            async with session.post(f"{url}/chat/completions", data=data, headers=headers) as response:
                assert orjson.loads(await response.read())["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))


def ask_by_library(url: str, texts: Sequence[str], concurrency: int) -> None:
    """Ask with the library that is used here, in its usual way, and keep nothing."""
    asyncio.run(_ask_by_library(url, texts, concurrency))


async def _ask_by_library(url: str, texts: Sequence[str], concurrency: int) -> None:
    from openai import AsyncOpenAI

    waiting = iter(texts)

    async def worker(client: AsyncOpenAI) -> None:
        for text in waiting:
            completion = await client.chat.completions.create(**_body(text))
            assert completion.choices[0].message.content

    async with AsyncOpenAI(api_key="none", base_url=url) as client:
        await asyncio.gather(*(worker(client) for _ in range(concurrency)))


def _body(text: str) -> dict[str, object]:
    request = make_request("bench", (Message("user", text),), Sampling(), "bench")
    return body(request, Dialect("bench"))


if __name__ == "__main__":
    os.environ["OPENAI_API_KEY"] = "none"
    main()

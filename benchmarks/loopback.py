"""A quick server of the OpenAI protocol on the loopback: every request gets the same reply after a while.

``python -m benchmarks.loopback SECONDS`` prints its base URL and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

REPLY = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "model": "bench",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "word " * 200}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 3000, "completion_tokens": 200, "total_tokens": 3200},
    }
).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY)


@contextmanager
def serving(seconds: float) -> Iterator[str]:
    """Run the server in a process of its own; yields its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.loopback", str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            await asyncio.sleep(seconds)
            writer.write(RESPONSE)
    writer.close()


async def _serve(seconds: float) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: _answer(reader, writer, seconds), "127.0.0.1", 0, limit=1 << 20
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))

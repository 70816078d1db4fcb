"""Coverage-guided run over every reader: ``make fuzz`` (SECONDS=60 by default; needs Linux, for Atheris).

The first byte of an input picks the reader, the rest stands in for the first stream that it opens. Atheris mutates the
samples and keeps what reaches new branches. An error that is not one of ours, a crash or a hang of 20 seconds stops the
run; the input that did it is written to ``crash-*`` or ``timeout-*`` and can be given again as an argument.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

import atheris

from sciriff.readers import READERS

with atheris.instrument_imports(include=["sciriff.readers"]):
    for module in READERS.values():
        import_module(module)

from fuzz_kit import Case, DamagedView, cases, read_damaged

CASES: list[Case] = list(cases().values())
HANG_SECONDS = 20


def read_instead(data: bytes) -> None:
    """Let one reader read the data instead of its first stream."""
    if data:
        read_damaged(CASES[data[0] % len(CASES)], lambda _: data[1:])


def write_seeds(folder: Path) -> None:
    """Write the first stream of every case as an input."""
    for number, case in enumerate(CASES):
        streams: list[bytes] = []

        def keep(content: bytes, streams: list[bytes] = streams) -> bytes:
            streams.append(content)
            return content

        reader = import_module(READERS[case.reader])
        list(reader.rows(DamagedView(case.view, keep), case.split))
        (folder / f"{number:02}-{case.task}").write_bytes(bytes([number]) + streams[0])


def main() -> None:
    """Run from the command line; arguments are libFuzzer's."""
    with tempfile.TemporaryDirectory() as folder:
        write_seeds(Path(folder))
        given = sys.argv[1:]
        replay = any(Path(argument).is_file() for argument in given)
        corpus = [] if replay else [folder]
        atheris.Setup([sys.argv[0], f"-timeout={HANG_SECONDS}", "-max_len=65536", *given, *corpus], read_instead)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

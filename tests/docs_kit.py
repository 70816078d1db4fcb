"""Pages as tests see them: marked code blocks, and a server that runs the command without its slow imports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Self

CHECKOUT = Path(__file__).resolve().parent.parent
PRELOADED = ("great_expectations", "pyarrow.parquet", "duckdb", "spacy", "tokenizers", "jinja2", "fastjsonschema")
ANY_LINES = "…"

_MARKED_BLOCK = re.compile(r"^<!-- (\w+)(?:: (\S+))? -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)
_VARYING = (
    (re.compile(r"\b\d+\.\d\d?\b"), "SECONDS"),
    (re.compile(r"\bsha256 [0-9a-f]{12}\b"), "sha256 HASH"),
    (re.compile(r" {2,}"), "  "),
)
_PROGRESS = re.compile(r"^.+: [\d,]+ of [\d,]+(, .*| in \d+ s)?$")


class Step(NamedTuple):
    """A marked code block of a page: what to do with it, the file it is about, and its text."""

    kind: str
    path: str
    text: str


def steps(page: str) -> list[Step]:
    """Return the marked blocks of a page, in order.

    Raises:
        AssertionError: if a block has no mark, so that nothing on the page goes unchecked.
    """
    found = [Step(kind, path, text) for kind, path, text in _MARKED_BLOCK.findall(page)]
    assert len(found) == len(_FENCE.findall(page)), "a code block without a mark"
    return found


def changed(text: str, diff: str) -> str:
    """Apply a diff of one hunk, given without line numbers; its old lines must stand in the text exactly once."""
    lines = diff.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in (" ", "-"))
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in (" ", "+"))
    assert text.count(old) == 1, f"found {text.count(old)} times:\n{old}"
    return text.replace(old, new)


def comparable(output: str) -> list[str]:
    """Lines of an output without times, hashes, column widths and lines that tell of progress."""
    lines = [line.rstrip() for line in output.strip().splitlines() if not _PROGRESS.match(line)]
    for pattern, name in _VARYING:
        lines = [pattern.sub(name, line) for line in lines]
    return lines


def agrees(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed; a line ``…`` on the page stands for any lines."""
    pattern = "\n".join(".*" if line == ANY_LINES else re.escape(line) for line in comparable(shown))
    return re.fullmatch(pattern, "\n".join(comparable(printed)), re.DOTALL) is not None


class Commands:
    """Runs ``sciriff`` commands of any copy of the package, in forks of a process that has the libraries loaded."""

    def __init__(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "PYTHON"))}
        self.environment = {
            **kept,
            "PYTHONDONTWRITEBYTECODE": "1",
            "GX_ANALYTICS_ENABLED": "false",
            "SCIRIFF_WORKERS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run one command in a folder, with the package that lies there; returns its exit status and all it printed."""
        output = folder / ".printed"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(folder), arguments, variables, str(output)]), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        printed = output.read_text(encoding="utf-8")
        output.unlink()
        return status, printed


def _serve() -> None:
    sys.path.remove(str(Path(__file__).resolve().parent))
    for module in PRELOADED:
        __import__(module)
    assert not any(name.partition(".")[0] == "sciriff" for name in sys.modules)
    for line in sys.stdin:
        folder, arguments, variables, output = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_command(folder, arguments, variables, output)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _become_command(folder: str, arguments: list[str], variables: dict[str, str], output: str) -> None:
    target = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.environ.update(variables)
    os.chdir(folder)
    sys.path.insert(0, folder)
    status = 1
    try:
        from sciriff.cli import main

        main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()

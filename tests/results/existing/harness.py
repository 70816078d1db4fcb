"""Samples as lm-evaluation-harness writes them, in the shapes of its versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DATE = "2024-09-20T12-34-56.789012"
TASK = "scierc_ner"
PREDICTION = {"prompt": "Q", "pred": "{}", "ref": "{}"}
"""A line that wants no harness."""


class Reply(NamedTuple):
    """What a model said to an instance."""

    prompt: Any
    reply: Any
    reference: Any
    doc: dict[str, Any] = {}  # noqa: RUF012 - not a class attribute: a field's default, never changed


def current(number: int, said: Reply) -> dict[str, Any]:
    """A sample since 0.4.5."""
    return {**v0_4_4(number, said), "filter": "none", "metrics": ["bypass"]}


def v0_4_4(number: int, said: Reply) -> dict[str, Any]:
    """A sample of 0.4.3 and 0.4.4."""
    return {
        "doc_id": number,
        "doc": {"metadata": {}, **said.doc},
        "target": said.reference,
        "arguments": {"gen_args_0": {"arg_0": said.prompt, "arg_1": {"until": ["\n\n"], "max_gen_toks": 1024}}},
        "resps": [[said.reply]],
        "filtered_resps": [said.reply],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "bypass": 999,
    }


def before_0_4_3(number: int, said: Reply) -> dict[str, Any]:
    """A sample of versions before 0.4.3."""
    return {
        "doc_id": number,
        "doc": {"metadata": {}, **said.doc},
        "target": said.reference,
        "arguments": [[said.prompt, {"until": ["\n\n"]}]],
        "resps": [[said.reply]],
        "filtered_resps": [said.reply],
        "bypass": float("nan"),
    }


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_current(folder: Path, task: str, said: Sequence[Reply], date: str = DATE) -> Path:
    """Write a file of samples since 0.4.5."""
    return write_lines(folder / f"samples_{task}_{date}.jsonl", [current(*each) for each in enumerate(said)])


def write_v0_4_4(folder: Path, task: str, said: Sequence[Reply], date: str = DATE) -> Path:
    """Write a file of samples of 0.4.3 or 0.4.4."""
    return write_lines(folder / f"samples_{task}_{date}.jsonl", [v0_4_4(*each) for each in enumerate(said)])


def write_before_0_4_3(folder: Path, task: str, said: Sequence[Reply]) -> Path:
    """Write a file of samples as it was before 0.4.3: an indented list, named after the model's arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pretrained__lab__model-7b,dtype__float16_{task}.jsonl"
    path.write_text(json.dumps([before_0_4_3(*each) for each in enumerate(said)], indent=2), encoding="utf-8")
    return path


WRITERS: dict[str, Callable[[Path, str, Sequence[Reply]], Path]] = {
    "current": write_current,
    "0.4.4": write_v0_4_4,
    "before 0.4.3": write_before_0_4_3,
}

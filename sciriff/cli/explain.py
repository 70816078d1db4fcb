"""``sciriff explain``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import settings_with, split_option, store_option, window_option
from sciriff.cli.tables import table

if TYPE_CHECKING:
    from sciriff.results.explain import Explanation


@click.command()
@click.argument("model")
@click.argument("task")
@click.argument("instance")
@window_option
@split_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@store_option
def explain_command(
    model: str, task: str, instance: str, window: int, split: str, as_json: bool, store: str | None
) -> int:
    """Show how the reply of MODEL to one INSTANCE of TASK got its score: prompt, reply, parse, statistics, versions.

    INSTANCE is its id, or the end of it if that is the only such, e.g. validation:17 or 17.
    """
    from sciriff.results.explain import explain
    from sciriff.store import Store

    settings = settings_with(store=store)
    found = explain(model, task, instance, store=Store.of(settings), settings=settings, window=window, split=split)
    if as_json:
        import json

        text = json.dumps(found.describe(), ensure_ascii=False, indent=2, default=str)
        click.echo(text.encode("utf-8", "backslashreplace"))
    else:
        click.echo(explanation_text(found))
    return 0


def explanation_text(found: Explanation) -> str:
    """Return an explanation under headings."""
    return "\n".join(
        f"--- {heading}\n{text}" if heading else text for heading, text in _sections(found) if text is not None
    )


def _sections(found: Explanation) -> Iterator[tuple[str, str | None]]:
    where = f"window {found.window_tokens}, split {found.split}, document {found.document_id}"
    yield "", f"=== {found.model} on {found.instance_id} ({where})"
    yield "prompt", None if found.prompt is None else _shown(found.prompt)
    yield f"reply ({found.finish_reason})", found.reply if found.reply is not None else f"none came. {found.error}"
    yield "reference", found.reference
    yield "ended as", _outcomes(found)
    yield from _parsed(found)
    yield "scores of this sample", _scores(found)
    yield "why the profiles differ", _differences(found)
    if found.judge is not None:
        yield "judge", table(("", ""), [(name, text) for name, text in found.judge.items() if name not in _TEXTS])
        yield "judge: prompt", found.judge["prompt"]
        yield "judge: first reply, asked again", found.judge["first_reply"]
        yield "judge: reply", found.judge["reply"]
    yield "versions and keys", "\n".join(f"{name:<19} {text}" for name, text in found.versions.items() if text)
    if found.notes:
        yield "notes", "\n".join(found.notes)


_TEXTS = ("prompt", "reply", "first_reply")


def _shown(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _outcomes(found: Explanation) -> str:
    rows = [
        (name, side.outcome, side.reason, side.parse_status)
        for name, side in (("corrected", found.corrected), ("original", found.original))
    ]
    return table(("profile", "outcome", "reason", "parse status"), rows)


def _parsed(found: Explanation) -> Iterator[tuple[str, str]]:
    """What was read of the reply, once if both profiles read the same."""
    import json

    sides = [found.corrected, found.original]
    if found.reply is None:
        return
    if sides[0].parse_status == "not_json":
        read = [side.cleaned or "" for side in sides]
    else:
        read = [
            "(nothing)" if side.parse_status == "extract_failure" else json.dumps(side.parsed, ensure_ascii=False)
            for side in sides
        ]
    if read[0] == read[1]:
        yield "read as", read[0] if read[0] != found.reply else "(the reply as it is)"
    else:
        yield "read as, corrected", read[0]
        yield "read as, original", read[1]


def _scores(found: Explanation) -> str | None:
    sides = found.corrected.scores, found.original.scores
    metrics = dict.fromkeys([*sides[0], *sides[1]])
    if not metrics:
        return "none: the sample is in no denominator"
    rows = [(metric, *(_score(side.get(metric)) for side in sides)) for metric in metrics]
    return table(("metric", "corrected", "original"), rows)


def _score(score: Any) -> str:
    if score is None:
        return ""
    value = "-" if score["value"] is None else f"{100 * score['value']:.2f}"
    statistics = ", ".join(f"{name} {number:g}" for name, number in score.items() if name != "value")
    return f"{value} ({statistics})"


def _differences(found: Explanation) -> str:
    if not found.differences:
        return "they do not"
    return "\n".join(f"{name}: {meaning}" for name, meaning in found.differences.items())

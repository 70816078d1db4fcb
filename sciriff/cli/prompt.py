"""``sciriff prompt``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import data_options, prompt_choices, prompt_options, settings_with, store_option

if TYPE_CHECKING:
    from sciriff.models.one_prompt import OnePrompt


@click.command()
@click.argument("task")
@click.argument("instance_id")
@click.option("--model", required=True, metavar="NAME", help="A model, as for evaluate.")
@data_options
@prompt_options
@click.option("--json", "as_json", is_flag=True, help="Print prompt, tokens and all that was decided, as JSON.")
@store_option
@click.option("--offline", is_flag=True, default=None, help="Forbid the network.")
@click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, looked up before the network.")
def prompt_command(
    task: str,
    instance_id: str,
    model: str,
    data: str,
    window: int,
    split: str,
    as_json: bool,
    store: str | None,
    offline: bool | None,
    mirror: str | None,
    **choices: Any,
) -> int:
    """Print the exact prompt that a model gets for an instance of TASK, and on stderr what was decided about it.

    What goes to stdout are the bytes of the prompt and nothing else, so that they can be piped. For a model that takes
    messages they are the messages as JSON.
    """
    import orjson

    from sciriff import api

    found = api.prompt(
        task,
        instance_id,
        model,
        data=data,
        window=window,
        split=split,
        options=prompt_choices(choices),
        settings=settings_with(store=store, offline=offline, mirror=mirror),
    )
    if as_json:
        click.echo(orjson.dumps(found.describe(), option=orjson.OPT_INDENT_2))
    else:
        click.echo(remarks(found), err=True)
        click.echo(found.shown.encode(), nl=False)
    return 0 if found.prepared.prompt is not None else 1


def remarks(found: OnePrompt) -> str:
    """What was decided about a prompt, a line each."""
    prepared, sampling = found.prepared, found.sampling
    lines = [
        ("model", found.kit.spec.name),
        ("instance", f"{prepared.instance_id} ({found.note})" if found.note else prepared.instance_id),
        ("format", "messages" if found.kit.spec.takes_messages else found.kit.form.name),
        ("examples", ", ".join(prepared.examples) or "none"),
        ("length", _length(found)),
        ("reply", f"at most {sampling.max_tokens:,} tokens, greedy, up to {', '.join(map(repr, sampling.stop))}"),
    ]
    return "\n".join(f"{name:<9} {text}" for name, text in lines)


def _length(found: OnePrompt) -> str:
    prepared, limit = found.prepared, found.kit.limit
    if prepared.fit == "refused":
        return f"REFUSED: {prepared.reason}"
    parts = [f"{len(found.tokens):,} tokens" if found.tokens is not None else "tokens unknown: no tokenizer at hand"]
    if limit is not None:
        parts.append(f"{limit.tokens:,} fit")
    if prepared.fit == "cut":
        parts.append(f"{prepared.tokens_cut:,} cut by {found.kit.options.too_long}")
    elif prepared.fit == "unchecked":
        parts.append("not checked against a context length")
    return ", ".join(parts)

"""``sciriff doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import settings_with, store_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sciriff.checkup.finding import Finding


@click.command()
@store_option
@click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, looked up before the network.")
@click.option("--offline", is_flag=True, default=None, help="Forbid the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def doctor_command(store: str | None, mirror: str | None, offline: bool | None, as_json: bool) -> int:
    """Look whether everything is there that the pipeline needs, and say what to do about what is not.

    Checks Python, installed versions, room on disk, store, mirror, tokenizer, sentence splitter, Prefect and its
    workers, keys (present or not), GPUs and vLLM. Exit status: 0 usable, 1 something needed does not work, 3 something
    waits for you alone.
    """
    from sciriff import api
    from sciriff.checkup.finding import exit_code_of

    findings = api.doctor(settings=settings_with(store=store, mirror=mirror, offline=offline))
    if as_json:
        import json

        for finding in findings:
            click.echo(json.dumps(finding._asdict(), ensure_ascii=False))
    else:
        click.echo(findings_text(findings))
    return int(exit_code_of(findings))


def findings_text(findings: Sequence[Finding]) -> str:
    """Return a line per finding, and one that sums them up."""
    from sciriff.cli.tables import counted

    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        remedy = f". Remedy: {finding.remedy}" if finding.remedy else ""
        lines.append(f"{finding.state:<7}  {finding.check:<{width}}  {finding.found}{remedy}")
    counts = {noun: sum(finding.state == state for finding in findings) for state, noun in _NOUNS.items()}
    bad = [counted(count, noun) for noun, count in counts.items() if count]
    return "\n".join([*lines, "", ", ".join(bad) if bad else "everything is there"])


_NOUNS = {"fail": "failure", "waits": "wanted licence", "warning": "warning"}

"""``sciriff verify``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import NAMES, settings_with, store_option, templates_option

if TYPE_CHECKING:
    from pathlib import Path

    from sciriff.verifying.combined import CombinedProof
    from sciriff.verifying.files import Damage
    from sciriff.verifying.verify import TaskVerified, VerifyReport

_SHOWN = 20


class _Share(click.ParamType[float]):
    """A share typed as ``5%`` or ``0.05``."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the share."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is no share such as 5% or 0.05.", param, ctx)
        if not 0 < share <= 1:
            self.fail(f"{value} is not above 0 and at most 100%.", param, ctx)
        return share


@click.command()
@click.option("--tasks", type=NAMES, help="Make records of these tasks anew only (default: all that are built).")
@click.option("--sample", "share", type=_Share(), default="5%", show_default=True, help="Share of records made anew.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed draws other records.")
@templates_option
@click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, where sources are looked for.")
@store_option
def verify_command(
    tasks: tuple[str, ...] | None,
    share: float,
    seed: int,
    templates_dir: Path | None,
    mirror: str | None,
    store: str | None,
) -> int:
    """Hash all artifacts against their manifests, and make a sample of the records anew from their sources.

    Hashes find what was damaged. What was altered together with its manifest differs from what the sources give.
    Sources are taken from the mirror and the cache; nothing is downloaded, and nothing in the store is changed. Exit
    status: 0 all is what it should be, 1 something is not, 3 something could not be proved on this machine.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress

    settings = settings_with(store=store, templates_dir=templates_dir, mirror=mirror)
    report = api.verify(tasks, sample=share, seed=seed, settings=settings, progress=terminal_progress())
    click.echo(verify_text(report))
    return int(report.exit_code)


def verify_text(report: VerifyReport) -> str:
    """Return a line per task and kind of artifact, then every file and record that is not what it should be."""
    from sciriff.cli.tables import table

    parts = []
    if report.tasks:
        rows = [_row(task) for task in report.tasks]
        heads = ("task", "files", "damaged", "records", "sampled", "equal", "different", "remark")
        parts += [table(heads, rows), ""]
    if report.combined:
        rows = [
            (proof.window, proof.sampled, proof.equal, len(proof.differences), _combined_remark(proof))
            for proof in report.combined
        ]
        parts += [table(("combined dataset", "sampled", "equal", "different", "remark"), rows), ""]
    if report.others:
        rows = [(name, intact, len(damage)) for name, (intact, damage) in report.others.items()]
        parts += [table(("artifacts", "files", "damaged"), rows), ""]
    damage = [each for task in report.tasks for each in task.damage]
    damage += [each for _, more in report.others.values() for each in more]
    parts += _damage_lines(damage)
    parts += _some(
        f"DIFFERENT: {each.path} {each.instance_id}: {each.what}"
        for proof in report.combined
        for each in proof.differences
    )
    for task in report.tasks:
        kind = "unproved" if task.proof.other_code else "DIFFERENT"
        parts += _some(
            f"{kind}: {each.path}{f':{each.line}' if each.line else ''} {each.instance_id}: {each.what}"
            for each in task.proof.differences
        )
    parts += _some(f"unnamed: {name}: no manifest names it" for name in report.unnamed)
    if report.kinds:
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in sorted(report.kinds.items()))
        parts.append(f"without manifest by their kind: {kinds}")
    parts.append(_sum(report))
    return "\n".join(parts)


def _row(task: TaskVerified) -> tuple[Any, ...]:
    proof = task.proof
    remarks = [proof.other_code, f"not possible here: {proof.not_possible}" if proof.not_possible else ""]
    return (
        task.task,
        task.intact + len(task.damage),
        len(task.damage),
        proof.records,
        proof.sampled,
        proof.equal,
        len(proof.differences),
        "; ".join(filter(None, remarks)),
    )


def _combined_remark(proof: CombinedProof) -> str:
    if proof.stale:
        return f"made of earlier builds of {', '.join(proof.stale)}; sciriff combine makes it anew"
    return f"not possible here: {proof.not_possible}" if proof.not_possible else ""


def _damage_lines(damage: Iterable[Damage]) -> list[str]:
    return _some(f"{each.flaw.upper()}: {each.path}: {each.note}" for each in damage)


def _some(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = len(every) - _SHOWN
    return every[:_SHOWN] + ([f"... and {more:,} more"] if more > 0 else [])


def _sum(report: VerifyReport) -> str:
    from sciriff.cli.tables import counted

    intact = sum(task.intact for task in report.tasks) + sum(count for count, _ in report.others.values())
    bad = sum(len(task.damage) for task in report.tasks) + sum(len(more) for _, more in report.others.values())
    sampled, equal = (sum(getattr(task.proof, name) for task in report.tasks) for name in ("sampled", "equal"))
    unproved = [task.task for task in report.tasks if task.proof.not_possible]
    files = f"{counted(intact + bad, 'file')}, {bad:,} damaged"
    text = f"{files}; {equal:,} of {counted(sampled, 'sampled record')} made anew and equal"
    return text + (f"; not possible here: {', '.join(unproved)}" if unproved else "")

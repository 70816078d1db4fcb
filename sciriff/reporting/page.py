"""The pages of a report, by the templates in ``templates/report/``.

A page needs nothing but itself: style and script stand in it, and its Content-Security-Policy lets nothing else in, by
their hashes. Whatever comes from outside (replies, prompts, names) is escaped, and made visible, by the environment.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.reporting.content import Content, Value
from sciriff.reporting.text import visible
from sciriff.resources import resource_dir
from sciriff.scoring.outcome import Profile

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

INDEX_PAGE = "index.html"
_DIGITS = 16


def pages(content: Content) -> Iterator[tuple[str, bytes]]:
    """Render a report.

    Yields:
        File name and content of each page: one for all, then one a task.
    """
    environment = _environment()
    yield INDEX_PAGE, _render(environment, "index.html.jinja", content)
    for task in content.tasks:
        yield task_page(task.name), _render(environment, "task.html.jinja", content, task=task)


def task_page(task: str) -> str:
    """File name of a task's page."""
    return f"{task}.html"


def _render(environment: Environment, template: str, content: Content, **more: Any) -> bytes:
    return environment.get_template(template).render(report=content, **more).encode()


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = resource_dir("templates") / "report"
    style, script = ((folder / name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "tenths": tenths,
        "p_value": p_value,
        "breakable": _breakable,
        "spell": spell,
        "short": short,
        "dollars": dollars,
        "x": _place,
        "task_page": task_page,
    }
    environment.globals |= {
        "CORRECTED": Profile.CORRECTED,
        "ORIGINAL": Profile.ORIGINAL,
        "NOTHING": Value(None),
        "policy": _policy(style, script),
        "style": Markup(style),
        "script": Markup(script),
    }
    return environment


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy that allows these two texts and nothing else."""
    return (
        f"default-src 'none'; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _breakable(name: str) -> Markup:
    """A name that may be broken behind its underscores."""
    from markupsafe import Markup, escape

    return escape(visible(name)).replace("_", Markup("_<wbr>"))


def percent(value: float | None) -> str:
    """A fraction x 100; a dash for none."""
    return "–" if value is None else f"{100 * value:.2f}"


def tenths(value: float) -> str:
    """A fraction x 100 with one digit: the ends of intervals are not known better."""
    return f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """A difference of fractions x 100, with its sign; a dash for none."""
    return "–" if value is None else f"{100 * value + 0.0:+.2f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """A probability with as many digits as can be trusted."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def spell(number: int | None) -> str:
    """A number with commas; a dash for none."""
    return "–" if number is None else f"{number:,}"


def short(digest: str | None) -> str:
    """The beginning of a digest."""
    return (digest or "–")[:_DIGITS]


def dollars(value: float) -> str:
    """US dollars, to the cent; less than one to two digits."""
    return f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.2g}"


def _place(value: float, low: float = 0.0, high: float = 1.0) -> str:
    """Where a value lies between the ends of a chart 100 wide, with a margin of 4."""
    share = (min(max(value, low), high) - low) / (high - low)
    return f"{4 + 100 * share:.1f}"

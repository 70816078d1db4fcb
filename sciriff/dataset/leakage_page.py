"""The leakage report as one HTML page: how much of each evaluation split stands in training data, and where."""

from __future__ import annotations

from typing import Any

from sciriff.building.overlaps import Place
from sciriff.dataset.leakage import Cell, Leakage, is_evaluation
from sciriff.resources import resource_dir
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

_EXAMPLES = 200
_NOTHING = Cell()


def leakage_page(leakage: Leakage, window: int, mixture: str, threshold: float) -> bytes:
    """Render ``templates/report/leakage.html.jinja``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(resource_dir("templates") / "report"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("leakage.html.jinja").render(
        window=window,
        mixture=mixture,
        threshold=threshold,
        instances=sum(leakage.sizes.values()),
        evaluation=evaluation_rows(leakage),
        examples=[match for match in leakage.matches if is_evaluation(match.item.place)][:_EXAMPLES],
        held_out=EVAL_TASKS,
    )
    return page.encode()


def evaluation_rows(leakage: Leakage) -> list[dict[str, Any]]:
    """One row per evaluation split that meets training data, held-out tasks first, the largest share first.

    Keys: ``place``, ``held_out``, ``instances``, ``leaked`` (text exactly or nearly in training data), ``share``, and
    ``others``: (training place, cell), the fullest first.
    """
    rows = []
    for place, size in leakage.sizes.items():
        others = [
            (other, cell)
            for (this, other), cell in leakage.cells.items()
            if this == place and is_evaluation(place) and other.split == leakage.training and cell != _NOTHING
        ]
        if others:
            rows.append(
                {
                    "place": place,
                    "held_out": place.task in EVAL_TASKS,
                    "instances": size,
                    "leaked": leakage.leaked.get(place, 0),
                    "share": leakage.share(place),
                    "others": sorted(others, key=lambda pair: (-_weight(pair[1]), pair[0])),
                }
            )
    return sorted(rows, key=lambda row: (not row["held_out"], -row["share"], row["place"]))


def _weight(cell: Cell) -> int:
    return cell.same_text + cell.near_text or cell.same_document


def place_name(place: Place) -> str:
    """A place for people: ``task/split``."""
    return f"{place.task}/{place.split}"

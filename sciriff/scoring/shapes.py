"""From totals to the numbers people read: ``metrics.json`` (nested), ``metrics_flat.json``, ``metrics_summary.json``.

Names and nesting are those of the original's files. All values are fractions; None where a mean is over no samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sciriff.scoring.metrics.bleu import bleu
from sciriff.scoring.metrics.entity_f1 import EntityCounts, entity_f1
from sciriff.scoring.metrics.statistics import mean
from sciriff.scoring.outcome import ParseStatus, Profile
from sciriff.scoring.totals import SETTINGS, Setting, Totals

Flat = dict[str, float | None]


class Metrics(NamedTuple):
    """The metrics of one task in the three shapes."""

    nested: dict[str, Any]
    flat: Flat
    summary: Flat


Shaper = Callable[[Totals], Metrics]


def shape_plain_text(totals: Totals) -> Metrics:
    """BLEU alone."""
    value: Flat = {"bleu": _bleu(totals)}
    return Metrics(dict(value), value, dict(value))


def shape_entities(totals: Totals) -> Metrics:
    """Typed and untyped entity F1; the headline is typed F1 over all samples."""
    by_setting: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        counts = EntityCounts(totals.get(setting, "entity_typed"), totals.get(setting, "entity_untyped"))
        scores = entity_f1(counts, nothing=_worth_of_nothing(totals))
        unknown = totals.profile is Profile.CORRECTED and totals.is_empty(setting)
        by_setting[setting] = {
            kind: {name: None if unknown else value for name, value in score._asdict().items()}
            for kind, score in scores._asdict().items()
        }
        for kind, score in by_setting[setting].items():
            flat |= {f"{setting}_{kind}_{name}": value for name, value in score.items()}
    return _with_common({"f1": by_setting}, flat, {"f1": flat["all_typed_f1"]}, totals)


def shape_qasper(totals: Totals) -> Metrics:
    """Answer and evidence F1; ``lm_judge_answer`` is absent until a judge has rated the answers."""
    results: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        part = {name: mean(totals.get(setting, name)) for name in _QASPER_PARTS}
        scores: Flat = {
            "f1_answer_parsed": part["answer_f1_parsed"],
            "f1_answer_all": part["answer_f1"],
            "f1_evidence_parsed": part["evidence_f1_parsed"],
            "f1_evidence_all": part["evidence_f1"],
        }
        answer_parse = {
            "answer": _shares(totals, setting, "answer_parsed"),
            "evidence": _shares(totals, setting, "evidence_parsed"),
            "answer_entry_is_str": _shares(totals, setting, "answer_is_text"),
        }
        results[setting] = {"scores": scores, "answer_parse": answer_parse}
        flat |= {f"{setting}_{name}_frac_parsed": share["frac_success"] for name, share in answer_parse.items()}
        flat |= {f"{setting}_{name}": value for name, value in scores.items()}
    summary: Flat = {"f1_answer": flat["all_f1_answer_all"], "f1_evidence": flat["all_f1_evidence_all"]}
    return _with_common({"results": results}, flat, summary, totals)


_QASPER_PARTS = ("answer_f1", "answer_f1_parsed", "evidence_f1", "evidence_f1_parsed")


def _with_common(nested: dict[str, Any], flat: Flat, summary: Flat, totals: Totals) -> Metrics:
    counts = _json_counts(totals)
    blue = _bleu(totals)
    return Metrics(
        {**nested, "bleu": blue, "json_counts": counts},
        {**flat, "bleu": blue, "json_parsed": counts["frac_success"]},
        summary,
    )


def _bleu(totals: Totals) -> float:
    return bleu(totals.get("all", "bleu"), short_replies=totals.profile is Profile.CORRECTED)


def _worth_of_nothing(totals: Totals) -> float:
    return 0.0 if totals.profile is Profile.ORIGINAL else 1.0


def _shares(totals: Totals, setting: Setting, metric: str) -> dict[str, float]:
    parts = totals.get(setting, metric)
    yes = round(parts.points)
    return {"yes": yes, "no": parts.weight - yes, "frac_success": yes / parts.weight if parts.weight else 0}


def _json_counts(totals: Totals) -> dict[str, float]:
    """Counts of parse statuses; null, and JSON of the wrong type in the ``corrected`` profile, are no successes."""
    names = (
        ParseStatus.VALID_JSON,
        ParseStatus.NULL_JSON,
        ParseStatus.EXTRACT_SUCCESS,
        ParseStatus.EXTRACT_FAILURE,
    )
    counts: dict[str, float] = {str(name): totals.statuses.get(name, 0) for name in names}
    replies = sum(counts.values())
    if totals.profile is Profile.CORRECTED:
        counts["wrong_shape"] = totals.misfits
    right = counts["valid_json"] + counts["extract_success"] - totals.misfits
    return {**counts, "frac_success": right / replies if replies else 0.0}

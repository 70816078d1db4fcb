"""From totals to the numbers people read: ``metrics.json`` (nested), ``metrics_flat.json``, ``metrics_summary.json``.

Names and nesting are those of the original's files. All values are fractions; None where a mean is over no samples.
What a judge gives is None until it has judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sciriff.scoring.metrics.bleu import bleu
from sciriff.scoring.metrics.rouge import Rouge
from sciriff.scoring.metrics.statistics import MatchCounts, MeanParts, mean, precision_recall_f1
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


def shape_summaries(totals: Totals) -> Metrics:
    """BLEU and ROUGE of all samples, and what a judge gives to those that it judged."""
    rouge: Flat = {name: mean(totals.get("all", name)) for name in Rouge._fields}
    judged = _judged(totals, "lm_judge_reference")
    rating = mean(judged)
    flat: Flat = {
        "bleu": _bleu(totals),
        **rouge,
        "lm_judge_reference_comparison_n_samples": judged.weight,
        "lm_judge_reference_comparison_avg_rating": rating,
    }
    comparison = {"lm_judge_n_samples": judged.weight, "avg_rating": rating}
    nested = {"bleu": flat["bleu"], "rouge": rouge, "lm_judge": {"reference_comparison": comparison}}
    return Metrics(nested, flat, {"lm_judge_reference": rating, "rouge": rouge["rougeL"]})


def shape_lists(totals: Totals) -> Metrics:
    """F1 of the items."""
    nested: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        score, parse_counts = _prf(totals, setting, "list_f1"), _list_parse_counts(totals, setting)
        nested[setting] = {"f1": score, "parse_counts": parse_counts}
        flat |= {f"{setting}_{name}": value for name, value in score.items()}
        flat[f"{setting}_frac_parsed"] = parse_counts["frac_success"]
    return _with_common({"f1": nested}, flat, {"f1": flat["all_f1"]}, totals)


def shape_entities(totals: Totals) -> Metrics:
    """Typed and untyped entity F1; the headline is typed F1 over all samples."""
    nested: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        nested[setting] = {kind: _prf(totals, setting, f"entity_{kind}") for kind in ("typed", "untyped")}
        flat |= _flattened(setting, nested[setting])
    return _with_common({"f1": nested}, flat, {"f1": flat["all_typed_f1"]}, totals)


def shape_findings(totals: Totals) -> Metrics:
    """Exact, substring and overlap F1 of tuples."""
    matches = ("exact", "substring", "overlap")
    nested: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        scores = {match: _prf(totals, setting, f"tuple_{match}") for match in matches}
        parse_counts = _tuple_parse_counts(totals, setting)
        nested[setting] = {**scores, "parse_counts": parse_counts}
        flat[f"{setting}_frac_valid_list"] = parse_counts["frac_success"]
        flat |= _flattened(setting, scores)
    summary: Flat = {f"f1_{match}": flat[f"all_{match}_f1"] for match in matches}
    return _with_common({"f1": nested}, flat, summary, totals)


def shape_claims(totals: Totals) -> Metrics:
    """F1 of verdicts, of evidence sentences and of their tokens."""
    metrics = {"label": "label", "evidence_sent": "evidence_sentences", "evidence_tok": "evidence_tokens"}
    nested: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        scores = {name: _prf(totals, setting, metric) for name, metric in metrics.items()}
        shares = {
            "correct_verdict": _shares(totals, setting, "verdict_parsed"),
            "correct_evidence": _shares(totals, setting, "evidence_parsed"),
        }
        not_object = round(totals.get(setting, "not_object").points)
        nested[setting] = {"f1": scores, "answer_parse": {**shares, "not_dict": not_object}}
        flat |= _flattened(setting, scores)
        flat |= {f"{setting}_{name}_frac_parsed": share["frac_success"] for name, share in shares.items()}
    summary: Flat = {
        "f1_label": flat["all_label_f1"],
        "f1_evidence_sent": flat["all_evidence_sent_f1"],
        "f1_evidence_token": flat["all_evidence_tok_f1"],
    }
    return _with_common({"results": nested}, flat, summary, totals)


def shape_qasper(totals: Totals) -> Metrics:
    """F1 of answer and evidence, ROUGE of the answer, and what a judge gives to the answer."""
    judged = mean(_judged(totals, "lm_judge_answer"))
    nested: dict[str, Any] = {}
    flat: Flat = {}
    for setting in SETTINGS:
        scores: Flat = {name: mean(totals.get(setting, metric)) for name, metric in _QASPER_F1.items()}
        if setting == "all":
            scores["lm_judge"] = judged
        scores |= {name: mean(totals.get(setting, metric)) for name, metric in _QASPER_ROUGE.items()}
        answer_parse = {
            "answer": _shares(totals, setting, "answer_parsed"),
            "evidence": _shares(totals, setting, "evidence_parsed"),
            "answer_entry_is_str": _shares(totals, setting, "answer_is_text"),
        }
        nested[setting] = {"scores": scores, "answer_parse": answer_parse}
        flat |= {f"{setting}_{name}_frac_parsed": share["frac_success"] for name, share in answer_parse.items()}
        flat |= {f"{setting}_{name}": value for name, value in scores.items()}
    summary: Flat = {
        "lm_judge_answer": judged,
        "f1_answer": flat["all_f1_answer_all"],
        "f1_evidence": flat["all_f1_evidence_all"],
    }
    return _with_common({"results": nested}, flat, summary, totals)


_QASPER_F1 = {
    "f1_answer_parsed": "answer_f1_parsed",
    "f1_answer_all": "answer_f1",
    "f1_evidence_parsed": "evidence_f1_parsed",
    "f1_evidence_all": "evidence_f1",
}
_QASPER_ROUGE = {
    **{f"{name}_parsed": f"{name}_parsed" for name in Rouge._fields},
    **{f"{name}_all": name for name in Rouge._fields},
}
"""Published name -> metric, of these and those above."""


def _with_common(nested: dict[str, Any], flat: Flat, summary: Flat, totals: Totals) -> Metrics:
    counts = _json_counts(totals)
    blue = _bleu(totals)
    return Metrics(
        {**nested, "bleu": blue, "json_counts": counts},
        {**flat, "bleu": blue, "json_parsed": counts["frac_success"]},
        summary,
    )


def _flattened(setting: Setting, scores: Mapping[str, Flat]) -> Flat:
    return {f"{setting}_{kind}_{name}": value for kind, score in scores.items() for name, value in score.items()}


def _prf(totals: Totals, setting: Setting, metric: str) -> Flat:
    """Precision, recall and F1; what is said of no sample is null, not perfect."""
    counts: MatchCounts = totals.get(setting, metric)
    is_original = totals.profile is Profile.ORIGINAL
    score = precision_recall_f1(counts, nothing=0.0 if is_original else 1.0)
    unknown = not is_original and totals.is_empty(setting)
    return {name: None if unknown else value for name, value in score._asdict().items()}


def _judged(totals: Totals, metric: str) -> MeanParts:
    """What a judge gave, of whatever samples it judged."""
    parts = totals.vectors.get(("all", metric))
    return parts if isinstance(parts, MeanParts) else MeanParts()


def _bleu(totals: Totals) -> float | None:
    if totals.profile is Profile.CORRECTED and totals.is_empty("all"):
        return None
    return bleu(totals.get("all", "bleu"), short_replies=totals.profile is Profile.CORRECTED)


def _shares(totals: Totals, setting: Setting, metric: str) -> dict[str, float]:
    parts = totals.get(setting, metric)
    yes = round(parts.points)
    return {"yes": yes, "no": parts.weight - yes, "frac_success": yes / parts.weight if parts.weight else 0}


def _list_parse_counts(totals: Totals, setting: Setting) -> dict[str, float]:
    """Lists that could be read; the original counts those of the references too, which all can."""
    parts = totals.get(setting, "list_parsed")
    references = parts.weight if totals.profile is Profile.ORIGINAL else 0
    success, lists = round(parts.points) + references, parts.weight + references
    return {"success": success, "failure": lists - success, "frac_success": success / lists if lists else 0}


def _tuple_parse_counts(totals: Totals, setting: Setting) -> dict[str, float]:
    names = {
        "entry_not_list": "tuples_not_list",
        "good_list": "tuples_good",
        "bad_list": "tuples_bad",
        "wrong_length": "tuples_wrong_length",
    }
    counts: dict[str, float] = {name: round(totals.get(setting, metric).points) for name, metric in names.items()}
    entries = sum(counts.values())
    return {**counts, "frac_success": counts["good_list"] / entries if entries else 0}


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

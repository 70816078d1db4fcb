from __future__ import annotations

from sciriff.results.tables import MetricRow, missing_columns, model_order, summary_table, task_table
from sciriff.scoring.tasks import SUMMARY_COLUMNS


def test_models_are_ordered_by_number_and_seeds_stay_together() -> None:
    names = ["m_10", "m_2", "m_2-seed7", "b"]
    assert sorted(names, key=model_order) == ["b", "m_2", "m_2-seed7", "m_10"]


def test_the_summary_has_the_eleven_columns_and_marks_partial_means() -> None:
    rows = [
        MetricRow("m_10", "scierc_ner", "summary", "f1", 0.5),
        MetricRow("m_10", "discomat_te", "summary", "bleu", 0.25),
        MetricRow("m_10", "qasper_abstractive_qa", "summary", "f1_answer", 0.9),
        MetricRow("m_2", "scierc_ner", "summary", "f1", 0.12345),
        MetricRow("m_2", "qasper_abstractive_qa", "summary", "f1_evidence", None),
    ]
    names, metrics, *lines = [line.split("\t") for line in summary_table(rows).splitlines()]
    assert list(zip(names, metrics, strict=True)) == [
        ("task", "metric"),
        ("bioasq", "f1"),
        ("biored", "f1"),
        ("discomat", "bleu"),
        ("evidence_inference", "f1_overlap"),
        ("multicite", "f1"),
        ("mup", "lm_judge_reference"),
        ("qasper", "lm_judge_answer"),
        ("qasper", "f1_evidence"),
        ("scierc", "f1"),
        ("scifact", "f1_label"),
        ("scifact", "f1_evidence_token"),
        ("mean", ""),
        ("median", ""),
        ("partial", ""),
    ]
    assert lines == [
        ["m_2", *[""] * 8, "12.35", "", "", "12.35", "12.35", "1 of 11"],
        ["m_10", "", "", "25.00", *[""] * 5, "50.00", "", "", "37.50", "37.50", "2 of 11"],
    ]
    assert len(missing_columns(rows)) == 9


def test_a_whole_summary_has_no_mark() -> None:
    rows = [
        MetricRow("m", column.task, "summary", column.metric, place / 10)
        for place, column in enumerate(SUMMARY_COLUMNS)
    ]
    header, _, line = [line.split("\t") for line in summary_table(rows).splitlines()]
    assert header[-2:] == ["mean", "median"]
    assert line == ["m", *(f"{10 * place:.2f}" for place in range(11)), "50.00", "50.00"]


def test_task_tables_are_percentages() -> None:
    rows = [MetricRow("b", "discomat_te", "flat", "bleu", 0.5), MetricRow("a", "discomat_te", "flat", "bleu", None)]
    assert task_table(rows) == "model\tbleu\na\t\nb\t50.00\n"

from __future__ import annotations

from sciriff.results.tables import MetricRow, missing_columns, model_order, summary_table, task_table


def test_models_are_ordered_by_number_and_seeds_stay_together() -> None:
    names = ["m_10", "m_2", "m_2-seed7", "b"]
    assert sorted(names, key=model_order) == ["b", "m_2", "m_2-seed7", "m_10"]


def test_the_summary_marks_partial_means() -> None:
    rows = [
        MetricRow("m_10", "scierc_ner", "summary", "f1", 0.5),
        MetricRow("m_10", "discomat_te", "summary", "bleu", 0.25),
        MetricRow("m_10", "qasper_abstractive_qa", "summary", "f1_answer", 0.9),
        MetricRow("m_2", "scierc_ner", "summary", "f1", 0.12345),
        MetricRow("m_2", "qasper_abstractive_qa", "summary", "f1_evidence", None),
    ]
    assert [line.split("\t") for line in summary_table(rows).splitlines()] == [
        ["task", "discomat", "scierc", "mean", "median", "partial"],
        ["metric", "bleu", "f1", "", "", ""],
        ["m_2", "", "12.35", "12.35", "12.35", "1 of 11"],
        ["m_10", "25.00", "50.00", "37.50", "37.50", "2 of 11"],
    ]
    assert len(missing_columns(rows)) == 9


def test_task_tables_are_percentages() -> None:
    rows = [MetricRow("b", "discomat_te", "flat", "bleu", 0.5), MetricRow("a", "discomat_te", "flat", "bleu", None)]
    assert task_table(rows) == "model\tbleu\na\t\nb\t50.00\n"

"""The variables that the original's 54 task files name, with their types (task catalogue, templating section 3).

A lab's own copies of those files render on our records as long as every formatter provides these.
"""

from __future__ import annotations

from typing import Any

Variables = dict[str, Any]

_NER: Variables = {"ner_type_list": list[str], "abstract": str, "ner_dict": dict[str, list[str]]}
_TABLE: Variables = {"table_code_text": str, "json_records": str}
_ENTAILMENT: Variables = {
    "claim": str,
    "abstract_with_newlines": str,
    "output_json_with_sentences": str,
    "abstract_with_ids": str,
    "output_json_with_ids": str,
}
_DATASET_CHOICE: Variables = {"query": str, "keyphrase_query": str, "context": str, "options": str, "answer": str}
_STUDIES: Variables = {"title": list[str | None], "abstract": list[str | None], "target": str}
_QASPER: Variables = {"paper": str, "question": str, "evidence": list[str], "unanswerable": bool}
_LAY_SUMMARY: Variables = {"input_transformed": str, "metadata": dict[str, Any], "summary": str}
_PAPER: Variables = {"article": str, "abstract": str}

CONTRACT: dict[str, Variables] = {
    **dict.fromkeys(
        (
            "anat_em_ner",
            "biored_ner",
            "cdr_ner",
            "chemdner_ner",
            "chemprot_ner",
            "chia_ner",
            "ddi_ner",
            "genia_ner",
            "gnormplus_ner",
            "linnaeus_ner",
            "medmentions_ner",
            "ncbi_ner",
            "nlmchem_ner",
            "nlmgene_ner",
            "pico_ner",
        ),
        _NER,
    ),
    "acl_arc_intent_classification": dict.fromkeys(
        ("section", "context_before", "citation_sentence", "context_after", "label"), str
    ),
    "annotated_materials_syntheses_events": {
        "abstract": str,
        "events": list[dict[str, Any]],
        "role_types_list": list[str],
    },
    "bc7_litcovid_topic_classification": {"text": str, "labels": list[str]},
    "bioasq_factoid_qa": {
        "snippets": str,
        "question": str,
        "student_ans": str,
        "student_eval": str,
        "correct_ans": str,
    },
    "bioasq_general_qa": {"snippets": str, "question": str, "answer": str},
    "bioasq_list_qa": {"snippets": str, "question": str, "correct_ans": str},
    "bioasq_yesno_qa": {
        "snippets": str,
        "question": str,
        "student_binary_ans": str,
        "student_binary_eval": str,
        "binary_ans": str,
    },
    "chemprot_re": {"org_text": str, "re_answer": list[str]},
    "chemsum_single_document_summarization": {"title": str, "article_text": str, "abstract": str},
    "chemtables_te": _TABLE,
    "covid_deepset_qa": {"article": str, "question": str, "answer": str},
    "covidfact_entailment": _ENTAILMENT,
    "craftchem_ner": {"tokens": list[str], "entities": list[str]},
    "data_reco_mcq_mc": _DATASET_CHOICE,
    "data_reco_mcq_sc": {"year": int | str, **_DATASET_CHOICE},
    "discomat_te": _TABLE,
    "drug_combo_extraction_re": {"paragraph": str, "sentence": str, "relations": list[list[str]]},
    "evidence_inference": {"document": str, "evidence": list[list[str | None]]},
    "healthver_entailment": _ENTAILMENT,
    "mltables_te": _TABLE,
    "mslr2022_cochrane_multidoc_summarization": _STUDIES,
    "mslr2022_ms2_multidoc_summarization": _STUDIES,
    "multicite_intent_classification": {"input_transformed": str, "output_transformed": list[str]},
    "multixscience_multidoc_summarization": dict.fromkeys(
        ("main_abstract", "cited_abstracts_transformed", "related_work_transformed"), str
    ),
    "mup_single_document_summarization": {"paper_name": str, "text": str, "summary": str, "summary_sentences": int},
    "pubmedqa_qa": {"context": str, "question": str, "answer": str},
    "qasa_abstractive_qa": {"context": str, "question": str, "composition": str},
    "qasper_abstractive_qa": {**_QASPER, "answer": str},
    "qasper_extractive_qa": {**_QASPER, "answer": list[str]},
    "scicite_classification": {"string": str, "label": int},
    "scientific_lay_summarisation_elife_single_doc_summ": _LAY_SUMMARY,
    "scientific_lay_summarisation_plos_single_doc_summ": _LAY_SUMMARY,
    "scientific_papers_summarization_single_doc_arxiv": _PAPER,
    "scientific_papers_summarization_single_doc_pubmed": _PAPER,
    "scierc_ner": {"org_text": str, "ner_dict": dict[str, list[str]], "ner_pipe_str": str},
    "scierc_re": {"org_text": str, "re_answer": list[list[str]]},
    "scifact_entailment": _ENTAILMENT,
    "scireviewgen_multidoc_summarization": {"input_transformed": str, "target_transformed": str},
    "scitldr_aic": {"source": list[str], "target": list[str]},
}
"""Task -> variable -> type."""

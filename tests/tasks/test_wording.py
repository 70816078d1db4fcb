"""The wording of the bundled tasks, rendered with hand-made variables as their formatters provide them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sciriff.building.facts import compile_checks
from sciriff.resources import resource_dir
from sciriff.tasks.binding import load_binding
from sciriff.tasks.rendering import Rendered
from sciriff.tasks.taskfile import TaskFile, load_task

ABSTRACT = "Effects of “aspirin” on fever & pain in mice.\nPatients' liver enzymes <5 U/l."
SCIENCE = "We present a parser for German. It is evaluated on newspaper text by F-score."


def entities(types: list[str], **mentions: list[str]) -> dict[str, Any]:
    by_type = {name: mentions.get(name, []) for name in types}
    return {"abstract": ABSTRACT, "ner_type_list": types, "ner_dict": by_type}


STUDIES = {
    "title": ["Salt for sore throats", "Gargling after surgery"],
    "abstract": ["Pain was gone\nafter a day.", "Nothing <changed>."],
    "target": "Salt may help a little.",
}
LAY_SUMMARY = {
    "metadata": {"title": "Small mice", "year": "2020", "keywords": "mouse"},
    "input_transformed": "Abstract:\nMice are small.\nIntroduction:\nWe weigh.\nDiscussion:\nSo they are.",
    "summary": "Mice weigh little .",
}
LONG_PAPER = {"article": "mice are small @xcite .\nthey weigh little .", "abstract": "we weigh mice .\nlittle ."}


CELLS = [
    {"value": "70", "type": "Glass_Compound_Amount", "constituent": "SiO2", "unit": "mol", "material": "G1"},
    {"value": "2.41", "type": "Other"},
]
SCIERC_TYPES = ["Task", "Method", "Metric", "Material", "OtherScientificTerm", "Generic"]
SCIERC_MENTIONS = {"Method": ["parser"], "Material": ["German", "newspaper text"], "Metric": ["F-score"]}
CLAIM = {
    "claim": "Aspirin lowers fever.",
    "abstract_with_newlines": "We gave “aspirin”.\nFever fell.",
    "output_json_with_sentences": '{"verdict": "SUPPORT", "evidence": ["Fever fell."]}',
    "abstract_with_ids": "[0] We gave “aspirin”. [1] Fever fell.",
    "output_json_with_ids": '{"verdict": "SUPPORT", "evidence": [1]}',
}
DATASET_CHOICE = {
    "query": "A parser for birds.",
    "keyphrase_query": "parsing birds",
    "context": "Roads: Roads is large.\nTrees, B: Trees is free.\nMaps: Maps is new.",
    "options": "A: Roads  B: Trees, B  C: Maps",
}
VARIABLES: dict[str, dict[str, Any]] = {
    "acl_arc_intent_classification": {
        "section": "Related work",
        "context_before": "Parsers are slow.",
        "citation_sentence": "They lose heads ( A , 1999 ) .",
        "context_after": "Ours does not.",
        "label": "Background",
    },
    "anat_em_ner": entities(["AnatomicalEntity"], AnatomicalEntity=["liver"]),
    "annotated_materials_syntheses_events": {
        "abstract": "10.1000/example\nMaking ZnO\nZnO was calcined in air.",
        "events": [{"trigger": "calcined", "arguments": [["ZnO", "Recipe_Target"], ["air", "Atmospheric_Material"]]}],
        "role_types_list": [
            "Atmospheric_Material",
            "Participant_Material",
            "Recipe_Precursor",
            "Recipe_Target",
            "Solvent_Material",
        ],
    },
    "bc7_litcovid_topic_classification": {"text": ABSTRACT, "labels": ["Case Report", "Treatment"]},
    "bioasq_factoid_qa": {
        "question": "Which organ is affected?",
        "snippets": "The liver suffers.\nEnzymes of the liver “rise”.",
        "correct_ans": "the liver",
        "student_ans": "the spleen",
        "student_eval": "The answer is incorrect. The correct answer is the liver.",
    },
    "bioasq_general_qa": {
        "question": "What does aspirin do?",
        "snippets": "Aspirin lowers fever.\nIt eases pain & swelling.",
        "answer": "It lowers fever and eases pain.",
    },
    "bioasq_list_qa": {
        "question": "Which symptoms does aspirin treat?",
        "snippets": "Aspirin lowers fever.\nIt eases pain.",
        "answers": ["fever", "pain, of the head"],
    },
    "bioasq_yesno_qa": {
        "question": "Does aspirin lower fever?",
        "snippets": "Aspirin lowers fever.\nIt eases pain.",
        "binary_ans": "yes",
        "student_binary_ans": "no",
        "student_binary_eval": "no",
    },
    "biored_ner": entities(
        ["CellLine", "Chemical", "Disease", "Gene", "Species", "Variant"], Chemical=["aspirin"], Species=["mice"]
    ),
    "cdr_ner": entities(["Chemical", "Disease"], Chemical=["aspirin"], Disease=["fever", "pain"]),
    "chemdner_ner": entities(["Chemical"], Chemical=["aspirin"]),
    "chemprot_ner": entities(["Chemical", "Protein"], Chemical=["aspirin"], Protein=["liver enzymes"]),
    "chemprot_re": {
        "org_text": ABSTRACT,
        "re_triples": [["“aspirin”", "INDIRECT-DOWNREGULATOR", "liver enzymes"]],
    },
    "chemtables_te": {
        "table_code_text": "<table><tr><td>3a</td><td>0.36</td><td>71</td></tr></table>",
        "json_records": "\n".join(
            json.dumps(cell)
            for cell in (
                {"value": "0.36", "type": "IC50", "unit": "μM", "treatment": "3a", "target": "xx"},
                {"value": "71", "type": "Other"},
            )
        ),
    },
    "chia_ner": entities(sorted(load_binding("chia_ner").formatter.args["types"].values()), Person=["Patients"]),
    "chemsum_single_document_summarization": {
        "title": "Rods of ZnO",
        "article_text": "Introduction\n<p>Rods are thin.</p>\n\nResults\nThey grew.",
        "abstract": "We grew rods.",
    },
    "covid_deepset_qa": {"article": ABSTRACT, "question": "What is affected?", "answer": "fever & pain in mice."},
    "covidfact_entailment": CLAIM,
    "craftchem_ner": {
        "tokens": ["Aspirin", "enters", "muscle", "."],
        "sentence": "Aspirin enters muscle .",
        "entities": ["Aspirin"],
    },
    "data_reco_mcq_mc": {**DATASET_CHOICE, "answer_names": ["Trees, B", "Maps"]},
    "data_reco_mcq_sc": {**DATASET_CHOICE, "answer": "Trees, B", "year": 2021},
    "ddi_ner": entities(["Brand", "DrugGroup", "Drug", "UnapprovedDrug"], Drug=["aspirin"]),
    "drug_combo_extraction_re": {
        "paragraph": "We gave A. B beat A , and A with B beat both . So it was.",
        "sentence": "B beat A , and A with B beat both .",
        "relations": [["A", "B", "POS"]],
    },
    "evidence_inference": {
        "document": ABSTRACT,
        "evidence": [
            ["aspirin", None, "fever", "significantly decreased", "Effects of “aspirin” on fever"],
            ["aspirin", "placebo", "pain - mice", "no significant difference", "pain in mice"],
        ],
    },
    "genia_ner": entities(["DNA", "RNA", "CellLine", "CellType", "Protein"], Protein=["liver enzymes"]),
    "gnormplus_ner": entities(["Gene"], Gene=["liver enzymes"]),
    "healthver_entailment": CLAIM,
    "linnaeus_ner": entities(["Species"], Species=["mice", "Patients"]),
    "medmentions_ner": entities(
        [*load_binding("medmentions_ner").formatter.args["types"].values()],
        AnatomicalStructure=["liver"],
        Chemical=["aspirin"],
        Eukaryote=["mice"],
        Finding=["fever", "pain"],
    ),
    "mslr2022_cochrane_multidoc_summarization": STUDIES,
    "mslr2022_ms2_multidoc_summarization": STUDIES,
    "multixscience_multidoc_summarization": {
        "main_abstract": "We test programs.",
        "cited_abstracts_transformed": "[1]: Tests of old.\n\n[2]: Tests of “today”.",
        "related_work_transformed": "As in [1] and [2], @cite_7 tests.",
    },
    "mltables_te": {
        "table_code_text": "We tag news.\n\n\\begin{tabular}{l|c}\nOurs & 96.2 \\\\\n\\end{tabular}",
        "json_records": json.dumps(
            {
                "value": "96.2",
                "type": "Result",
                "task": "tagging",
                "metric": "xx",
                "training data/set": "xx",
                "test data/set": "news",
                "model": "Ours",
                "model settings": {"xx": "yy"},
                "experimental settings": {"xx": "yy"},
            }
        ),
    },
    "multicite_intent_classification": {
        "input_transformed": "We follow<cite> Ito (2001)</cite> in the choice of “features”.",
        "output_transformed": ["Uses", "FutureWork"],
    },
    "ncbi_ner": entities(["Disease"], Disease=["fever", "pain"]),
    "nlmchem_ner": entities(["Chemical"], Chemical=["aspirin"]),
    "nlmgene_ner": entities(["Gene"]),
    "discomat_te": {
        "table_code_text": "| Glass | SiO2 (mol%) | Density |\n| G1 | 70 | 2.41 |\n\nCaption: Glasses",
        "json_records": "\n".join(json.dumps(cell) for cell in CELLS),
    },
    "pico_ner": entities(["Participant", "Intervention", "Outcome"], Intervention=["aspirin"], Outcome=["fever"]),
    "mup_single_document_summarization": {
        "paper_name": "A parser",
        "text": "Abstract\nWe parse.\n\n1 Introduction\nParsing is hard.",
        "summary": "It parses. It is fast.",
        "summary_sentences": 2,
    },
    "pubmedqa_qa": {"context": "(METHODS) Mice.\n(RESULTS) Better.", "question": "Is it better?", "answer": "YES"},
    "qasper_abstractive_qa": {
        "paper": "A paper\n\nIts abstract.\n\nIntroduction\nWe did “this”.\nAnd that.",
        "question": "What did they do?",
        "answer": "They did this.",
        "evidence": ["We did “this”."],
        "unanswerable": False,
    },
    "qasa_abstractive_qa": {"context": SCIENCE, "question": "For what is it?", "composition": "It is for German."},
    "qasper_extractive_qa": {
        "paper": "A paper\n\nIts abstract.\n\nIntroduction\nWe did “this”.\nAnd that.",
        "question": "What did they do?",
        "answer": ["“this”", "that"],
        "evidence": ["We did “this”.", "And that."],
        "unanswerable": False,
    },
    "scicite_classification": {"string": "We used the assay of Smith et al. (1999).", "label": 0},
    "scientific_lay_summarisation_elife_single_doc_summ": LAY_SUMMARY,
    "scientific_lay_summarisation_plos_single_doc_summ": LAY_SUMMARY,
    "scientific_papers_summarization_single_doc_arxiv": LONG_PAPER,
    "scientific_papers_summarization_single_doc_pubmed": LONG_PAPER,
    "scireviewgen_multidoc_summarization": {
        "input_transformed": "Review title: Parsing\nChapter title: Birds\n1. (BIB001) We parse.\n2. (BIB002) They do.",
        "target_transformed": "BIB001 parses .",
    },
    "scitldr_aic": {"source": ["We parse.", "It works."], "target": ["A parser.", "Another."]},
    "scifact_entailment": CLAIM,
    "scierc_ner": {
        "org_text": SCIENCE,
        "ner_dict": {name: SCIERC_MENTIONS.get(name, []) for name in SCIERC_TYPES},
    },
    "scierc_re": {"org_text": SCIENCE, "re_answer": [["F-score", "parser", "EVALUATE-FOR"]]},
}
TEMPLATE_COUNTS = {
    "acl_arc_intent_classification": 3,
    "anat_em_ner": 3,
    "annotated_materials_syntheses_events": 1,
    "bc7_litcovid_topic_classification": 3,
    "bioasq_factoid_qa": 3,
    "bioasq_general_qa": 3,
    "bioasq_list_qa": 1,
    "bioasq_yesno_qa": 3,
    "biored_ner": 3,
    "cdr_ner": 3,
    "chemdner_ner": 3,
    "chemprot_ner": 3,
    "chemprot_re": 3,
    "chemtables_te": 1,
    "chia_ner": 3,
    "chemsum_single_document_summarization": 2,
    "covid_deepset_qa": 3,
    "covidfact_entailment": 2,
    "craftchem_ner": 3,
    "data_reco_mcq_mc": 3,
    "data_reco_mcq_sc": 3,
    "ddi_ner": 3,
    "discomat_te": 1,
    "drug_combo_extraction_re": 1,
    "evidence_inference": 1,
    "genia_ner": 3,
    "gnormplus_ner": 3,
    "healthver_entailment": 2,
    "linnaeus_ner": 3,
    "medmentions_ner": 3,
    "mup_single_document_summarization": 2,
    "mltables_te": 1,
    "mslr2022_cochrane_multidoc_summarization": 2,
    "mslr2022_ms2_multidoc_summarization": 2,
    "multicite_intent_classification": 3,
    "multixscience_multidoc_summarization": 3,
    "ncbi_ner": 3,
    "nlmchem_ner": 3,
    "nlmgene_ner": 3,
    "pico_ner": 3,
    "pubmedqa_qa": 4,
    "qasa_abstractive_qa": 1,
    "qasper_abstractive_qa": 1,
    "qasper_extractive_qa": 1,
    "scicite_classification": 3,
    "scientific_lay_summarisation_elife_single_doc_summ": 3,
    "scientific_lay_summarisation_plos_single_doc_summ": 3,
    "scientific_papers_summarization_single_doc_arxiv": 2,
    "scientific_papers_summarization_single_doc_pubmed": 2,
    "scierc_ner": 2,
    "scifact_entailment": 2,
    "scierc_re": 1,
    "scireviewgen_multidoc_summarization": 3,
    "scitldr_aic": 1,
}
ENTAILMENT_TASKS = ["covidfact_entailment", "healthver_entailment", "scifact_entailment"]
ROLES_DIFFER = {"bioasq_factoid_qa", "bioasq_yesno_qa", *ENTAILMENT_TASKS}
"""Tasks whose templates ask for different things, such as judging an answer, so that not all use all variables."""
TASKS = resource_dir("templates") / "tasks"
WORDINGS = [(task, template_id) for task, count in TEMPLATE_COUNTS.items() for template_id in range(count)]
ENTITY_TASKS = [
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
    "scierc_ner",
]


def load(task: str) -> TaskFile:
    return load_task(TASKS / f"{task}.yaml")


def render(task: str, template_id: int, **changes: Any) -> Rendered:
    return load(task).compile(template_id).render({**VARIABLES[task], **changes, "_id": 0})


def suite(task: str) -> Any:
    return json.loads((resource_dir("expectations") / f"{task}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", sorted(TEMPLATE_COUNTS))
def test_each_task_has_all_its_template_ids(task: str) -> None:
    assert list(load(task).templates) == list(range(TEMPLATE_COUNTS[task]))


@pytest.mark.parametrize(("task", "template_id"), WORDINGS)
def test_prompts_read_cleanly(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input
    assert not re.search(r"\|\|\||None|Undefined|\{\{|\{%|\\u00", prompt)
    assert "\n\n\n" not in prompt
    assert not re.search(r"[ \t]$", prompt, re.MULTILINE)
    assert "  " not in prompt.replace(VARIABLES[task].get("options", "\0"), "")


@pytest.mark.parametrize(("task", "template_id"), WORDINGS)
def test_a_prompt_uses_every_variable_but_the_answer(task: str, template_id: int) -> None:
    variables = VARIABLES[task]
    template = load(task).compile(template_id)
    assert template.variables <= variables.keys()
    asked = template.variables if task in ROLES_DIFFER else variables.keys()
    answer = load(task).templates[template_id].jinja.partition("|||")[2]
    prompt = template.render({**variables, "_id": 0}).input
    for name in asked:
        if isinstance(variables[name], str) and not re.search(rf"\b{name}\b", answer):
            assert variables[name] in prompt, name


@pytest.mark.parametrize(("task", "template_id"), WORDINGS)
def test_answers_meet_the_suite_of_the_task(task: str, template_id: int) -> None:
    rendered = render(task, template_id)
    facts = compile_checks(suite(task)).facts(rendered, instance_id="x", template_id=template_id, tokens=1)
    assert facts.problem == ""
    assert facts.output_conforms


@pytest.mark.parametrize("task", sorted(TEMPLATE_COUNTS))
def test_templates_of_a_task_are_different_wordings(task: str) -> None:
    prompts = {render(task, template_id).input for template_id in range(TEMPLATE_COUNTS[task])}
    assert len(prompts) == TEMPLATE_COUNTS[task]


@pytest.mark.parametrize(("task", "template_id"), [wording for wording in WORDINGS if wording[0] in ENTITY_TASKS])
def test_entity_prompts_name_every_type_and_show_a_valid_example(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input
    types = set(VARIABLES[task]["ner_dict"])
    assert all(name in prompt for name in types)
    assert "empty array" in prompt
    examples = [json.loads(found) for found in re.findall(r"\{\"[^{}]*\}", prompt)]
    assert examples
    for example in examples:
        assert set(example) == types
        assert all(isinstance(mention, str) for mentions in example.values() for mention in mentions)
        assert list(example) == sorted(example)


@pytest.mark.parametrize("task", ENTITY_TASKS)
def test_entity_answers_keep_a_key_for_each_type(task: str) -> None:
    types = list(VARIABLES[task]["ner_dict"])
    output = render(task, 0, ner_dict={name: [] for name in types}).output
    assert json.loads(output) == {name: [] for name in types}


@pytest.mark.parametrize("template_id", range(3))
def test_chemical_prompts_show_an_array_and_name_the_empty_one(template_id: int) -> None:
    prompt = render("craftchem_ner", template_id).input
    (example,) = (json.loads(found) for found in re.findall(r"\[\"[^\[\]]*\]", prompt))
    assert all(isinstance(term, str) for term in example)
    assert re.search(r"empty array|array is empty", prompt)
    assert "ChEBI" in prompt
    assert render("craftchem_ner", template_id, entities=[]).output == "[]"


def test_event_example_is_valid_and_copied_from_its_excerpt() -> None:
    prompt = render("annotated_materials_syntheses_events", 0).input
    excerpt = re.search(r"from the excerpt \"([^\"]+)\"", prompt)
    example = re.search(r"^\[\{.*\}\]$", prompt, re.MULTILINE)
    assert excerpt is not None
    assert example is not None
    checks = compile_checks(suite("annotated_materials_syntheses_events"))
    facts = checks.facts(Rendered(excerpt[1], example[0]), instance_id="x", template_id=0, tokens=1)
    assert facts.problem == ""
    assert facts.mentions > 5


def test_relation_examples_are_valid_and_name_all_seven_types() -> None:
    prompt = render("scierc_re", 0).input
    forms = re.findall(r"\[\"A\", \"B\", \"([A-Z-]+)\"\]", prompt)
    assert forms == suite("scierc_re")["meta"]["sciriff"]["labels"]
    example = json.loads(next(line for line in prompt.splitlines() if line.startswith("[[")))
    assert len(example) == 2
    assert all(len(relation) == 3 and relation[2] in forms for relation in example)


def test_no_relations_or_events_are_an_empty_array() -> None:
    assert render("scierc_re", 0, re_answer=[]).output == "[]"
    assert render("annotated_materials_syntheses_events", 0, events=[]).output == "[]"


def test_table_prompt_begins_with_the_table_and_shows_both_forms() -> None:
    prompt = render("discomat_te", 0).input
    assert prompt.startswith("| Glass |")
    forms = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    assert [list(form) for form in forms] == [["value", "type"], ["value", "type", "constituent", "unit", "material"]]
    assert [form["type"] for form in forms] == ["Other", "Glass_Compound_Amount"]


def test_citation_labels_follow_the_class_numbers() -> None:
    for template_id in range(3):
        outputs = [render("scicite_classification", template_id, label=label).output for label in range(3)]
        assert outputs == ["Method", "Background", "Result"]
        assert '["Method", "Background", "Result"]' in render("scicite_classification", template_id).input


@pytest.mark.parametrize("template_id", range(4))
def test_yes_no_prompts_offer_three_answers(template_id: int) -> None:
    assert all(word in render("pubmedqa_qa", template_id).input for word in ("YES", "NO", "MAYBE"))


def test_judgements_are_worded_as_the_prompt_says() -> None:
    prompt = render("bioasq_factoid_qa", 2).input
    assert '"The answer is correct."' in prompt
    assert '"The answer is incorrect. The correct answer is [answer]."' in prompt
    assert render("bioasq_yesno_qa", 2).output == "no"


def test_list_example_is_valid_and_answers_are_an_array() -> None:
    rendered = render("bioasq_list_qa", 0)
    example = json.loads(next(line for line in rendered.input.splitlines() if line.startswith("[")))
    assert example
    assert all(isinstance(item, str) for item in example)
    assert rendered.output == '["fever", "pain, of the head"]'


def test_yes_no_headings() -> None:
    assert "Research question: Is it better?" in render("pubmedqa_qa", 2).input
    assert "Query: Is it better?" in render("pubmedqa_qa", 3).input


def test_order_of_passage_and_question() -> None:
    question, article = VARIABLES["covid_deepset_qa"]["question"], VARIABLES["covid_deepset_qa"]["article"]
    places = [
        (prompt.index(question), prompt.index(article))
        for prompt in (render("covid_deepset_qa", number).input for number in range(3))
    ]
    assert places[0][0] > places[0][1]
    assert places[1][0] < places[1][1]
    assert places[2][0] == 0 < places[2][1]


def test_the_markers_the_answer_judge_looks_for() -> None:
    lines = render("qasper_abstractive_qa", 0).input.splitlines()
    rules = [number for number, line in enumerate(lines) if line == "-" * 40]
    assert len(rules) == 2
    assert lines[rules[0] + 1] == "A paper"
    questions = [line for line in lines if line.startswith("Question:")]
    assert questions == ["Question: What did they do?"]
    assert sum("What did they do?" in line for line in lines) == 2


def test_paper_answers_state_their_length_and_allow_null() -> None:
    answered = render("qasper_abstractive_qa", 0)
    assert "about 14 characters long." in answered.input
    assert json.loads(answered.output) == {"answer": "They did this.", "evidence": ["We did “this”."]}
    assert "about 1 character long." in render("qasper_abstractive_qa", 0, answer="3").input
    for answer in (None, ""):
        unanswered = render("qasper_abstractive_qa", 0, unanswerable=True, answer=answer, evidence=[])
        assert unanswered.output == "null"
        assert "characters long" not in unanswered.input
        assert "in your own words." in unanswered.input


def test_paper_example_is_valid() -> None:
    prompt = render("qasper_abstractive_qa", 0).input
    example = json.loads(next(line for line in prompt.splitlines() if line.startswith("{")))
    assert set(example) == {"answer", "evidence"}
    assert isinstance(example["answer"], str)
    assert all(isinstance(paragraph, str) for paragraph in example["evidence"])


@pytest.mark.parametrize("task", ENTAILMENT_TASKS)
@pytest.mark.parametrize("template_id", range(2))
def test_verdicts_are_glossed_and_examples_keep_the_promise(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input
    labels = suite(task)["meta"]["sciriff"]["labels"]
    assert set(re.findall(r"SUPPORT|CONTRADICT|NEI", prompt)) == set(labels)
    assert ("empty" in prompt) == ("NEI" in labels)
    (example,) = re.findall(r"\{\"verdict.*?\]\}", prompt)
    facts = compile_checks(suite(task)).facts(Rendered(prompt, example), instance_id="x", template_id=0, tokens=1)
    assert facts.problem == ""
    numbers = [item for item in json.loads(example)["evidence"] if isinstance(item, int)]
    assert bool(numbers) == (template_id == 1)
    assert numbers == sorted(set(numbers))


def test_only_claims_on_covid_are_called_so() -> None:
    assert "COVID-19" in render("covidfact_entailment", 0).input
    for task, template_id in (("covidfact_entailment", 1), ("healthver_entailment", 0), ("healthver_entailment", 1)):
        assert "public health" in render(task, template_id).input
    assert all("scientific claim" in render("scifact_entailment", template_id).input for template_id in range(2))


def test_the_markers_the_summary_judge_looks_for() -> None:
    lines = render("mup_single_document_summarization", 0).input.splitlines()
    place = lines.index("Paper title:")
    assert lines[place + 1] == "A parser"
    assert lines[lines.index("Paper body:") + 1 : -2] == [
        "Abstract",
        "We parse.",
        "",
        "1 Introduction",
        "Parsing is hard.",
    ]
    assert lines[-1] == "2-sentence paper summary:"
    assert sum("sentence paper summary" in line or "Paper body:" in line for line in lines) == 2


def test_a_summary_of_one_sentence_is_asked_for_in_good_grammar() -> None:
    task = "mup_single_document_summarization"
    one = render(task, 0, summary="It parses.", summary_sentences=1).input
    assert "exactly 1 sentence long" in one
    assert one.endswith("\n1-sentence paper summary:")
    assert "exactly 2 sentences long" in render(task, 0).input
    assert "sentence" not in render(task, 1).input


def test_papers_without_abstract_stand_between_dashed_lines() -> None:
    task = "chemsum_single_document_summarization"
    lines = render(task, 1, article_text="Results\nThey grew.\n").input.splitlines()
    first, last = (place for place, line in enumerate(lines) if line == "-" * 40)
    assert lines[first + 1 : last] == ["Rods of ZnO", "", "Results", "They grew."]
    assert "HTML" in render(task, 0).input


def test_paper_spans_are_copied_and_may_be_missing() -> None:
    task = "qasper_extractive_qa"
    assert json.loads(render(task, 0).output) == {
        "answer": ["“this”", "that"],
        "evidence": ["We did “this”.", "And that."],
    }
    assert render(task, 0, unanswerable=True, answer=[], evidence=[]).output == "null"
    prompt = render(task, 0).input
    example = next(line for line in prompt.splitlines() if line.startswith("{"))
    spans, evidence = (json.loads(example)[key] for key in ("answer", "evidence"))
    assert all(any(span in text for text in evidence) for span in spans)


@pytest.mark.parametrize("template_id", range(3))
def test_data_sets_are_answered_by_name(template_id: int) -> None:
    several = render("data_reco_mcq_mc", template_id)
    assert json.loads(several.output) == ["Trees, B", "Maps"]
    (example,) = {*re.findall(r"\[\"[^\[\]]*\]", several.input)}
    assert all(isinstance(name, str) for name in json.loads(example))
    single = render("data_reco_mcq_sc", template_id)
    assert single.output == "Trees, B"
    assert "name" in single.input
    assert "letter" in single.input
    assert ("2021" in single.input) == (template_id == 0)
    assert "year" not in render("data_reco_mcq_sc", template_id, year=None).input


@pytest.mark.parametrize("path", sorted(TASKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_bundled_file_points_editors_to_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../task.schema.json"
    assert (path.parent / "../task.schema.json").is_file()

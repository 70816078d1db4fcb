"""Task files in the schema of the original, as a lab may have them: every key and Jinja construct that those use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_RELATION_STRINGS = (
    "{{ org_text }}\n|||\n{% if re_answer | length > 0 -%}\n"
    "[{% for item in re_answer %}{{ item.strip('()').split(', ') | tojson }}"
    "{{ ', ' if not loop.last else '' }}{% endfor %}]\n{%- else -%}\n[]\n{%- endif %}"
)
_STUDIES = (
    "{% set ns = namespace(value=0) -%}\n{% for part in title -%}\n{{ title[ns.value] }}: {{ abstract[ns.value] }}\n"
    "{% set ns.value = ns.value + 1 -%}\n{% endfor %}\n|||\n{{ target }}"
)
_QASPER = (
    "{{ paper }}\nQuestion: {{ question }} ({{ answer | length }})\n|||\n"
    "{% if unanswerable %}null{% else %}{{ {'answer': answer, 'evidence': evidence} | tojson }}{% endif %}"
)
_SPLIT_LIST = "{{ FIRST }}\n|||\n{% set parts = ANSWER.split(', ') %}{{ parts | tojson }}"

SPECIAL: dict[str, str] = {
    "annotated_materials_syntheses_events": (
        "{{ role_types_list | tojson }}\n{{ abstract }}\n|||\n{{ events | tojson }}"
    ),
    "bioasq_list_qa": _SPLIT_LIST.replace("FIRST", "snippets").replace("ANSWER", "correct_ans"),
    "chemprot_re": _RELATION_STRINGS,
    "data_reco_mcq_mc": _SPLIT_LIST.replace("FIRST", "context").replace("ANSWER", "answer"),
    "evidence_inference": "{{ document }} ({{ evidence | length }})\n|||\n{{ evidence | tojson }}",
    "mslr2022_cochrane_multidoc_summarization": _STUDIES,
    "mslr2022_ms2_multidoc_summarization": _STUDIES,
    "qasper_abstractive_qa": _QASPER,
    "qasper_extractive_qa": _QASPER,
    "scicite_classification": "{{ string }}\n|||\n{{ answer_choices[label].capitalize() }}",
    "scientific_lay_summarisation_elife_single_doc_summ": (
        "{{ metadata.title }}}\n{{ input_transformed }}\n|||\n{{ summary }}"
    ),
    "scierc_ner": "{{ org_text }}\n|||\n{{ ner_dict | tojson }}",
    "scierc_re": "{{ org_text }}\n|||\n{% if re_answer | length %}{{ re_answer | tojson }}{% else %}[]{% endif %}",
    "scitldr_aic": '{{ source | join("\\n") }}\n|||\n{{ target[0] }}',
}
"""Bodies for the tasks whose original templates do more than insert variables or dump them as JSON."""


def body(task: str, variables: dict[str, Any]) -> str:
    """A template of a task that uses all its variables; the last one is the answer."""
    if task in SPECIAL:
        return SPECIAL[task]
    *shown, answer = (f"{{{{ {name}{'' if kind is str else ' | tojson'} }}}}" for name, kind in variables.items())
    return "\n".join(shown) + "\n|||\n" + answer


def task_file(task: str, variables: dict[str, Any]) -> dict[str, Any]:
    """A task file as YAML data, with all keys of the original's schema."""
    template: dict[str, Any] = {"jinja": body(task, variables)}
    if "answer_choices" in template["jinja"]:
        template["answer_choices"] = "method ||| background ||| result"
    return {
        "name": task,
        "dataset": "somebody/some_dataset",
        "subset": "some_config",
        "skip_splits": ["test"] if task.startswith("mslr") else None,
        "formatter": {"name": "whatever_it_was_called", "args": {"instruction_tokens": 200}},
        "metadata": {
            "task": "classification",
            "domains": ["misc"],
            "source_type": "single_source",
            "input_context": "paragraph",
            "output_context": "paragraph",
            "contributor": "a lab",
        },
        "templates": {0: template, 1: template},
    }


def write_task_files(folder: Path, contract: dict[str, dict[str, Any]]) -> None:
    """Write one file per task."""
    for task, variables in contract.items():
        content = {key: value for key, value in task_file(task, variables).items() if value is not None}
        (folder / f"{task}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

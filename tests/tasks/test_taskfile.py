from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml

from sciriff.errors import TaskFileError
from sciriff.resources import resource_dir
from sciriff.tasks.taskfile import TaskFile, load_task, load_tasks, task_schema

# Every key the original's task files may have, with the values they use, and templates out of order.
ORIGINAL_STYLE = r"""
name: citation_purpose
dataset: some-lab/citations
subset: null
data_dir: citations
formatter:
  name: citation_formatter
  args: null
skip_splits: [test]
split_lookup:
  validation: dev
standardize_splits: true
evaluate: null
metadata:
  task: classification
  domains:
    - artificial_intelligence
    - misc
  source_type: single_source
  input_context: paragraph
  output_context: label
  contributor: someone
templates:
  1:
    jinja: |
      Passage with a backslash \alpha and quotes '' "":
      {{ string }}
      |||
      {{ answer_choices[label] | capitalize }}
    answer_choices: method ||| background
  0:
    name: plain
    metadata: null
    evaluate: true
    answer_choices: |
      method ||| background
    jinja: |
      {{ string }}

      {% if label == 0 %}(hint){% endif %}
      |||
      {{ answer_choices[label] }}
"""


def write(folder: Path, text: str, name: str = "citation_purpose.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str) -> str:
    assert old in ORIGINAL_STYLE
    return ORIGINAL_STYLE.replace(old, new, 1)


def refusal(folder: Path, text: str, name: str = "citation_purpose.yaml") -> str:
    path = write(folder, text, name)
    with pytest.raises(TaskFileError) as caught:
        load_task(path)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_a_file_with_all_keys_loads_unchanged(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, ORIGINAL_STYLE))
    assert list(task.templates) == [0, 1]
    assert task.templates[0].evaluate
    assert task.formatter is not None
    assert task.formatter.args is None
    assert task.split_lookup == {"validation": "dev"}
    assert task.skip_splits == ("test",)
    assert task.metadata.domains == ("artificial_intelligence", "misc")


def test_literal_blocks_reach_the_template_as_typed(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, ORIGINAL_STYLE))
    rendered = task.compile(1).render({"string": "text", "label": 1})
    assert rendered.input == "Passage with a backslash \\alpha and quotes '' \"\":\ntext"
    assert rendered.output == "Background"


def test_only_the_required_keys_are_required(tmp_path: Path) -> None:
    content = yaml.safe_load(ORIGINAL_STYLE)
    small = {key: content[key] for key in ("name", "metadata", "templates")}
    task = load_task(write(tmp_path, yaml.safe_dump(small)))
    assert task.standardize_splits
    assert task.formatter is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("subset: null", "subst: null", ["subst: unknown key", "'subset'"]),
        ("evaluate: true", "evalute: true", ["templates.0.evalute: unknown key", "'evaluate'"]),
        ("contributor: someone", "author: someone", ["metadata.contributor: this key is missing", "metadata.author"]),
        ("  args: null\n", "", ["formatter.args: this key is missing", "args: null"]),
        ("name: citation_purpose\n", "", ["name: this key is missing"]),
        ("task: classification", "task: clasification", ["metadata.task: 'clasification'", "'classification'"]),
        ("- misc", "- biomed", ["metadata.domains.1: 'biomed'", "'biomedicine'"]),
        ("source_type: single_source", "source_type: many", ["metadata.source_type: 'many'", "multiple_source"]),
        ("input_context: paragraph", "input_context: paragraphs", ["metadata.input_context", "'paragraph'"]),
        ("output_context: label", "output_context: jsonl", ["metadata.output_context: 'jsonl'", "jsonlines"]),
        ("[test]", "[tset]", ["skip_splits.0: 'tset'", "'test'"]),
        ("[test]", "test", ["skip_splits: expected a list, found 'test'"]),
        ("  validation: dev", "  valid: dev", ["split_lookup.valid", "'validation'"]),
        ("subset: null", "subset: 1.0", ["subset: expected text", "1.0"]),
        ("standardize_splits: true", "standardize_splits: maybe", ["standardize_splits: expected true or false"]),
        ("  1:\n", "  2:\n", ["templates: template ids must count from 0", "2, 0"]),
        ("  1:\n", "  '1':\n", ["templates: template ids must count from 0", "'1', 0"]),
        ("name: citation_purpose", "name: citation_reason", ["name: is 'citation_reason'", "'citation_purpose'"]),
        ("subset: null", "dataset: other", ["key 'dataset' is written twice, in lines 3 and 4"]),
        ("args: null", "args: {a: 1, a: 2}", ["key 'a' is written twice, in lines 8 and 8"]),
        ("data_dir: citations", "data_dir: !!python/name:os.system", ["line 5", "tag", "remove"]),
        ("data_dir: citations", "data_dir: !path x", ["line 5", "!path"]),
        ("data_dir: citations", "data_dir: [", ["line", "not valid YAML"]),
        ("| capitalize", "| capitalise", ["template 1, line 4", "capitalise"]),
        ("{% endif %}", "", ["template 0", "endif"]),
        ("      {{ string }}\n      |||\n", "      {{ string }}\n", ["template 1", "found 0 separators"]),
        ("{{ string }}\n      |||", "{% include 'x' %}\n      |||", ["template 1, line 2", "include"]),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    message = refusal(tmp_path, changed(old, new))
    for part in expected:
        assert part in message


def test_all_problems_of_a_file_are_listed_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, changed("subset: null", "subst: null").replace("- misc", "- biomed"))
    assert "2 problems" in message
    assert "subst" in message
    assert "biomed" in message


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert "expected a mapping" in refusal(tmp_path, text)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "citation_purpose.yaml"
    path.write_bytes(ORIGINAL_STYLE.encode().replace(b"someone", b"Jos\xe9"))
    with pytest.raises(TaskFileError, match="not UTF-8"):
        load_task(path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "citation_purpose.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ORIGINAL_STYLE.encode())
    assert load_task(path).name == "citation_purpose"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match=r"nowhere\.yaml: cannot be read"):
        load_task(tmp_path / "nowhere.yaml")


def test_one_wrong_file_does_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path, ORIGINAL_STYLE)
    write(tmp_path, "name: [", "broken.yaml")
    write(tmp_path, ORIGINAL_STYLE.replace("citation_purpose", "other"), "other.yml")
    write(tmp_path, "not a task file", "notes.txt")
    tasks = load_tasks(tmp_path)
    assert list(tasks) == ["broken", "citation_purpose", "other"]
    assert isinstance(tasks["broken"], TaskFileError)
    assert isinstance(tasks["citation_purpose"], TaskFile)
    assert isinstance(tasks["other"], TaskFile)


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, ORIGINAL_STYLE)
    write(tmp_path, ORIGINAL_STYLE, "citation_purpose.yml")
    assert isinstance(load_tasks(tmp_path)["citation_purpose"], TaskFileError)


def test_a_folder_without_task_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="holds no task files"):
        load_tasks(tmp_path)
    with pytest.raises(TaskFileError, match="no such folder"):
        load_tasks(tmp_path / "nowhere")


def test_the_digest_is_of_what_matters(tmp_path: Path) -> None:
    digest = load_task(write(tmp_path, ORIGINAL_STYLE)).digest
    same = ["# a comment\n" + ORIGINAL_STYLE, changed("evaluate: null", "evaluate: {a: 1}"), changed("plain", "simple")]
    same.append(yaml.safe_dump(yaml.safe_load(ORIGINAL_STYLE), sort_keys=True))
    assert {load_task(write(tmp_path, text)).digest for text in same} == {digest}
    different = [
        changed("(hint)", "(Hint)"),
        changed("method ||| background", "method ||| context"),
        changed("evaluate: true", "evaluate: false"),
        changed("contributor: someone", "contributor: me"),
        changed("args: null", "args: {a: 1}"),
        changed("standardize_splits: true", "standardize_splits: false"),
    ]
    digests = [load_task(write(tmp_path, text)).digest for text in different]
    assert len({digest, *digests}) == len(different) + 1


def test_an_unknown_template_id_is_an_error(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, ORIGINAL_STYLE))
    with pytest.raises(TaskFileError, match="no template 3; the task file has 0, 1"):
        task.compile(3)


def test_the_schema_file_is_the_models() -> None:
    path = resource_dir("templates") / "task.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == task_schema()


def as_json(text: str) -> Any:
    return json.loads(json.dumps(yaml.safe_load(text)))  # JSON Schema sees template ids as text


def test_the_schema_accepts_and_refuses_as_the_model_does() -> None:
    validate = fastjsonschema.compile({**task_schema(), "$schema": "http://json-schema.org/draft-07/schema#"})
    validate(as_json(ORIGINAL_STYLE))
    for path in sorted((resource_dir("templates") / "tasks").glob("*.yaml")):
        validate(as_json(path.read_text(encoding="utf-8")))
    for old, new in [
        ("subset: null", "subst: 1"),
        ("- misc", "- biomed"),
        ("  args: null\n", ""),
        ("  1:\n", "  one:\n"),
    ]:
        with pytest.raises(fastjsonschema.JsonSchemaValueException):
            validate(as_json(changed(old, new)))

"""Chat formats: exact strings, what stays data, and the guards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights_kit import CHATML

from sciriff.errors import UsageError
from sciriff.models.chat import (
    beginning_of_text,
    chat_format,
    chat_formats,
    require_one_beginning,
    require_unwrapped,
    without_beginning_of_text,
)
from sciriff.models.checkpoint import Checkpoint

LLAMA2_SYSTEM = "You are a careful assistant who helps readers of scientific literature and says only what is true."
LLAMA3_HEAD = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
)
AROUND = {
    "general": ("", ""),
    "tulu": ("<|user|>\n", "\n<|assistant|>"),
    "tulu_nl": ("<|user|>\n", "\n<|assistant|>\n"),
    "llama2": (f"<s>[INST] <<SYS>>\n{LLAMA2_SYSTEM}\n<</SYS>>\n\n", " [/INST]"),
    "llama3": (LLAMA3_HEAD, "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    "qwen": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
}
MARKERS = [
    "[/INST]", "<|user|>", "<|assistant|>", "<|im_end|>", "<|eot_id|>", "</s>", "<s>", "{{ input }}", "{{", "{%", "%}",
    "{% raw %}", "{#", "|||", "\n", "<<SYS>>", "\\n", "{{ self.__class__ }}",
]  # fmt: skip


def own(template: Any, **tokens: str) -> Checkpoint:
    return Checkpoint("ours", None, 4096, template, tokens, None)


def test_the_formats_are_these() -> None:
    assert chat_formats() == sorted(AROUND)


@pytest.mark.parametrize("name", AROUND)
def test_a_prompt_is_exactly_this(name: str) -> None:
    before, after = AROUND[name]
    assert chat_format(name).wrap("Tag it.\n\nText:\nA b.") == f"{before}Tag it.\n\nText:\nA b.{after}"


@given(
    name=st.sampled_from(sorted(AROUND)), parts=st.lists(st.sampled_from(MARKERS) | st.text(max_size=20), max_size=8)
)
def test_whatever_stands_in_an_instance_is_data(name: str, parts: list[str]) -> None:
    text, (before, after) = "".join(parts), AROUND[name]
    assert chat_format(name).wrap(text) == before + text + after


@given(parts=st.lists(st.sampled_from(MARKERS) | st.text(max_size=20), max_size=8))
def test_whatever_stands_in_an_instance_is_data_for_a_models_own_format_too(parts: list[str]) -> None:
    text = "".join(parts)
    expected = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    assert chat_format("auto", own(CHATML)).wrap(text) == expected


def test_a_models_own_template_gets_what_transformers_gives_it() -> None:
    template = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "1 Jan 2020" %}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "system" %}{% continue %}{% endif %}
    {%- if tools %}{{ raise_exception("no tools") }}{% endif %}
[{{ message.role }} {{ date_string }}]{% generation %}{{ message.content | trim }}
    {%- endgeneration %}
{%- endfor %}
{%- if add_generation_prompt %}{{ eos_token }}{% endif %}
"""
    wrapped = chat_format("auto", own(template, bos_token="<s>", eos_token="</s>")).wrap(" é <b>\n")
    assert wrapped == "<s>[user 1 Jan 2020]é <b></s>"


def test_json_in_a_template_is_plain() -> None:
    template = "{{ ['é<', messages | length] | tojson }}{{ messages[0].content }}"
    assert chat_format("auto", own(template)).wrap("x") == '["é<", 1]x'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "the tokenizer of ours brings no chat template.*general, llama2"),
        ("{% for %}", "the chat template of ours cannot be read"),
        ("{{ raise_exception('system first') }}", "cannot be rendered: system first"),
        ("{{ messages[0].content.upper() }}", "it stands there 0 times"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "it stands there 2 times"),
        ("{{ ''.__class__.__mro__ }}", "cannot be rendered: access to attribute '__class__'"),
        ("{{ messages.append(1) }}{{ messages[0].content }}", "cannot be rendered"),
        ("{{ strftime_now('%Y') }}{{ messages[0].content }}", "cannot be rendered: 'strftime_now' is undefined"),
        ("{{ 1 / 0 }}", "cannot be rendered: division by zero"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(template: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chat_format("auto", own(template))


def test_without_weights_there_is_no_own_format() -> None:
    with pytest.raises(UsageError, match="this model brings no chat template"):
        chat_format("auto")


def test_a_format_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "house.jinja"
    path.write_text("Q: {{ input }}\nA:{{ ' ' }}\n", encoding="utf-8")
    form = chat_format(str(path))
    assert (form.name, form.wrap("why?")) == (str(path), "Q: why?\nA: ")
    assert form.digest != chat_format("general").digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ question }}", "'question' is undefined"),
        ("no place", "it stands there 0 times"),
        ("{{ input", "bad.jinja: "),
        ("{% include 'x' %}{{ input }}", "bad.jinja cannot be rendered|no loader"),
    ],
)
def test_a_bad_format_of_ones_own_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jinja"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        chat_format(str(path))
    with pytest.raises(UsageError, match=r"absent.jinja cannot be read"):
        chat_format(str(tmp_path / "absent.jinja"))


def test_unknown_formats_list_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no chat format 'lama2'; did you mean llama2, llama3"):
        chat_format("lama2")


# Guards


def test_the_beginning_of_text_is_told() -> None:
    assert beginning_of_text("<s>[INST]") == "<s>"
    assert beginning_of_text("<|begin_of_text|>x") == "<|begin_of_text|>"
    assert beginning_of_text("x <s>") == ""
    assert without_beginning_of_text("<s>[INST]") == "[INST]"
    assert without_beginning_of_text("[INST]<s>") == "[INST]<s>"


def test_two_beginnings_are_refused() -> None:
    require_one_beginning("<s>a<s>b", "t:1")
    with pytest.raises(UsageError, match=r"t:1: the prompt begins with <s> twice"):
        require_one_beginning("<s><s>[INST]", "t:1")


@pytest.mark.parametrize("name", sorted(set(AROUND) - {"general"}))
def test_an_instance_that_is_wrapped_already_is_refused_and_one_with_markers_inside_is_not(name: str) -> None:
    wrapped = chat_format(name).wrap("Tag it.")
    with pytest.raises(UsageError, match=r"t:1: the text is in a chat format already .*--chat-format general"):
        require_unwrapped(wrapped, "t:1")
    with pytest.raises(UsageError, match="in a chat format already"):
        require_unwrapped(f"  {wrapped}\n", "t:1")
    require_unwrapped(f"What does {wrapped} mean?", "t:1")
    require_unwrapped(f"{wrapped} is how the model of the paper was asked.", "t:1")

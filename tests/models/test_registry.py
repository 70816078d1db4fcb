"""Models by name: the bundled entries, a user's own, and names that need none."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from weights_kit import make_weights

from sciriff.errors import UsageError
from sciriff.models.chat import chat_format, chat_formats
from sciriff.models.dialect import dialect_of
from sciriff.models.registry import ModelSpec, Price, find_model, find_models, load_models
from sciriff.settings import Settings

SETTINGS = Settings(offline=True)


def own(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "models.yaml"
    path.write_text(text, encoding="utf-8")
    return Settings(models=path)


def test_the_bundled_entries_are_those_that_were_promised() -> None:
    models = load_models(SETTINGS)
    promised = "scitulu-7b scitulu-70b tulu-2-7b tulu-2-70b llama-2-7b-chat llama-2-70b-chat llama-3-8b-instruct"
    promised += " llama-3.1-70b-instruct qwen2.5-7b-instruct qwen2.5-72b-instruct gpt-3.5-turbo gpt-4o"
    assert {*promised.split(), "gold", "empty", "lead", "prompt-echo"} <= set(models)
    assert list(models) == sorted(models)
    scitulu = models["scitulu-7b"]
    assert (scitulu.weights, scitulu.chat_format, scitulu.dtype) == ("allenai/scitulu-7b", "tulu", "float16")
    assert models["gpt-4o"].api_model == "gpt-4o-2024-08-06"
    assert models["gpt-4o"].takes_messages
    assert not scitulu.takes_messages


@pytest.mark.parametrize("spec", load_models(SETTINGS).values(), ids=lambda spec: spec.name)
def test_every_bundled_entry_names_a_format_that_exists(spec: ModelSpec) -> None:
    if spec.chat_format != "auto":
        assert spec.chat_format in chat_formats()
        assert chat_format(spec.chat_format).name == spec.chat_format
    if spec.backend == "openai":
        assert spec.price is not None
        assert spec.context_tokens is not None


def test_a_price_is_per_million_tokens_and_half_in_a_batch() -> None:
    price = Price(input=2.5, output=10, looked_up=datetime.date(2026, 1, 2))
    assert price.cost(1_000_000, 100_000) == pytest.approx(3.5)
    assert price.cost(1_000_000, 100_000, batch=True) == pytest.approx(1.75)


def test_names_that_need_no_entry(tmp_path: Path) -> None:
    hub = find_model("lab/some-model@v1.0", SETTINGS)
    assert (hub.name, hub.backend, hub.weights, hub.revision) == ("some-model", "vllm", "lab/some-model", "v1.0")
    assert hub.chat_format == "auto"
    folder = find_model(str(make_weights(tmp_path / "tuned")), SETTINGS)
    assert (folder.name, folder.backend, folder.folder) == ("tuned", "vllm", tmp_path / "tuned")
    api = find_model("openai:gpt-4o-mini", SETTINGS)
    assert (api.name, api.api_model, api.base_url, api.takes_messages) == ("gpt-4o-mini", "gpt-4o-mini", None, True)
    served = find_model("openai:lab/big@http://127.0.0.1:8000/v1", SETTINGS)
    assert (served.name, served.api_model, served.base_url) == ("big", "lab/big", "http://127.0.0.1:8000/v1")
    assert dialect_of(served).extra == {}
    by_vllm = find_model("vllm:lab/big@http://127.0.0.1:8000/v1", SETTINGS)
    assert by_vllm.model_copy(update={"server": "openai"}) == served
    assert dialect_of(by_vllm).extra["add_special_tokens"] is False


def test_a_repository_with_an_entry_is_that_entry() -> None:
    assert find_model("allenai/scitulu-7b", SETTINGS).name == "scitulu-7b"
    assert find_model("allenai/scitulu-7b@0123abc", SETTINGS).chat_format == "auto"


def test_unknown_names_list_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no model 'scitulu7b'; did you mean scitulu-7b, .*owner/name"):
        find_model("scitulu7b", SETTINGS)
    with pytest.raises(UsageError, match=r"no model 'golden'; did you mean gold"):
        find_model("golden", SETTINGS)
    with pytest.raises(UsageError, match=r"no model '%%'; \(models: empty, gold"):
        find_model("%%", SETTINGS)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config.json"):
        find_model(str(tmp_path), SETTINGS)
    odd = make_weights(tmp_path / "a model")
    with pytest.raises(UsageError, match=r"a model: name: .*give it an entry"):
        find_model(str(odd), SETTINGS)


def test_an_own_file_adds_entries_and_changes_fields(tmp_path: Path) -> None:
    settings = own(
        tmp_path,
        """
scitulu-70b: {tensor_parallel_size: 8, chat_format: tulu_nl}
ours:
  backend: openai
  api_model: lab/ours
  base_url: http://host:8000/v1
  chat_format: tulu
  body: {a: 1}
  token_limit: max_completion_tokens
""",
    )
    changed = find_model("scitulu-70b", settings)
    assert (changed.tensor_parallel_size, changed.chat_format, changed.weights) == (8, "tulu_nl", "allenai/scitulu-70b")
    ours = find_model("ours", settings)
    assert not ours.takes_messages
    assert dialect_of(ours).describe() == {
        "model": "lab/ours",
        "token_limit": "max_completion_tokens",
        "extra": {"a": 1},
    }
    assert find_model("gold", settings).backend == "baseline"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {backend: vllm}", r"models.yaml, entry a: .*vllm needs weights"),
        ("a: {backend: openai}", r"entry a: .*openai needs api_model"),
        ("a: {backend: baseline}", r"entry a: .*no baseline of that name, only gold"),
        ("a: {backend: vllm, weights: x/y, dtipe: float16}", r"entry a: dtipe: unknown field; known: backend, weights"),
        ("a: {backend: tgi, weights: x/y}", r"entry a: backend: .*'baseline', 'vllm' or 'openai'"),
        ("a: {backend: vllm, weights: x/y, unconfirmed: [size]}", r"names what is no field: size"),
        ("a: {backend: openai, api_model: m, base_url: host}", r"entry a: base_url"),
        ("'../a': {backend: vllm, weights: x/y}", r"entry \.\./a: name"),
        ("a: 3", "expected a mapping from model name"),
        ("[a]", "expected a mapping from model name"),
        ("a: {", "cannot be read"),
    ],
)
def test_a_wrong_file_names_entry_and_field(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        load_models(own(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent.yaml cannot be read"):
        load_models(Settings(models=tmp_path / "absent.yaml"))


def test_two_models_of_one_name_cannot_share_its_results() -> None:
    assert [spec.name for spec in find_models(["gold", "lead", "gold"], SETTINGS)] == ["gold", "lead"]
    assert [spec.name for spec in find_models(["scitulu-7b", "allenai/scitulu-7b"], SETTINGS)] == ["scitulu-7b"]
    with pytest.raises(UsageError, match=r"models a/same and b/same would both be filed under 'same'"):
        find_models(["a/same", "b/same"], SETTINGS)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"


def test_the_page_explains_every_field_and_format() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for section, names in (
        ("Models", set(ModelSpec.model_fields) - {"name"}),
        ("Chat formats", {"auto", *chat_formats()}),
    ):
        text = page.partition(f"## {section}\n")[2].partition("\n## ")[0]
        assert {name for name in names if f"`{name}`" not in text} == set()

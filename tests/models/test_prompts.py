"""From instances to requests: what each model gets, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from weights_kit import make_instances, make_weights

from sciriff.errors import UsageError
from sciriff.models.instances import InstanceSet
from sciriff.models.prompts import (
    PromptKit,
    PromptOptions,
    count_tokens,
    needs_training,
    open_kit,
    prepare_prompts,
    requests_for,
)
from sciriff.models.registry import ModelSpec, find_model
from sciriff.models.requests import Message
from sciriff.settings import Settings

SETTINGS = Settings(offline=True)
TASK = "evidence_inference"
RULE = "\n\n--------------------\n\n"


def kit_of(model: str, settings: Settings = SETTINGS, **options: object) -> PromptKit:
    return open_kit(find_model(model, settings), PromptOptions(**options), settings)  # type: ignore[arg-type]


def texts(kit: PromptKit, instances: InstanceSet, training: InstanceSet | None = None) -> list[object]:
    return [each.prompt for each in prepare_prompts(instances, kit, training).prepared]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """Weights whose context has room for prompts of 40 tokens beside a reply."""
    return str(make_weights(tmp_path / "tuned", context=1024 + 40))


@pytest.fixture
def roomy(tmp_path: Path) -> str:
    return str(make_weights(tmp_path / "roomy", context=4096))


def test_a_baseline_gets_the_instance() -> None:
    prompts = prepare_prompts(make_instances(TASK, 3), kit_of("gold"))
    assert [each.prompt for each in prompts.prepared] == ["question 0", "question 1", "question 2"]


def test_text_with_the_originals_example() -> None:
    assert texts(kit_of("scitulu-7b"), make_instances(TASK, 10))[:2] == [
        "<|user|>\nquestion 7\n<|assistant|>\nanswer 7\n\n\n<|user|>\nquestion 0\n<|assistant|>",
        "<|user|>\nquestion 0\n<|assistant|>\nanswer 0\n\n\n<|user|>\nquestion 1\n<|assistant|>",
    ]
    assert texts(kit_of("scitulu-7b", shots=0), make_instances(TASK, 2))[0] == "<|user|>\nquestion 0\n<|assistant|>"
    assert texts(kit_of("scitulu-7b"), make_instances("scierc_ner", 2))[1] == "<|user|>\nquestion 1\n<|assistant|>"
    two = texts(kit_of("scitulu-7b", shots=1, chat_format="general"), make_instances("scierc_ner", 2))
    assert two == [f"question 1\nanswer 1{RULE}question 0", f"question 0\nanswer 0{RULE}question 1"]


def test_messages_are_one_turn_and_drawn_twice() -> None:
    once = texts(kit_of("scitulu-7b", chat_format="general"), make_instances(TASK, 10))
    twice = texts(kit_of("gpt-4o"), make_instances(TASK, 10))
    assert all(isinstance(prompt, tuple) and len(prompt) == 1 for prompt in twice)
    assert twice[0] == (Message("user", "question 1\nanswer 1\n\n\nquestion 0"),)
    assert [prompt[0].content for prompt in twice] != once  # type: ignore[index]


def test_an_api_gets_text_if_its_chat_format_is_one_of_ours() -> None:
    prompts = texts(kit_of("openai:local@http://127.0.0.1:1/v1", chat_format="tulu"), make_instances("scierc_ner", 1))
    assert prompts == ["<|user|>\nquestion 0\n<|assistant|>"]


def test_a_server_never_puts_a_second_beginning_in_front() -> None:
    with pytest.raises(UsageError, match=r"chat format llama2 begins with <s>, and its server .* `server: vllm`"):
        kit_of("openai:local@http://127.0.0.1:1/v1", chat_format="llama2")
    prompt = texts(kit_of("vllm:local@http://127.0.0.1:1/v1", chat_format="llama2"), make_instances("scierc_ner", 1))[0]
    assert isinstance(prompt, str)
    assert prompt.startswith("<s>[INST]")


def test_weights_without_an_entry_use_their_own_template(roomy: str) -> None:
    kit = kit_of(roomy)
    assert texts(kit, make_instances("scierc_ner", 1)) == [
        "<|im_start|>user\nquestion 0<|im_end|>\n<|im_start|>assistant\n"
    ]
    assert texts(kit, make_instances(TASK, 10))[0] == (
        "<|im_start|>user\nquestion 1\nanswer 1\n\n\nquestion 0<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_limit_changes_no_prompt_that_is_left() -> None:
    everything = make_instances(TASK, 10)
    few = replace(everything, instances=everything.pool[3:7:3])
    for model in ("scitulu-7b", "gpt-4o"):
        assert texts(kit_of(model), few) == texts(kit_of(model), everything)[3:7:3]


def test_examples_from_training_show_no_evaluated_answer() -> None:
    kit = kit_of("scitulu-7b", shots_from="train")
    instances, training = make_instances(TASK, 6), make_instances(TASK, 9, split="train")
    assert needs_training(TASK, kit)
    assert not needs_training("scierc_ner", kit)
    assert not needs_training(TASK, kit_of("gold", shots_from="train"))
    prompts = prepare_prompts(instances, kit, training)
    assert all(each.examples[0].startswith(f"{TASK}:train:") for each in prompts.prepared)
    fewer = replace(instances, instances=instances.pool[2:3], pool=instances.pool[2:3])
    assert texts(kit, fewer, training) == [prompts.prepared[2].prompt]
    with pytest.raises(UsageError, match=r"evidence_inference: examples from the training split need that split"):
        prepare_prompts(instances, kit)


def test_too_few_instances_name_the_task() -> None:
    with pytest.raises(UsageError, match=r"evidence_inference: 1 instances are too few .*--shots 0"):
        prepare_prompts(make_instances(TASK, 1), kit_of("gpt-4o"))


def test_replies_are_greedy_and_end_where_the_next_example_would_begin(weights: str) -> None:
    for task, end in ((TASK, "\n\n\n"), ("scierc_ner", RULE)):
        assert prepare_prompts(make_instances(task, 3), kit_of("gpt-4o")).sampling.stop == (end,)
        sampling = prepare_prompts(make_instances(task, 3), kit_of(weights)).sampling
        assert (sampling.stop, sampling.temperature, sampling.max_tokens) == ((end, "</s>"), 0.0, 1024)


def test_long_prompts_are_cut_from_the_front_as_the_original_does(weights: str) -> None:
    kit = kit_of(weights, chat_format="tulu")
    instances = make_instances("scierc_ner", 2, text="Tag it. {n} " + "protein " * 60 + "Answer:")
    prompts = prepare_prompts(instances, kit)
    for each in prompts.prepared:
        assert isinstance(each.prompt, str)
        assert each.fit == "cut"
        assert each.prompt.endswith("protein Answer:\n<|assistant|>")
        assert "Tag it" not in each.prompt
        tokens = count_tokens(each.prompt, kit)
        assert tokens is not None
        assert 37 <= tokens <= 40
        whole = count_tokens(f"<|user|>\n{each.instance['input']}\n<|assistant|>", kit)
        assert whole == tokens + each.tokens_cut
    assert prompts.counts["cut"] == 2
    assert prompts.counts["tokens_cut"] == sum(each.tokens_cut for each in prompts.prepared)


def test_long_prompts_can_lose_their_examples_and_then_their_middle(weights: str) -> None:
    kit = kit_of(weights, chat_format="tulu", too_long="truncate-middle")
    short = make_instances(TASK, 3, text="Is it better than the old one, and by how much is it so? {n}")
    prompt = prepare_prompts(short, kit).prepared[1]
    assert (prompt.examples, prompt.fit) == ((), "cut")
    assert prompt.prompt == f"<|user|>\n{short.instances[1]['input']}\n<|assistant|>"
    long = make_instances("scierc_ner", 1, text="Tag it. {n} " + "protein " * 60 + "Answer:")
    cut = prepare_prompts(long, kit).prepared[0].prompt
    assert isinstance(cut, str)
    assert cut.startswith("<|user|>\nTag it. 0 protein")
    assert "\n[...]\n" in cut
    assert cut.endswith("Answer:\n<|assistant|>")


def test_long_prompts_can_be_refused_and_are_counted(weights: str) -> None:
    rows = (
        make_instances("scierc_ner", 1).pool + make_instances("scierc_ner", 1, text="protein " * 60, split="test").pool
    )
    instances = replace(make_instances("scierc_ner", 1), instances=rows, pool=rows)
    prompts = prepare_prompts(instances, kit_of(weights, chat_format="tulu", too_long="refuse"))
    assert [each.fit for each in prompts.prepared] == ["whole", "refused"]
    assert prompts.prepared[1].reason.endswith("40 fit (refuse)")
    assert prompts.counts == {"whole": 1, "cut": 0, "refused": 1, "unchecked": 0, "tokens_cut": 0}
    assert [request.label for request in requests_for(prompts, "identity")] == ["scierc_ner:validation:0"]


def test_without_tokenizer_or_context_nothing_is_checked_and_that_is_counted(tmp_path: Path) -> None:
    for folder in (make_weights(tmp_path / "a", tokenizer=False), make_weights(tmp_path / "b", context=None)):
        prompts = prepare_prompts(make_instances("scierc_ner", 2), kit_of(str(folder)))
        assert prompts.counts["unchecked"] == 2


def test_the_beginning_of_text_is_put_in_front_once_and_kept(weights: str, roomy: str) -> None:
    instances = make_instances("scierc_ner", 1)
    assert texts(kit_of(weights, chat_format="tulu", add_bos=True), instances) == [
        "<s><|user|>\nquestion 0\n<|assistant|>"
    ]
    llama2 = texts(kit_of(roomy, chat_format="llama2", add_bos=True), instances)[0]
    assert isinstance(llama2, str)
    assert llama2.startswith("<s>[INST]")
    kit = kit_of(weights, chat_format="tulu", add_bos=True)
    cut = prepare_prompts(make_instances("scierc_ner", 1, text="protein " * 60), kit).prepared[0].prompt
    assert isinstance(cut, str)
    assert cut.startswith("<s>")
    assert not cut.startswith("<s><")
    tokens = count_tokens(cut, kit)
    assert tokens is not None
    assert tokens <= 40


def test_data_that_is_wrapped_already_is_refused_unless_nothing_is_added() -> None:
    wrapped = make_instances("scierc_ner", 1, text="<|user|>\nTag it. {n}\n<|assistant|>\n")
    for kit in (kit_of("scitulu-7b"), kit_of("gpt-4o")):
        with pytest.raises(UsageError, match=r"scierc_ner:validation:0: the text is in a chat format already"):
            prepare_prompts(wrapped, kit)
    assert texts(kit_of("scitulu-7b", chat_format="general"), wrapped) == ["<|user|>\nTag it. 0\n<|assistant|>\n"]


def test_a_data_set_with_a_second_beginning_of_text_is_refused() -> None:
    twice = make_instances("scierc_ner", 1, text="<s><s>Tag it.")
    with pytest.raises(UsageError, match="begins with <s> twice"):
        prepare_prompts(twice, kit_of("scitulu-7b", chat_format="general"))


def test_equal_prompts_are_one_request_and_options_are_told() -> None:
    rows = tuple({**each, "input": "same"} for each in make_instances("scierc_ner", 2).pool)
    instances = replace(make_instances("scierc_ner", 2), instances=rows, pool=rows)
    prompts = prepare_prompts(instances, kit_of("gpt-4o", max_tokens=64))
    first, second = requests_for(prompts, "identity")
    assert first.key == second.key
    assert [first.label, second.label] == ["scierc_ner:validation:0", "scierc_ner:validation:1"]
    assert requests_for(prompts, "other")[0].key != first.key
    told = prompts.describe()
    assert told["sampling"]["max_tokens"] == 64
    assert told["chat_format"] == {"name": "messages", "digest": ""}
    assert told["options"]["too_long"] == "truncate-left"


def test_impossible_options_are_told(weights: str) -> None:
    with pytest.raises(UsageError, match="shots -1 is below 0"):
        PromptOptions(shots=-1)
    with pytest.raises(UsageError, match="max tokens 0 is below 1"):
        PromptOptions(max_tokens=0)
    with pytest.raises(UsageError, match=r"too_long 'cut' is none of truncate-left, truncate-middle, refuse"):
        PromptOptions(too_long="cut")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"shots_from 'test' is none of evaluated, train"):
        PromptOptions(shots_from="test")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"context of 1,064 tokens: no room .* smaller --max-tokens"):
        kit_of(weights, max_tokens=1064)
    with pytest.raises(UsageError, match="did you mean tulu"):
        kit_of("scitulu-7b", chat_format="tullu")
    spec = ModelSpec(name="x", backend="vllm", weights="lab/x", chat_format="auto")
    with pytest.raises(UsageError, match="the tokenizer of x brings no chat template"):
        open_kit(spec, PromptOptions(), Settings(offline=True, hub_endpoint="http://127.0.0.1:9"))

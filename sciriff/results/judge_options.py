"""Who judges, how many samples, and by which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sciriff.errors import UsageError
from sciriff.models.registry import AUTO, ModelSpec, find_model, load_models
from sciriff.scoring.judge import JUDGED_TASKS, SEED
from sciriff.settings import Settings

DEFAULT_JUDGE = "gpt-4o-2024-08-06"
"""That of the original. The numbers of the SciRIFF paper are by gpt-3.5-turbo."""

JudgeMode = Literal["live", "batch", "off"]


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """How replies are judged.

    Attributes:
        mode: ``live``: one by one; ``batch``: in batches, at half the price and within a day; ``off``: not at all.
        model: the judge: a model of the OpenAI protocol, as for ``--model``, or what its server calls it.
        base_url: its server, in place of that of its entry.
        samples: at most so many samples of each task are judged; ``all``; None for each task's own number (100
            summaries, all answers).
        seed: of the draw of these.
    """

    mode: JudgeMode = "live"
    model: str = DEFAULT_JUDGE
    base_url: str | None = None
    samples: int | Literal["all"] | None = None
    seed: int = SEED

    def __post_init__(self) -> None:
        if isinstance(self.samples, int) and self.samples < 1:
            raise UsageError(
                f"{self.samples} samples to judge are too few; ask for at least 1, or switch the judge off"
            )

    def most(self, task: str) -> int | None:
        """At most so many samples of a task are judged; None for all."""
        if self.samples is None:
            return JUDGED_TASKS[task].most
        return None if self.samples == "all" else self.samples


def find_judge(options: JudgeOptions, settings: Settings) -> ModelSpec:
    """The model that judges. It gets messages, whatever its entry says of chat formats.

    Raises:
        UsageError: if there is no such model, or it cannot be asked by the OpenAI protocol.
    """
    by_server_name = [spec for spec in load_models(settings).values() if spec.api_model == options.model]
    spec = by_server_name[0] if by_server_name else find_model(options.model, settings)
    if spec.backend != "openai":
        raise UsageError(
            f"judge {options.model}: a judge is asked by the OpenAI protocol; serve its weights (vllm serve) and give "
            "--judge-model vllm:NAME --judge-base-url http://HOST:PORT/v1"
        )
    elsewhere = options.base_url is not None and options.base_url != spec.base_url
    changes = {"base_url": options.base_url, "price": None} if elsewhere else {}
    return spec.model_copy(update={"chat_format": AUTO, **changes})

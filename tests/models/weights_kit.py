"""A folder with the small files of weights, as tests of prompts need it: no weights in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sciriff.models.instances import InstanceSet
from sciriff.resources import resource_dir

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def make_weights(
    folder: Path, *, context: int | None = 4096, template: Any = CHATML, tokenizer: bool = True, **config: Any
) -> Path:
    """Write ``config.json``, ``tokenizer_config.json`` and the bundled Llama-2-style ``tokenizer.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {} if context is None else {"max_position_embeddings": context}
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **sizes}))
    stated = {
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "lstrip": False},
        "chat_template": template,
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps({key: value for key, value in stated.items() if value}))
    if tokenizer:
        shutil.copy(resource_dir("samples") / "tokenizer.json", folder / "tokenizer.json")
    return folder


def make_instances(task: str, number: int, *, text: str = "question {n}", split: str = "validation") -> InstanceSet:
    """So many small instances of a task."""
    rows = tuple(
        {"_instance_id": f"{task}:{split}:{n}", "input": text.format(n=n), "output": f"answer {n}"}
        for n in range(number)
    )
    return InstanceSet(task, 4096, split, None, "somewhere", "hash", "key", "", rows, rows)

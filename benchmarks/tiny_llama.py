"""A Llama of a few megabytes with random weights, in the files of a checkpoint: for tests and measurements of engines.

It speaks gibberish with the tokenizer of the samples, always the same gibberish: next tokens are told apart by far
more than the rounding of 32-bit numbers. End of text is made likely enough to come in many replies, and so is a special
token that is no end, ``<s>``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sciriff.resources import resource_dir

HIDDEN, INNER, LAYERS, HEADS = 64, 128, 2, 2  # vLLM on a processor wants heads of 32 or more
CONTEXT_TOKENS = 4096
BEGINNING, END = 1, 2
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

_SPREAD = 0.5
_LIKELIHOOD = {BEGINNING: 1.7, END: 2.0}


def write_tiny_llama(folder: Path, seed: int = 1) -> Path:
    """Write config, tokenizer and weights into a folder, the same bytes for the same seed; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = resource_dir("samples") / "tokenizer.json"
    vocabulary = len(json.loads(tokenizer.read_bytes())["model"]["vocab"])
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    _write_json(folder / "config.json", _config(vocabulary))
    _write_json(folder / "tokenizer_config.json", _TOKENIZER_CONFIG)
    # What an evaluation must not be led astray by.
    _write_json(folder / "generation_config.json", {"eos_token_id": END, "temperature": 0.9, "repetition_penalty": 1.3})
    _write_tensors(folder / "model.safetensors", dict(_tensors(vocabulary, np.random.default_rng(seed))))
    return folder


_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "model_max_length": CONTEXT_TOKENS,
    "clean_up_tokenization_spaces": False,
    "chat_template": CHAT_TEMPLATE,
}


def _config(vocabulary: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HIDDEN // HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": CONTEXT_TOKENS,
        "tie_word_embeddings": False,
        "bos_token_id": BEGINNING,
        "eos_token_id": END,
        "torch_dtype": "float32",
    }


def _tensors(vocabulary: int, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    def drawn(*shape: int) -> np.ndarray:
        return (_SPREAD * random.standard_normal(shape)).astype(np.float32)

    ones = np.ones(HIDDEN, dtype=np.float32)
    yield "model.embed_tokens.weight", drawn(vocabulary, HIDDEN)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for name in "qkvo":
            yield f"{prefix}.self_attn.{name}_proj.weight", drawn(HIDDEN, HIDDEN)
        yield f"{prefix}.mlp.gate_proj.weight", drawn(INNER, HIDDEN)
        yield f"{prefix}.mlp.up_proj.weight", drawn(INNER, HIDDEN)
        yield f"{prefix}.mlp.down_proj.weight", drawn(HIDDEN, INNER)
        yield f"{prefix}.input_layernorm.weight", ones
        yield f"{prefix}.post_attention_layernorm.weight", ones
    yield "model.norm.weight", ones
    head = drawn(vocabulary, HIDDEN)
    for token, factor in _LIKELIHOOD.items():
        head[token] *= factor
    yield "lm_head.weight", head


def _write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """The safetensors format: length of the header, header with places, then the numbers."""
    header, place = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [place, place + tensor.nbytes]}
        place += tensor.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        for tensor in tensors.values():
            stream.write(tensor.tobytes())


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

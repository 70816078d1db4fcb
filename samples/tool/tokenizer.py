"""Trains the small tokenizer in the style of Llama 2's on the texts of the samples and of the task templates.

What it shares with Llama 2's: blanks become ``▁`` and one is put in front, there is no pre-tokenizer, merges are
byte-pair encoding with fallback to 256 byte tokens, digits stand alone, and no token crosses a blank (runs of blanks
apart), so that token counts add up over words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from samples.tool import corpus
from samples.tool.markup import parse_markup

VOCABULARY = 8_000
_BLANK = "▁"
_SPECIAL = ("<unk>", "<s>", "</s>")
_RUN_LENGTHS = (2, 4, 8, 16)


def train_tokenizer(texts: Iterable[str]) -> str:
    """Train and return ``tokenizer.json``.

    The library trains with a pre-tokenizer that cuts words and digits; the file is then written with Llama 2's
    normalizer and decoder, byte tokens and runs of blanks in their places.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence([normalizers.Prepend(_BLANK), normalizers.Replace(" ", _BLANK)])
    # A word with the blank before it, or a run of signs with the blank before it, or one digit, line feed or blank.
    word = Regex(rf"{_BLANK}?\p{{L}}+|{_BLANK}?[^{_BLANK}\n\p{{L}}\p{{Nd}}]+|\p{{Nd}}|\n|{_BLANK}")
    trained.pre_tokenizer = pre_tokenizers.Split(word, behavior="isolated")
    room = VOCABULARY - len(_SPECIAL) - 256 - len(_RUN_LENGTHS)
    trained.train_from_iterator(
        sorted(texts),
        trainers.BpeTrainer(vocab_size=room, min_frequency=2, show_progress=False, initial_alphabet=[_BLANK]),
    )
    learnt = json.loads(trained.to_str())["model"]
    return json.dumps(_llama_style(learnt), ensure_ascii=False, separators=(",", ":")) + "\n"


def _llama_style(learnt: dict[str, object]) -> dict[str, object]:
    vocabulary = learnt["vocab"]
    merges = learnt["merges"]
    assert isinstance(vocabulary, dict)
    assert isinstance(merges, list)
    runs = [_BLANK * length for length in _RUN_LENGTHS]
    tokens = [
        *_SPECIAL,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *runs,
        *sorted(vocabulary, key=vocabulary.__getitem__),
    ]
    run_merges = [[run[: len(run) // 2], run[: len(run) // 2]] for run in runs]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number, token in enumerate(_SPECIAL)
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": _BLANK},
                {"type": "Replace", "pattern": {"String": " "}, "content": _BLANK},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": _BLANK}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(dict.fromkeys(tokens))},
            # Runs of blanks come first, as in Llama 2: of "a  b" both blanks become one token.
            "merges": [" ".join(merge) for merge in [*run_merges, *_pairs(merges)]],
        },
    }


def _pairs(merges: list[object]) -> list[list[str]]:
    return [merge.split(" ") if isinstance(merge, str) else list(merge) for merge in merges]  # type: ignore[call-overload]


def training_texts(root: Path) -> list[str]:
    """The plain texts of the corpus, what tables and JSON answers look like, and the wording of the task templates."""
    texts: list[str] = []
    for name in (
        "biomedical",
        "anatomy_excerpts",
        "papers",
        "syntheses",
        "citations",
        "articles",
        "instructions",
        "tables",
    ):
        for record in corpus.load(name):
            texts += _strings(record)
    templates = root / "templates"
    texts += [path.read_text(encoding="utf-8") for path in sorted(templates.glob("tasks/*.yaml"))]
    return texts


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        try:
            return [parse_markup(value).text]
        except ValueError:
            return [value]
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in _strings(key) + _strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner)]
    return [str(value)]

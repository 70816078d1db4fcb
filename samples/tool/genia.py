"""The invented abstracts on genes and proteins as GENIA in DyGIE lines."""

from __future__ import annotations

import json
from typing import Any

from samples.tool import corpus
from samples.tool.packing import pack_tar_gz
from samples.tool.papers import dygie_document

TRAIN, DEV = 7, 3
_TYPES = {"Dn": "DNA", "Rn": "RNA", "Pr": "protein", "Cl": "cell_line", "Ct": "cell_type"}
_BRACKETS = {"-LRB-": "(", "-RRB-": ")"}
_FILES = {"train": "train", "dev": "validation", "test": "test"}
_NEXT = {"train": "dev", "dev": "test"}


def genia() -> bytes:
    """GENIA: split names in the ids; one abstract lies in two splits; clusters begin with an entity or an anaphor."""
    lines: dict[str, list[str]] = {split: [] for split in _FILES}
    numbered = list(enumerate(corpus.load("molecular_biology")))
    for split, part in corpus.cut(numbered, TRAIN, DEV).items():
        for number, source in part:
            pieces = {split: source["abstract"], _NEXT.get(split, ""): source.get("continued", "")}
            for place, text in pieces.items():
                if text:
                    lines[place].append(json.dumps(_document(f"{99100021 + 113 * number}_{place}", text)))
    return pack_tar_gz({f"genia/{_FILES[split]}.json": "\n".join(part).encode() for split, part in lines.items()})


def _document(key: str, text: str) -> dict[str, Any]:
    document = dygie_document(key, {"abstract": text, "split_hyphens": True}, _TYPES)
    sentences = [[_BRACKETS.get(token, token) for token in sentence] for sentence in document["sentences"]]
    return {**document, "sentences": sentences}

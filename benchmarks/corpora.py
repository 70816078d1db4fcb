"""Seeded corpora with realistic words and lengths: abstracts with BioRED entities (PubTator), papers (JSON lines)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from sciriff.resources import resource_dir

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
TYPES = ("ChemicalEntity", "DiseaseOrPhenotypicFeature", "GeneOrGeneProduct")

_SYMBOLS = ("12.5%", "IL-6", "p<0.05", "β-actin", "(n=24)", "10mg/kg", "TNF-α", "37°C")
_PARAGRAPHS = 20_000


class Words:
    """Draws words with Zipf's frequencies.

    The frequent ones are words that the bundled tokenizer knows whole, as real text has them; the rare ones are made
    up of pieces that it knows. Numbers and symbols are strewn in.
    """

    def __init__(self, seed: int, kinds: int = 30_000) -> None:
        self._random = np.random.default_rng(seed)
        description = orjson.loads((resource_dir("samples") / "tokenizer.json").read_bytes())
        tokens = description["model"]["vocab"]
        known = [token[1:] for token in tokens if token.startswith("▁") and token[1:].isalpha() and len(token) > 2]
        parts = [token for token in tokens if token.isalpha() and token.isascii() and 3 <= len(token) <= 6]
        made_up = ["".join(parts[part] for part in row) for row in self._random.integers(0, len(parts), (kinds, 2))]
        self._vocabulary = known + made_up
        for place in range(40, len(self._vocabulary), 23):
            self._vocabulary[place] = _SYMBOLS[place % len(_SYMBOLS)]
        weights = np.arange(1, len(self._vocabulary) + 1) ** -1.1
        self._cumulative = np.cumsum(weights / weights.sum())

    def draw(self, count: int) -> list[str]:
        """Draw words."""
        places = np.searchsorted(self._cumulative, self._random.random(count))
        last = len(self._vocabulary) - 1
        return [self._vocabulary[min(place, last)] for place in places]

    def text(self, count: int) -> str:
        """Draw running text: a full stop after about every 20th word."""
        words = self.draw(count)
        for place in range(19, count, 20):
            words[place] += "."
        return " ".join(words)

    def lengths(self, count: int, median: float, sigma: float, low: int, high: int) -> np.ndarray:
        """Draw text lengths in words, log-normal within bounds."""
        return np.clip(self._random.lognormal(np.log(median), sigma, count), low, high).astype(int)

    def integers(self, low: int, high: int, count: int) -> np.ndarray:
        """Draw integers."""
        return self._random.integers(low, high, count)


def write_abstracts(folder: Path, count: int, seed: int) -> dict[str, Path]:
    """Write annotated abstracts in PubTator format: file key -> file, one file a split."""
    words = Words(seed)
    files = {}
    pmid = 10_000_000
    for split, share in SPLITS.items():
        files[split] = folder / f"{split}.PubTator"
        with files[split].open("w", encoding="utf-8") as out:
            for size in words.lengths(round(count * share), 190, 0.35, 60, 480):
                pmid += 1
                title, abstract = words.text(14), words.text(int(size))
                text = f"{title} {abstract}"
                out.write(f"{pmid}|t|{title}\n{pmid}|a|{abstract}\n")
                for start in sorted(set(words.integers(0, len(text) - 30, 24).tolist())):
                    begin = text.find(" ", start) + 1
                    end = text.find(" ", begin + 3)
                    if 0 < begin < end:
                        out.write(f"{pmid}\t{begin}\t{end}\t{text[begin:end]}\t{TYPES[begin % 3]}\tD{begin:06}\n")
                out.write("\n")
    return files


def write_papers(folder: Path, count: int, seed: int) -> dict[str, Path]:
    """Write long papers as JSON lines (``article``, ``abstract``): file key -> file, one file a split."""
    words = Words(seed)
    paragraphs = [words.text(int(size)) for size in words.lengths(_PARAGRAPHS, 90, 0.5, 20, 300)]
    sizes = np.array([paragraph.count(" ") + 1 for paragraph in paragraphs])
    files = {}
    for split, share in SPLITS.items():
        files[split] = folder / f"{split}.jsonl"
        with files[split].open("wb") as out:
            for size in words.lengths(round(count * share), 5_000, 0.9, 330, 26_000):
                chosen = words.integers(0, _PARAGRAPHS, int(size) // 20 + 2)
                kept = chosen[: int(np.searchsorted(np.cumsum(sizes[chosen]), size)) + 1]
                record = {"article": "\n".join(paragraphs[place] for place in kept), "abstract": words.text(180)}
                out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return files

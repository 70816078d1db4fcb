"""Seeded corpora with realistic words and lengths: abstracts with entities (PubTator) and long papers (JSON lines)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
TYPES = ("Chemical", "Disease", "Gene")

_SYLLABLES = "al an ar ase ate ben bi car cel chlor co cyt de di e en ep er ex fer gen glu hy ic im in ine ion is ity ki la lin lo "
_SYLLABLES += "ly ma me mi mo ne neur o ol or ox pan pep phen plas pro re ri ro se sis sol sta syn ta te ther ti tion to tri ul um va vi xa"
_COMMON = [
    "the",
    "of",
    "and",
    "in",
    "to",
    "with",
    "a",
    "for",
    "was",
    "is",
    "were",
    "by",
    "that",
    "as",
    "on",
    "at",
    "from",
    "we",
    "this",
    "these",
    "are",
    "be",
    "an",
    "not",
    "or",
    "which",
    "after",
    "between",
]
_PARAGRAPHS = 20_000


class Words:
    """Draws words with Zipf's frequencies: function words first, then made-up terms, numbers and symbols."""

    def __init__(self, seed: int, kinds: int = 60_000) -> None:
        self._random = np.random.default_rng(seed)
        syllables = _SYLLABLES.split()
        parts = self._random.integers(0, len(syllables), (kinds, 5))
        length = self._random.integers(1, 6, kinds)
        made_up = ["".join(syllables[part] for part in row[:n]) for row, n in zip(parts, length, strict=True)]
        for place in range(7, kinds, 23):
            made_up[place] = ("12.5%", "IL-6", "p<0.05", "β-actin", "(n=24)", "10mg/kg", "TNF-α", "37°C")[place % 8]
        self._vocabulary = _COMMON + made_up
        weights = 1 / np.arange(1, len(self._vocabulary) + 1)
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
            for size in words.lengths(round(count * share), 5_500, 0.85, 330, 27_000):
                chosen = words.integers(0, _PARAGRAPHS, int(size) // 20 + 2)
                kept = chosen[: int(np.searchsorted(np.cumsum(sizes[chosen]), size)) + 1]
                record = {"article": "\n".join(paragraphs[place] for place in kept), "abstract": words.text(180)}
                out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return files

"""The invented abstracts of clinical trials as EBM-NLP 2.0: tokens, and labels in three layers."""

from __future__ import annotations

import re

from samples.tool import corpus
from samples.tool.markup import Marked, join_marked, parse_markup
from samples.tool.packing import pack_tar_gz

TRAIN = 10
_LAYERS = {"participants": "P", "interventions": "I", "outcomes": "O"}
_TOKEN = re.compile(r"\w+(?:[.,'/-]\w+)*|\S")
_ROOT = "ebm_nlp_2_00"


def ebm_nlp() -> bytes:
    """EBM-NLP: no newline at the end of a file; two sets of labels of the test part; one layer is missing once."""
    members: dict[str, bytes] = {f"{_ROOT}/README.txt": b"Sample written for this project.\n"}
    for number, source in enumerate(corpus.load("trial_abstracts")):
        pmid = f"{90081003 + 271 * number}"
        marked = join_marked([parse_markup(source["title"]), parse_markup(source["abstract"])], " ")
        tokens = list(_TOKEN.finditer(marked.text))
        members[f"{_ROOT}/documents/{pmid}.text"] = marked.text.encode()
        members[f"{_ROOT}/documents/{pmid}.tokens"] = "\n".join(match.group() for match in tokens).encode()
        for layer, letter in _LAYERS.items():
            if number == 5 and layer == "participants":
                continue
            labels = _labels(marked, tokens, letter, pmid)
            spans = [str(int(label != "0")) for label in labels]
            for part in ("train",) if number < TRAIN else ("test/gold", "test/crowd"):
                file = f"{layer}/{part}/{pmid}.AGGREGATED.ann"
                shown = labels if part != "test/crowd" else ["0" if label == "6" else label for label in labels]
                members[f"{_ROOT}/annotations/aggregated/hierarchical_labels/{file}"] = "\n".join(shown).encode()
                members[f"{_ROOT}/annotations/aggregated/starting_spans/{file}"] = "\n".join(spans).encode()
    # As in the real archive, annotations come before the documents, and documents in no order.
    return pack_tar_gz(dict(sorted(members.items(), key=lambda member: (member[0].split("/")[1], member[0][::-1]))))


def _labels(marked: Marked, tokens: list[re.Match[str]], letter: str, pmid: str) -> list[str]:
    """One label for each token.

    Raises:
        ValueError: if a mention cuts a token.
    """
    labels = ["0"] * len(tokens)
    for span in marked.spans:
        if span.code[0] == letter:
            inside = [n for n, token in enumerate(tokens) if span.start <= token.start() and token.end() <= span.end]
            if "".join(tokens[n].group() for n in inside) != "".join(marked.surface(span).split()):
                raise ValueError(f"{pmid}: {marked.surface(span)!r} cuts a token")
            for place in inside:
                labels[place] = span.code[1]
    return labels

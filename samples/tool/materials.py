"""The invented synthesis procedures as the archive of annotated materials syntheses (brat with events)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from samples.tool import corpus
from samples.tool.markup import Marked, Span, join_marked, parse_markup
from samples.tool.packing import pack_zip

TRAIN, DEV = 14, 5
_ROOT = "annotated-materials-syntheses-master"
_ROLES = {
    "P": "Recipe_Precursor",
    "S": "Solvent_Material",
    "X": "Participant_Material",
    "T": "Recipe_Target",
    "A": "Atmospheric_Material",
}
_TYPES = {
    "Op": "Operation",
    "M": "Material",
    "N": "Number",
    "U": "Amount-Unit",
    "C": "Condition-Unit",
    "Q": "Condition-Misc",
    "D": "Material-Descriptor",
    "App": "Synthesis-Apparatus",
}
_UNIT_RELATIONS = {"U": "Number_Of", "C": "Number_Of"}
_ROLE = re.compile(r"([PSXTA])(\d+)")


def annotated_materials_syntheses() -> bytes:
    """Texts with DOI and title line, brat files with T, E, R and A lines, and the three fold lists."""
    members: dict[str, bytes] = {
        f"{_ROOT}/": b"",
        f"{_ROOT}/README.md": b"Sample written for this project; the layout is that of the real archive.\n",
        f"{_ROOT}/data/": b"",
    }
    slugs: list[str] = []
    files: dict[str, bytes] = {}
    for number, source in enumerate(corpus.load("syntheses")):
        doi = f"10.99999/sample.{2015 + number % 7}.{number * 37 + 101:04d}"
        slugs.append(re.sub(r"\W", "", doi))
        marked = _document(doi, source)
        files[f"{_ROOT}/data/{slugs[-1]}.txt"] = marked.text.encode()
        files[f"{_ROOT}/data/{slugs[-1]}.ann"] = _brat(marked).encode()
    members |= dict(sorted(files.items()))
    for split, part in corpus.cut(slugs, TRAIN, DEV).items():
        # The lists of the real archive are in no order that sorting would give.
        members[f"{_ROOT}/sfex-{split}-fnames.txt"] = "".join(f"{slug}\n" for slug in part[::2] + part[1::2]).encode()
    return pack_zip(members)


def _document(doi: str, source: dict[str, Any]) -> Marked:
    text = parse_markup(source["text"])
    head = Marked(f"{doi}\n{source['title']}\n\n", ())
    whole = join_marked([head, text, Marked("\n", ())], "")
    return _restore_lost_characters(whole)


def _restore_lost_characters(marked: Marked) -> Marked:
    """Write ``<?>`` as ``[?]``: the same length, so that no span moves."""
    return marked._replace(text=marked.text.replace("<?>", "[?]"))


def _brat(marked: Marked) -> str:
    lines: list[str] = []
    names: dict[Span, str] = {}
    operations = [span for span in marked.spans if span.code == "Op"]
    events: list[str] = []
    for span in marked.spans:
        if span.code != "Op":
            names[span] = f"T{len(names) + len(operations) + 1}"
    for number, span in enumerate(operations, 1):
        arguments = [
            f"{_ROLES[role]}:{names[other]}"
            for other in marked.spans
            if other.code not in _TYPES
            for role, target in _roles(other.code)
            if target == number
        ]
        lines.append(f"T{number}\tOperation {span.start} {span.end}\t{marked.surface(span)}\n")
        lines.append(f"E{number}\tOperation:T{number} {' '.join(arguments)}\n")
        events.append(f"E{number}")
    lines += [
        f"{name}\t{_TYPES.get(span.code, 'Material')} {span.start} {span.end}\t{marked.surface(span)}\n"
        for span, name in names.items()
    ]
    relations = [f"Next_Operation Arg1:{first} Arg2:{second}" for first, second in pairwise(events)]
    spans = list(names)
    relations += [
        f"{_UNIT_RELATIONS[unit.code]} Arg1:{names[number]} Arg2:{names[unit]}"
        for number, unit in pairwise(spans)
        if number.code == "N" and unit.code in _UNIT_RELATIONS and unit.start - number.end <= 1
    ]
    lines += [f"R{number}\t{relation}\t\n" for number, relation in enumerate(relations, 1)]
    if events:
        lines += [f"A1\tStart_Recipe {events[0]}\n", f"A2\tEnd_Recipe {events[-1]}\n"]
    return "".join(lines)


def _roles(code: str) -> list[tuple[str, int]]:
    roles = _ROLE.findall(code)
    if "+".join(role + number for role, number in roles) != code:
        raise ValueError(f"{code!r} is no material code; expected a role letter and the number of an operation")
    return [(role, int(number)) for role, number in roles]

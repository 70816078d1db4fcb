"""The invented eligibility criteria as Chia, and the texts on drug interactions as the DDI corpus: brat archives."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

from samples.tool import corpus
from samples.tool.brat import BratMention, brat_mentions, with_crlf
from samples.tool.markup import parse_markup
from samples.tool.packing import pack_zip

_CHIA = {
    "C": "Condition",
    "Dv": "Device",
    "Dr": "Drug",
    "M": "Measurement",
    "Md": "Mood",
    "Mu": "Multiplier",
    "N": "Negation",
    "O": "Observation",
    "P": "Person",
    "Pr": "Procedure",
    "Q": "Qualifier",
    "R": "Reference_point",
    "S": "Scope",
    "T": "Temporal",
    "V": "Value",
    "Vi": "Visit",
    "Nq": "Non-query-able",
    "Pe": "Post-eligibility",
    "Ic": "Informed_consent",
    "Er": "Parsing_Error",
}
_CHIA_RELATIONS = {"Value": "Has_value", "Temporal": "Has_temporal"}
_CHIA_HALVES = {"inclusion": "inc", "exclusion": "exc"}
_DDI = {"d": "DRUG", "b": "BRAND", "g": "GROUP", "n": "DRUG_N"}


def chia() -> bytes:
    """Chia with scope: two texts a trial, most with CRLF; mentions in pieces; surface texts broken over lines."""
    root = "chia_with_scope"
    members: dict[str, bytes] = {f"{root}/annotation.conf": b"[entities]\nCondition\n"}
    for number, trial in enumerate(corpus.load("eligibility")):
        for half, suffix in _CHIA_HALVES.items():
            name = f"{root}/NCT99{number * 731 + 104:06d}_{suffix}"
            marked = parse_markup(trial[half])
            text, mentions = marked.text, brat_mentions(marked, _CHIA)
            if not trial.get("lf"):
                text, mentions = with_crlf(text, mentions)
            members[f"{name}.txt"] = text.encode()
            members[f"{name}.ann"] = _chia_annotations(mentions).encode()
    # The real archive is in the order of a directory, which is not that of the names.
    return pack_zip(dict(reversed(members.items())))


def _chia_annotations(mentions: list[list[BratMention]]) -> str:
    numbered = list(enumerate((mention for group in mentions for mention in group), start=1))
    number_of = {id(mention): number for number, mention in numbered}
    lines = [mention.line(number) for number, mention in numbered]
    relations = [
        f"{_CHIA_RELATIONS[second.type]} Arg1:T{number} Arg2:T{number + 1}"
        for (number, first), (_, second) in pairwise(numbered)
        if second.type in _CHIA_RELATIONS and first.type not in _CHIA_RELATIONS
    ]
    lines += [f"R{number}\t{relation}\t\n" for number, relation in enumerate(relations, start=1)]
    for group in mentions:
        for first, second in combinations(group, 2):
            lines.append(f"*\tOR T{number_of[id(first)]} T{number_of[id(second)]}\n")
    if len(numbered) > 4:
        lines.append("A1\tOptional T3\n")
    return "".join(lines)


def ddi() -> bytes:
    """DDI corpus: brat in folders by kind of text; blanks and parentheses in names; no validation split."""
    root = "DDICorpusBrat"
    members: dict[str, bytes] = {}
    for number, text in enumerate(corpus.load("drug_interactions")):
        kind, name = ("MedLine", f"{90070011 + 59 * number}") if text["name"] is None else ("DrugBank", text["name"])
        stem = f"{root}/{text['split'].title()}/{kind}/{name}{'' if kind == 'MedLine' else '_ddi'}"
        members |= _ddi_files(stem, text)
    folders = dict.fromkeys(f"{path.rpartition('/')[0]}/" for path in members)
    # Within its folder, a text comes after its annotations and the last name first, as no listing would sort them.
    return pack_zip({**dict.fromkeys(folders, b""), **dict(reversed(members.items()))})


def _ddi_files(stem: str, source: dict[str, Any]) -> dict[str, bytes]:
    marked = parse_markup(source["text"])
    text, mentions = marked.text, brat_mentions(marked, _DDI)
    if source.get("crlf"):
        text, mentions = with_crlf(text, mentions)
    flat = [mention for group in mentions for mention in group]
    lines = [mention.line(number) for number, mention in enumerate(flat, start=1)]
    if len(flat) > 1:
        lines.append("R1\tINT Arg1:T1 Arg2:T2\n")
    return {f"{stem}.txt": text.encode(), f"{stem}.ann": "".join(lines).encode()}

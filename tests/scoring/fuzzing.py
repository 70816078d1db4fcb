"""Replies of every kind that models give, and of kinds that they hardly do: mutations of a reference, seeded."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

_SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2.5,
    1e308,
    10**400,
    "",
    " ",
    "null",
    "A",
    "the",
    "-",
    "x\ud83d",
    "\u0000",
)
_NAMES = ("Gene", "gene ", "Task", "answer", "ANSWER", "evidence", "verdict", "effect", "intervention", "", "0", "x")
_ENDS = ("", "</s>", "</s>\n", "<|im_end|>", " s", ">", "\ufeff", "```", "}", "]", "]]]", ",", "\n\n\nDone.")
_STARTS = (
    "",
    "<s>",
    "Sure! ",
    "```json\n",
    "e.g. {} so ",
    "see [1]: ",
    "[ ",
    "} ",
    "{not json} ",
    "I'm sorry, but ",
    "\n",
)


def fuzzed_reply(reference: str, chance: random.Random) -> str:
    """A reply that has to do with the reference, more or less."""
    return chance.choice(_WAYS)(reference, chance)


def _garbled_text(text: str, chance: random.Random) -> str:
    characters = list(text)
    for _ in range(chance.randint(1, 12)):
        place = chance.randrange(len(characters) + 1)
        match chance.randrange(3):
            case 0:
                del characters[place : place + chance.randint(1, 5)]
            case 1:
                characters.insert(place, chance.choice('{}[]",:\\\n\t eE-+.0é\ud83d\u2028'))
            case _:
                characters[place : place + 3] = reversed(characters[place : place + 3])
    return "".join(characters)


def _cut_text(text: str, chance: random.Random) -> str:
    return text[: chance.randint(0, len(text))]


def _wrapped_text(text: str, chance: random.Random) -> str:
    return chance.choice(_STARTS) + text + chance.choice(_ENDS)


def _other_json(_: str, chance: random.Random) -> str:
    return json.dumps(_value(chance, 4), ensure_ascii=chance.random() < 0.5)


def _changed_json(text: str, chance: random.Random) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return _garbled_text(text, chance)
    return json.dumps(_changed(value, chance), ensure_ascii=chance.random() < 0.5)


def _repeated(text: str, chance: random.Random) -> str:
    return chance.choice((" ", "\n", ", ", "")).join([text] * chance.randint(2, 30))


def _nested(_: str, chance: random.Random) -> str:
    return chance.choice(("[", '{"a":', "[[1,", '{"Gene":[', '["a",')) * chance.randint(50, 3000)


def _noise(_: str, chance: random.Random) -> str:
    alphabet = chance.choice(('{}[]",:', "abc \n", "é漢字🙂 \ud800", "0123456789.-eE", "</s>"))
    return "".join(chance.choice(alphabet) for _ in range(chance.randint(0, 60)))


_WAYS: tuple[Callable[[str, random.Random], str], ...] = (
    _garbled_text,
    _cut_text,
    _wrapped_text,
    _other_json,
    _changed_json,
    _changed_json,
    _changed_json,
    _repeated,
    _nested,
    _noise,
)


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(4 if depth else 2)
    if kind < 2:
        return chance.choice(_SCALARS)
    if kind == 2:
        return [_value(chance, depth - 1) for _ in range(chance.randint(0, 6))]
    return {chance.choice(_NAMES): _value(chance, depth - 1) for _ in range(chance.randint(0, 4))}


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with parts of it changed, taken away, doubled, wrapped or in another order."""
    if chance.random() < 0.1:
        return _value(chance, 2)
    if chance.random() < 0.05:
        return [value]
    if isinstance(value, list):
        items = [_changed(item, chance) for item in value if chance.random() > 0.1]
        if chance.random() < 0.2:
            items += items[: chance.randint(0, 3)]
        if chance.random() < 0.2:
            chance.shuffle(items)
        return items
    if isinstance(value, dict):
        names = {True: str.upper, False: str}
        return {
            names[chance.random() < 0.05](name): _changed(item, chance)
            for name, item in value.items()
            if chance.random() > 0.05
        }
    return value.upper() if isinstance(value, str) and chance.random() < 0.1 else value

"""What a judge's reply says: our reading of it, and what the original's two parsers make of it."""

from __future__ import annotations

import re

_MARKER = r"(?:rating|decision)[ \t*_`]*:"
_DRESS = r"[\s*_`\"'“”‘’\[\](){}<>]*"
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_RATING = re.compile(
    rf"{_DRESS}(?P<rating>[1-5]|{'|'.join(_WORDS)})(?:{_DRESS}(?:/|out[ ]of)\s*(?:5|five))?(?P<rest>(?![\w%/]).*)",
    re.IGNORECASE | re.DOTALL,
)
_MARKED_LINE = re.compile(
    rf"^[ \t*_`#>-]*(?:(?:my|final|overall)[ ]+)?{_MARKER}(?P<said>[\s*_`]*.*)$", re.IGNORECASE | re.MULTILINE
)
_LAST_MARKER = re.compile(rf".*\b{_MARKER}(?P<said>[^\w\n]*\w+(?:/5|[ ]out[ ]of[ ]5)?\W*)\Z", re.IGNORECASE | re.DOTALL)

_ORIGINAL_MARKERS = ("Decision:", "Rating:")
_ORIGINAL_RATING = re.compile(r"Rating:\s*(\d+)")
_ORIGINAL_FALLBACK = 3
_SCALE = range(1, 6)


def points(rating: int) -> float:
    """A rating from 1 to 5 as a value from 0 to 1."""
    return (rating - 1) / 4


def rating_of(reply: str) -> int | None:
    """The rating that a reply gives, or None if it gives none, or not one only.

    It stands behind ``Decision:`` or ``Rating:`` at the beginning of a line, or on the next line; where no line begins
    so, behind the last such marker if the rating ends the reply; or it is all of the reply. Mark-up, ``4/5``, a full
    stop and words behind it do no harm; another number there does, for it may be a range or another scale.
    """
    said = [match["said"] for match in _MARKED_LINE.finditer(reply)]
    if not said:
        last = _LAST_MARKER.match(reply)
        said = [last["said"] if last else reply]
    ratings = {_rating(each) for each in said}
    return ratings.pop() if len(ratings) == 1 else None


def _rating(said: str) -> int | None:
    found = _RATING.fullmatch(said)
    if found is None or re.search(r"\d", found["rest"]):
        return None
    word = found["rating"].lower()
    return _WORDS.get(word) or int(word)


def original_decision(reply: str) -> float | None:
    """The value of a reply about a summary in the original's batch mode; None, an "error", is left out of the mean.

    Its synchronous mode also leaves out ratings of 1.
    """
    marker = next((marker for marker in _ORIGINAL_MARKERS if marker in reply), None)
    if marker is None:
        return None
    said = reply.partition(marker)[2].strip()
    return points(int(said)) if said in {str(rating) for rating in _SCALE} else None


def original_rating(reply: str) -> float:
    """The value of a reply about an answer in the original; a reply that it cannot read counts as a rating of 3."""
    found = _ORIGINAL_RATING.search(reply)
    rating = int(found[1]) if found and len(found[1]) < 10 else 0
    return points(rating if rating in _SCALE else _ORIGINAL_FALLBACK)

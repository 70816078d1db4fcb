"""What a judge is shown of a paper: cut out of the text of an instance, by the lines that the templates promise."""

from __future__ import annotations

import re
from typing import NamedTuple

_RULE = r"^-{40}[ \t]*$"

_SUMMARY = re.compile(
    r"^Paper title:[ \t]*(?P<title>.*?)^Paper body:[ \t]*$(?P<text>.*)^\d+[- ]sentence paper summary", re.DOTALL | re.M
)
_LAST_TITLE = re.compile(r"\A.*^(?=Paper title:.*?^Paper body:[ \t]*$)", re.DOTALL | re.M)
_FIRST_LINE_OF_PAPER = re.compile(rf"{_RULE}\s*^(?P<title>.*)$", re.M)
_QUESTION = re.compile(rf"{_RULE}\s*^Question:[ \t]*(?P<question>.*)$", re.M)


class Paper(NamedTuple):
    """A paper; empty where the instance does not have its lines (another template, a prompt that was cut off).

    Attributes:
        title: its title on one line.
        text: its body, as far as the instance has it.
    """

    title: str = ""
    text: str = ""


class Question(NamedTuple):
    """A question about a paper; empty as in :class:`Paper`.

    Attributes:
        title: title of the paper.
        question: the question.
    """

    title: str = ""
    question: str = ""


def paper_of(instance: str) -> Paper:
    """The paper in an instance of mup_single_document_summarization.

    The title stands below the line ``Paper title:``; the body between the line ``Paper body:`` and the last line that
    begins with a number and ``sentence paper summary``. With examples in front, the last paper counts.
    """
    start = _LAST_TITLE.match(instance)
    found = _SUMMARY.search(instance, start.end() if start else 0)
    return Paper(" ".join(found["title"].split()), found["text"].strip()) if found else Paper()


def question_of(instance: str) -> Question:
    """Title and question in an instance of qasper_abstractive_qa.

    The question is the line ``Question:`` below the line of 40 hyphens that ends the paper, not one within the paper;
    the title is the first line of the paper.
    """
    asked = list(_QUESTION.finditer(instance))
    paper = _FIRST_LINE_OF_PAPER.search(instance, 0, asked[-1].start() if asked else len(instance))
    return Question(paper["title"].strip() if paper else "", asked[-1]["question"].strip() if asked else "")

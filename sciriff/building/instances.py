"""From rows to rendered, counted and serialised instances: the part of a build that worker processes do.

A worker gets a batch of unparsed rows and the recipe of the task. It parses, formats, renders, counts and serialises
each row once, appends the finished output lines to a spool file of its own, and returns only an index of them: what
selection, splitting and validation need to know. Nothing here depends on which worker gets which rows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import orjson

from sciriff.building.facts import Checks, InstanceFacts, compile_checks
from sciriff.building.pieces import Piece, PieceReader
from sciriff.building.texts import source_text, text_id
from sciriff.building.tokens import SharedStart, TokenCounter
from sciriff.errors import Dropped, RecordError
from sciriff.hashing import keyed_random
from sciriff.readers import load_reader
from sciriff.readers.records import Record, Row, SplitSpec
from sciriff.tasks.formatters import given_parameters, load_formatter
from sciriff.tasks.formatters.budget import Budget
from sciriff.tasks.rendering import CompiledTemplate, Fidelity, compile_template

if TYPE_CHECKING:
    from collections.abc import Callable

CHAT_MARKUP_TOKENS: Final = 20
"""Tokens of a context window kept free for chat markup (the original's pad)."""

ANY_WINDOW: Final = 0
"""The window of an instance that does not depend on the window."""

TEST: Final = "test"


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to know of a task. Plain data, so that it crosses process boundaries.

    Attributes:
        key: the task's build key; workers keep what they compile under it.
        task: task name, the first part of every instance id.
        metadata: the task file's metadata block.
        templates: template id -> (Jinja source, answer choices or None, whether it is meant for evaluation).
        template_ids: which of them to render; source split ``test`` always takes the lowest one only.
        formatter, formatter_args: name in the table of formatters, and its keyword arguments.
        fitted: whether the formatter fits text to the window and so runs once per window.
        documents: namespace of document ids.
        reader: name in the table of readers.
        splits: source split -> where it lies.
        windows: context windows in tokens, ascending.
        seed: the build's global seed.
        tokenizer: local ``tokenizer.json``.
        fidelity: ``corrected`` or ``original``, see :mod:`sciriff.tasks.rendering`.
        suite: the expectation suite, whose ``meta`` says what facts to compute.
    """

    key: str
    task: str
    metadata: Mapping[str, Any]
    templates: Mapping[int, tuple[str, str | None, bool]]
    template_ids: tuple[int, ...]
    formatter: str
    formatter_args: Mapping[str, Any]
    fitted: bool
    documents: str
    reader: str
    splits: Mapping[str, SplitSpec]
    windows: tuple[int, ...]
    seed: int
    tokenizer: Path
    fidelity: Fidelity
    suite: Mapping[str, Any]


class Instance(NamedTuple):
    """Index entry of one rendered instance; its output line lies in a spool file.

    Attributes:
        row: index of its row in the source split.
        order: place among the instances of its row (formatter order, then template id).
        window: the window it was fitted to, or ``ANY_WINDOW``.
        tokens: tokens of input plus output.
        spool: name of the spool file that holds its line.
        offset, length: where its line lies in the spool file, in bytes, line feed included.
        content: 16-byte digest of input and output.
        document: id of the document behind it.
        text: id of the text behind it, see :mod:`sciriff.building.texts`.
        facts: what validation looks at.
    """

    row: int
    order: int
    window: int
    tokens: int
    spool: str
    offset: int
    length: int
    content: bytes
    document: str
    text: str
    facts: InstanceFacts


@dataclass(slots=True)
class Batch:
    """What became of a batch of rows.

    Attributes:
        rows: how many rows it had.
        instances: those that fit at least one of the windows asked for.
        too_long: (row, window): an instance of the row does not fit this window (``ANY_WINDOW``: none of those asked
            for).
        dropped: (row, window, reason) of instances left out for another reason; window as in ``Instance``.
        malformed: (row, message) of records that could not be read, formatted or rendered.
    """

    rows: int = 0
    instances: list[Instance] = field(default_factory=list)
    too_long: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int, str]] = field(default_factory=list)
    malformed: list[tuple[int, str]] = field(default_factory=list)


def make_instances(recipe: Recipe, split: str, rows: Sequence[Row], windows: tuple[int, ...], spool: Path) -> Batch:
    """Turn a batch of rows into instances.

    Args:
        recipe: the task.
        split: the source split of the rows.
        rows: rows as the task's reader cut them.
        windows: the windows that still want instances; longer texts are not counted to their end.
        spool: folder for spool files; this process appends to one of its own.

    Raises:
        TaskFileError: if the template and the formatter do not fit together (the whole task is wrong, not one record).
    """
    kitchen = _kitchen(recipe)
    batch = Batch(rows=len(rows))
    name = f"{split}-{os.getpid()}"
    with (spool / name).open("ab") as stream, PieceReader() as pieces:
        lines = _Spool(name, stream)
        for row in rows:
            if isinstance(row.raw, Piece):
                row = row._replace(raw=pieces.read(row.raw))
            try:
                record = kitchen.parse(row, recipe.splits[split])
            except RecordError as error:
                batch.malformed.append((row.index, str(error)))
                continue
            kitchen.cook(row, record, split, windows, lines, batch)
    return batch


class _Spool:
    """A spool file that grows at its end."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._stream = stream
        self._end = stream.tell()

    def add(self, line: bytes) -> int:
        """Append a line and return its offset."""
        self._stream.write(line)
        offset = self._end
        self._end += len(line)
        return offset


_KITCHENS: dict[str, _Kitchen] = {}


def _kitchen(recipe: Recipe) -> _Kitchen:
    """What this process compiled for the recipe; only the last few tasks are kept."""
    if recipe.key not in _KITCHENS:
        while len(_KITCHENS) >= 4:
            _KITCHENS.pop(next(iter(_KITCHENS)))
        _KITCHENS[recipe.key] = _Kitchen(recipe)
    return _KITCHENS[recipe.key]


_COUNTERS: dict[Path, TokenCounter] = {}


def _counter(tokenizer: Path) -> TokenCounter:
    if tokenizer not in _COUNTERS:
        _COUNTERS[tokenizer] = TokenCounter(tokenizer)
    return _COUNTERS[tokenizer]


class _Kitchen:
    """A recipe with everything compiled: reader, formatter, templates, checks, token counter."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.parse: Callable[[Row, SplitSpec], Record] = load_reader(recipe.reader).parse
        self._format = load_formatter(recipe.formatter)
        self._wishes = given_parameters(self._format)
        self._counter = _counter(recipe.tokenizer)
        self._templates = {
            template_id: compile_template(
                *recipe.templates[template_id][:2], f"{recipe.task}.yaml, template {template_id}", recipe.fidelity
            )
            for template_id in sorted({min(recipe.templates), *recipe.template_ids})
        }
        self._text_variables = self._templates[min(self._templates)].prompt_variables
        self._starts = {template_id: SharedStart() for template_id in self._templates}
        self._checks: Checks = compile_checks(recipe.suite, recipe.fidelity)
        self._metadata: dict[tuple[str, int], bytes] = {}

    def cook(self, row: Row, record: Record, split: str, windows: tuple[int, ...], spool: _Spool, batch: Batch) -> None:
        """Format, render, count and spool one record; what does not work out is noted in the batch."""
        for window in windows if self.recipe.fitted else (ANY_WINDOW,):
            order = 0
            try:
                for variables in self._variables(row, record, split, window):
                    for template_id, template in self._templates_for(split):
                        try:
                            self._plate(
                                row, variables, split, template_id, template, window, windows, order, spool, batch
                            )
                        except RecordError as error:  # the other instances of the row go on
                            batch.malformed.append((row.index, str(error)))
                        order += 1
            except Dropped as drop:
                batch.dropped += [(row.index, window, reason) for reason in drop.reasons]
            except RecordError as error:
                batch.malformed.append((row.index, str(error)))

    def _variables(self, row: Row, record: Record, split: str, window: int) -> Iterator[dict[str, Any]]:
        arguments = dict(self.recipe.formatter_args)
        if "fidelity" in self._wishes:
            arguments["fidelity"] = self.recipe.fidelity
        if "random" in self._wishes or "budget" in self._wishes:
            random = keyed_random(self.recipe.seed, self.recipe.task, split, "fit", str(row.index))
            given = {"random": random, "budget": Budget(window - CHAT_MARKUP_TOKENS, self._counter.count, random)}
            arguments |= {name: given[name] for name in self._wishes if name in given}
        for variables in self._format(record, **arguments):
            suffix = variables.get("_suffix")
            yield {**variables, "_id": row.index if suffix is None else f"{row.index}.{suffix}"}

    def _templates_for(self, split: str) -> Iterator[tuple[int, CompiledTemplate]]:
        ids = (min(self._templates),) if split == TEST else self.recipe.template_ids
        return ((template_id, self._templates[template_id]) for template_id in ids)

    def _plate(
        self,
        row: Row,
        variables: dict[str, Any],
        split: str,
        template_id: int,
        template: CompiledTemplate,
        window: int,
        windows: tuple[int, ...],
        order: int,
        spool: _Spool,
        batch: Batch,
    ) -> None:
        rendered = template.render(variables)
        limit = (window or max(windows)) - CHAT_MARKUP_TOKENS
        input_tokens = self._counter.count_within(rendered.input, limit, self._starts[template_id])
        output_tokens = (
            None if input_tokens is None else self._counter.count_within(rendered.output, limit - input_tokens)
        )
        if input_tokens is None or output_tokens is None:
            batch.too_long.append((row.index, window))
            return
        instance_id = f"{self.recipe.task}:{split}:{variables['_id']}"
        text = text_id(source_text(variables, self._text_variables) or rendered.input)
        document = self._document(variables, text)
        texts = orjson.dumps({"input": rendered.input, "output": rendered.output})
        about = orjson.dumps(
            {
                "metadata": orjson.Fragment(self._metadata_json(split, template_id)),
                "_instance_id": instance_id,
                "_document_id": document,
                "_text_id": text,
                "_template_id": template_id,
                "_input_toks": input_tokens,
                "_output_toks": output_tokens,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        line = b"%b,%b" % (texts[:-1], about[1:])
        batch.instances.append(
            Instance(
                row=row.index,
                order=order,
                window=window,
                tokens=input_tokens + output_tokens,
                spool=spool.name,
                offset=spool.add(line),
                length=len(line),
                content=hashlib.blake2b(texts, digest_size=16).digest(),
                document=document,
                text=text,
                facts=self._checks.facts(
                    rendered, instance_id=instance_id, template_id=template_id, tokens=input_tokens + output_tokens
                ),
            )
        )

    def _document(self, variables: Mapping[str, Any], text: str) -> str:
        """``namespace:id`` where the record names its document, else ``text:`` and the id of its text."""
        if (name := variables.get("_document_id")) not in (None, ""):
            return f"{self.recipe.documents}:{name}"
        named = variables.get("_document_text")
        return f"text:{text_id(named) if named else text}"

    def _metadata_json(self, split: str, template_id: int) -> bytes:
        if (split, template_id) not in self._metadata:
            use_for_eval = self.recipe.templates[template_id][2]
            metadata = {**self.recipe.metadata, "split": split, "template_metadata": {"use_for_eval": use_for_eval}}
            self._metadata[split, template_id] = orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)
        return self._metadata[split, template_id]

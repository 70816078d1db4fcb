"""What readers yield: rows (cut, not interpreted) and records (typed)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.errors import TaskFileError

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


class Row(NamedTuple):
    """One record of a source split, cut out but not parsed. Picklable, so that worker processes can parse it.

    Attributes:
        index: place in the unshuffled source split, from 0; the ``_id`` of the task catalogue.
        where: where it came from, for messages, e.g. ``train.json:12``.
        raw: bytes or a tuple of plain values; only the reader that made it understands it.
        at: offset of ``raw`` in the file that the split's path names, where it is a piece of that file's own bytes;
            None if it was put together or the reader does not say.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which no one needs of a row
    where: str
    raw: Any
    at: int | None = None


class PassedOver(NamedTuple):
    """A record that a reader leaves out on purpose as it cuts a split. It takes no index; the manifest counts it.

    Attributes:
        reason: what it is counted under, e.g. ``repeated pmid``.
        where: which it is and where it stands, for messages.
    """

    reason: str
    where: str


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Where one source split lies.

    Attributes:
        path: member path or pattern, see :class:`sciriff.sources.archives.ArchiveView`.
        options: settings of the reader, named in the reader's docstring.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def check_options(self, reader: str, *known: str) -> None:
        """Refuse an option that the reader does not have, so that a misspelt one is not ignored.

        Raises:
            TaskFileError: naming the reader, the option and the known ones.
        """
        for option in self.options:
            if option not in known:
                hint = f"it knows {', '.join(known)}" if known else "it has none"
                raise TaskFileError(f"{self.path}: reader {reader!r} has no option {option!r}; {hint}")


class Entity(NamedTuple):
    """A typed mention.

    Attributes:
        type: the corpus's own type name, e.g. ``GeneOrGeneProduct``.
        text: the surface string of each fragment, in text order; more than one for a discontinuous mention.
    """

    type: str
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an event: the surface fragments of the entity it points at, and its role."""

    role: str
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its type, the surface fragments of its trigger, and its arguments in annotation order."""

    type: str
    trigger: tuple[str, ...]
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """An annotated document (brat, PubTator, BioC, ChemProt, LINNAEUS, EBM-NLP).

    Attributes:
        id: the corpus's document id (PubMed id, file stem).
        passages: texts in order, e.g. title and abstract.
        entities: mentions in annotation order.
        events: events in annotation order; empty for corpora without events.
    """

    id: str
    passages: tuple[str, ...]
    entities: tuple[Entity, ...]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class DygieDocument:
    """A tokenised document in the DyGIE++ line format. All token indices count over the document; ends are inclusive.

    Attributes:
        id: ``doc_key``.
        sentences: tokens of each sentence.
        ner: ``(start, end, type)`` of each mention, in document order.
        relations: ``(start_1, end_1, start_2, end_2, type)``, in document order.
        clusters: coreference clusters, each a tuple of ``(start, end)``.
    """

    id: str
    sentences: tuple[tuple[str, ...], ...]
    ner: tuple[tuple[int, int, str], ...]
    relations: tuple[tuple[int, int, int, int, str], ...]
    clusters: tuple[tuple[tuple[int, int], ...], ...]


Record = Document | DygieDocument | dict[str, Any]


class Reader(NamedTuple):
    """The two steps of one file format: ``rows`` cuts a split into rows, ``parse`` makes a record of one row."""

    rows: Callable[[ArchiveView, SplitSpec], Iterator[Row | PassedOver]]
    parse: Callable[[Row, SplitSpec], Record]

"""Digest of code, so that editing a reader, a formatter or a helper that it imports rebuilds what depends on it."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sciriff.hashing import digest

_PACKAGE = "sciriff"
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # fields of statements that hold statements

_parsing = threading.Lock()
"""Python 3.11 counts the depth of syntax trees for all threads together, and fails if two make one at a time."""

LIBRARIES = ("jinja2", "lxml", "orjson", "spacy", "tokenizers")
"""Libraries whose release can change the bytes of an instance."""


TABLES = frozenset({"sciriff.readers", "sciriff.tasks.formatters"})
"""Modules that only lead from names to modules: a new name there changes nothing for the tasks that do not use it."""


def code_digest(modules: Iterable[str]) -> str:
    """Digest of modules of this package and of everything of this package that they import, directly or not.

    :data:`TABLES` do not count, nor do imports under ``TYPE_CHECKING`` (they never run); imports inside functions do.
    """
    closure: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in closure and module not in TABLES:
            closure.add(module)
            waiting += _imports(module)
    return digest({module: _source_digest(module) for module in sorted(closure)})


def library_versions() -> dict[str, str]:
    """Installed releases of the libraries that can change the bytes of an instance."""
    return {name: version(name) for name in LIBRARIES}


def _source(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no source for module {module}")
    return Path(spec.origin)


@cache
def _source_digest(module: str) -> str:
    return hashlib.sha256(_source(module).read_bytes()).hexdigest()


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of this package that a module imports, with the package's own name spelled out."""
    with _parsing:
        tree = ast.parse(_source(module).read_bytes())
    found = []
    for base, names in _imported(tree):
        for name in names:
            candidate = f"{base}.{name}"
            if _is_module(candidate):
                found.append(candidate)
            elif _is_module(base):
                found.append(base)
    return tuple(sorted(set(found)))


@cache
def _is_module(name: str) -> bool:
    if name == _PACKAGE:
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the parent is a module, not a package
        return False


def _imported(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """(module, names) of the imports of this package that can run."""
    for statement in _statements(tree.body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name.startswith(f"{_PACKAGE}."):
                    parent, _, leaf = alias.name.rpartition(".")
                    yield parent, [leaf]
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            base = statement.module or ""
            if base.split(".")[0] == _PACKAGE:
                yield base, [alias.name for alias in statement.names]


def _statements(block: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The statements of a block and of the blocks in them, but for what stands under ``TYPE_CHECKING``."""
    for statement in block:
        yield statement
        for name in ("orelse",) if _is_for_type_checkers(statement) else _BLOCKS:
            yield from _statements(getattr(statement, name, ()))


def _is_for_type_checkers(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    )

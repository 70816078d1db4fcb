"""Digest of code, so that editing a reader, a formatter or a helper that it imports rebuilds what depends on it."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sciriff.hashing import digest

_PACKAGE = "sciriff"

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
    collector = _ImportCollector()
    with _parsing:
        tree = ast.parse(_source(module).read_bytes())
    collector.visit(tree)
    found = []
    for base, names in collector.imported:
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


class _ImportCollector(ast.NodeVisitor):
    """Collects (module, names) of the imports of this package that can run."""

    def __init__(self) -> None:
        self.imported: list[tuple[str, list[str]]] = []

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.startswith(f"{_PACKAGE}."):
                parent, _, leaf = alias.name.rpartition(".")
                self.imported.append((parent, [leaf]))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module and node.module.split(".")[0] == _PACKAGE:
            self.imported.append((node.module, [alias.name for alias in node.names]))

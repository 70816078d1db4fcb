"""A code digest changes when, and only when, code that can run changes: read in a small package of our own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sciriff.building import fingerprint
from sciriff.building.fingerprint import code_digest, library_versions

FILES = {
    "__init__.py": "",
    "leaf.py": "VALUE = 1\n",
    "middle.py": "from toypackage.leaf import VALUE\n",
    "top.py": "from __future__ import annotations\nimport json\nfrom toypackage import middle\n",
    "late.py": "def f():\n    from toypackage.leaf import VALUE\n    return VALUE\n",
    "typed.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toypackage.leaf import VALUE\n"
        "else:\n    from toypackage.other import THING\n"
    ),
    "other.py": "THING = 2\n",
    "plain.py": "import toypackage.leaf\nimport toypackage.sub.deep as deep\n",
    "loop_a.py": "import toypackage.loop_b\n",
    "loop_b.py": "from toypackage import loop_a\n",
    "alone.py": "import json\n",
    "sub/__init__.py": "from toypackage.other import THING\n",
    "sub/deep.py": "DEEP = 3\n",
    "uses_sub.py": "from toypackage.sub import THING\n",
}

Digest = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "toypackage"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fingerprint, "_PACKAGE", "toypackage")
    forget()
    yield folder
    forget()
    for name in [name for name in sys.modules if name.split(".")[0] == "toypackage"]:
        del sys.modules[name]


def forget() -> None:
    """As a new process would."""
    importlib.invalidate_caches()
    for cached in (fingerprint._imports, fingerprint._is_module, fingerprint._source_digest):
        cached.cache_clear()


DEPENDS = {
    "top": {"top", "middle", "leaf"},
    "late": {"late", "leaf"},
    "typed": {"typed", "other"},
    "plain": {"plain", "leaf", "sub/deep"},
    "loop_a": {"loop_a", "loop_b"},
    "alone": {"alone"},
    "uses_sub": {"uses_sub", "sub/__init__", "other"},
}


@pytest.mark.parametrize("module", DEPENDS)
def test_edits_of_what_a_module_imports_count_and_others_do_not(module: str, package: Path) -> None:
    before = code_digest([f"toypackage.{module}"])
    counted = set()
    for name, text in FILES.items():
        (package / name).write_text(text + "\n# edited\n", "utf-8")
        forget()
        if code_digest([f"toypackage.{module}"]) != before:
            counted.add(name.removesuffix(".py"))
        (package / name).write_text(text, "utf-8")
    forget()
    assert code_digest([f"toypackage.{module}"]) == before
    assert counted == DEPENDS[module]


def test_modules_are_a_set(package: Path) -> None:
    names = ["toypackage.top", "toypackage.late", "toypackage.typed"]
    assert code_digest(names) == code_digest([*reversed(names), names[0]])
    assert code_digest(names) != code_digest(names[:2])


def test_a_module_that_is_not_there_is_named(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"toypackage\.nothing"):
        code_digest(["toypackage.nothing"])


def test_libraries_that_decide_bytes_are_named_with_their_release() -> None:
    assert library_versions()["jinja2"].split(".")[0] == "3"
    assert {"tokenizers", "orjson", "lxml"} <= library_versions().keys()

"""The interpreter and the installed distributions."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import NamedTuple

from sciriff.checkup.finding import Finding, fail, ok, some, warning
from sciriff.settings import Settings

_DISTRIBUTION = "sciriff"
_LOCK = "requirements.lock"
_PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(?:;(?P<marker>[^\\]*))?"
)


class Differences(NamedTuple):
    """How the installed distributions differ from a lock.

    Attributes:
        other: those of another version, as ``name installed (locked)``.
        missing: those that are not installed.
        locked: how many the lock names for this machine.
    """

    other: list[str]
    missing: list[str]
    locked: int


def check_python(settings: Settings) -> Iterator[Finding]:
    """Whether this Python is one that the package supports."""
    del settings
    from packaging.specifiers import SpecifierSet

    about = distribution(_DISTRIBUTION)
    wanted = about.metadata["Requires-Python"] or ""
    running = platform.python_version()
    found = f"Python {running} ({sys.executable}), sciriff {about.version}"
    if running in SpecifierSet(wanted, prereleases=True):
        yield ok("python", found)
    else:
        yield fail(
            "python", f"{found}; it needs {wanted}", "make the environment with Python 3.11 or 3.12 (make setup)"
        )


def check_lock(settings: Settings) -> Iterator[Finding]:
    """Whether what is needed is installed, in the versions of ``requirements.lock`` where there is one."""
    del settings
    if unmet := unmet_requirements():
        yield fail("lock", f"not installed, or of a version that does not fit: {some(unmet)}", "make setup")
        return
    path = find_lock()
    if path is None:
        yield ok("lock", f"no {_LOCK} here; all requirements of the package are met")
        return
    found = compare_lock(path.read_text("utf-8"))
    if found.other:
        yield warning(
            "lock",
            f"{len(found.other)} of {found.locked} versions are not those of {path}: {some(found.other)}",
            "make setup",
        )
        return
    more = f" ({len(found.missing)} of them for development are not installed)" if found.missing else ""
    yield ok("lock", f"{found.locked - len(found.missing)} of {found.locked} versions are those of {path}{more}")


def find_lock() -> Path | None:
    """The lock of the checkout that this package lies in; None for an installed wheel."""
    path = Path(__file__).resolve().parents[2] / _LOCK
    return path if path.is_file() else None


def unmet_requirements() -> list[str]:
    """Requirements of the package itself that the environment does not meet."""
    from packaging.requirements import Requirement

    unmet = []
    for text in distribution(_DISTRIBUTION).requires or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = _installed(requirement.name)
        if installed is None:
            unmet.append(f"{requirement.name} (missing)")
        elif not requirement.specifier.contains(installed, prereleases=True):
            unmet.append(f"{requirement.name} {installed} (needs {requirement.specifier})")
    return unmet


def compare_lock(text: str) -> Differences:
    """Compare what is installed with a lock."""
    from packaging.markers import Marker

    other, missing, locked = [], [], 0
    for line in text.splitlines():
        pinned = _PINNED.match(line)
        if pinned is None or (pinned["marker"] and not Marker(pinned["marker"].strip()).evaluate()):
            continue
        locked += 1
        installed = _installed(pinned["name"])
        if installed is None:
            missing.append(pinned["name"])
        elif installed != pinned["version"]:
            other.append(f"{pinned['name']} {installed} (locked {pinned['version']})")
    return Differences(other, missing, locked)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_spacy(settings: Settings) -> Iterator[Finding]:
    """Whether sentences can be split, and with what."""
    del settings
    from sciriff.tasks.sentences import sentence_spans, sentence_splitter_name

    found = sentence_spans("Cells were washed. They were counted twice.")
    if len(found) == 2:
        yield ok("spacy", f"{sentence_splitter_name()} splits sentences; it needs no model file")
    else:
        yield fail("spacy", f"{sentence_splitter_name()} split two sentences into {len(found)}", "make setup")

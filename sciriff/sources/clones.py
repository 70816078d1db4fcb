"""Git LFS files from clones that the user has on disk, found without running git."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from sciriff.errors import SourceError, UsageError
from sciriff.sources.addresses import LfsFile, lfs_file
from sciriff.sources.errand import Errand
from sciriff.sources.failures import UnavailableError
from sciriff.sources.http import Downloaded
from sciriff.sources.mirror import local_sha256
from sciriff.sources.pointer import LIMIT, Pointer, looks_like_pointer, parse_pointer

_PAIR = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)=(.+)")


class LackingCloneError(UnavailableError):
    """There is a clone of the repository, but the file's content is not in it."""


def fetch_from_clone(errand: Errand, url: str) -> Downloaded | None:
    """Copy a file from a local clone of its repository: the file of the working tree, or Git LFS's own store.

    Returns:
        The copy, or None if no clone of that repository is known.

    Raises:
        UsageError: if ``SCIRIFF_CLONES`` cannot be read, or names a folder that is not there.
        LackingCloneError: if the clone does not have the content that is expected; says what to run in it.
    """
    address = lfs_file(url)
    clone = find_clone(errand.settings.clones, address.repository)
    if clone is None:
        return None
    try:
        path, oid = _content(clone, address, errand.sha256)
    except LackingCloneError as error:
        raise LackingCloneError(f"{url}: source not available: {error}") from None
    return errand.bring(path.as_uri(), name=f"{url} (in the clone {clone})", sha256=oid)


def find_clone(setting: str | None, repository: str) -> Path | None:
    """The clone of ``owner/name``, by ``SCIRIFF_CLONES``.

    Args:
        setting: ``owner/name=FOLDER,owner/name=FOLDER``, or one folder that holds clones as ``owner/name`` or ``name``.
        repository: ``owner/name``.

    Raises:
        UsageError: if the setting cannot be read, or names a folder that is not there.
    """
    if not setting:
        return None
    named = _named_clones(setting)
    if named is not None:
        clone = named.get(repository.lower())
        if clone is not None and not clone.is_dir():
            raise UsageError(f"SCIRIFF_CLONES: {repository}={clone}: there is no such folder")
        return clone
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise UsageError(
            f"SCIRIFF_CLONES: there is no folder {folder}; expected a folder of clones, or OWNER/NAME=FOLDER,..."
        )
    places = (folder / repository, folder / repository.partition("/")[2])
    return next((place for place in places if _git_folder(place) is not None), None)


@lru_cache(maxsize=8)
def _named_clones(setting: str) -> Mapping[str, Path] | None:
    """Clones by repository in lower case (GitHub's names have no case), if the setting is a list of them."""
    matches = [_PAIR.fullmatch(part.strip()) for part in setting.split(",")]
    if not any(matches):
        return None
    if not all(matches):
        raise UsageError(f"SCIRIFF_CLONES: found {setting!r}; expected OWNER/NAME=FOLDER,OWNER/NAME=FOLDER")
    return MappingProxyType({match[1].lower(): Path(match[2]).expanduser() for match in matches if match})


def _content(clone: Path, address: LfsFile, expected: str | None) -> tuple[Path, str]:
    """A file with the content, and its SHA-256."""
    found = _in_working_tree(clone, address)
    if isinstance(found, Path):
        sha256 = local_sha256(found)[1]
        if expected in (None, sha256):
            return found, sha256
        state = f"has another version of {address.path} checked out (sha256 {sha256})"
    elif found is None:
        state = f"has no file {address.path} in its working tree"
    else:
        expected = expected or found.oid
        state = f"has only the Git LFS pointer of {address.path}"
    if expected is not None:
        for store in _object_stores(clone):
            stored = store / expected[:2] / expected[2:4] / expected
            if stored.is_file():
                return stored, expected
    raise LackingCloneError(
        f"the clone {clone} {state}, and its Git LFS store lacks {f'the object {expected}' if expected else 'it'}; run "
        f"in it: git lfs pull --include '{address.path}'"
    )


def _in_working_tree(clone: Path, address: LfsFile) -> Path | Pointer | None:
    """The file of the working tree, or what it points to; None if it is not there or leads out of the clone."""
    path = clone / address.path
    if not path.is_file() or not path.resolve().is_relative_to(clone.resolve()):
        return None
    with path.open("rb") as stream:
        head = stream.read(LIMIT)
    if not looks_like_pointer(head):
        return path
    try:
        return parse_pointer(head)
    except ValueError as error:
        raise SourceError(
            f"{path}: the Git LFS pointer is malformed: {error}; restore it: git checkout -- '{address.path}'"
        ) from error


def _object_stores(clone: Path) -> Iterator[Path]:
    """Where the Git LFS objects of a clone may lie."""
    git = _git_folder(clone)
    if git is not None:
        yield git / "lfs" / "objects"
        common = git / "commondir"  # of a linked working tree
        if common.is_file():
            yield (git / common.read_text(encoding="utf-8").strip()) / "lfs" / "objects"


def _git_folder(clone: Path) -> Path | None:
    """``.git``, or where the file ``.git`` points (linked working trees, submodules), or the clone itself if bare."""
    git = clone / ".git"
    if git.is_file():
        return clone / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    if git.is_dir():
        return git
    return clone if (clone / "HEAD").is_file() and (clone / "objects").is_dir() else None

"""Addresses that need more than a plain download, taken apart: Hugging Face Hub, Git LFS on GitHub, Google Drive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

HUB = "https://huggingface.co"
GITHUB = "https://github.com"
GITHUB_RAW = "https://raw.githubusercontent.com"
DRIVE = "https://drive.google.com"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_DRIVE_ID = re.compile(r"[\w-]{10,}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a dataset on the Hub: ``owner/name`` (a few have no owner), branch, tag or commit, path."""

    dataset: str
    revision: str
    path: str


@dataclass(frozen=True, slots=True)
class LfsFile:
    """A file of a GitHub repository that is kept in Git LFS: ``owner/name``, branch, tag or commit, path."""

    repository: str
    ref: str
    path: str


def hub_file(url: str) -> HubFile:
    """Take ``https://huggingface.co/datasets/<owner>/<name>/resolve/<revision>/<path>`` apart.

    Slashes in the revision are written ``%2F``: the branch of Parquet conversions is ``refs%2Fconvert%2Fparquet``.

    Raises:
        ValueError: if it is not such an address.
    """
    match _parts(url, HUB):
        case ["datasets", owner, name, "resolve", revision, *path] if path and _are_names(owner, name) and revision:
            return HubFile(f"{owner}/{name}", revision, _inner_path(url, path))
        case ["datasets", name, "resolve", revision, *path] if path and _are_names(name) and revision:
            return HubFile(name, revision, _inner_path(url, path))
    raise ValueError(
        f"{url} is not the address of a Hub dataset's file; expected {HUB}/datasets/OWNER/NAME/resolve/REVISION/PATH"
    )


def lfs_file(url: str) -> LfsFile:
    """Take ``https://raw.githubusercontent.com/<owner>/<name>/<ref>/<path>`` apart.

    A ref is a branch, tag or commit without slashes, or is written in full, as ``refs/heads/<branch>``.

    Raises:
        ValueError: if it is not such an address.
    """
    match _parts(url, GITHUB_RAW):
        case [owner, name, "refs", "heads" | "tags" as kind, ref, *path] if path and _are_names(owner, name) and ref:
            return LfsFile(f"{owner}/{name}", f"refs/{kind}/{ref}", _inner_path(url, path))
        case [owner, name, ref, *path] if path and _are_names(owner, name) and ref:
            return LfsFile(f"{owner}/{name}", ref, _inner_path(url, path))
    raise ValueError(
        f"{url} is not the address of a file in a GitHub repository; expected {GITHUB_RAW}/OWNER/NAME/REF/PATH"
    )


def drive_id(url: str) -> str:
    """The file id in ``https://drive.google.com/uc?export=download&id=<id>``.

    Raises:
        ValueError: if it is not such an address.
    """
    split = urlsplit(url)
    match parse_qs(split.query):
        case {"export": ["download"], "id": [found]} if f"{split.scheme}://{split.netloc}{split.path}" == f"{DRIVE}/uc":
            if _DRIVE_ID.fullmatch(found):
                return found
    raise ValueError(f"{url} is not a download address of Google Drive; expected {DRIVE}/uc?export=download&id=ID")


def is_on(url: str, origin: str) -> bool:
    """Whether an address is one of that origin (scheme and host)."""
    return url == origin or url.startswith(f"{origin}/")


def _parts(url: str, origin: str) -> list[str]:
    """The decoded parts of the path; empty if the address is of another origin, or has a query or fragment."""
    split = urlsplit(url)
    if f"{split.scheme}://{split.netloc}" != origin or split.query or split.fragment:
        return []
    return [unquote(part) for part in split.path.removeprefix("/").split("/")]


def _are_names(*names: str) -> bool:
    return all(_NAME.fullmatch(name) for name in names)


def _inner_path(url: str, parts: list[str]) -> str:
    path = "/".join(parts)
    if any(part in ("", ".", "..") for part in path.split("/")) or PurePosixPath(path).is_absolute():
        raise ValueError(f"{url}: the path {path!r} does not name a file in the repository")
    return path

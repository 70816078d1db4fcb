"""The weights of a model: the local folder they lie in, and what tells them apart from all others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sciriff.errors import BlockedError, SourceError
from sciriff.hashing import digest, file_sha256
from sciriff.models.checkpoint import Checkpoint
from sciriff.models.registry import ModelSpec
from sciriff.settings import Settings

SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tekken.json",
    "chat_template.json",
    "chat_template.jinja",
    "quantize_config.json",
)
"""What an engine reads of a checkpoint besides the tensors and their index."""

TENSORS = ("*.safetensors", "*.bin")
"""Where the tensors may be: the first pattern that a checkpoint has files of counts, the other files are copies."""

_INDEX = ".index.json"
_NO_TENSORS = ("training_args.bin", "optimizer.bin", "scheduler.bin")
_HASHED_AT_ONCE = 4


@dataclass(frozen=True)
class Weights:
    """Weights that can be loaded.

    Attributes:
        name: as a server would name them: repository and commit, or the folder.
        described: what tells them apart: ``repository`` and ``commit``, or ``sha256`` of the files of a local folder.
        repository, commit: of the Hub; both empty for a local folder.
        folder: the local folder; None if the files are the Hub's.
    """

    name: str
    described: Mapping[str, str]
    repository: str = ""
    commit: str = ""
    folder: Path | None = None


def find_weights(spec: ModelSpec, checkpoint: Checkpoint, settings: Settings) -> Weights:
    """Say which weights a model has. Nothing is downloaded, but the files of a local folder are read once.

    Args:
        spec: the model.
        checkpoint: its small files, see :func:`sciriff.models.checkpoint.open_checkpoint`.
        settings: the cache, where hashes of local files are kept.

    Raises:
        SourceError: if the commit is not known, or the folder holds no weights or cannot be read.
    """
    assert spec.weights is not None
    if (folder := spec.folder) is not None:
        sha256 = _folder_sha256(folder, settings.cache)
        return Weights(f"{folder.resolve().name}@{sha256[:12]}", {"sha256": sha256}, folder=folder)
    if checkpoint.commit is None:
        how = "is not in the Hub's cache on this machine, and SCIRIFF_OFFLINE forbids to fetch it"
        raise SourceError(f"{spec.weights} {how if settings.offline else 'has no config.json; it cannot be loaded'}")
    described = {"repository": spec.weights, "commit": checkpoint.commit}
    return Weights(f"{spec.weights}@{checkpoint.commit[:12]}", described, spec.weights, checkpoint.commit)


def fetch_weights(weights: Weights, settings: Settings) -> Path:
    """The folder with all files that an engine reads; those of the Hub are downloaded unless they are in its cache.

    Raises:
        BlockedError: if the repository is gated or private.
        SourceError: if it cannot be had from the Hub, or holds no weights.
    """
    if weights.folder is not None:
        return weights.folder
    with _hub_errors(weights, settings):
        for pattern in TENSORS:
            folder = _snapshot(weights, pattern, settings)
            if _is_complete(folder, pattern):
                return folder
        where = "in the Hub's cache, and SCIRIFF_OFFLINE forbids to fetch it"
        if not settings.offline:
            _require_access(weights, settings)
            where = "in the repository"
    raise SourceError(f"{weights.name}: there is no file {' or '.join(TENSORS)}, or not all of them, {where}")


def _snapshot(weights: Weights, pattern: str, settings: Settings) -> Path:
    """The Hub's folder of this commit; with less than was asked for if the Hub refuses and a part is there."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            weights.repository,
            revision=weights.commit,
            allow_patterns=[*SMALL_FILES, pattern, f"{pattern}{_INDEX}"],
            ignore_patterns=["*/*", *_NO_TENSORS],
            local_files_only=settings.offline,
            endpoint=settings.hub_endpoint,
        )
    )


def _require_access(weights: Weights, settings: Settings) -> None:
    """Let the Hub say why it gave less than was asked for."""
    from huggingface_hub import HfApi

    HfApi(endpoint=settings.hub_endpoint).list_repo_files(weights.repository, revision=weights.commit)


@contextmanager
def _hub_errors(weights: Weights, settings: Settings) -> Iterator[None]:
    """Errors of the Hub's client as ours."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    try:
        yield
    except GatedRepoError as error:
        page = f"{settings.hub_endpoint}/{weights.repository}"
        raise BlockedError(
            f"{weights.repository} is gated: open {page}, accept its terms with your account, and set HF_TOKEN to a "
            "token of it"
        ) from error
    except (LocalEntryNotFoundError, HTTPError, OSError) as error:
        raise SourceError(f"the weights {weights.name} cannot be had from the Hub: {error}") from error


def _is_complete(folder: Path, pattern: str) -> bool:
    """Whether there are tensors, and all files that the index, if there is one, tells of."""
    if not _tensors(folder, pattern):
        return False
    for index in folder.glob(f"{pattern}{_INDEX}"):
        try:
            places = orjson.loads(index.read_bytes())["weight_map"].values()
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # the engine will say what is wrong with it
        if not all((folder / str(name)).is_file() for name in places):
            return False
    return True


def _folder_sha256(folder: Path, cache: Path) -> str:
    """Digest of the names and contents of all files of a checkpoint that an engine reads."""
    tensors = next((found for pattern in TENSORS if (found := _tensors(folder, pattern))), [])
    if not tensors:
        raise SourceError(f"{folder} holds no weights; expected files {' or '.join(TENSORS)} beside its config.json")
    names = [name for name in SMALL_FILES if (folder / name).is_file()]
    names += sorted(path.name for path in folder.glob(f"*{_INDEX}"))
    try:
        small = {name: file_sha256(folder / name) for name in names}
        return digest({**small, **_tensor_hashes(tensors, cache)})
    except OSError as error:
        raise SourceError(f"the weights in {folder} cannot be read: {error}") from error


def _tensors(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.name not in _NO_TENSORS)


def _tensor_hashes(tensors: list[Path], cache: Path) -> dict[str, str]:
    """Name -> SHA-256; of files that were hashed before and have not been touched since, out of the cache."""
    stamps = {path: _stamp(path) for path in tensors}
    hashes = {path: kept for path in tensors if (kept := _known(path, stamps[path], cache)) is not None}
    new = [path for path in tensors if path not in hashes]
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as threads:
        for path, sha256 in zip(new, threads.map(file_sha256, new), strict=True):
            hashes[path] = sha256
            _remember(path, stamps[path], sha256, cache)
    return {path.name: hashes[path] for path in tensors}


def _stamp(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns]


def _entry(path: Path, cache: Path) -> Path:
    return cache / "weights" / f"{digest(str(path.resolve()))[:32]}.json"


def _known(path: Path, stamp: list[Any], cache: Path) -> str | None:
    try:
        kept = orjson.loads(_entry(path, cache).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(kept, dict) or kept.get("stamp") != stamp:
        return None
    return str(kept["sha256"])


def _remember(path: Path, stamp: list[Any], sha256: str, cache: Path) -> None:
    """Keep a hash, so that a checkpoint of 140 GB is read once and not at every start; without a cache, go without."""
    entry = _entry(path, cache)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        part = entry.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(orjson.dumps({"stamp": stamp, "sha256": sha256}))
        part.replace(entry)
    except OSError:
        return

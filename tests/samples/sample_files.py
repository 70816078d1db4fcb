"""Opens the archives of ``samples/`` with the standard library alone, apart from the package's own readers."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def tar_members(path: str) -> dict[str, bytes]:
    with tarfile.open(SAMPLES / path) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}  # type: ignore[union-attr]


def zip_members(path: str) -> dict[str, bytes]:
    return _read_zip((SAMPLES / path).read_bytes())


def nested_zip_members(path: str) -> dict[str, bytes]:
    """Members of the zips inside a zip, by inner name."""
    inner = [content for name, content in zip_members(path).items() if name.endswith(".zip") and "._" not in name]
    return {name: content for archive in inner for name, content in _read_zip(archive).items()}


def json_file(path: str) -> Any:
    return json.loads((SAMPLES / path).read_text(encoding="utf-8"))


def _read_zip(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}

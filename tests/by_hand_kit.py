"""A source that the user fetches by hand (BioASQ) beside one that a mirror has, both as their samples have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sciriff.resources import resource_dir
from sciriff.sources.catalogue import source

SAMPLES = resource_dir("samples")
TASKS = ("bioasq_factoid_qa", "bioasq_general_qa", "bioasq_list_qa", "bioasq_yesno_qa")
OTHER = "scicite_classification"
ZIPS = ("BioASQ-training11b.zip", "Task11BGoldenEnriched.zip")


def drop(folder: Path, *names: str) -> None:
    """Put the zips (default: both) into a folder, as a user does after the download."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ZIPS:
        shutil.copyfile(SAMPLES / "bioasq" / name, folder / name)


def mirror_of(folder: Path, *source_ids: str) -> Path:
    """Make a mirror that has these sources and no other."""
    entries = json.loads((SAMPLES / "mirror.json").read_bytes())
    wanted = {file.url for source_id in source_ids for file in source(source_id).files.values()}
    kept = {url: {**entry, "note": "a stand-in"} for url, entry in entries.items() if url in wanted}
    for entry in kept.values():
        (folder / entry["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLES / entry["path"], folder / entry["path"])
    (folder / "mirror.json").write_text(json.dumps(kept))
    return folder


def left_alone(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What must not change of the user's files: names, times, bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

"""Write ``samples/``: every archive and ``mirror.json``; with ``--train``, the tokenizer as well."""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib import import_module
from pathlib import Path

from samples.tool.tokenizer import train_tokenizer, training_texts
from sciriff.sources.catalogue import source

SAMPLES = Path(__file__).resolve().parent.parent
_NOTE = "sample written for this project"

WRITERS = {
    "anat_em": "biomedical:anat_em",
    "annotated_materials_syntheses": "materials:annotated_materials_syntheses",
    "biored": "biomedical:biored",
    "cdr": "biomedical:cdr",
    "chemprot": "biomedical:chemprot",
    "covid_deepset": "questions:covid_qa",
    "pubmedqa": "questions:pubmedqa",
    "qasper": "papers:qasper",
    "schema_to_json": "tables:schema_to_json",
    "scicite": "questions:scicite",
    "scierc": "papers:scierc",
    "tulu_v2_sft_mixture": "instructions:tulu",
}
"""Source id -> ``module:function`` in this package. The function returns file key -> content, or the content of the
source's only file."""


def make_files() -> dict[str, tuple[str, bytes]]:
    """All sample files: primary URL -> path under ``samples/`` and content."""
    found = {}
    for source_id, writer in WRITERS.items():
        module, function = writer.split(":")
        made = getattr(import_module(f"samples.tool.{module}"), function)()
        files = source(source_id).files
        contents: dict[str, bytes] = made if isinstance(made, dict) else {next(iter(files)): made}
        for key, content in contents.items():
            found[files[key].url] = (f"{source_id}/{files[key].name}", content)
    return found


def mirror_entries(files: dict[str, tuple[str, bytes]]) -> dict[str, dict[str, object]]:
    """The entries of ``mirror.json``, sorted by URL."""
    return {
        url: {
            "bytes": len(content),
            "note": _NOTE,
            "partial": True,
            "path": path,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for url, (path, content) in sorted(files.items())
    }


def write_samples(out: Path) -> None:
    """Write all files and ``mirror.json`` under a folder."""
    files = make_files()
    for path, content in files.values():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    mirror = json.dumps(mirror_entries(files), indent=1, sort_keys=True) + "\n"
    (out / "mirror.json").write_text(mirror, encoding="utf-8", newline="\n")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m samples.tool", description=__doc__)
    parser.add_argument("--out", type=Path, default=SAMPLES, help="folder to write to (default: samples/)")
    parser.add_argument("--train", action="store_true", help="train tokenizer.json anew as well")
    options = parser.parse_args()
    write_samples(options.out)
    if options.train:
        text = train_tokenizer(training_texts(SAMPLES.parent))
        (options.out / "tokenizer.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

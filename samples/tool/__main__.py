"""Write ``samples/``: every archive and ``mirror.json``; with ``--train``, the tokenizer as well."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from samples.tool.tokenizer import train_tokenizer, training_texts
from sciriff.sources.catalogue import source

SAMPLES = Path(__file__).resolve().parent.parent
_NOTE = "sample written for this project"

WRITERS = {
    "acl_arc": "citing:acl_arc",
    "anat_em": "biomedical:anat_em",
    "annotated_materials_syntheses": "materials:annotated_materials_syntheses",
    "bc7_litcovid": "abstracts:bc7_litcovid",
    "bioasq": "bioasq:bioasq",
    "biored": "biomedical:biored",
    "cdr": "biomedical:cdr",
    "chemdner": "bioc_corpora:chemdner",
    "chemprot": "biomedical:chemprot",
    "chemprot_dygie": "chemical_relations:chemprot_dygie",
    "chemsum": "full_papers:chemsum",
    "chia": "criteria:chia",
    "covid_deepset": "questions:covid_qa",
    "craft_chem": "tagged:craft_chem",
    "data_reco": "recommendations:data_reco",
    "ddi": "criteria:ddi",
    "drug_combo": "drugs:drug_combo",
    "ebm_nlp": "ebm_nlp:ebm_nlp",
    "evidence_inference": "abstracts:evidence_inference",
    "genia": "genia:genia",
    "gnormplus": "bioc_corpora:gnormplus",
    "linnaeus": "species:linnaeus",
    "medmentions": "pubtator_corpora:medmentions",
    "multicite": "citing:multicite",
    "multivers": "entailment:multivers",
    "mup": "full_papers:mup",
    "lay_summaries_elife": "summaries:lay_summaries_elife",
    "lay_summaries_plos": "summaries:lay_summaries_plos",
    "mslr2022": "summaries:mslr2022",
    "multi_x_science": "summaries:multi_x_science",
    "ncbi_disease": "pubtator_corpora:ncbi_disease",
    "nlm_chem": "bioc_corpora:nlm_chem",
    "nlm_gene": "bioc_corpora:nlm_gene",
    "pubmedqa": "questions:pubmedqa",
    "qasa": "full_papers:qasa",
    "qasper": "papers:qasper",
    "schema_to_json": "tables:schema_to_json",
    "scicite": "questions:scicite",
    "scifact": "entailment:scifact",
    "scientific_papers": "summaries:scientific_papers",
    "scierc": "papers:scierc",
    "scireviewgen": "summaries:scireviewgen",
    "scitldr": "summaries:scitldr",
    "tulu_v2_sft_mixture": "instructions:tulu",
}
"""Source id -> ``module:function`` in this package. The function returns file key -> content, or the content of the
source's only file."""


def make_files(source_ids: Iterable[str] = WRITERS) -> dict[str, tuple[str, bytes]]:
    """The sample files of sources: primary URL -> path under ``samples/`` and content."""
    found = {}
    for source_id in source_ids:
        module, function = WRITERS[source_id].split(":")
        made = getattr(import_module(f"samples.tool.{module}"), function)()
        files = source(source_id).files
        contents: dict[str, bytes] = made if isinstance(made, dict) else {next(iter(files)): made}
        names = Counter(file.name for file in files.values())
        for key, content in contents.items():
            name = files[key].name
            found[files[key].url] = (f"{source_id}/{name if names[name] == 1 else f'{key}-{name}'}", content)
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


def write_samples(out: Path, source_ids: Iterable[str] = WRITERS) -> None:
    """Write the files of sources and ``mirror.json`` under a folder; what ``mirror.json`` says of others stays."""
    files = make_files(source_ids)
    for path, content in files.values():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    mirror = out / "mirror.json"
    known = {file.url for source_id in WRITERS for file in source(source_id).files.values()}
    entries = json.loads(mirror.read_bytes()) if mirror.exists() else {}
    entries = {url: entry for url, entry in entries.items() if url in known} | mirror_entries(files)
    mirror.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m samples.tool", description=__doc__)
    parser.add_argument("sources", nargs="*", default=list(WRITERS), help="source ids (default: all)")
    parser.add_argument("--out", type=Path, default=SAMPLES, help="folder to write to (default: samples/)")
    parser.add_argument("--train", action="store_true", help="train tokenizer.json anew as well")
    options = parser.parse_args()
    if unknown := set(options.sources) - set(WRITERS):
        parser.error(f"no writer for {', '.join(sorted(unknown))}; known: {', '.join(WRITERS)}")
    write_samples(options.out, options.sources)
    if options.train:
        text = train_tokenizer(training_texts(SAMPLES.parent))
        (options.out / "tokenizer.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

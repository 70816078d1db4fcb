"""Write ``samples/``: every archive and ``mirror.json``; with ``--train``, the tokenizer as well."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from samples.tool.biomedical import anat_em, biored, cdr, chemprot
from samples.tool.instructions import PARTS, tulu
from samples.tool.materials import annotated_materials_syntheses
from samples.tool.papers import qasper, scierc
from samples.tool.questions import covid_qa, pubmedqa, scicite
from samples.tool.tables import discomat
from samples.tool.tokenizer import train_tokenizer, training_texts

SAMPLES = Path(__file__).resolve().parent.parent
_NOTE = "sample written for this project"
_HUB = "https://huggingface.co/datasets/allenai/tulu-v2-sft-mixture/resolve/main/data/train-0000"
_TULU_TAILS = ("0-of-00003-99ee8754042a69f6", "1-of-00003-278198836de5994c", "2-of-00003-a52de323599d586a")
_QASPER = "https://qasper-dataset.s3.us-west-2.amazonaws.com/"


def make_files() -> dict[str, tuple[str, bytes]]:
    """All sample files: primary URL -> path under ``samples/`` and content."""
    qasper_train_dev, qasper_test = qasper()
    files = {
        "http://nactem.ac.uk/anatomytagger/AnatEM-1.0.2.tar.gz": ("anat_em/AnatEM-1.0.2.tar.gz", anat_em()),
        "http://nlp.cs.washington.edu/sciIE/data/sciERC_processed.tar.gz": (
            "scierc/sciERC_processed.tar.gz",
            scierc(),
        ),
        "https://biocreative.bioinformatics.udel.edu/media/store/files/2017/ChemProt_Corpus.zip": (
            "chemprot/ChemProt_Corpus.zip",
            chemprot(),
        ),
        "https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/BIORED.zip": ("biored/BIORED.zip", biored()),
        "https://github.com/JHnlp/BioCreative-V-CDR-Corpus/raw/master/CDR_Data.zip": ("cdr/CDR_Data.zip", cdr()),
        "https://github.com/bflashcp3f/schema-to-json/raw/master/data/discomat.zip": (
            "schema_to_json/discomat.zip",
            discomat(),
        ),
        "https://github.com/olivettigroup/annotated-materials-syntheses/archive/refs/heads/master.zip": (
            "annotated_materials_syntheses/master.zip",
            annotated_materials_syntheses(),
        ),
        f"{_QASPER}qasper-train-dev-v0.3.tgz": ("qasper/qasper-train-dev-v0.3.tgz", qasper_train_dev),
        f"{_QASPER}qasper-test-and-evaluator-v0.3.tgz": ("qasper/qasper-test-and-evaluator-v0.3.tgz", qasper_test),
        "https://raw.githubusercontent.com/deepset-ai/COVID-QA/master/data/question-answering/COVID-QA.json": (
            "covid_deepset/COVID-QA.json",
            covid_qa(),
        ),
        "https://raw.githubusercontent.com/pubmedqa/pubmedqa/master/data/ori_pqal.json": (
            "pubmedqa/ori_pqal.json",
            pubmedqa(),
        ),
        "https://s3-us-west-2.amazonaws.com/ai2-s2-research/scicite/scicite.tar.gz": (
            "scicite/scicite.tar.gz",
            scicite(),
        ),
    }
    for part in range(PARTS):
        tail = _TULU_TAILS[part]
        files[f"{_HUB}{tail}.parquet"] = (f"tulu_v2_sft_mixture/train-0000{tail}.parquet", tulu(part))
    return files


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

"""``croissant.json``: the combined dataset in Croissant 1.0, the JSON-LD vocabulary of MLCommons for datasets.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html. A file object per Parquet file, a record set
per window and split.
"""

from __future__ import annotations

from typing import Any

import orjson

from sciriff.building.dataset_card import CARD
from sciriff.building.dataset_description import KEYWORDS, SUMMARY, TITLE, DatasetDescription, DescribedFile
from sciriff.sources.catalogue import Source

CROISSANT = "croissant.json"

_CROISSANT_TERMS = (
    "citeAs",
    "column",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}
_FIELDS = {
    "input": "the prompt",
    "output": "the reference answer",
    "_instance_id": "id of the instance: task, source split and row",
}


def croissant(dataset: DatasetDescription, version: str) -> bytes:
    """Return the description as JSON-LD.

    Args:
        dataset: the dataset.
        version: version of the dataset, ``major.minor.patch``.
    """
    return orjson.dumps(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "name": "SciRIFF",
            "alternateName": TITLE,
            "description": SUMMARY,
            "version": version,
            "inLanguage": "en",
            "keywords": list(KEYWORDS),
            "url": CARD,
            "license": sorted({source.licence.url or source.licence.id for source in dataset.sources}),
            "citeAs": " ".join(source.citation for source in dataset.sources),
            "isBasedOn": [_based_on(source) for source in dataset.sources],
            "distribution": [_file(file) for file in dataset.files],
            "recordSet": [_record_set(file) for file in dataset.files],
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def _based_on(source: Source) -> dict[str, Any]:
    return {
        "@type": "sc:Dataset",
        "name": source.title,
        "url": source.homepage,
        "license": source.licence.url or source.licence.id,
        "citation": source.citation,
    }


def _name(file: DescribedFile) -> str:
    return f"{file.window}-{file.split}"


def _file(file: DescribedFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{_name(file)}.parquet",
        "name": f"{_name(file)}.parquet",
        "description": f"{file.rows:,} instances of the {file.split} split that fit {file.window:,} tokens",
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file.sha256,
    }


def _record_set(file: DescribedFile) -> dict[str, Any]:
    name = _name(file)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"window {file.window:,} tokens, split {file.split}",
        "key": {"@id": f"{name}/_instance_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": description,
                "dataType": "sc:Text",
                "source": {"fileObject": {"@id": f"{name}.parquet"}, "extract": {"column": column}},
            }
            for column, description in _FIELDS.items()
        ],
    }

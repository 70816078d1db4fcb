"""The README.md of the combined dataset, whose YAML head tells ``datasets.load_dataset`` the windows and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

CARD = "README.md"
SPLITS = ("train", "validation", "test")


def dataset_card(rows: Mapping[int, Mapping[str, int]], stand_ins: Sequence[str] = ()) -> bytes:
    """Return the card.

    Args:
        rows: window in tokens to split to number of rows. The smallest window is the default configuration.
        stand_ins: tasks built from bundled samples or partial sources, which a reader of the data must know.
    """
    windows = sorted(rows)
    configs = [
        {
            "config_name": str(window),
            **({"default": True} if window == windows[0] else {}),
            "data_files": [{"split": split, "path": f"{window}/{split}.parquet"} for split in SPLITS],
        }
        for window in windows
    ]
    head = yaml.safe_dump({"language": ["en"], "configs": configs}, sort_keys=False)
    table = "\n".join(
        f"| {window} | " + " | ".join(f"{rows[window][split]:,}" for split in SPLITS) + " |" for window in windows
    )
    warning = (
        f"\n**Not the whole data:** built from miniature samples or partial sources: {', '.join(stand_ins)}.\n"
        if stand_ins
        else ""
    )
    return f"""---
{head}---

# SciRIFF, rebuilt from primary sources

One configuration per context window, in tokens. Each record has `input`, `output`, `metadata` (`domains`,
`input_context`, `output_context`, `source_type`, `task_family`) and `_instance_id` (`task:source split:row`). The same
rows lie beside the Parquet files as JSON lines.

| window | train | validation | test |
|---|---|---|---|
{table}
{warning}""".encode()

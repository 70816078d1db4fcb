from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sciriff.hashing import digest
from sciriff.models.lines import dump_line
from sciriff.models.predictions import keep_predictions
from sciriff.results.facts import Run
from sciriff.results.metric_files import files_folder, write_raw_predictions
from sciriff.scoring.outcome import Profile
from sciriff.scoring.parsing import clean, clean_original
from sciriff.store import Store

CLEANED = {Profile.CORRECTED: clean, Profile.ORIGINAL: clean_original}

texts = st.one_of(
    st.text(),
    st.text(st.characters(codec=None, exclude_categories=())),  # lone surrogates, too
    st.lists(st.sampled_from(['"', ",", "\\", ":", "reply", "prompt", '","reply":', "\\ud800", "é", "</s>", " "])).map(
        "".join
    ),
)
predictions = st.lists(
    st.fixed_dictionaries(
        {"instance_id": texts, "prompt": texts, "reply": st.none() | texts, "reference": texts},
        optional={"input": texts},
    )
)


@given(predictions)
def test_raw_predictions_hold_prompts_cleaned_replies_and_references(lines: list[dict[str, Any]]) -> None:
    store = Store(f"memory://raw-{digest(repr(lines))}")
    kept = keep_predictions("results/predictions/m/scierc_ner/4096-test", "key", lines, {"model_identity": ""}, store)
    run = Run("m", "scierc_ner", 4096, "test", None, "", "", "", kept.path, kept.sha256, "", "")
    entries = write_raw_predictions(run, store)
    for profile, cleaned in CLEANED.items():
        raw = store.read_bytes(f"{files_folder(run, profile)}/raw_predictions.jsonl")
        assert entries[profile]["bytes"] == len(raw)
        assert raw == b"".join(
            dump_line(
                {
                    "prompt": line["prompt"],
                    "pred": None if line["reply"] is None else cleaned(line["reply"]),
                    "ref": line["reference"],
                }
            )
            for line in lines
        )

"""The bounds that ``docs/security.md`` states are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciriff import plain_yaml
from sciriff.names import LONGEST_NAME
from sciriff.readers.csv_rows import LONGEST_RECORD
from sciriff.sandbox import budget, environment, sizes
from sciriff.sources.containers import Limits

LIMITS = Limits()
BOUNDS = {
    "a member of an archive": [f"{LIMITS.member_bytes >> 30} GiB", f"{LIMITS.loaded_bytes >> 30} GiB"],
    "members of an archive": [f"{LIMITS.members:,}"],
    "unpacked to packed bytes": [f"{LIMITS.ratio_floor >> 20} MiB", f"{LIMITS.ratio} to 1"],
    "a YAML file": [
        f"{plain_yaml.LARGEST_FILE >> 20} MiB",
        f"{plain_yaml.MOST_VALUES:,} values",
        f"{plain_yaml.DEEPEST} levels",
    ],
    "a quoted CSV field": [f"{LONGEST_RECORD >> 20} MiB"],
    "a template": [f"{environment.LONGEST_SOURCE:,} characters"],
    "one value that a template makes": [f"{budget.LARGEST_VALUE:,} characters"],
    "one rendering of a template": [
        f"{budget.MOST_WORK // budget.STEP:,} steps",
        f"{budget.MOST_WORK // environment.CALL:,} calls",
        f"{budget.MOST_WORK:,} characters",
        f"{budget.MOST_SECONDS:g} seconds",
    ],
    "a range in a template": [f"{environment.LONGEST_RANGE:,} numbers"],
    "a width in a format": [f"{sizes.WIDEST_FIELD:,}"],
    "a name": [f"{LONGEST_NAME} bytes"],
}


@pytest.mark.parametrize("what", BOUNDS)
def test_the_page_states_the_bound(what: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    row = next(line for line in page.partition("## Bounds")[2].splitlines() if line.startswith(f"| {what}"))
    assert [number for number in BOUNDS[what] if number not in row] == []

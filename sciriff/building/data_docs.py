"""Data Docs: Great Expectations' static site of validation results, with bytes that depend on the results alone.

The library writes the time of rendering, random element ids and a tracking image into each page. All three are taken
out: equal results give equal files. It also copies values into its pages as HTML: here they are escaped beforehand, and
a Content-Security-Policy keeps what might slip through from sending anything away.
"""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sciriff.building.gx_context import quiet_context

START_PAGE = "index.html"

_RUN_NAME = "build"
_RUN_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # the library wants a time; it is taken out again below
_TIME_IN_PATH = "20000101T000000.000000Z"
# As any time zone shows it: the library renders times in that of the machine.
_TIMES_SHOWN = re.compile(r"(?:1999-12-31|2000-01-01)(?:T\d\d:\d\d:\d\dZ| \d\d:\d\d:\d\d [\w+-]+)")
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TRACKING_IMAGE = re.compile(r"https://great-expectations-web-assets\.[^\"'\s)]+")
_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"connect-src 'none'; frame-src 'none'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'\">"
)
_NEEDED_IMAGES = {"favicon.ico", "logo-long.png"}


def build_data_docs(documents: Mapping[str, Mapping[str, Any]], folder: Path) -> list[str]:
    """Write the site.

    Args:
        documents: task name -> result as plain data (:attr:`sciriff.building.validate.ValidationResult.document`).
        folder: where to; must not exist yet.

    Returns:
        The files written, relative to the folder, in alphabetical order.
    """
    _render(documents, folder)
    shutil.rmtree(folder / "static" / "fonts", ignore_errors=True)
    for image in (folder / "static" / "images").iterdir():
        if image.name not in _NEEDED_IMAGES:
            image.unlink()
    for page in sorted(folder.rglob("*.html")):
        relative = page.relative_to(folder)
        page.write_text(_settled(page.read_text(encoding="utf-8"), len(relative.parts) - 1), encoding="utf-8")
    for run in sorted(folder.rglob(_TIME_IN_PATH)):
        run.rename(run.with_name("latest"))
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _render(documents: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    context = quiet_context(
        {
            "site": {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        }
    )
    from great_expectations.core import expectationSuiteValidationResultSchema
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name=_RUN_NAME, run_time=_RUN_TIME)
    for task, document in sorted(documents.items()):
        result = expectationSuiteValidationResultSchema.load(
            {**_as_text(document), "meta": {**document["meta"], "run_id": run.to_json_dict()}}
        )
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(task), run, task)
        context.validation_results_store.set(key, result)
    context.build_data_docs()


def _as_text(value: Any) -> Any:
    """Plain data whose texts mean themselves where they are read as HTML."""
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, Mapping):
        return {key: _as_text(item) for key, item in value.items()}
    return [_as_text(item) for item in value] if isinstance(value, list | tuple) else value


def _settled(page: str, depth: int) -> str:
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"{len(numbers) + 1}")

    root = "../" * depth or "./"
    page = _TRACKING_IMAGE.sub(f"{root}static/images/logo-long.png", page)
    page = _RANDOM_ID.sub(number, page).replace("<head>", f"<head>{_POLICY}", 1)
    return _TIMES_SHOWN.sub("not recorded", page).replace(_TIME_IN_PATH, "latest")

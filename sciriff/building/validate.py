"""Validation of a built task: its facts table against its expectation suite, by Great Expectations.

The facts table has one row per instance and window. Its columns are ``window``, ``split`` (the final one),
``token_limit`` (the window less what is kept free for chat markup) and the fields of
:class:`~sciriff.building.facts.InstanceFacts`. All windows of a task are validated as one batch.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff.building.data_docs import START_PAGE, build_data_docs
from sciriff.building.facts import InstanceFacts
from sciriff.building.gx_context import quiet_context
from sciriff.building.instances import CHAT_MARKUP_TOKENS, Instance
from sciriff.building.suites import columns
from sciriff.errors import TaskFileError
from sciriff.hashing import digest, file_sha256
from sciriff.leases import Lease, lease
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store, sealed

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite

logger = logging.getLogger(__name__)

DOCS = "validation"
"""Folder of the store that holds the validation results and the site made of them."""

_EXAMPLES = 3
_NAMED_BY = ["window", "split", "instance_id", "problem"]

FactColumns = dict[str, list[Any]]
"""The facts table, by column."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What came of validating one task.

    Attributes:
        task: task name.
        success: whether every expectation is met.
        failures: one sentence for each expectation that is not, with counts and example instances.
        document: Great Expectations' own result as plain JSON data, without times; Data Docs are made of it.
    """

    task: str
    success: bool
    failures: tuple[str, ...]
    document: Mapping[str, Any]

    def serialised(self) -> bytes:
        """The document as JSON with a digest of itself, in bytes that depend on the result alone."""
        return sealed(self.document)


def facts_table(windows: Mapping[int, Mapping[str, Iterable[Instance]]]) -> FactColumns:
    """Gather the facts of all kept instances.

    Args:
        windows: window in tokens -> final split -> instances.
    """
    table: FactColumns = {name: [] for name in ("window", "split", "token_limit", *InstanceFacts._fields)}
    for window, splits in windows.items():
        for split, instances in splits.items():
            facts = [instance.facts for instance in instances]
            table["window"] += [window] * len(facts)
            table["split"] += [split] * len(facts)
            table["token_limit"] += [window - CHAT_MARKUP_TOKENS] * len(facts)
            for position, name in enumerate(InstanceFacts._fields):
                table[name] += [fact[position] for fact in facts]
    return table


def validate_facts(task: str, suite: Mapping[str, Any], table: FactColumns) -> ValidationResult:
    """Hold the facts of a task against its expectations. Not safe for concurrent threads; see :func:`validate`.

    Raises:
        TaskFileError: if Great Expectations does not accept the suite.
    """
    import pandas as pd

    context = quiet_context()
    expectations = _expectation_suite(task, suite)
    batch = (
        context.data_sources.add_pandas("instructions")
        .add_dataframe_asset(task)
        .add_batch_definition_whole_dataframe("all windows")
        .get_batch({"dataframe": pd.DataFrame(table)})
    )
    result = batch.validate(
        expectations,
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": _NAMED_BY,
            "partial_unexpected_count": _EXAMPLES,
        },
    )
    document: dict[str, Any] = result.to_json_dict()
    document["meta"] = {"great_expectations_version": document["meta"]["great_expectations_version"]}
    notes = {expectation["id"]: expectation.get("notes", "") for expectation in suite["expectations"]}
    failures = tuple(_failure(item, notes) for item in document["results"] if not item["success"])
    return ValidationResult(task, bool(document["success"]), failures, document)


_ONE_AT_A_TIME = threading.Lock()  # the library keeps its context in a global variable


def validate(
    task: str, suite: Mapping[str, Any], windows: Mapping[int, Mapping[str, Iterable[Instance]]]
) -> ValidationResult:
    """Validate one task in all windows. May be called from several threads.

    Args:
        task: task name.
        suite: its expectation suite.
        windows: window in tokens -> final split -> kept instances.

    Raises:
        TaskFileError: if Great Expectations does not accept the suite.
    """
    table = facts_table(windows)
    with _ONE_AT_A_TIME:
        return validate_facts(task, suite, table)


def prepare() -> None:
    """Start to import Great Expectations in the background: it takes seconds, in which workers can render."""
    if "great_expectations" not in sys.modules:
        threading.Thread(target=_import_library, name="import great_expectations", daemon=True).start()


def _import_library() -> None:
    with _ONE_AT_A_TIME:
        quiet_context()


def result_path(task: str) -> str:
    """Where a task's validation result lies in the store. It is published with the task, the site later."""
    return f"{DOCS}/results/{task}.json"


def read_result(store: Store, task: str) -> dict[str, Any] | None:
    """The validation result of a task as plain data; None if there is none, or it is not as it was written.

    Raises:
        StoreError: if the store cannot be read.
    """
    document = store.read_manifest_file(result_path(task))
    return document if document is not None and document.get("suite_name") == task else None


def publish_docs(store: Store, tell: Callable[[str], None] | None = None) -> str:
    """Make the site of all validation results in the store, unless it is there and made of these very results.

    Args:
        store: the artifacts.
        tell: told if another run has to be waited for; the log if None.

    Returns:
        The site's start page, relative to the store's root; empty if nothing was ever validated.

    Raises:
        StoreError: if the store cannot be read or written.
    """
    results = _results(store)
    if not results:
        return ""
    if not store.intact(DOCS, _docs_key(results)):
        with lease(store, "docs", doing="the Data Docs are being made", tell=tell) as held:
            results = _results(store)
            if not store.intact(DOCS, _docs_key(results)):
                _publish_docs(store, results, held)
    return f"{DOCS}/{START_PAGE}"


_Results = Mapping[str, dict[str, Any]]
"""Task -> its validation result."""


def _results(store: Store) -> _Results:
    tasks = [Path(name).stem for name in store.files(f"{DOCS}/results") if name.endswith(".json")]
    found = {task: read_result(store, task) for task in tasks}
    for task in [task for task, result in found.items() if result is None]:
        logger.warning(
            "%s is damaged and left out of the Data Docs; run `sciriff build --tasks %s`",
            store.path(result_path(task)),
            task,
        )
    return {task: result for task, result in found.items() if result is not None}


def _docs_key(results: _Results) -> str:
    return digest({task: hashlib.sha256(sealed(result)).hexdigest() for task, result in results.items()})


def _publish_docs(store: Store, results: _Results, held: Lease) -> None:
    with _ONE_AT_A_TIME, store.workspace() as workspace:
        site = workspace / "data_docs"
        written = build_data_docs(results, site)
        files = {name: {"sha256": file_sha256(site / name), "bytes": (site / name).stat().st_size} for name in written}
        store.delete(f"{DOCS}/{MANIFEST}")
        for name in written:
            store.publish(f"{DOCS}/{name}", site / name)
    held.require("the Data Docs")
    manifest = {"schema": SCHEMA_VERSION, "kind": "data docs", "key": _docs_key(results), "files": files}
    store.write_manifest(DOCS, manifest)


def _expectation_suite(task: str, suite: Mapping[str, Any]) -> ExpectationSuite:
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    if missing := {"name", "expectations", "meta"} - suite.keys():
        raise TaskFileError(f"expectation suite of {task}: missing keys: {', '.join(sorted(missing))}")
    for expectation in suite["expectations"]:
        try:  # one by one: a suite leaves out, without an error, what the library does not accept
            ExpectationConfiguration(**expectation).to_domain_obj()
        except Exception as error:  # of many kinds, the library's own and pydantic's
            named = expectation.get("notes") or expectation.get("id") or expectation.get("type")
            raise TaskFileError(f"expectation suite of {task}: the expectation {named!r} is wrong: {error}") from error
    return gx.ExpectationSuite(
        name=suite["name"],
        id=suite.get("id"),
        expectations=[dict(expectation) for expectation in suite["expectations"]],
        meta=dict(suite["meta"]),
    )


def _failure(item: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """Say in one sentence what was expected, how many rows differ, and which."""
    config, result = item["expectation_config"], item["result"]
    kind, kwargs = config["type"], config["kwargs"]
    where = ", ".join(columns(kwargs))
    expected = f"expected that {notes.get(config.get('id', ''), '') or kind} ({kind}{f' on {where}' if where else ''})"
    if exceptions := _exceptions(item["exception_info"]):
        return f"{expected}; could not be checked: {'; '.join(exceptions)}"
    if "unexpected_count" not in result:
        return f"{expected}; found {result.get('observed_value')}"
    examples = [
        f"{row['instance_id']} at window {row['window']}{_why(row, kwargs)}"
        for row in result.get("partial_unexpected_index_list", [])
    ]
    return f"{expected}; not so for {result['unexpected_count']} of {result['element_count']}: {'; '.join(examples)}"


def _why(row: Mapping[str, Any], kwargs: Mapping[str, Any]) -> str:
    looked_at = {name: row[name] for name in columns(kwargs) if name in row and name not in _NAMED_BY}
    found = [f"{name} {value}" for name, value in looked_at.items()]
    if row["problem"]:
        found.append(row["problem"])
    return f" ({', '.join(found)})" if found else ""


def _exceptions(info: Mapping[str, Any]) -> list[str]:
    """The library reports one exception, or one for each metric that an expectation needs."""
    reports = [info] if "raised_exception" in info else list(info.values())
    return list(dict.fromkeys(report["exception_message"] for report in reports if report["raised_exception"]))

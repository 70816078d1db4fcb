"""What ``--param`` may hold, as a flow sees it and as the server checks it."""

from __future__ import annotations

import fastjsonschema
import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from flows.build import build_sciriff
from flows.mixture import create_mixture
from flows.runs import can_pass, escaped, name_of
from sciriff.errors import SourceError, StoreError, TransientError
from sciriff.sources.failures import RefusedError, UnreachableError

BOTH = ["cdr_ner", "scierc_ner"]


@pytest.mark.parametrize(
    ("given", "tasks"),
    [
        ("cdr_ner,scierc_ner", BOTH),
        (" cdr_ner , scierc_ner,", BOTH),
        (BOTH, BOTH),
        ("scierc_ner", ["scierc_ner"]),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_tasks_are_a_list_or_a_string_with_commas(given: object, tasks: object) -> None:
    assert build_sciriff.validate_parameters({"tasks": given})["tasks"] == tasks


@pytest.mark.parametrize("given", [(4096, 8192), [4096, 8192], "4096,8192", "4096, 8192"])
def test_windows_in_every_spelling(given: object) -> None:
    assert build_sciriff.validate_parameters({"windows": given})["windows"] == (4096, 8192)


def test_a_single_window_is_a_list_of_one() -> None:
    assert build_sciriff.validate_parameters({"windows": 4096})["windows"] == (4096,)


@pytest.mark.parametrize(("given", "limit"), [("all", None), (None, None), (7, 7)])
def test_all_is_no_limit(given: object, limit: int | None) -> None:
    assert build_sciriff.validate_parameters({"n_instances": given})["n_instances"] == limit


@pytest.mark.parametrize("wrong", [{"windows": "4096,wide"}, {"n_instances": "many"}, {"workers": 0}, {"tulu": "some"}])
def test_impossible_values_are_refused_by_name(wrong: dict[str, object]) -> None:
    flow = create_mixture if "tulu" in wrong else build_sciriff
    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        flow.validate_parameters(wrong)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"tasks": "a,b", "windows": "4096,8192", "n_instances": "all"},
        {"tasks": ["a"], "windows": 4096, "workers": 2},
    ],
)
def test_the_schema_that_the_server_checks_allows_what_the_flow_takes(parameters: dict[str, object]) -> None:
    schema = parameter_schema(build_sciriff).model_dump()
    assert fastjsonschema.compile(schema)(dict(parameters)).items() >= parameters.items()


def test_every_parameter_is_explained_in_the_ui() -> None:
    for flow in (build_sciriff, create_mixture):
        properties = parameter_schema(flow).properties
        assert properties
        assert [name for name, schema in properties.items() if not schema.get("description")] == []


def test_run_names_show_what_was_chosen_and_stay_short() -> None:
    defaults = {"tasks": None, "windows": (4096, 8192), "n_instances": 2500, "force": False, "seed": 76}
    parameters = {"tasks": ["a", "b"], "windows": [4096, 8192], "n_instances": None, "force": True, "seed": 0}
    name = name_of("build-sciriff", parameters, defaults)
    assert name == "build-sciriff tasks=a,b n_instances=all force=True seed=0"
    long = name_of("build-sciriff", {"tasks": [f"task_{number}" for number in range(54)]}, defaults)
    assert len(long) == 120
    assert long.endswith("...")


def test_only_what_can_pass_is_tried_again() -> None:
    lost = StoreError("cannot be written")
    lost.__cause__ = ConnectionResetError("reset by peer")
    assert can_pass(lost)
    assert can_pass(UnreachableError("no route"))
    assert can_pass(TransientError("given up after 5 failures in a row, the last: the server answered 503"))
    assert not can_pass(SourceError("expected sha256 a, found b"))
    assert not can_pass(RefusedError("the server answered 404 Not Found", 404))
    untrusted = SourceError("the server's certificate is not trusted")
    untrusted.__cause__ = ConnectionError("certificate verify failed")
    assert not can_pass(untrusted)
    assert not can_pass(PermissionError("cache"))


def test_messages_cannot_break_the_page() -> None:
    assert escaped("a <script>\n| b") == "a &lt;script> \\| b"

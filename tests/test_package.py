"""The package as others meet it: imported, read, installed from a wheel and used in an empty folder."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
import typing
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import sciriff
from sciriff import api

CHECKOUT = Path(__file__).resolve().parents[1]
VERBS = (
    "build",
    "check",
    "combine",
    "compare",
    "doctor",
    "evaluate",
    "explain",
    "fetch",
    "leakage",
    "mix",
    "prompt",
    "push",
    "report",
    "score",
    "sql",
    "stats",
    "verify",
)
HEAVY = (
    "datasets",
    "duckdb",
    "great_expectations",
    "httpx",
    "huggingface_hub",
    "jinja2",
    "loky",
    "pandas",
    "prefect",
    "pyarrow",
    "pydantic",
    "spacy",
    "tokenizers",
)


def python(program: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def imported_by(statement: str, names: tuple[str, ...]) -> set[str]:
    """Which of the libraries a fresh process has imported after a statement."""
    program = f"import sys\n{statement}\nprint(*sorted({set(names)!r} & sys.modules.keys()))"
    return set(python(program).split())


def test_importing_the_package_imports_no_library() -> None:
    assert imported_by("import sciriff", HEAVY) == set()
    assert imported_by("import sciriff.cli", HEAVY) == set()


def test_a_verb_imports_nothing_slow_until_it_is_called() -> None:
    slow = tuple(name for name in HEAVY if name not in ("pydantic", "jinja2", "huggingface_hub", "httpx"))
    assert imported_by("import sciriff; sciriff.build", slow) == set()
    assert imported_by("import sciriff.building.build", slow) == set()


def test_workers_stay_small() -> None:
    """What worker processes import: no validation, no data frames, no network."""
    slow = ("datasets", "duckdb", "great_expectations", "httpx", "huggingface_hub", "pandas", "pyarrow", "prefect")
    assert imported_by("import sciriff.building.instances", slow) == set()


def test_nothing_under_the_package_imports_prefect() -> None:
    modules = [
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((CHECKOUT / "sciriff").rglob("*.py"))
        if path.name != "__main__.py"
    ]
    program = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    assert imported_by(program, ("prefect", "great_expectations", "pandas")) == set()


def test_the_package_offers_its_verbs_and_no_more() -> None:
    assert set(VERBS) | {"__version__"} == set(sciriff.__all__)
    assert set(VERBS) <= set(dir(api))
    assert not hasattr(sciriff, "bild")
    with pytest.raises(AttributeError, match="module 'sciriff' has no attribute 'bild'"):
        sciriff.bild  # noqa: B018


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_are_functions_with_types_and_documentation(verb: str) -> None:
    function = getattr(sciriff, verb)
    assert function is getattr(api, verb)
    documentation = inspect.getdoc(function) or ""
    assert documentation.splitlines()[0].endswith((".", ";"))
    signature = inspect.signature(function)
    hints = typing.get_type_hints(function, localns=_names_of_annotations())
    assert hints.keys() == {*signature.parameters, "return"}
    if "Args:" in documentation:
        for name in signature.parameters:
            assert f"\n    {name}: " in documentation, f"{verb} does not document {name}"


def _names_of_annotations() -> dict[str, object]:
    """The types that the api imports for type checkers only."""
    tree = ast.parse(inspect.getsource(api))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {
        alias.name: getattr(import_module(str(node.module)), alias.name) for node in imports for alias in node.names
    }


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what version control holds, as a bare clone would build it."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (CHECKOUT / name).is_file():
            (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, folder / "clone" / name)
    options = ["--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", str(folder / "dist")]
    made = subprocess.run(
        [sys.executable, "-m", "build", *options, str(folder / "clone")], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["templates", "expectations", "samples", "deployments"])
def test_the_wheel_holds_what_the_checkout_holds(folder: str, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        prefix = f"sciriff/_data/{folder}/"
        inside = {name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)}
        assert not any("__pycache__" in name for name in archive.namelist())
    expected = {
        path.relative_to(CHECKOUT / folder).as_posix()
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected == inside
    assert expected


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"SCIRIFF_OFFLINE": "1"}, {}], ids=["offline", "no variable set"])
def test_an_installed_wheel_builds_in_an_empty_folder(variables: dict[str, str], site: Path, tmp_path: Path) -> None:
    """Without the network (here a proxy that refuses) the build takes the bundled samples, and says so."""
    (tmp_path / "empty").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(site),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        **variables,
    }
    command = [sys.executable, str(site / "bin" / "sciriff"), "build", "--tasks", "scierc_ner"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path / "empty", env=environment, capture_output=True, text=True
        )

    first = run()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "scierc_ner  built" in first.stdout
    assert "sample" in first.stdout
    rows = (tmp_path / "empty/artifacts/instructions/4096/scierc_ner/train.jsonl").read_text("utf-8").splitlines()
    assert rows
    assert (tmp_path / "empty/artifacts/instructions_hf/16384/train.parquet").is_file()
    assert {path.name for path in (tmp_path / "empty").iterdir()} <= {"artifacts", "sources.lock"}
    again = run()
    assert again.returncode == 0
    assert "already done" in again.stdout


@pytest.mark.slow
def test_the_installed_package_is_the_one_that_runs(site: Path, tmp_path: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", "import sciriff, sciriff.resources as r; print(r.resource_dir('templates'))"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == str(site / "sciriff" / "_data" / "templates")

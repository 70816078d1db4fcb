"""Nothing that is read can bring code: no pickles, no code of checkpoints or datasets, nothing evaluated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("sciriff", "flows", "benchmarks", "samples")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "torch"}
LOADERS = {"load", "loads", "Unpickler", "open"}
RUNNERS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("runpy", "run_path"), ("code", "interact")}

ALLOWED = {
    ("sciriff/plain_yaml.py", "yaml.load"): "with a loader derived from the safe one, see below",
    ("samples/tool/corpus.py", "yaml.safe_load"): "the repository's own texts, when samples are written anew",
    ("sciriff/runners/dask_cluster.py", "pickle.loads"): "calls that this program's own driver hands to its workers, "
    "through the scheduler of the user's cluster: whoever can write there can run code there anyway",
    (
        "benchmarks/measured.py",
        "pickle.load",
    ): "what the same benchmark wrote a moment before, into a folder of its own",
}
"""(file, call) -> why it may be."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a module, by its dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def forbidden(path: Path) -> Iterator[str]:
    """Calls that could make code of data."""
    for name, call in calls(path):
        module, _, function = name.rpartition(".")
        options = {each.arg: ast.unparse(each.value) for each in call.keywords}
        if (
            (module.rpartition(".")[2] in UNPICKLERS and function in LOADERS)
            or name in ("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec")
            or (module, function) in RUNNERS
            or "True" in (options.get("shell"), options.get("allow_pickle"), options.get("trust_remote_code"))
            or (module == "yaml" and "load" in function)
            or function in ("read_pickle", "from_pretrained", "load_dataset", "read_hdf")
        ):
            yield name


def test_no_module_makes_code_of_data() -> None:
    found = {(str(path.relative_to(ROOT)), name) for path in SOURCES for name in forbidden(path)}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "pickle.load(f)",
        "pickle.Unpickler(f)",
        "torch.load(f, weights_only=True)",
        "np.load(f, allow_pickle=True)",
        "joblib.load(f)",
        "eval(text)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
        "AutoModel.from_pretrained(x)",
        "yaml.load(x, Loader=yaml.Loader)",
        "pandas.read_pickle(x)",
    ],
)
def test_the_search_finds_it(source: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert list(forbidden(path))


def test_yaml_has_no_objects() -> None:
    import yaml

    from sciriff.plain_yaml import _Loader

    assert issubclass(_Loader, yaml.SafeLoader | yaml.CSafeLoader)
    assert not issubclass(_Loader, yaml.FullLoader | yaml.UnsafeLoader)
    makers = [tag for tag in (*_Loader.yaml_constructors, *_Loader.yaml_multi_constructors) if tag and "python" in tag]
    assert makers == []


def test_engines_run_no_code_of_checkpoints() -> None:
    from sciriff.errors import UsageError
    from sciriff.models.vllm_engine import OURS, check_options

    assert OURS["trust_remote_code"] is False
    with pytest.raises(UsageError, match="trust_remote_code"):
        check_options({"trust_remote_code": True})

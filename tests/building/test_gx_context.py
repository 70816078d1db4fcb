"""Great Expectations comes without its side effects."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

import pytest

from sciriff.building import gx_context


@pytest.mark.parametrize("fails", [False, True])
def test_no_garbage_is_looked_for_while_the_library_is_imported(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    collecting = []

    def import_module(name: str) -> ModuleType:
        collecting.append(gc.isenabled())
        if fails:
            raise ImportError(name)
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        return sys.modules[name]

    monkeypatch.delitem(sys.modules, "great_expectations", raising=False)
    monkeypatch.setattr(gx_context, "import_module", import_module)
    try:
        if fails:
            with pytest.raises(ImportError):
                gx_context.import_library()
        else:
            gx_context.import_library()
        assert collecting[0] is False
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()

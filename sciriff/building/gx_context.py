"""Great Expectations without its side effects: no files, no progress bars, no usage statistics."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def import_library() -> ModuleType:
    """Import the library (seconds, the first time).

    Hundreds of thousands of objects come with it and stay. Neither while they are made nor later is it worth the time
    to look for garbage among them.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported
    if "great_expectations" not in sys.modules and gc.isenabled():
        gc.disable()
        try:
            import_module("great_expectations")
        finally:
            gc.freeze()
            gc.enable()
    return import_module("great_expectations")


def quiet_context(data_docs_sites: Mapping[str, Any] | None = None) -> Any:
    """Import the library and make a context that lives in memory.

    Args:
        data_docs_sites: site name -> where and how the library builds a site of the results.
    """
    gx = import_library()
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        data_docs_sites=dict(data_docs_sites or {}),
    )
    return gx.get_context(mode="ephemeral", project_config=config)

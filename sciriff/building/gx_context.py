"""Great Expectations without its side effects: no files, no progress bars, no usage statistics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def quiet_context(data_docs_sites: Mapping[str, Any] | None = None) -> Any:
    """Import the library (seconds) and make a context that lives in memory.

    Args:
        data_docs_sites: site name -> where and how the library builds a site of the results.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported
    import great_expectations as gx
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

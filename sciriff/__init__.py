"""Rebuild SciRIFF from primary sources, mix it for training and evaluate models on its held-out tasks.

The verbs of the command line are functions of the same names: ``fetch``, ``build``, ``combine``, ``stats``,
``leakage``, ``push``, ``mix``, ``prompt``, ``evaluate``, ``score``, ``report``, ``compare``, ``check``, ``explain``,
``sql``, ``doctor``, ``verify``. They are imported when first used, so that ``import sciriff`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "__version__",
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
]

if TYPE_CHECKING:
    from sciriff.api import (
        build,
        check,
        combine,
        compare,
        doctor,
        evaluate,
        explain,
        fetch,
        leakage,
        mix,
        prompt,
        push,
        report,
        score,
        sql,
        stats,
        verify,
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from sciriff import api

        return getattr(api, name)
    raise AttributeError(f"module 'sciriff' has no attribute {name!r}")

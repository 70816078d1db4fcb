"""Where the text that people edit lies: ``templates``, ``expectations``, ``samples``, ``deployments``.

In a checkout these are top-level folders; a wheel carries the same folders inside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent

ResourceName = Literal["templates", "expectations", "samples", "deployments"]


def resource_dir(name: ResourceName) -> Path:
    """Return the folder of bundled text or samples.

    Raises:
        FileNotFoundError: if neither the package nor the checkout around it has the folder (a broken installation).
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"the installed sciriff package has no {name}/ folder; reinstall it")

"""What a user can choose of a build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sciriff.building.splitting import SplitBy
from sciriff.errors import UsageError
from sciriff.tasks.rendering import Fidelity

DEFAULT_WINDOWS: Final = (4096, 8192, 16384)
DEFAULT_CAP: Final = 2500
DEFAULT_SEED: Final = 76
SMALLEST_WINDOW: Final = 128


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Parameters that decide the bytes of a build.

    Attributes:
        windows: context windows in tokens, ascending, without repeats.
        n_instances: most instances kept per source split and window, before splits are standardised; None for all.
        template_ids: templates to apply to each record; source split ``test`` always takes the lowest.
        seed: global seed of all keyed ranks.
        fidelity: whether what changes instances of the original SciRIFF is put right (``corrected``) or as it was
            (``original``); ``docs/fidelity.md`` lists what that is.
        split_by: what is kept together where validation and test are carved out: ``document`` or ``instance``.
    """

    windows: tuple[int, ...] = DEFAULT_WINDOWS
    n_instances: int | None = DEFAULT_CAP
    template_ids: tuple[int, ...] = (0,)
    seed: int = DEFAULT_SEED
    fidelity: Fidelity = "corrected"
    split_by: SplitBy = "document"

    @classmethod
    def checked(
        cls,
        windows: Sequence[int] = DEFAULT_WINDOWS,
        n_instances: int | None = DEFAULT_CAP,
        template_ids: Sequence[int] = (0,),
        seed: int = DEFAULT_SEED,
        fidelity: Fidelity = "corrected",
        split_by: SplitBy | None = None,
    ) -> BuildOptions:
        """Make options out of what a user gave; ``split_by`` None follows fidelity: by instance as the original did.

        Raises:
            UsageError: if an option is out of range, with what is possible.
        """
        if not windows or min(windows) < SMALLEST_WINDOW:
            raise UsageError(f"windows {list(windows)}: give one or more, each at least {SMALLEST_WINDOW} tokens")
        if n_instances is not None and n_instances < 1:
            raise UsageError(f"n_instances {n_instances}: give at least 1, or 'all' for no cap")
        if not template_ids or min(template_ids) < 0:
            raise UsageError(f"template ids {list(template_ids)}: give one or more, counted from 0")
        if not -(2**63) <= seed < 2**63:
            raise UsageError(f"seed {seed}: give a whole number of at most 64 bits")
        if split_by is None:
            split_by = "instance" if fidelity == "original" else "document"
        return cls(tuple(sorted(set(windows))), n_instances, tuple(sorted(set(template_ids))), seed, fidelity, split_by)

    def describe(self) -> dict[str, Any]:
        """As plain data, for keys and manifests."""
        return {
            "windows": list(self.windows),
            "n_instances": self.n_instances,
            "template_ids": list(self.template_ids),
            "seed": self.seed,
            "fidelity": self.fidelity,
            "split_by": self.split_by,
        }

"""Training mixtures: instances of the training tasks, alone or with general instruction data (Tulu)."""

from sciriff.mixture.create import MixtureOutcome, create_mixture

__all__ = ["MixtureOutcome", "create_mixture"]

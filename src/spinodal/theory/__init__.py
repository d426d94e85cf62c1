"""Closed forms: what is known exactly, for tests, for `spinodal theory`, and beside the measurement."""

from spinodal.theory.deep_linear_networks import ExactTransition, deep_linear, mode_strength
from spinodal.theory.escape import escape_time, saddle_amplitude
from spinodal.theory.linear_autoencoder import LinearAutoencoder
from spinodal.theory.noise import kramers_time, passage_time

__all__ = [
    "ExactTransition",
    "LinearAutoencoder",
    "deep_linear",
    "escape_time",
    "kramers_time",
    "mode_strength",
    "passage_time",
    "saddle_amplitude",
]

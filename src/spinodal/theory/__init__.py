"""Closed forms: what is known exactly, for tests, for `spinodal theory`, and beside the measurement."""

from spinodal.theory.deep_linear_networks import ExactTransition, deep_linear, mode_strength
from spinodal.theory.escape import escape_time, saddle_amplitude
from spinodal.theory.linear_autoencoder import LinearAutoencoder

__all__ = ["ExactTransition", "LinearAutoencoder", "deep_linear", "escape_time", "mode_strength", "saddle_amplitude"]

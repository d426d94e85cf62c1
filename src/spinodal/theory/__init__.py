"""Closed forms: what is known exactly, for tests, for `spinodal theory`, and beside the measurement."""

from spinodal.theory.deep_linear import ExactTransition, deep_linear, mode_strength

__all__ = ["ExactTransition", "deep_linear", "mode_strength"]

"""Branches at fixed norm, matrix-free: the saddles behind a fold are minima on a sphere."""

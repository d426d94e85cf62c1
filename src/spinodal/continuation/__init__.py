"""Branches of stationary points: through folds, along saddles, to coexistence."""

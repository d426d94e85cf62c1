"""Paths of low error between two minima, and what they tell."""

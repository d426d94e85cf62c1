"""Where a phase exists: its two ends with the reason for each, and where within it is the deepest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Existence:
    """The range of beta in which a phase is a local minimum of L.

    Attributes
    ----------
    range : (lowest, highest)
        In beta. The lowest is 0.0 where the phase stays a minimum for every beta > 0.
    lower_reason, upper_reason : str
        Why the range ends there, or how far it was followed without an end.
    stable : tuple of (lowest, highest)
        Where no deeper phase is known.
    metastable : tuple of (lowest, highest)
        Where a deeper phase is known; together with `stable` this is the range.
    """

    range: Interval
    lower_reason: str
    upper_reason: str
    stable: tuple[Interval, ...] = ()
    metastable: tuple[Interval, ...] = ()

    def __str__(self) -> str:
        """Return the range and where in it the phase is the deepest known."""
        deepest = ", ".join(f"{low:.6g} to {high:.6g}" for low, high in self.stable) or "nowhere"
        return f"beta {self.range[0]:.6g} to {self.range[1]:.6g}; the deepest phase known: {deepest}"

    def to_dict(self) -> dict[str, Any]:
        """Return the existence in JSON types."""
        return {
            "range": list(self.range),
            "lower_reason": self.lower_reason,
            "upper_reason": self.upper_reason,
            "stable": [list(interval) for interval in self.stable],
            "metastable": [list(interval) for interval in self.metastable],
        }

"""The hierarchy of phases: which one falls into which."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Fall:
    """One edge of the tree of phases.

    Attributes
    ----------
    phase : int
        The phase that ends.
    falls_to : int or None
        The phase that L falls into from there; None where it is none of those known.
    beta : float
    direction : {"up", "down"}
        In which beta was walked.
    """

    phase: int
    falls_to: int | None
    beta: float
    direction: str

    def to_dict(self) -> dict[str, Any]:
        """Return the edge in JSON types."""
        return asdict(self)

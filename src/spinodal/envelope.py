"""The lower envelope of L over the known phases, and what a gap in it tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Violation:
    """A place where the deepest phases known cannot be the global minimum.

    `L*(beta) = min over theta of L` is concave and its slope `||theta - centre||^2` does not grow.

    Attributes
    ----------
    beta : float
    text : str
        What is violated.
    """

    beta: float
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return the violation in JSON types."""
        return asdict(self)

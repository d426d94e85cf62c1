"""What a search may spend, in gradient-equivalents of a landscape's own counts."""

from __future__ import annotations

from spinodal.landscape import Landscape


class Effort:
    """A share of gradient-equivalents, from now on.

    Examples
    --------
    >>> import torch
    >>> E = Landscape(torch.nn.Linear(1, 1), lambda model, batch: model(batch).square().mean(), torch.ones(1, 1))
    >>> effort = Effort(E, 1.5)
    >>> for _ in range(2):
    ...     _ = E.gradient(E.initial)
    >>> effort.spent, effort.is_spent
    (2.0, True)
    """

    def __init__(self, landscape: Landscape, share: float) -> None:
        self.landscape, self.share = landscape, share
        self._began = landscape.counts.copy()

    @property
    def spent(self) -> float:
        """Return what was spent since."""
        return (self.landscape.counts - self._began).gradient_equivalents

    @property
    def left(self) -> float:
        """Return what is left, 0 or more."""
        return max(0.0, self.share - self.spent)

    @property
    def is_spent(self) -> bool:
        """Tell whether nothing is left."""
        return self.spent >= self.share

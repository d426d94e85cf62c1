"""The curves of a trajectory while it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Row = Mapping[str, Tensor | None]  # values of k runs by the name of the curve


class Curves:
    """Rows of several curves over growing epochs; a curve is None where no row has it.

    Examples
    --------
    >>> curves = Curves(runs=2)
    >>> curves.add(0, {"error": torch.tensor([1.0, 2.0])}, rows=torch.tensor([0, 1]))
    >>> curves.add(5, {"error": torch.tensor([0.5])}, rows=torch.tensor([1]))
    >>> curves.epochs, curves.of("error").tolist(), curves.of("margin")
    ([0, 5], [[1.0, nan], [2.0, 0.5]], None)
    """

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.epochs: list[int] = []
        self._columns: list[dict[str, Tensor]] = []

    def add(self, epoch: int, row: Row, rows: Tensor) -> None:
        """Add the values at an epoch of the runs with these numbers; the others have none."""
        column = {}
        for name, values in row.items():
            if values is not None:
                column[name] = torch.full((self.runs,), math.nan, dtype=torch.float64)
                column[name][rows] = values.detach().double().cpu()
        self.epochs.append(epoch)
        self._columns.append(column)

    def of(self, name: str) -> Tensor | None:
        """Return a curve, shape (k, number of epochs)."""
        if not any(name in column for column in self._columns):
            return None
        nothing = torch.full((self.runs,), math.nan, dtype=torch.float64)
        return torch.stack([column.get(name, nothing) for column in self._columns], 1)

    def take(self, epochs: tuple[int, ...], curves: Mapping[str, Tensor | None], until: int) -> None:
        """Take what was recorded before an epoch."""
        for place, epoch in enumerate(epochs):
            if epoch < until:
                self.epochs.append(epoch)
                self._columns.append({name: curve[:, place] for name, curve in curves.items() if curve is not None})

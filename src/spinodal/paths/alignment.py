"""Hidden units of one network put into the order, and given the signs, of those of another that do the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.codec import Record
from spinodal.landscape import Landscape
from spinodal.paths.ends import end_of
from spinodal.paths.units import Units, hidden_units, rearranged

ROUNDS = 100  # through all groups of units, most
TIE = 1e-10  # of the largest product, by which units that are worth the same, such as twins and dead ones, stay where they are


@dataclass(frozen=True)
class Alignment(Record):
    """A point whose units were rearranged, which leaves its function as it is.

    Attributes
    ----------
    theta : Tensor, shape (n,)
    orders : mapping of layer names to Tensor of int
        Unit i is the unit `order[i]` of the given point,
    signs : mapping of layer names to Tensor of 1 and -1
        times `signs[i]`.
    distance : (before, after)
        From the point that it was aligned with.
    """

    JSON = "moved distance"

    theta: Tensor
    orders: Mapping[str, Tensor]
    signs: Mapping[str, Tensor]
    distance: tuple[float, float]

    @property
    def moved(self) -> int:
        """Return how many units changed their place or sign."""
        pairs = ((self.orders[name], self.signs[name]) for name in self.orders)
        return sum(int(((order != torch.arange(len(order))) | (signs < 0)).sum()) for order, signs in pairs)

    def __str__(self) -> str:
        """Return it in one line."""
        before, after = self.distance
        return f"{self.moved} units rearranged in {len(self.orders)} layers: distance {before:.6g} -> {after:.6g}"


def align(landscape: Landscape, a: object, b: object) -> Alignment:
    """Rearrange the hidden units of b so that it comes as near to a as iterated assignments bring it.

    The units of one layer after the other are assigned, `max_P <A, P B>` over all parameters that they index, until nothing
    changes (weight matching: Ainsworth, Hayase & Srinivasa 2209.04836); where the function between layers is odd, signs are
    chosen with them. It begins with b as it is, with what the layers before settle, and with what those behind settle; the
    nearest of the three is returned, and units that are worth the same stay where they are.

    Parameters
    ----------
    landscape : Landscape
    a, b : as `connect` takes them

    Returns
    -------
    Alignment

    Raises
    ------
    SpinodalError
        If the structure of the module is not understood.

    Notes
    -----
    *What it is not:* the nearest of all arrangements, which is as hard as any problem of its class. Planted ones are found.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1, bias=False))
    >>> E = Landscape(net, lambda model, batch: model(batch).square().mean(), torch.ones(3, 1))
    >>> a = torch.tensor([1.0, 2.0, 0.1, 0.2, 5.0, 6.0])
    >>> b = torch.tensor([-2.0, 1.0, -0.2, 0.1, -6.0, 5.0])
    >>> found = align(E, a, b)
    >>> print(found)
    2 units rearranged in 1 layers: distance 11.4935 -> 0
    """
    first, second = end_of(landscape, a, "a"), end_of(landscape, b, "b")
    matching = _Matching(landscape, first, second, hidden_units(landscape))
    best = matching.run("")
    for found in (matching.run(begin) for begin in ("before", "behind")):
        if found.distance[1] < best.distance[1] - TIE * best.distance[0]:
            best = found
    return best


class _Matching:
    """Assignments of the units of b to those of a."""

    def __init__(self, landscape: Landscape, a: Tensor, b: Tensor, units: list[Units]) -> None:
        self.landscape, self.a, self.b, self.units = landscape, a, b, units
        self.of_a = landscape.parameters.unflatten(a.double().cpu())

    def run(self, begin: str) -> Alignment:
        self.theta = self.b.double().cpu()
        self.orders = [torch.arange(group.count or 0) for group in self.units]
        self.signs = [torch.ones(group.count or 0, dtype=torch.float64) for group in self.units]
        if begin:
            self._begin(range(len(self.units)) if begin == "before" else reversed(range(len(self.units))))
        for _ in range(ROUNDS):
            changes = [self._assign(group, self.units[group].uses) for group in range(len(self.units))]
            if not any(changes):
                break
        return self._found()

    def _begin(self, order: Iterable[int]) -> None:
        """Assign every group by what is settled: inputs, outputs, and groups that had their turn."""
        waiting = {(slot, axis): group for group, units in enumerate(self.units) for slot, axis, _ in units.uses}
        open_groups = set(range(len(self.units)))
        for group in order:
            uses = [
                (slot, axis, repeat)
                for slot, axis, repeat in self.units[group].uses
                if waiting.get((slot, 1 - axis), -1) not in open_groups
            ]
            self._assign(group, uses or self.units[group].uses)
            open_groups.discard(group)

    def _assign(self, group: int, uses: Iterable[tuple[str, int, int]]) -> bool:
        """Assign the units of a group; tell whether that brought any nearer."""
        units, count = self.units[group], self.units[group].count or 0
        of_b = self.landscape.parameters.unflatten(self.theta)
        gain = sum(_rows(self.of_a[slot], axis, count) @ _rows(of_b[slot], axis, count).T for slot, axis, _ in uses)
        assert isinstance(gain, Tensor)
        from scipy.optimize import linear_sum_assignment  # slow to import, and needed by alignments only

        sought = gain.abs() if units.odd else gain
        sought = sought + TIE * float(gain.abs().max()) * torch.eye(count, dtype=sought.dtype)
        order = torch.from_numpy(linear_sum_assignment(sought.numpy(), maximize=True)[1])
        chosen = gain[torch.arange(count), order]
        signs = (
            torch.where(chosen < -TIE * gain.abs().max(), -1.0, 1.0).double()
            if units.odd
            else torch.ones(count, dtype=torch.float64)
        )
        better = float((signs * chosen).sum() - gain.diagonal().sum())
        if not better > 1e-12 * (float(gain.abs().max()) + 1e-300):
            return False
        self.theta = rearranged(self.landscape, self.theta, units, order, signs)
        self.signs[group] = signs * self.signs[group][order]
        self.orders[group] = self.orders[group][order]
        return True

    def _found(self) -> Alignment:
        theta = self.b
        for units, order, signs in zip(self.units, self.orders, self.signs, strict=True):
            theta = rearranged(self.landscape, theta, units, order, signs)
        names = [units.name for units in self.units]
        return Alignment(
            theta=theta,
            orders=dict(zip(names, self.orders, strict=True)),
            signs=dict(zip(names, self.signs, strict=True)),
            distance=(float((self.b - self.a).norm()), float((theta - self.a).norm())),
        )


def _rows(value: Tensor, axis: int, count: int) -> Tensor:
    """Return a parameter with one row for every unit that indexes an axis of it."""
    return value.movedim(axis, 0).reshape(count, -1)

"""Whether two networks can be merged, from a few evaluations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spinodal.codec import keyed
from spinodal.definitions import ALIVE, MACROSCOPIC
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.observe import Observation, Observer
from spinodal.paths.alignment import Alignment, align
from spinodal.paths.connecting import connect
from spinodal.paths.ends import end_of, refuse_same
from spinodal.paths.path import Path
from spinodal.tasks.task import Task


@dataclass(frozen=True)
class Mergeable:
    """What is known of two ends before any path is sought.

    Attributes
    ----------
    error, norm, rank : pairs, of a and of b
    classes : (living classes of a, of b), None where there are none
        Those with a recall of at least one half on the training data.
    range : float
        `E(0) - min(E(a), E(b))`: barriers are measured against it; infinite where the origin has no finite E.
    straight : Path
        The straight line from a to b.
    aligned : float or None
        The barrier of that to b with its units in the order of those of a; None where that is not understood.
    alignment : Alignment or None
    why_not : str
        Why there is no alignment.
    """

    error: tuple[float, float]
    norm: tuple[float, float]
    rank: tuple[int, int]
    classes: tuple[tuple[int, ...], tuple[int, ...]] | None
    range: float
    straight: Path
    aligned: float | None
    alignment: Alignment | None
    why_not: str

    @property
    def same_phase(self) -> bool:
        """Tell whether rank and living classes agree, as they do within a phase."""
        return self.rank[0] == self.rank[1] and (self.classes is None or self.classes[0] == self.classes[1])

    def is_low(self, barrier: float | None) -> bool:
        """Tell whether a barrier is below 1 % of the range of E."""
        return barrier is not None and barrier <= MACROSCOPIC * self.range

    @property
    def verdict(self) -> str:
        """Return "straight", "aligned", "path" or "phases": by what the two can be merged, or what keeps them apart."""
        if not self.same_phase:
            return "phases"
        return "straight" if self.is_low(self.straight.barrier) else "aligned" if self.is_low(self.aligned) else "path"

    def answer(self) -> str:
        """Return the answer in a sentence."""
        after = "" if self.aligned is None else f", {self.aligned:.4g} after alignment"
        barrier = f"barrier of the straight line {self.straight.barrier:.4g}{after}; E(0) - E = {self.range:.4g}"
        return {
            "straight": f"Yes: averages of the two lie as low as they do ({barrier}).",
            "aligned": f"Yes, once the units of b are in the order of those of a ({barrier}).",
            "path": f"Not by averaging ({barrier}); a path may join them: run it without --check.",
            "phases": f"They are in different phases: {self._difference()} ({barrier}).",
        }[self.verdict]

    def _difference(self) -> str:
        if self.rank[0] != self.rank[1]:
            return f"rank {self.rank[0]} and {self.rank[1]}"
        first, second = self.classes or ((), ())
        return f"living classes {_listed(first)} and {_listed(second)}"

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        words = "error norm rank classes same_phase range barrier=straight.barrier barrier_aligned=aligned"
        return {
            **{"verdict": self.verdict, "answer": self.answer()},
            **keyed(self, f"{words} distance=straight.distance"),
            "distance_aligned": self.alignment and self.alignment.distance[1],
            "units_moved": self.alignment and self.alignment.moved,
            "alignment": self.why_not or None,
        }


def mergeable(landscape: Landscape, a: object, b: object, *, task: Task | None = None) -> Mergeable:
    """Say whether two networks can be merged: same phase, barrier of the straight line, and that after alignment.

    Parameters
    ----------
    landscape, a, b, task : as `connect` takes them

    Raises
    ------
    SpinodalError
        If an end does not fit, or both are the same.

    Examples
    --------
    A network and the same with its two hidden units exchanged:

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Tanh(), nn.Linear(2, 1, bias=False))
    >>> E = Landscape(net, lambda model, x: (model(x) - x).square().mean(), torch.ones(3, 1))
    >>> found = mergeable(E, torch.tensor([0.1, 1.0, 0.2, 1.3]), torch.tensor([1.0, 0.1, 1.3, 0.2]))
    >>> found.verdict, found.aligned
    ('aligned', 0.0)
    """
    first, second = end_of(landscape, a, "a"), end_of(landscape, b, "b")
    refuse_same(first, second)
    seen = [Observer(landscape, Penalty(), task)(theta) for theta in (first, second)]
    straight = connect(landscape, first, second, method="straight")
    alignment, why_not = _aligned(landscape, first, second)
    low, origin = min(straight.error[0], straight.error[-1]), landscape.value(torch.zeros_like(first))
    return Mergeable(
        error=(straight.error[0], straight.error[-1]),
        norm=(seen[0].norm, seen[1].norm),
        rank=(seen[0].rank, seen[1].rank),
        classes=_living(seen),
        range=max(origin - low, 0.0) if math.isfinite(origin) else math.inf,
        straight=straight,
        aligned=None if alignment is None else _barrier(landscape, first, alignment.theta),
        alignment=alignment,
        why_not=why_not,
    )


def _aligned(landscape: Landscape, a: Tensor, b: Tensor) -> tuple[Alignment | None, str]:
    try:
        return align(landscape, a, b), ""
    except SpinodalError as cause:
        return None, cause.got


def _barrier(landscape: Landscape, a: Tensor, b: Tensor) -> float:
    """Return the barrier of the straight line; none where a permuted copy has become the point itself."""
    return 0.0 if torch.equal(a, b) else connect(landscape, a, b, method="straight").barrier


def _living(seen: list[Observation]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    recalls = [view.class_accuracy["train"] for view in seen]
    if recalls[0] is None or recalls[1] is None:
        return None
    first, second = (
        tuple(number for number, recall in enumerate(values or ()) if recall is not None and recall >= ALIVE)
        for values in recalls
    )
    return first, second


def _listed(classes: tuple[int, ...]) -> str:
    return ", ".join(map(str, classes)) or "none"

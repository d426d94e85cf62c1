"""What a part of a search found, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spinodal.codec import Record, Unbounded, read
from spinodal.paths.interval import Interval, Sample
from spinodal.paths.jump import Jump


@dataclass(frozen=True)
class Found(Record):
    """Points of a path in order, E there, and how it was found; its record holds no tensors."""

    JSON = "errors way jumps intervals"

    points: Tensor
    errors: tuple[Unbounded, ...]
    way: str
    jumps: tuple[Jump, ...] = ()
    known: tuple[Interval, ...] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Found:
        """Return what has this record and these tensors."""
        jumps = tuple(Jump.from_dict(jump, before=tensors[_before(place)]) for place, jump in enumerate(record["jumps"]))
        known = tuple(Interval(*item) for item in read(tuple[tuple[tuple[Sample, ...], float], ...], record["intervals"]))
        return cls.from_dict(record, points=tensors["points"], jumps=jumps, known=known)

    @property
    def intervals(self) -> list[tuple[tuple[Sample, ...], float]]:
        """Return the intervals as they are on record."""
        return [(interval.samples, interval.uncertainty) for interval in self.known]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by name."""
        return {"points": self.points, **{_before(place): jump.before for place, jump in enumerate(self.jumps)}}

    def reversed(self) -> Found:
        """Return the same path from its other end."""
        return Found(self.points.flip(0), self.errors[::-1], self.way, self.jumps)  # of a walk, which nothing is measured of


def _before(place: int) -> str:
    return f"before jump {place}"


def spread(points: Tensor, count: int) -> Tensor:
    """Return so many points along a path, shape (m, n), at equal distances along it, both ends among them.

    Examples
    --------
    >>> spread(torch.tensor([[0.0], [1.0], [4.0]]), 3).tolist()
    [[0.0], [2.0], [4.0]]
    """
    lengths = (points[1:] - points[:-1]).norm(dim=1)
    arc = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    wanted = torch.linspace(0.0, 1.0, count, dtype=arc.dtype, device=arc.device) * arc[-1]
    segment = torch.searchsorted(arc, wanted, right=True).clamp(1, len(points) - 1) - 1
    part = (wanted - arc[segment]) / lengths[segment].clamp_min(1e-300)
    places = torch.lerp(points[segment], points[segment + 1], part[:, None])
    return torch.cat([points[:1], places[1:-1], points[-1:]])

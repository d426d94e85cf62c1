"""The nudged elastic band: points that E pushes down across the path, and springs keep apart along it."""

from __future__ import annotations

import torch
from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.paths.effort import Effort

STEPS, SHORTER, LONGER = 5, 0.5, 1.1  # FIRE: steps downhill before the time step grows, and by what it changes
MIXED, LESS_MIXED = 0.1, 0.99  # FIRE: part of the velocity that is turned into the force, and what it is multiplied by
LONGEST = 0.2  # of a step, over the distance between neighbours
STILL = 1e-6  # force relative to that at the beginning, at which the band rests


class Band:
    """A chain of points between two ends, relaxed by FIRE (Bitzek et al. 2006) under the forces of a nudged elastic band.

    The force on a point is `-grad E` across the path, and along it a spring; tangents point to the higher neighbour, and the
    highest point climbs: it has no spring, and E pushes it up along the path (Henkelman, Uberuaga & Jonsson 2000).

    Parameters
    ----------
    landscape : Landscape
    points : Tensor, shape (m, n)
        Both ends among them, which stay.
    """

    def __init__(self, landscape: Landscape, points: Tensor) -> None:
        self.landscape, self.points = landscape, points.clone()
        self.errors = points.new_zeros(len(points))
        self.errors[0], self.errors[-1] = landscape.value(points[0]), landscape.value(points[-1])
        self._best: tuple[float, Tensor] | None = None

    def relax(self, effort: Effort) -> Tensor:
        """Return the points, shape (m, n), whose largest E was the lowest on the way, ends among them."""
        force = self._force()
        reach = LONGEST * float((self.points[1:] - self.points[:-1]).norm(dim=1).mean())
        first, velocity = float(force.norm()), torch.zeros_like(force)
        time, mixed, downhill = (reach / max(float(force.norm(dim=1).max()), 1e-300)) ** 0.5, MIXED, 0
        while not effort.is_spent and float(force.norm()) > STILL * first:
            if float((velocity * force).sum()) > 0.0:
                velocity = (1.0 - mixed) * velocity + mixed * (velocity.norm() / force.norm()) * force
                downhill += 1
                if downhill > STEPS:
                    time, mixed = LONGER * time, LESS_MIXED * mixed
            else:
                velocity, time, mixed, downhill = torch.zeros_like(force), SHORTER * time, MIXED, 0
            velocity = velocity + time * force
            step = time * velocity
            self.points[1:-1] += step * min(1.0, reach / max(float(step.norm(dim=1).max()), 1e-300))
            force = self._force()
        assert self._best is not None
        return self._best[1]

    def _force(self) -> Tensor:
        """Return the forces on the points between the ends, shape (m - 2, n)."""
        errors, gradients = self.landscape.values_and_gradients(self.points[1:-1])
        self.errors[1:-1] = errors
        top = float(self.errors.max())
        if self._best is None or top < self._best[0]:
            self._best = top, self.points.clone()
        tangents, springs = self._tangents()
        along = (gradients * tangents).sum(1, keepdim=True)
        force = -gradients + along * tangents + springs[:, None] * tangents
        highest = int(errors.argmax())
        if float(errors[highest]) >= top:
            force[highest] = -gradients[highest] + 2.0 * along[highest] * tangents[highest]
        return force

    def _tangents(self) -> tuple[Tensor, Tensor]:
        """Return the unit tangents towards the higher neighbour, and the forces of the springs along them."""
        steps = self.points[1:] - self.points[:-1]
        lengths = steps.norm(dim=1)
        before, after = self.errors[:-2, None], self.errors[2:, None]
        here = self.errors[1:-1, None]
        rise, fall = (after - here).abs(), (before - here).abs()
        larger, smaller = torch.maximum(rise, fall), torch.minimum(rise, fall)
        up = after > before
        slope = (after > here) & (here > before), (after < here) & (here < before)
        ahead, behind = torch.where(up, larger, smaller), torch.where(up, smaller, larger)
        mixed = ahead * steps[1:] + behind * steps[:-1]
        mixed = torch.where(mixed.norm(dim=1, keepdim=True) > 0, mixed, steps[1:] + steps[:-1])
        tangents = torch.where(slope[0], steps[1:], torch.where(slope[1], steps[:-1], mixed))
        strength = float((self.errors.max() - self.errors.min()) / lengths.sum() ** 2) + 1e-300
        unit = tangents / tangents.norm(dim=1, keepdim=True).clamp_min(1e-300)
        return unit, strength * len(lengths) * (lengths[1:] - lengths[:-1])

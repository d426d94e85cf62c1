"""Follows phases down: to the lowest beta of a map, and on from there as long as they are stiff; also by workers, ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spinodal.definitions import FURTHER, STIFF
from spinodal.sweeps.ahead import Made
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker


@dataclass(frozen=True)
class Descent:
    """One phase to be followed down.

    Attributes
    ----------
    phase : int
    known : tuple of Point
        Where it begins, and what that can be followed with (see `Walker.lineage`).
    low : float
        The lowest beta of the map.
    criteria : Criteria
    resolution : Resolution
    """

    phase: int
    known: tuple[Point, ...]
    low: float
    criteria: Criteria
    resolution: Resolution

    @property
    def part(self) -> str:
        """Return the name of this part of the work."""
        return descent_of(self.phase)


def descent_of(phase: int) -> str:
    """Return the name of the part of the work that follows a phase down."""
    return f"phase {phase} down"


def targets_below(point: Point, low: float, walker: Walker) -> Iterator[float]:
    """Yield how far down a phase is followed: to the lowest beta of a map, and further where that tells of beta = 0."""
    further = (FURTHER * low,) if walker.control.is_quadratic else ()
    yield from (target for target in (low, *further) if point.beta > target)


def walk_down(scout: Scout, point: Point, target: float, low: float) -> Sweep:
    """Walk down to the first macroscopic transition; below the map, as long as the phase is stiff."""
    return scout.walk(point, target, until=is_macroscopic, enough=lambda reached: target < low and not is_stiff(reached))


def descended(problem: Problem, descent: Descent) -> Made:
    """Follow a phase down as far as it may be wanted, in a worker; return the points made."""
    memory = Memory()
    walker, point = problem.walker(memory, known=descent.known), descent.known[0]
    with walker.within(descent.part):
        for target in targets_below(point, descent.low, walker):
            sweep = walk_down(Scout.judging(walker, descent.criteria, descent.resolution), point, target, descent.low)
            if sweep.status != "complete" or any(map(is_macroscopic, sweep.transitions)):
                break
            point = sweep.points[-1]
    return memory.made


def is_macroscopic(transition: Transition) -> bool:
    """Tell a transition that separates phases."""
    return not transition.minor


def is_stiff(point: Point) -> bool:
    """Tell a minimum whose margin is a good part of what the penalty gives, so that Hess E has hardly a negative eigenvalue."""
    return point.minimum.converged and point.minimum.margin >= STIFF * 2.0 * point.beta

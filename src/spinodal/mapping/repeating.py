"""A finished walk repeated from other starts at its lower end, by workers ahead or here."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.definitions import BRACKET_LARGE
from spinodal.mapping.deepest import is_trivial
from spinodal.mapping.options import MapOptions
from spinodal.mapping.starts import Starts
from spinodal.minima.minimise import LOST
from spinodal.parallel import Crew
from spinodal.phases.repeat import Met, Repeat, deeper
from spinodal.sweeps.ahead import Made
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.walk import Walker


@dataclass(frozen=True)
class Again:
    """A walk to be repeated.

    Attributes
    ----------
    number : int
        From 1 on.
    thetas : Tensor, shape (k, n)
        Random starts, of these `seeds`.
    low, high, to : float
        The lower end of the range, its upper end, and where the walk ended.
    error_range, norm_range : float
        What "macroscopic" refers to (see `Scout`).
    resolution : Resolution
    breadth : float or None
        Of the outputs in the deepest phase, to tell the trivial one by (see `is_trivial`).
    """

    number: int
    thetas: Tensor
    seeds: range
    low: float
    high: float
    to: float
    error_range: float
    norm_range: float
    resolution: Resolution
    breadth: float | None

    @property
    def part(self) -> str:
        """Return the name of this part of the work."""
        return f"repeat {self.number}"


def coarser(resolution: Resolution) -> Resolution:
    """Return the steps of a repeat: long where nothing macroscopic is met, with brackets that tell a spread of 1e-4."""
    return Resolution(
        bracket=max(resolution.bracket, BRACKET_LARGE), minor=0.1, first=resolution.first, largest=resolution.largest
    )


def walked_again(problem: Problem, walker: Walker, again: Again, crew: Crew[Problem]) -> Sweep:
    """Return the walk from the deepest of the starts of a repeat."""
    starts = Starts(problem, MapOptions(beta=(again.low, again.high)), crew, lambda group: again.thetas)
    with walker.within(again.part):
        first = walker.find(again.low, lambda: starts.deepest(again.low, again.high))
        if first.minimum.stop in LOST:
            return Sweep((first,), (), f"stopped at beta = {first.beta:.6g}: {first.minimum.status}")
        return _scout(walker, again).walk(first, again.to)


def _scout(walker: Walker, again: Again) -> Scout:
    def is_end(point: Point) -> bool:
        return is_trivial(point.observation, again.breadth)

    return Scout(
        walker,
        error_range=again.error_range,
        norm_range=again.norm_range,
        lowest=again.low,
        resolution=again.resolution,
        is_end=is_end,
    )


def walk_ahead(problem: Problem, again: Again) -> Made:
    """Repeat a walk, in a worker; return the points made."""
    memory = Memory()
    walked_again(problem, problem.walker(memory), again, Crew())
    return memory.made


def repeated(problem: Problem, walker: Walker, walk: Sweep, again: Again, crew: Crew[Problem]) -> Repeat:
    """Return what a repeat of a walk met."""
    sweep = walked_again(problem, walker, again, crew)
    first = sweep.points[0].minimum
    return Repeat(
        number=again.number,
        seeds=(again.seeds[0], again.seeds[-1]),
        error=first.error,
        loss=first.loss,
        transitions=tuple(Met.of(item) for item in sweep.transitions if not item.minor),
        deeper=tuple(deeper(walk, sweep, error_range=again.error_range)),
        status=sweep.status,
    )

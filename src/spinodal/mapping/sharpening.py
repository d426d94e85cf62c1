"""Transitions of a softened network, followed to sharper ones and looked for in the network as given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spinodal.counts import Counts
from spinodal.landscape import Landscape
from spinodal.landscape.control import Turned
from spinodal.landscape.objective import Regularised
from spinodal.landscape.weight import Term
from spinodal.minima.lbfgs import lbfgs
from spinodal.observe import Observer
from spinodal.phases.limit import LEAST, Limit, Side, extrapolated
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.point import Point
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker
from spinodal.tasks.task import Task

BACK = (0.03, 0.1, 0.3)  # parts of beta before a transition at which its phase is made sharper, the next where one fails
REACH = 0.35  # part of beta beyond that, up to which the transition is looked for again
MOVED = 0.25  # part of the jump of E by which a phase may change as it is made sharper
ALIKE = 2.0  # factor between the jumps of E of what is taken to be one transition
BRACKET = 1e-4  # relative width of brackets: what the extrapolation leaves is wider
WIDER = (2.0, 4.0, 8.0)  # multiples of the error of a limit at which the network as given is looked at next
GIVEN, ITERATIONS = 1e-4, 2000  # relative residual that is asked of the network as given, and steps until that is given up


class Sharpening:
    """Follows transitions of a map to networks whose kinks are sharper.

    Parameters
    ----------
    task : Task
    walker : Walker
        Of the map; nothing is walked with it.
    criteria : Criteria
        What counts as macroscopic in the map.
    high : float
        Sharpness up to which it is doubled.
    """

    def __init__(self, task: Task, walker: Walker, criteria: Criteria, high: float) -> None:
        self.task, self.walker, self.criteria = task, walker, criteria
        self.low = walker.landscape.sharpness or high
        self.sharpness = [self.low, *_doubled(self.low, high)]
        self.spent = Counts(parameters=walker.landscape.size)

    def limit(self, transition: Transition, before: Sequence[Point]) -> Limit:
        """Return where a transition goes, from the points of its phase, in the order walked."""
        best = _Followed((transition,))
        for start in _starts(transition, before):
            found = self._followed(transition, start)
            best = found if len(found.met) > len(best.met) or not best.reason else best
            if len(best.met) == len(self.sharpness):
                break
        return self._concluded(transition, best)

    def _concluded(self, first: Transition, found: _Followed) -> Limit:
        count = len(found.met)
        known = Limit(
            points=(first.before.index, first.after.index),
            sharpness=tuple(self.sharpness[:count]),
            beta=tuple(met.beta for met in found.met),
            reason=found.reason,
        )
        half = 0.5 * abs(found.met[-1].bracket[1] - found.met[-1].bracket[0])
        ends = extrapolated(known.beta, half)
        if ends is None:
            return replace(known, reason=found.reason or f"{LEAST} values of sharpness are needed, each twice the last")
        return self._compared(replace(known, limit=ends[0]), ends[1], found)

    def _compared(self, known: Limit, error: float, found: _Followed) -> Limit:
        """Return a limit with the smallest multiple of its error at which the network as given confirms it, if one does."""
        middle, sign = known.limit or 0.0, 1.0 if found.met[0].direction == "up" else -1.0
        near, far = (self._as_given(middle + sign * side * error, found) for side in (-1.0, 1.0))
        first, wider = replace(known, error=error, sides=(near, far)), error
        for factor in WIDER:
            if near.stays and not far.stays:
                return replace(known, error=wider, sides=(near, far))
            wider = factor * error
            near = near if near.stays else self._as_given(middle - sign * wider, found)
            far = self._as_given(middle + sign * wider, found) if far.stays else far
        return replace(known, error=wider, sides=(near, far)) if near.stays and not far.stays else first

    def _followed(self, first: Transition, start: Point) -> _Followed:
        """Follow a transition from sharpness to sharpness, beginning at a point of its phase."""
        found, theta = _Followed((first,), (start,)), start.minimum.theta
        for sharpness in self.sharpness[1:]:
            walker = self._walker(sharpness)
            point = walker.find(start.beta, lambda theta=theta: (theta, Counts(parameters=len(theta))))  # type: ignore[misc]
            jump = abs(first.after.error - first.before.error)
            if not point.minimum.converged or abs(point.error - start.error) > MOVED * jump:
                return replace(found, reason=f"its phase could not be followed to sharpness {sharpness:g}")
            met, path = self._met(walker, point, first)
            if met is None:
                return replace(found, reason=f"it was not met again at sharpness {sharpness:g}")
            found, theta = _Followed((*found.met, met), path), point.minimum.theta
        return found

    def _met(self, walker: Walker, point: Point, like: Transition) -> tuple[Transition | None, tuple[Point, ...]]:
        """Walk from a point to the next macroscopic transition; None unless it is like the one that is followed."""
        scout = Scout(
            walker,
            error_range=self.criteria.error_range,
            norm_range=self.criteria.norm_range,
            lowest=self.criteria.lowest,
            resolution=Resolution(bracket=BRACKET, first=0.02),
        )
        to = point.beta * (1.0 + REACH) ** (1.0 if like.direction == "up" else -1.0)
        sweep = scout.walk(point, to, until=lambda transition: not transition.minor)
        self.spent = self.spent + walker.spent
        met = [transition for transition in sweep.transitions if not transition.minor]
        jumps = [abs(item.after.error - item.before.error) for item in (*met, like)]
        alike = bool(met) and max(jumps) <= ALIKE * min(jumps)
        return (met[0] if alike else None), sweep.points

    def _as_given(self, beta: float, found: _Followed) -> Side:
        """Minimise L of the network as given from the nearest point of the sharpest walk before the transition."""
        last = found.met[-1]
        near = min((point for point in found.path if _is_before(point, last)), key=lambda point: abs(point.beta - beta))
        landscape = self._landscape(None)
        with landscape.counting() as spent:
            loss = Regularised(landscape, beta, self._control(landscape))
            solution = lbfgs(loss, near.minimum.theta, tolerance=GIVEN, iterations=ITERATIONS)
        self.spent = self.spent + spent
        error = landscape.uncounted_value(solution.theta)
        return Side(beta, error, abs(error - last.before.error) < abs(error - last.after.error))

    def _landscape(self, sharpness: float | None) -> Landscape:
        ours = self.walker.landscape
        shards = None if ours.shards is None else ours.shards.number
        return self.task.landscape(dtype=ours.dtype, device=ours.device, soften=sharpness, shards=shards)

    def _walker(self, sharpness: float) -> Walker:
        landscape = self._landscape(sharpness)
        control = self._control(landscape)
        observe = Observer(landscape, control, self.task)
        return Walker(landscape, control, observe, solver=self.walker.solver.name, tolerance=self.walker.tolerance)

    def _control(self, landscape: Landscape) -> Turned:
        """Return the control of the map on another landscape."""
        turned = self.walker.control
        return (turned.control if isinstance(turned, Term) else turned).on(landscape)


@dataclass(frozen=True)
class _Followed:
    """A transition at every sharpness that was reached, the points of the last walk to it, and why it ended early."""

    met: tuple[Transition, ...]
    path: tuple[Point, ...] = ()
    reason: str = ""


def _doubled(low: float, high: float) -> Iterator[float]:
    while low * 2.0 <= high * (1.0 + 1e-9):
        low *= 2.0
        yield low


def _starts(transition: Transition, before: Sequence[Point]) -> list[Point]:
    """Return points of the phase before a transition, farther and farther from it."""
    chosen: list[Point] = []
    for part in BACK:
        far = [point for point in before if abs(point.beta - transition.beta) >= part * transition.beta]
        start = far[-1] if far else before[0]
        if start.minimum.converged and all(start is not known for known in chosen):
            chosen.append(start)
    return chosen


def _is_before(point: Point, transition: Transition) -> bool:
    sign = 1.0 if transition.direction == "up" else -1.0
    return sign * (transition.before.beta - point.beta) >= 0.0

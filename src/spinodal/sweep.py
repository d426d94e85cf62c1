"""A warm-started walk in beta that finds every jump and kink of the followed minimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

from spinodal.blur import blur
from spinodal.counts import Counts
from spinodal.criteria import Criteria
from spinodal.diagram.hysteresis import Loop
from spinodal.errors import SpinodalError, positive_beta, unknown_name
from spinodal.kinds import real_number
from spinodal.landscape import Landscape
from spinodal.minimise import LOST, SECOND_ORDER, Minimum, solver_for, tolerance_of
from spinodal.observe import Observer
from spinodal.penalty import Penalty
from spinodal.tasks.task import Task
from spinodal.transitions import (
    CONTINUOUS,
    LINEAR,
    MACROSCOPIC,
    NEAR,
    Evidence,
    Transition,
    distance_to_singularity,
    gap,
    has_meaning,
    measured_exponent,
    order_of,
)
from spinodal.walk import Point, Walker

COARSE = 0.15  # a jump met with a log step below this is bracketed at once
FAR = 0.1  # of beta: most that a witness of the law of the margin may lie behind a bracket

DIRECTIONS = ("up", "down", "loop")
BRACKET = {"newton": 1e-5, "newton_cg": 1e-3, "lbfgs": 1e-3}  # relative width of brackets by solver


@dataclass(frozen=True)
class Resolution:
    """Step sizes of a sweep, all relative to beta.

    Attributes
    ----------
    bracket : width to which macroscopic transitions are bracketed. Default 1e-5 dense, 1e-3 matrix-free.
    minor : width for minor ones, and the smallest step on a smooth branch. Default 1e-2.
    first, largest : first and largest step.
    """

    bracket: float = 1e-5
    minor: float = 1e-2
    first: float = 0.05
    largest: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a bracket that rounding would not let a walk reach, or that would not be one."""
        if not 1e-9 <= real_number(self.bracket) <= 1e-2:
            raise SpinodalError(
                got=f"bracket = {self.bracket!r}", allowed="a relative width from 1e-9 to 1e-2 is allowed", do="try 1e-5"
            )


@dataclass(frozen=True)
class Sweep:
    """The result of a walk.

    Attributes
    ----------
    points : tuple of Point
        On the followed branches, in the order walked.
    transitions : tuple of Transition
        In the order met.
    status : str
    """

    points: tuple[Point, ...]
    transitions: tuple[Transition, ...]
    status: str

    @property
    def stretches(self) -> tuple[tuple[Point, ...], ...]:
        """Return the points from one macroscopic transition to the next, in the order walked."""
        borders = {transition.after.index for transition in self.transitions if not transition.minor}
        stretches: list[list[Point]] = [[]]
        for point in self.points:
            if point.index in borders:
                stretches.append([])
            stretches[-1].append(point)
        return tuple(map(tuple, stretches))

    def smooth_end(self, stretch: Sequence[Point]) -> tuple[Point, ...]:
        """Return the part of a stretch behind its last minor transition."""
        borders = {transition.after.index for transition in self.transitions}
        first = max((k for k, point in enumerate(stretch) if point.index in borders), default=0)
        return tuple(stretch[first:])


@dataclass
class _State:
    """What the next step needs."""

    point: Point
    earlier: Point | None
    step: float
    points: list[Point] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    status: str = "complete"

    def move(self, point: Point, *, smooth: bool) -> None:
        """Go on from `point`; across a transition what lies behind is another branch."""
        self.earlier = self.point if smooth else None
        self.point = point
        self.points.append(point)


@dataclass
class _Patience:
    """Tells when extrapolations have not halved a bracket in a while, and bisection should take over."""

    MOST = 6
    goal: float = math.inf
    tries: int = 0

    def is_out(self, room: float) -> bool:
        if room <= 0.5 * self.goal:
            self.goal, self.tries = room, 0
        self.tries += 1
        return self.tries > self.MOST


class Scout:
    """Walks one way in beta, adapting its steps and bracketing what it falls through.

    Parameters
    ----------
    walker : makes the points
    error_range, norm_range : float
        `E(trivial) - E(deepest)` and the same of the squared norm: what "macroscopic" refers to.
    resolution : Resolution
    is_end : callable Point -> bool
        Tells the trivial phase, in which an upward walk needs no small steps.
    on_point, on_transition : callables, optional
        Told about progress.
    """

    def __init__(
        self,
        walker: Walker,
        *,
        error_range: float,
        norm_range: float,
        resolution: Resolution,
        is_end: Callable[[Point], bool] = lambda point: False,
        on_point: Callable[[Point], None] = lambda point: None,
        on_transition: Callable[[Transition], None] = lambda transition: None,
    ) -> None:
        self.walker, self.resolution = walker, resolution
        self.criteria = Criteria(max(error_range, 1e-300), max(norm_range, 1e-300), rough=walker.solver not in SECOND_ORDER)
        self.is_end, self.on_point, self.on_transition = is_end, on_point, on_transition

    def walk(
        self,
        start: Point,
        to: float,
        *,
        until: Callable[[Transition], bool] = lambda transition: False,
        enough: Callable[[Point], bool] = lambda point: False,
    ) -> Sweep:
        """Walk from `start` to beta = `to`, or to the first transition of which `until` is true; return what was met.

        It also ends, complete, at the first point of which `enough` is true.
        """
        self.sign = 1.0 if to > start.beta else -1.0
        state = _State(start, None, self.resolution.first, [start])
        while state.status == "complete" and self.sign * (to - state.point.beta) > 1e-12 * to:
            self._advance(state, to)
            self.on_point(state.point)
            for found in state.transitions[-1:]:
                self.criteria = self.criteria.widened(found)
            if any(map(until, state.transitions[-1:])) or enough(state.point):
                break
        return Sweep(tuple(state.points), tuple(state.transitions), state.status)

    # -- one step ---------------------------------------------------------------------------

    def _advance(self, state: _State, to: float) -> None:
        """Take one step: smooth, halved until it is, or through a transition."""
        step = planned = math.inf if self.is_end(state.point) else self._planned_step(state)
        while True:
            beta = self._bounded(state.point.beta * math.exp(self.sign * step), to)
            point = self._follow(state.point, state.earlier, beta, travelling=True)
            if point.minimum.stop in LOST:
                state.status = f"stopped at beta = {point.beta:.6g}: {point.minimum.status}"
                return
            found = gap(state.point, point)
            kinked = self.criteria.is_kink(state.point, state.earlier, point)
            smallest = step <= self.resolution.minor * 1.0001
            jumped = point.left or self.criteria.may_have_jumped(found, believe_loss=smallest)
            if not jumped and not kinked and self.criteria.is_smooth(found):
                state.move(point, smooth=True)
                growth = 2.0 if self.criteria.is_easy(found) else 1.2
                if step < planned or step == state.step:
                    state.step = min(growth * step, self.resolution.largest)
                return
            if smallest or ((jumped or kinked) and step <= COARSE):
                break
            step = max(0.5 * min(step, 1.0), self.resolution.minor)
        state.step = max(0.5 * state.step, 2.0 * self.resolution.minor)
        if jumped or kinked:
            self._bracket(state, point)
        elif found.relative > 0.5:
            self._record(state, point, halved=False, earlier=state.earlier)
        else:  # a branch that turns quickly, as soft modes do, but continues
            state.move(point, smooth=True)

    def _planned_step(self, state: _State) -> float:
        """Return the step to begin with; the first after a transition is short, as it shows how slopes go on from there."""
        fresh = state.earlier is None and bool(state.transitions) and not self.criteria.rough
        return min(state.step, 2.0 * self.resolution.minor) if fresh else state.step

    def _bounded(self, beta: float, to: float) -> float:
        return to if self.sign * (beta - to) > -1e-3 * self.resolution.minor * to else beta

    def _follow(self, point: Point, earlier: Point | None, beta: float, *, travelling: bool = False) -> Point:
        """Make the point at `beta`, predicted along the tangent, or along a square root near a singularity."""
        width = abs(beta - point.beta)
        ahead = distance_to_singularity(point, earlier, self.sign)
        stretch = width
        if ahead is not None:
            distance, _ = ahead
            left = max(distance - width, 0.0)
            stretch = min(2.0 * distance * (1.0 - math.sqrt(left / distance)), 2.0 * width)
        smooth = abs(beta - point.beta) * abs(point.error_slope)
        most = MACROSCOPIC * self.criteria.error_range + 1.5 * smooth

        def has_left(error: float) -> bool:
            return abs(error - point.error) > most

        return self.walker.follow(point, beta, self.sign * stretch * point.tangent, has_left, travelling=travelling)

    # -- bracketing -------------------------------------------------------------------------

    def _bracket(self, state: _State, beyond: Point) -> None:
        """Close in on the first transition between `state.point` and `beyond`, then step through it.

        The near end always lies on the branch. The transition's place is extrapolated and approached;
        bisection takes over where the extrapolation does not fit. A fall counts only if it started
        from the near end, so a coarse step that fell early is found out.
        """
        near, earlier, far = *self._settled(state), beyond
        tested = True  # whether `far` was reached from `near` itself
        patience = _Patience()
        while not (tested and self._is_resolved(near, far)):
            beta = self._next_beta(near, earlier, far, tested)
            beta = 0.5 * (near.beta + far.beta) if patience.is_out(abs(far.beta - near.beta)) else beta
            point = self._follow(near, earlier, beta)
            if not self._continues(near, earlier, point, far):
                far, tested = point, True
                continue
            near, earlier, tested = point, near, False
            if self.sign * (near.beta - far.beta) >= 0:  # the coarse fall was early: no transition here
                state.step = max(self.resolution.minor, abs(math.log(near.beta / earlier.beta)))
                state.move(near, smooth=True)
                state.earlier = earlier
                return
        halved, near, earlier, far = self._halve(near, earlier, far)
        if near is not state.point:
            state.points.append(near)
            state.point = near
        self._record(state, self.walker.finish(far), halved=halved, earlier=earlier)

    def _is_resolved(self, near: Point, far: Point) -> bool:
        """Tell a bracket that is narrow enough for what it holds."""
        width = abs(far.beta - near.beta) / near.beta
        small = not far.left and self.criteria.jump(gap(near, far)) < MACROSCOPIC * self.criteria.error_range
        minor = small and self.criteria.rough  # a kink, which is seen where slopes are not rough, is small in E, too
        return width <= (self.resolution.minor if minor else self.resolution.bracket)

    def _settled(self, state: _State) -> tuple[Point, Point | None]:
        """Return the near end minimised to the full tolerance, and the point before it.

        First-order searches travel loosely and may stand where the branch has just ended; the near end
        is then the point before.
        """
        if not self.criteria.rough:
            return state.point, state.earlier
        settled = self._settle(state.point)
        if settled is None and state.earlier is not None and (before := self._settle(state.earlier)) is not None:
            state.points.pop()  # the walk had passed the end of the branch without noticing
            state.point, state.earlier = state.earlier, None
            settled = before
        return settled or state.point, state.earlier

    def _settle(self, point: Point) -> Point | None:
        """Minimise a point to the full tolerance; None if that leads away from it."""
        settled = self._follow(point, None, point.beta)
        return None if settled.left or not self.criteria.is_smooth(gap(point, settled)) else settled

    def _next_beta(self, near: Point, earlier: Point | None, far: Point, tested: bool) -> float:
        """Choose where to look next: short of the extrapolated singularity, just past it, or in the middle.

        Where the branch does not announce an end before `far`, `far` itself is tried from the near end.
        """
        room, width = abs(far.beta - near.beta), self.resolution.bracket * near.beta
        ahead = self._distance_ahead(near, earlier, far)
        if room <= width and not tested:
            step = room
        elif self.criteria.rough:  # the extrapolation is rough: it only tilts a bisection
            step = min(max(0.9 * ahead, 0.2 * room), 0.7 * room) if ahead else 0.5 * room
        else:
            step = self._extrapolated_step(near, ahead, room, width, tested)
        return near.beta + self.sign * step

    def _extrapolated_step(self, near: Point, ahead: float | None, room: float, width: float, tested: bool) -> float:
        """Return a step just short of the transition's place, or just past it once that is within the bracket."""
        step = room
        if ahead is not None and ahead < 1.5 * room:
            short = min(max(0.02, 1.5 * math.sqrt(ahead / near.beta)), 0.3)  # the estimate's own error
            step = 0.95 * width if ahead < 0.6 * width else (1.0 - short) * ahead
        if step >= 0.95 * room:
            return 0.5 * room if tested else room
        return max(step, 0.2 * width)

    def _distance_ahead(self, near: Point, earlier: Point | None, far: Point) -> float | None:
        """Return the distance in beta at which the branch should end: where slopes meet, or the margin vanishes."""
        if self.criteria.is_kink(near, earlier, far):
            return self.criteria.kink_position(near, far)
        ahead = distance_to_singularity(near, earlier, self.sign)
        return ahead[0] if ahead else None

    def _continues(self, near: Point, earlier: Point | None, point: Point, far: Point) -> bool:
        """Tell whether a point between the ends still continues the near branch."""
        if point.left or self.criteria.is_kink(near, earlier, point):
            return False
        to_near = abs(point.norm_squared - near.norm_squared)
        to_far = abs(point.norm_squared - far.norm_squared)
        return self.criteria.is_smooth(gap(near, point)) or to_near < 0.35 * to_far

    def _halve(self, near: Point, earlier: Point | None, far: Point) -> tuple[bool, Point, Point | None, Point]:
        """Walk the final bracket in two half steps; tell whether the transition is met again.

        Only where the margin is known well enough to use this as evidence of the order.
        """
        if self.criteria.rough:
            return False, near, earlier, far
        middle = self._follow(near, earlier, 0.5 * (near.beta + far.beta))
        if not self._continues(near, earlier, middle, far):
            return True, near, earlier, middle
        again = self._follow(middle, near, far.beta)
        met = not self._continues(middle, near, again, far)
        return met, middle, near, again if met else far

    def _law_of_margin(
        self, before: Point, earlier: Point | None, after: Point, halved: bool
    ) -> tuple[float | None, float | None]:
        """Return the exponent with which the margin vanishes, and how far ahead; the former only if halved steps fell again."""
        ahead, width = self._distance_ahead(before, earlier, after), abs(after.beta - before.beta)
        if not halved:
            return None, ahead
        exponent = self._exponent(before, earlier, after)
        clear = exponent is not None and has_meaning(exponent) and ahead is not None and ahead < NEAR * width
        return (exponent, ahead) if clear else self._law_of_witnesses(before, width) or (exponent, ahead)

    def _law_of_witnesses(self, near: Point, width: float) -> tuple[float, float] | None:
        """Return exponent and distance from the curvature along the branch at two witnesses behind the bracket.

        It helps where another mode has the lowest margin even here. The witnesses are 30 and 300 brackets
        behind, so where in the bracket the singularity lies hardly matters. Where 300 brackets are too far,
        they are 3 and 30: the singularity's place then lowers the exponent by up to a ninth.
        """
        nearest = 30.0 if 300.0 * width <= FAR * near.beta else 3.0
        distances = (nearest * width, 10.0 * nearest * width)
        if distances[1] > FAR * near.beta:
            return None
        first, second = (self._behind(near, -self.sign * distance) for distance in distances)
        curvatures = first.tangent_curvature, second.tangent_curvature
        if min(curvatures) <= 0.0 or not all(self.criteria.is_smooth(gap(witness, near)) for witness in (first, second)):
            return None
        exponent = math.log(curvatures[1] / curvatures[0]) / math.log(distances[1] / distances[0])
        if not has_meaning(exponent):
            return None
        power = 2.0 if exponent < LINEAR[0] else 1.0
        low, high = (curvature**power for curvature in curvatures)
        return exponent, max(low * (distances[1] - distances[0]) / (high - low) - distances[0], 0.0)

    def _exponent(self, near: Point, earlier: Point | None, far: Point) -> float | None:
        """Return the exponent with which the margin vanishes, from two points on the branch.

        Where `near` and the point before it will not do, because another mode had the lowest margin
        there or because `near` is too soft to be exact, witnesses are made at several distances.
        """
        found = measured_exponent(near, earlier, self.sign) if earlier is not None else None
        if self.criteria.rough or (found is not None and has_meaning(found)):
            return found
        singular = self._distance_ahead(near, earlier, far) or 0.0
        for distance in (3.0 * self.resolution.bracket * near.beta, 30.0 * singular, 4.0 * singular, singular):
            back = -self.sign * min(distance, 0.5 * near.beta)
            if distance == 0.0 or not self.criteria.is_smooth(gap(behind := self._behind(near, back), near)):
                continue
            for later, before in ((near, behind), (behind, earlier)):
                exponent = measured_exponent(later, before, self.sign) if before is not None else None
                if exponent is not None and has_meaning(exponent):
                    return exponent
        return found

    def _behind(self, near: Point, back: float) -> Point:
        return self.walker.follow(near, near.beta + back, back * near.tangent)

    def _record(self, state: _State, after: Point, *, halved: bool, earlier: Point | None) -> None:
        transition = self._transition(state.point, earlier, after, halved)
        state.transitions.append(transition)
        state.move(after, smooth=False)
        self.on_transition(transition)

    def _status(self, before: Point, after: Point) -> str:
        width = abs(after.beta - before.beta) / before.beta
        text = "converged" if width <= 1.01 * self.resolution.bracket else f"bracketed to {width:.0e}"
        failed = [point for point in (before, after) if not point.minimum.converged]
        return "; ".join([text, *(f"at beta = {point.beta:.8g}: {point.minimum.status}" for point in failed)])

    def _blur(self, before: Point) -> float:
        """Return by how much the tolerance of the searches blurs a bracket: what is far narrower than it is left out."""
        tolerance = tolerance_of(self.walker.solver, self.walker.landscape.dtype, self.walker.tolerance)
        alive = before.norm_squared > CONTINUOUS * self.criteria.norm_range
        return blur(before, tolerance) if alive and tolerance >= 0.01 * self.resolution.bracket else 0.0

    def _transition(self, before: Point, earlier: Point | None, after: Point, halved: bool) -> Transition:
        found = gap(before, after)
        width = abs(after.beta - before.beta)
        exponent, ahead = self._law_of_margin(before, earlier, after, halved)
        evidence = Evidence(
            exponent=exponent,
            margin=before.minimum.margin,
            reach=None if ahead is None else ahead / width,
            halved_step=halved,
            jump_norm_squared=abs(after.norm_squared - before.norm_squared),
            jump_curvature=found.kink,
        )
        order = order_of(evidence, norm_range=self.criteria.norm_range)
        small = self.criteria.jump(found) < MACROSCOPIC * self.criteria.error_range
        if small and evidence.jump_norm_squared <= CONTINUOUS * self.criteria.norm_range:
            small = not self.criteria.is_macroscopic_kink(before, after)
        offset = 0.5 * width
        if not self.criteria.rough:
            place = self.criteria.kink_position(before, after) if order == "second" else ahead
            offset = min(place, width) if place else offset
        lower, upper = sorted((before.beta, after.beta))
        blurred = self._blur(before)
        return Transition(
            beta=before.beta + self.sign * offset,
            bracket=(lower - blurred, upper + blurred),
            direction="up" if self.sign > 0 else "down",
            order=order,
            minor=small,
            status=self._status(before, after),
            before=before,
            after=after,
            evidence=evidence,
        )


@overload
def sweep(
    landscape: Landscape,
    *,
    start: Minimum,
    to: float,
    direction: Literal["up", "down"] | None = None,
    penalty: Penalty | None = None,
    solver: str = "auto",
    bracket: float | None = None,
    task: Task | None = None,
) -> Sweep: ...
@overload
def sweep(
    landscape: Landscape,
    *,
    start: Minimum,
    to: float,
    direction: Literal["loop"],
    penalty: Penalty | None = None,
    solver: str = "auto",
    bracket: float | None = None,
    task: Task | None = None,
) -> Loop: ...
def sweep(
    landscape: Landscape,
    *,
    start: Minimum,
    to: float,
    direction: str | None = None,
    penalty: Penalty | None = None,
    solver: str = "auto",
    bracket: float | None = None,
    task: Task | None = None,
) -> Sweep | Loop:
    """Walk from a minimum to another beta, warm-started, bracketing every discontinuity; in a loop, also back.

    Parameters
    ----------
    landscape : Landscape
    start : Minimum
        Where to begin (see `minimise`).
    to : float
        Where to end, > 0. PyTorch's `weight_decay` is `2 * beta`.
    direction : {"up", "down", "loop"}, optional
        "loop" also walks back to the beta of `start`, from where the way there ended. Default: up or down,
        as follows from `to`.
    penalty : Penalty, optional
        Must be the one that `start` minimises.
    solver : str
        See `solver_for`.
    bracket : float, optional
        Relative width of macroscopic brackets. Default 1e-5 dense, 1e-3 matrix-free.
    task : Task, optional
        For accuracies and output variance at every point.

    Returns
    -------
    Sweep, or Loop in a loop
        Discontinuities are called macroscopic relative to `|E(centre) - E(start)|`, or to a tenth of
        `|E(start)|` where that is larger, as in a trivial start, and never to less than `1e-9 (1 + |E(centre)|)`.

    Raises
    ------
    SpinodalError
        If `direction` is none of these, or contradicts `to`.

    Examples
    --------
    The scalar chain of depth 3, `E = (1 - w1 w2 w3)^2 / 2`, jumps at beta = .236235:

    >>> import torch
    >>> from spinodal import minimise
    >>> class Chain(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(3))
    >>> E = Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> walk = sweep(E, start=minimise(E, beta=0.1, start=E.initial), to=0.4)
    >>> [(round(t.beta, 5), t.order) for t in walk.transitions]
    [(0.23624, 'first')]

    The zero state that it falls into stays a minimum for every beta > 0, so the way back meets nothing. The area
    is the integral of `3 w^2` along the branch, on which `beta = w (1 - w^3) / 2`:

    >>> loop = sweep(E, start=minimise(E, beta=0.1, start=E.initial), to=0.4, direction="loop")
    >>> len(loop.down.transitions), round(loop.area, 3)
    (0, 0.284)
    """
    penalty, to = penalty or Penalty(), positive_beta(to, "to")
    _check_direction(direction, start.beta, to)
    chosen = None if bracket is None else Resolution(bracket=bracket)
    name = solver_for(landscape, solver)
    walker = Walker(landscape, penalty, Observer(landscape, penalty, task), solver=name)
    first = walker.find(start.beta, lambda: (landscape.vector(start.theta), Counts(parameters=landscape.size)))
    centre = first.minimum.theta - penalty.offset(first.minimum.theta)
    trivial = landscape.value(centre)
    error_range = max(abs(trivial - first.error), 0.1 * abs(first.error), 1e-9 * (1.0 + abs(trivial)))
    scout = Scout(
        walker,
        error_range=error_range,
        norm_range=max(first.norm_squared, error_range / max(first.beta, to)),
        resolution=chosen or Resolution(bracket=BRACKET[name]),
    )
    there = scout.walk(first, to)
    if direction != "loop":
        return there
    back = scout.walk(there.points[-1], first.beta)
    return Loop(there, back) if to > first.beta else Loop(back, there)


def _check_direction(direction: str | None, start: float, to: float) -> None:
    """Refuse an unknown direction, or one in which `to` does not lie."""
    if direction is None:
        return
    if direction not in DIRECTIONS:
        raise unknown_name("direction", direction, DIRECTIONS)
    if (direction == "up" and to < start) or (direction == "down" and to > start):
        raise SpinodalError(
            got=f"direction = {direction!r} from beta = {start:g} to {to:g}",
            allowed="a direction in which `to` lies, or 'loop', is allowed",
            do="leave direction out: it follows from `to`",
        )

"""Walks one way in beta, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from spinodal.definitions import (
    ARRIVED,
    BLURS,
    COARSE,
    COARSE_SPARING,
    CONTINUOUS,
    CONVERGED_BRACKET,
    JUMPED,
    LAST,
    MACROSCOPIC,
    SHORTEST,
    SMALLEST,
)
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.minimise import LOST
from spinodal.minima.solution import AT_KINK
from spinodal.sweeps.blur import blur
from spinodal.sweeps.bracket import Bracketing, Closed
from spinodal.sweeps.criteria import Criteria, is_doubtful
from spinodal.sweeps.crossing import Crossing
from spinodal.sweeps.gap import Gap, gap
from spinodal.sweeps.guide import Guide
from spinodal.sweeps.law import LawOfMargin
from spinodal.sweeps.once import is_one_event, without_between
from spinodal.sweeps.order import Evidence, Law, is_of_a_fold, order_of
from spinodal.sweeps.point import Point
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.standing import Standing
from spinodal.sweeps.stride import certain_at_once, first_step, largest_step
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker
from spinodal.sweeps.way import Way


class Scout:
    """Walks one way in beta, adapting its steps and bracketing what it falls through.

    Parameters
    ----------
    walker : makes the points
    error_range, norm_range : float
        `E(trivial) - E(deepest)` and the same of the squared norm: what "macroscopic" refers to.
    resolution : Resolution
    lowest : float
        The lowest beta of the range that both refer to. Default 0.
    is_end : callable Point -> bool
        Tells the trivial phase, in which an upward walk needs no small steps.
    on_point, on_transition : callables, optional
        Told about progress.
    guide : Guide, optional
        A walk over fewer samples that leads this one, upwards.
    """

    def __init__(
        self,
        walker: Walker,
        *,
        error_range: float,
        norm_range: float,
        resolution: Resolution,
        lowest: float = 0.0,
        is_end: Callable[[Point], bool] = lambda point: False,
        on_point: Callable[[Point], None] = lambda point: None,
        on_transition: Callable[[Transition], None] = lambda transition: None,
        guide: Guide | None = None,
    ) -> None:
        self.guide, self._uncrossed = guide, set[int]()
        self.walker, self.resolution = walker, resolution
        self.axis = walker.control.axis
        rough, dear = not walker.solver.sees_kinks, affords_glimpses_only(walker.landscape)
        judged = {"rough": rough, "trusts_loss": dear, "sparing": walker.landmarks.are_few}
        self.criteria = Criteria(max(error_range, 1e-300), max(norm_range, 1e-300), lowest=lowest, axis=self.axis, **judged)
        self.is_end, self.on_point, self.on_transition = is_end, on_point, on_transition

    @classmethod
    def judging(cls, walker: Walker, criteria: Criteria, resolution: Resolution) -> Scout:
        """Return a scout with the criteria and the resolution of another one, told to nobody."""
        made = cls(walker, error_range=criteria.error_range, norm_range=criteria.norm_range, resolution=resolution)
        made.criteria = criteria
        return made

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
        state = Standing(start, None, first_step(self.way, start), [start])
        while state.status == "complete" and self.sign * (to - state.point.beta) > ARRIVED * self.axis.unit(to):
            self._advance(state, to)
            self.on_point(state.point)
            self.criteria = self.criteria.widened(start, state.point)
            for found in state.transitions[-1:]:
                self.criteria = self.criteria.widened(found.before, found.after)
            if any(map(until, state.transitions[-1:])) or enough(state.point):
                break
        return self._told_once(state)

    @property
    def way(self) -> Way:
        """Return what the steps of the walk under way need."""
        return Way(self.walker, self.criteria, self.resolution, self.sign)

    @property
    def _coarse(self) -> float:
        """Return the step up to which a jump that is met is bracketed at once."""
        return COARSE_SPARING if self.criteria.sparing else COARSE

    # -- one step ---------------------------------------------------------------------------

    def _advance(self, state: Standing, to: float) -> None:
        """Take one step: smooth, halved until it is, or through a transition."""
        if self._led(state, to) or self._meets_ahead(state):
            return
        step = planned = math.inf if self.is_end(state.point) else self._planned_step(state)
        while True:
            beta = self._bounded(self.axis.moved(state.point.beta, self.sign * step), to)
            point = self.way.follow(state.point, state.earlier, beta, travelling=True)
            if point.minimum.stop in LOST:
                state.status = f"stopped at beta = {point.beta:.6g}: {point.minimum.status}"
                return
            if AT_KINK in (state.point.minimum.stop, point.minimum.stop):
                state.move(self.walker.finish(point), smooth=False)  # shorter steps prove nothing between what are no minima
                state.step = min(2.0 * state.step, self.resolution.largest)
                return
            found = gap(state.point, point)
            smallest = step <= SMALLEST * self.resolution.minor
            suspect = self._is_suspect(state, point, found, smallest)
            if not suspect and self.criteria.is_certain(found):
                state.move(point, smooth=self.criteria.is_continuous(found))
                if step < planned or step >= state.step:
                    state.step = min(self.criteria.growth(found) * step, largest_step(self.way, found))
                return
            if smallest or (suspect and step <= self._coarse):
                break
            if self.criteria.sparing and point.minimum.converged:
                state.ahead.append(point)
            step = max(0.5 * min(step, 1.0), self.resolution.minor)
        state.step = max(0.5 * state.step, 2.0 * self.resolution.minor)
        if suspect:
            self._bracket(state, point)
        else:
            self._pass(state, state.earlier, point)

    def _meets_ahead(self, state: Standing) -> bool:
        """Go to a point that an earlier step was too long to, where nothing hides any more on the rest of the way."""
        point = state.next_ahead(self.sign)
        if point is None:
            return False
        found = gap(state.point, point)
        if self._is_suspect(state, point, found, smallest=False) or not self.criteria.is_certain(found):
            return False
        state.step = min(
            self.criteria.growth(found) * self.axis.apart(state.point.beta, point.beta), largest_step(self.way, found)
        )
        state.move(state.ahead.pop(), smooth=self.criteria.is_continuous(found))
        return True

    def _led(self, state: Standing, to: float) -> bool:
        """Take the step that fewer samples suggest, or cross where these met a transition; False where neither is known."""
        stretch = None if self.guide is None or self.is_end(state.point) else self.guide.at(state.point)
        beta = None if stretch is None else stretch.next(state.point.beta)
        if stretch is None or (beta is None and stretch.beyond is None):
            return False
        if beta is None:
            return self._cross(state, stretch.beyond)
        beta = min(beta, to)
        change = stretch.change(state.point.beta, beta)
        point = self.way.follow(state.point, None, beta, travelling=True, change=change)
        if not self.way.continues(state.point, None, point):
            return self._cross(state, stretch.beyond)
        state.move(point, smooth=True)
        return True

    def _cross(self, state: Standing, beyond: Point | None) -> bool:
        """Step through the fold ahead, and onto what fewer samples show behind it if that is as deep; False where none is."""
        may = self.way.is_blurred and self.sign > 0 and state.point.index not in self._uncrossed
        closed = Crossing(self.way, state.branch).closed() if may else None
        if closed is None:
            self._uncrossed.add(state.point.index)
            return False
        state.go_back_to(closed.near.beta)
        self._go_through(state, closed, beyond)
        return True

    def _landed(self, near: Point, far: Point, beyond: Point | None) -> Point:
        """Return the minimum behind a fold: near one that fewer samples show, or where the search led that left the branch."""
        if beyond is not None and far.left:
            ahead = beyond.minimum.theta + (far.beta - beyond.beta) * beyond.tangent
            found = self.walker.reach(far, far.beta, lambda: ahead, careful=False)
            if found.minimum.converged and found.minimum.loss < self.way.floor(near, far.beta):
                return found
        return self.walker.finish(far, travelling=self.criteria.sparing)

    def _is_suspect(self, state: Standing, point: Point, found: Gap, smallest: bool) -> bool:
        """Tell a step that may have passed a macroscopic event; at the smallest step nothing may hide one."""
        jumped = point.left or self.criteria.may_have_jumped(found, believe_loss=smallest)
        hidden = smallest and self.criteria.may_hide_a_jump(found)
        return jumped or hidden or self.criteria.is_kink(state.point, state.earlier, point)

    def _planned_step(self, state: Standing) -> float:
        """Return the step to begin with; the first after a transition is short, as it shows how slopes go on from there."""
        if state.earlier is None:
            fresh = bool(state.transitions) and not self.criteria.rough
            if self.criteria.sparing and not (fresh and state.point is state.transitions[-1].after):
                return max(state.step, certain_at_once(self.way, state.point))
            return min(state.step, 2.0 * self.resolution.minor) if fresh else state.step
        certain = self.criteria.longest_certain(state.point, state.earlier) / self.way.unit(state.point)
        return max(min(state.step, certain), self.resolution.bracket)

    def _bounded(self, beta: float, to: float) -> float:
        return to if self.sign * (beta - to) > -LAST * self.resolution.minor * self.axis.unit(to) else beta

    # -- what a step met ----------------------------------------------------------------------

    def _bracket(self, state: Standing, beyond: Point) -> None:
        """Close in on the first event between `state.point` and `beyond`, then step through it."""
        if self._cross(state, None):
            return
        beyond = self._traced_back(state, beyond) if self.way.is_blurred else beyond
        near, earlier = self._settled(state)
        self._go_through(state, Bracketing(self.way).close(near, earlier, beyond))

    def _go_through(self, state: Standing, closed: Closed, beyond: Point | None = None) -> None:
        """Go on behind a bracket that was closed, or at its near end where the branch goes on."""
        state.points += self._needed(state.point, closed.path)
        if closed.far is None:
            state.step = max(self.resolution.minor, self.axis.apart(state.point.beta, closed.near.beta))
            state.move(closed.near, smooth=True)
            state.earlier = closed.earlier
            return
        if closed.path:
            state.points.append(closed.near)
            state.point = closed.near
        landed = self._landed(closed.near, closed.far, beyond)
        self._pass(state, closed.earlier, landed, replace(closed, path=(*state.branch, *closed.path)))

    def _needed(self, start: Point, path: Sequence[Point]) -> list[Point]:
        """Return as few points of a path as prove that nothing was passed over between them."""
        kept, last = list[Point](), start
        for point, after in pairwise(path):
            if not self.criteria.is_certain(gap(last, after)):
                kept.append(point)
                last = point
        return kept

    def _pass(self, state: Standing, earlier: Point | None, after: Point, closed: Closed | None = None) -> None:
        """Go on behind a narrow gap: a transition, or a branch that turns quickly, as soft modes do, but continues."""
        before = state.point
        if not (before.minimum.converged and after.minimum.converged):
            state.move(after, smooth=False)  # the certificate says that nothing is known here
            return
        found = gap(before, after)
        kinked = self.criteria.is_kink(before, earlier, after)
        if found.relative <= JUMPED and not kinked and self.criteria.is_small(before, after):
            state.move(after, smooth=True)
            return
        transition = self._transition(earlier, after, closed or Closed(before, earlier, after))
        state.transitions.append(transition)
        state.witnesses.append(earlier)
        state.move(after, smooth=False)
        self.on_transition(transition)

    def _settled(self, state: Standing) -> tuple[Point, Point | None]:
        """Return the near end minimised to the full tolerance, and the point before it.

        First-order searches travel loosely and may stand where the branch has just ended; the near end
        is then the point before.
        """
        if not self.criteria.rough or self.way.is_blurred:
            return state.point, state.earlier
        settled = self._settle(state.point)
        if settled is None and state.earlier is not None and (before := self._settle(state.earlier)) is not None:
            state.points.pop()  # the walk had passed the end of the branch without noticing
            state.point, state.earlier = state.earlier, None
            settled = before
        return settled or state.point, state.earlier

    def _traced_back(self, state: Standing, beyond: Point) -> Point:
        """Go back to the last point at which a more precise search stays, and settle there; return the nearest far end."""
        while True:
            settled = self.way.follow(state.point, None, state.point.beta)
            if self._stays(state.point, settled):
                state.points[-1] = state.point = settled
                return beyond
            behind = state.branch[:-1]
            if not behind:
                return beyond
            beyond = settled
            state.points.pop()
            state.point, state.earlier = behind[-1], behind[-2] if len(behind) > 1 else None

    def _settle(self, point: Point) -> Point | None:
        """Minimise a point to the full tolerance; None if that leads away from it."""
        settled = self.way.follow(point, None, point.beta)
        return settled if self._stays(point, settled) else None

    def _stays(self, point: Point, settled: Point) -> bool:
        """Tell a point that a search to the full tolerance from another one did not lead away from."""
        return not settled.left and self.criteria.is_smooth(gap(point, settled))

    def _told_once(self, state: Standing) -> Sweep:
        """Return what was met; brackets side by side that tell one event are one."""
        points, met = list(state.points), list[tuple[Transition, Point | None]]()
        for transition, earlier in zip(state.transitions, state.witnesses, strict=True):
            if met and is_one_event(met[-1][0], transition, self.resolution.bracket, self.axis):
                first, earlier = met.pop()
                halved = first.evidence.halved_step and transition.evidence.halved_step
                points = without_between(points, first.before, transition.after)
                both = Closed(first.before, earlier, transition.after, halved=halved)
                transition = self._transition(earlier, transition.after, both)
            met.append((transition, earlier))
        return Sweep(tuple(points), tuple(transition for transition, _ in met), state.status)

    # -- transitions --------------------------------------------------------------------------

    def _transition(self, earlier: Point | None, after: Point, closed: Closed) -> Transition:
        """Return the transition at the near end of what was closed, with where it led."""
        before, width = closed.near, abs(after.beta - closed.near.beta)
        law = closed.law or LawOfMargin(self.way).measure(before, earlier, after, halved=closed.halved, known=closed.path)
        evidence = Evidence(
            exponent=law.exponent,
            margin=before.minimum.margin,
            reach=None if law.ahead is None else law.ahead / width,
            halved_step=closed.halved,
            jump_norm_squared=abs(after.norm_squared - before.norm_squared),
            jump_curvature=abs(after.norm_slope - before.norm_slope),
            turned=law.turned,
        )
        norm_range = self.criteria.norm_range_at(before.beta)
        order = order_of(evidence, norm_range=norm_range, separates=self._separates(before, after))
        lower, upper = self._blurred(before, after)
        return Transition(
            beta=before.beta + self.sign * self._place(before, after, order, law),
            bracket=(lower, upper),
            direction="up" if self.sign > 0 else "down",
            order=order,
            minor=self._is_minor(before, earlier, after, evidence),
            status=self._status(before, after),
            before=before,
            after=after,
            evidence=evidence,
        )

    def _blurred(self, before: Point, after: Point) -> tuple[float, float]:
        """Return a bracket, widened by what the tolerance of the searches blurs; far less than its width is left out."""
        lower, upper = sorted((before.beta, after.beta))
        if abs(before.norm_squared) <= CONTINUOUS * self.criteria.norm_range:
            return lower, upper
        unit = self.way.unit(before)
        if self.way.is_blurred:  # the search left at the far end, so no minimum kept it there
            doubt = blur(before, before.minimum.residual / (2.0 * unit * max(before.observation.distance, SHORTEST)), unit)
            return (lower - doubt, upper) if self.sign > 0 else (lower, upper + doubt)
        tolerance = self.walker.accuracy
        doubt = blur(before, tolerance, unit) if tolerance >= BLURS * self.resolution.bracket else 0.0
        return lower - doubt, upper + doubt

    def _place(self, before: Point, after: Point, order: str, law: Law) -> float:
        """Return how far from `before`, inside the bracket, the transition should lie: the middle where nothing tells."""
        width = abs(after.beta - before.beta)
        place = self.criteria.kink_position(before, after) if order == "second" else law.ahead
        return min(place, width) if place and (law.turned or not self.criteria.rough) else 0.5 * width

    def _separates(self, before: Point, after: Point) -> bool:
        """Tell a jump that separates phases."""
        return self.criteria.jump(gap(before, after)) >= MACROSCOPIC * self.criteria.error_range

    def _is_minor(self, before: Point, earlier: Point | None, after: Point, evidence: Evidence) -> bool:
        """Tell a transition too small to separate phases: by its jump, or by its kink where it is continuous.

        The fold of a soft mode may jump by next to nothing, and bends `||theta||^2` as a kink does; its margin tells.
        """
        if self._separates(before, after):
            return False
        continuous = gap(before, after).norm_squared <= CONTINUOUS * self.criteria.norm_range_at(before.beta)
        near = before
        if earlier is not None and not self.criteria.rough and is_doubtful(before):
            near = earlier  # as where a kink is told
        return is_of_a_fold(evidence) or not (continuous and self.criteria.is_macroscopic_kink(near, after))

    def _status(self, before: Point, after: Point) -> str:
        width = abs(after.beta - before.beta) / self.way.unit(before)
        return "converged" if width <= CONVERGED_BRACKET * self.resolution.bracket else f"bracketed to {width:.0e}"

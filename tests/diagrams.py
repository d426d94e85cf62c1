"""Diagrams made by hand, of any size, for what renders them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch

import spinodal as sp
from spinodal.branches.branch import Branch
from spinodal.branches.point import StationaryPoint
from spinodal.branches.special import Fold
from spinodal.counts import Counts
from spinodal.curvature import Curvature, Estimate, SaddleIndex, Survey
from spinodal.minima.minimise import Minimum
from spinodal.observe import Observation
from spinodal.phases.coexistence import AreaRule, PhaseCoexistence, Saddle
from spinodal.phases.existence import Existence
from spinodal.phases.spinodals import Spinodal, SpinodalCertificate
from spinodal.phases.tree import Fall
from spinodal.sweeps.order import Evidence
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Point
from spinodal.theory import ExactTransition

MATRICES = ("0.weight", "2.weight")


def point(
    index: int,
    beta: float,
    *,
    level: int,
    classes: int = 0,
    margin: float = 0.1,
    stop: str = "converged",
    custom: Mapping[str, float] | None = None,
    matrices: Sequence[str] = MATRICES,
) -> Point:
    """Return a point of the phase `level`: its rank is `3 - level`, and as many of its classes are alive, but for the last."""
    error = 0.2 * level + 0.1 * beta
    alive = max(classes - level, 0)
    recalls = tuple(0.9 if index < alive else 0.0 for index in range(classes)) or None
    accuracy = sum(recalls) / classes if recalls else None
    rank = max(3 - level, 0)
    values = tuple(1.0 / (k + 1) if k < rank else 0.0 for k in range(3))
    theta = torch.zeros(2, dtype=torch.float64)
    return Point(
        index=index,
        origin=index - 1 if index else None,
        minimum=Minimum(theta, beta, error, error + beta, 1e-9, margin, 0.0, 0, stop, "newton", Counts()),
        observation=Observation(
            norm=2.0 - 0.3 * level - 0.1 * beta,
            distance=2.0 - 0.3 * level - 0.1 * beta,
            singular_values=dict.fromkeys(matrices, values),
            ranks=dict.fromkeys(matrices, rank),
            rank=rank if matrices else 0,
            accuracy={"train": accuracy, "held_out": None},
            class_accuracy={"train": recalls, "held_out": None},
            output_variance=0.5,
            custom=dict(custom or {}),
        ),
        tangent=theta,
        norm_slope=-0.1,
        margin_slope=-0.1,
    )


def transition(before: Point, after: Point, *, minor: bool = False, order: str = "first") -> Transition:
    """Return the transition between two points."""
    low, high = sorted((before.beta, after.beta))
    return Transition(
        beta=math.sqrt(low * high),
        bracket=(low, high),
        direction="up" if before.beta < after.beta else "down",
        order=order,
        minor=minor,
        status="converged",
        before=before,
        after=after,
        evidence=Evidence(0.5, 0.01, 1.0, True, 0.1, 0.2),
    )


def diagram(
    count: int = 40,
    *,
    phases: int = 3,
    downward: bool = False,
    name: str = "by hand",
    minor_every: int = 0,
    exact: Sequence[ExactTransition] = (),
    **of_points: Any,
) -> sp.PhaseDiagram:
    """Return a diagram of `count` points from beta = .01 to 1 in phases of equal length."""
    betas = [0.01 * 100 ** (k / max(count - 1, 1)) for k in range(count)]
    levels = [k * phases // count for k in range(count)]
    order = range(count - 1, -1, -1) if downward else range(count)
    points = [point(index, betas[k], level=levels[k], **of_points) for index, k in enumerate(order)]
    walked = [levels[k] for k in order]
    found = []
    for k in range(1, count):
        if walked[k] != walked[k - 1]:
            found.append(transition(points[k - 1], points[k]))
        elif minor_every and k % minor_every == 0:
            found.append(transition(points[k - 1], points[k], minor=True))
    return sp.PhaseDiagram(
        task={"name": name},
        seed=0,
        range=(min(betas), max(betas)),
        points=tuple(points),
        transitions=tuple(found),
        spent=Counts(gradient_evaluations=1234, hessian_products=56, parameters=2),
        seconds=1.5,
        solver="newton",
        run_status="complete",
        exact=tuple(exact),
    )


@dataclass(frozen=True)
class Curve:
    """A branch of one variable x in closed form: `beta(x)`, with `E'(x) = -beta rho'(x)` and `L'' = - beta'(x) rho'(x)`.

    Attributes
    ----------
    beta, rate : functions of x
        beta and its derivative.
    error : function of x
    copies : int
        theta has so many entries, all x, so that `rho = copies x^2`.
    folds : tuple of float
        x of the folds, in falling order.
    """

    beta: Callable[[float], float]
    rate: Callable[[float], float]
    error: Callable[[float], float]
    copies: int
    folds: tuple[float, ...]

    def at(self, x: float) -> StationaryPoint:
        """Return the point at x, walked towards smaller x."""
        beta, rho = self.beta(x), self.copies * x**2
        curvature = 0.0 if x in self.folds else -2 * x * self.rate(x)
        theta = torch.full((self.copies,), x, dtype=torch.float64)
        return StationaryPoint(
            theta=theta,
            beta=beta,
            error=self.error(x),
            loss=self.error(x) + beta * rho,
            norm_squared=rho,
            residual=1e-16,
            index=int(curvature < 0),
            index_is_exact=True,
            margin=curvature,
            zero_modes=0,
            tangent=-torch.ones_like(theta) / self.copies**0.5,
            beta_rate=0.0 if x in self.folds else -self.rate(x) / self.copies**0.5,
            norm_rate=-2 * x * self.copies**0.5,
        )

    def fold(self, x: float, place: int = 0, *, minor: bool = False) -> Fold:
        """Return the fold at x, which the branch meets from larger x."""
        point = self.at(x)
        before, after = (self.at(x + side).index for side in (1e-3, -1e-3))
        phi = torch.ones_like(point.theta) / self.copies**0.5
        side = "upper" if before < after else "lower"
        return Fold(point, phi, 1e-17, 1.0, (before, after), "converged", 3, place, side, (point.beta, point.beta), minor)

    def branch(self, start: float, stop: float, count: int = 60, **of_folds: Any) -> Branch:
        """Return the branch from one x down to another, with the folds between."""
        inside = [x for x in self.folds if stop < x < start]
        grid = {start + (stop - start) * k / (count - 1) for k in range(count)}
        places = sorted(grid | set(inside), reverse=True)
        folds = {x: self.fold(x, places.index(x), **of_folds) for x in inside}
        points = tuple(folds[x].point if x in folds else self.at(x) for x in places)
        return Branch(points, tuple(folds[x] for x in inside), (), "arclength", "range", Counts())

    def x_at(self, beta: float, low: float, high: float) -> float:
        """Return x between two bounds, where beta is monotone, by bisection."""
        falling = self.beta(low) > self.beta(high)
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if (self.beta(middle) > beta) == falling else (low, middle)
        return 0.5 * (low + high)


def chain_curve() -> Curve:
    """Return the balanced branch of `E = (1 - w1 w2 w3)^2 / 2`: `beta = t (1 - t^3) / 2`, a fold at `t^3 = 1/4`."""
    return Curve(
        lambda t: t * (1 - t**3) / 2, lambda t: (1 - 4 * t**3) / 2, lambda t: (1 - t**3) ** 2 / 2, 3, (0.25 ** (1 / 3),)
    )


def loop_curve() -> Curve:
    """Return a branch with `beta = 0.2 - 2 (x - 1)^3 + 0.24 (x - 1)`: folds at x = 1.2 (beta .232) and 0.8 (beta .168)."""
    return Curve(
        lambda x: 0.2 - 2 * (x - 1) ** 3 + 0.24 * (x - 1),
        lambda x: -6 * (x - 1) ** 2 + 0.24,
        lambda x: 0.6 - 1.96 * x**2 + 3.84 * x**3 - 3 * x**4 + 0.8 * x**5,
        1,
        (1.2, 0.8),
    )


def curve_point(index: int, curve: Curve, x: float, *, level: int) -> Point:
    """Return the point of a walk at x of a curve, in the phase `level`."""
    at = curve.at(x)
    plain = point(index, at.beta, level=level, margin=max(at.margin, 0.0))
    norm = at.norm_squared**0.5
    return replace(
        plain,
        minimum=replace(plain.minimum, theta=at.theta, error=at.error, loss=at.loss),
        observation=replace(plain.observation, norm=norm, distance=norm),
        norm_slope=at.slope if math.isfinite(at.slope) else -1e12,
    )


def walk(curve: Curve, betas: Sequence[float], fall: float, *, first: int = 0) -> sp.Sweep:
    """Return a walk along the betas that falls from one stable part of a curve to the other at `fall`."""
    upward = betas[0] < betas[-1]
    deep, high = (max(curve.folds), 1.7), (1e-9, min(curve.folds))
    points = []
    for index, beta in enumerate(betas):
        is_deep = beta <= fall if upward else beta < fall
        points.append(curve_point(first + index, curve, curve.x_at(beta, *(deep if is_deep else high)), level=int(not is_deep)))
    falls = [transition(a, b) for a, b in pairwise(points) if a.observation.rank != b.observation.rank]
    return sp.Sweep(tuple(points), tuple(falls), "complete")


def loop_coexistence() -> float:
    """Return beta at which both phases of `loop_curve` have the same L, by bisection."""
    curve = loop_curve()
    low, high = 0.168, 0.232
    for _ in range(60):
        middle = 0.5 * (low + high)
        deep, dead = (curve.at(curve.x_at(middle, *bounds)).loss for bounds in ((1.2, 1.7), (1e-9, 0.8)))
        low, high = (middle, high) if deep < dead else (low, middle)
    return middle


def loop_diagram(*, branches: bool = True, back: bool = True, count: int = 30, name: str = "by hand") -> sp.PhaseDiagram:
    """Return the loop of `loop_curve`: two phases, both spinodals, all exact."""
    curve = loop_curve()
    upper, lower = (curve.beta(x) for x in curve.folds)
    grid = [0.08 * 5 ** (k / (count - 1)) for k in range(count)]
    betas = sorted({*grid, *(edge * (1 + side) for edge in (upper, lower) for side in (-1e-6, 1e-6))})
    up = walk(curve, betas, upper)
    down = walk(curve, betas[::-1], lower, first=len(betas))
    whole = curve.branch(curve.x_at(0.08, 1.2, 1.7), curve.x_at(0.4, 1e-9, 0.8))
    made = sp.PhaseDiagram(
        task={"name": name},
        seed=0,
        range=(betas[0], betas[-1]),
        points=up.points,
        transitions=up.transitions,
        spent=Counts(gradient_evaluations=1234, parameters=1),
        seconds=1.5,
        solver="newton",
        run_status="complete",
        branches={0: whole} if branches else {},
    )
    if not back:
        return made
    middle = loop_coexistence()
    deep, saddle, dead = (curve.at(curve.x_at(middle, *bounds)) for bounds in ((1.2, 1.7), (0.8, 1.2), (1e-9, 0.8)))
    barrier = (saddle.loss - deep.loss, saddle.loss - dead.loss)
    latent_heat = deep.norm_squared - dead.norm_squared
    between = Saddle(saddle.error, saddle.loss, saddle.norm_squared, 1)
    equal = PhaseCoexistence(
        middle, (0, 1), deep.loss, latent_heat, between, barrier, AreaRule(middle, 1e-12), "converged: L are equal"
    )
    certificate = SpinodalCertificate(1e-16, 1e-17, 1.0, "converged") if branches else None
    known = None if branches else "bracketed by a walk"
    return replace(
        made,
        back=down,
        back_phases=(1, 0),
        existence={
            0: Existence((betas[0], upper), "the walk ends here", "spinodal", ((betas[0], middle),), ((middle, upper),)),
            1: Existence((lower, betas[-1]), "spinodal", "the walk ends here", ((middle, betas[-1]),), ((lower, middle),)),
        },
        spinodals=(
            Spinodal(upper, 0, "upper", certificate, known),
            Spinodal(lower, 1, "lower", certificate, known),
        ),
        coexistence=(equal,) if branches else (),
        tree=(Fall(0, 1, upper, "up"), Fall(1, 0, lower, "down")),
    )


def with_curvature(made: sp.PhaseDiagram, *, caveat: str = "", spread: float = 0.0) -> sp.PhaseDiagram:
    """Return a diagram with curvature: R of E is 9 in the deepest phase and 4 less in every next one, R of L is 1."""
    points = (*made.points, *(made.back.points if made.back else ()))
    caveats = (caveat,) if caveat else ()

    def estimate(value: float, stderr: float = 0.0) -> Estimate:
        return Estimate(value, stderr, 9, "by hand", status="estimated" if stderr else "exact", caveats=caveats)

    def curvature(at: Point) -> Curvature:
        index, level = SaddleIndex(2, is_exact=not spread, products=9, lowest=-0.5), 3 - at.observation.rank
        values = estimate(9.0 - 4.0 * level, spread), estimate(1.0), estimate(3.0)
        return Curvature(at.beta, *values, None, index, replace(index, value=0))

    return replace(made, curvature=Survey({at.index: curvature(at) for at in points}))

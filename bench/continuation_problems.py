"""Toy energies whose folds, pitchforks and coexistence points follow from polynomials. Used by `continuation.py`.

On the branch that is walked all weights follow one amplitude t, with `E = profile(t)` and `||theta||^2 = weight t^2`
up to constants. It is stationary at `beta(t) = -profile'(t) / (2 weight t)`, so that

    fold            beta'(t) = 0:                   t profile''(t) = profile'(t)
    pitchfork       t = 0, where profile'(0) = 0:   beta = -profile''(0) / (2 weight)
    coexistence     profile(t) + weight beta t^2 equal at two minima

are found from roots of polynomials, with 50 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import sympy

mpmath.mp.dps = 50


@dataclass(frozen=True)
class Problem:
    """An energy, a range of beta, and the polynomial from which the exact answers follow.

    Attributes
    ----------
    title : str
    energy : callable
        E of an array of `size` numbers: torch's, JAX's, or NumPy's with symbols in it.
    size : int
    profile : callable
        E on the branch as a function of t.
    weight : int
        `||theta||^2 = weight t^2`, up to what other modes hold.
    theta : callable
        All weights from (t, beta).
    start, end : float
        beta at the start, and where to go; the end lies past the last special point.
    low : float
        Special points below this beta do not count.
    """

    title: str
    energy: Callable[[Any], Any]
    size: int
    profile: Callable[[Any], Any]
    weight: int
    theta: Callable[[Any, Any], list[Any]]
    start: float
    end: float
    low: float = 0.001

    @cached_property
    def exact(self) -> list[tuple[str, float]]:
        """Return (kind, beta) of every special point, rounded from 50 digits."""
        places = [("fold", self.beta(t)) for t in self.turns]
        places += [("pitchfork", beta) for beta in self.pitchforks]
        places += [("coexistence", beta) for beta in self.coexistence]
        return [(kind, float(beta)) for kind, beta in places if beta > self.low]

    def minima(self, beta: float) -> list[list[float]]:
        """Return theta of the minima at beta, the one with the largest t first."""
        return [[float(number) for number in self.theta(t, beta)] for t in reversed(self.stable(mpmath.mpf(beta)))]

    def derivatives(self) -> list[Callable[..., Any]]:
        """Return E, its gradient and its Hessian as functions of `size` floating point numbers."""
        symbols = sympy.symbols(f"x:{self.size}")
        energy = sympy.sympify(self.energy(np.array(symbols, dtype=object)))
        gradient = [energy.diff(symbol) for symbol in symbols]
        hessian = [[part.diff(symbol) for symbol in symbols] for part in gradient]
        return [sympy.lambdify([symbols], part, "numpy", cse=True) for part in (energy, gradient, hessian)]

    # -- the polynomial, as coefficients of rising powers -------------------------------------

    @cached_property
    def coefficients(self) -> list[mpmath.mpf]:
        """Return the coefficients of the profile."""
        t = sympy.Symbol("t")
        rational = sympy.nsimplify(sympy.expand(self.profile(t)), rational=True)
        return [mpmath.mpf(c.p) / c.q for c in reversed(sympy.Poly(rational, t).all_coeffs())]

    def beta(self, t: mpmath.mpf) -> mpmath.mpf:
        """Return where the branch with amplitude t is stationary."""
        return -value(derivative(self.coefficients), t) / (2 * self.weight * t)

    @cached_property
    def turns(self) -> list[mpmath.mpf]:
        """Return the amplitudes at folds: roots of `t profile'' - profile'`."""
        return positive_roots([k * (k - 2) * c for k, c in enumerate(self.coefficients)][1:])

    @cached_property
    def pitchforks(self) -> list[mpmath.mpf]:
        """Return beta of the pitchfork at t = 0."""
        return [] if self.coefficients[1] else [-self.coefficients[2] / self.weight]

    def loss(self, beta: mpmath.mpf) -> list[mpmath.mpf]:
        """Return the coefficients of L on the branch."""
        return [c + self.weight * beta * (k == 2) for k, c in enumerate(self.coefficients)]

    def stable(self, beta: mpmath.mpf) -> list[mpmath.mpf]:
        """Return the amplitudes of minima along the branch, rising."""
        slope = derivative(self.loss(beta))
        places = ([] if slope[0] else [mpmath.mpf(0)]) + positive_roots(slope)
        return [t for t in places if value(derivative(slope), t) > 0]

    @cached_property
    def coexistence(self) -> list[mpmath.mpf]:
        """Return where the outermost minima are equally good, from between neighbouring ends of phases."""
        ends = sorted({mpmath.mpf(0), *map(self.beta, self.turns), *(beta for beta in self.pitchforks if beta > 0)})
        inside = [(a + (b - a) / 10**9, b - (b - a) / 10**9) for a, b in pairwise(ends)]
        return [
            mpmath.findroot(self.gap, ends, solver="anderson", tol=1e-45)
            for ends in inside
            if self.gap(ends[0]) * self.gap(ends[1]) < 0
        ]

    def gap(self, beta: mpmath.mpf) -> mpmath.mpf:
        """Return L of the outermost minimum less L of the innermost; 0 where there is but one."""
        places = self.stable(beta)
        return value(self.loss(beta), places[-1]) - value(self.loss(beta), places[0]) if places else mpmath.mpf(0)


def derivative(coefficients: list[mpmath.mpf]) -> list[mpmath.mpf]:
    """Return the coefficients of the derivative."""
    return [k * c for k, c in enumerate(coefficients)][1:]


def value(coefficients: list[mpmath.mpf], t: mpmath.mpf) -> mpmath.mpf:
    """Return the polynomial at t."""
    return mpmath.polyval(coefficients[::-1], t)


def positive_roots(coefficients: list[mpmath.mpf]) -> list[mpmath.mpf]:
    """Return the positive roots, rising; roots at 0 are divided out."""
    while coefficients and not coefficients[0]:
        coefficients = coefficients[1:]
    while coefficients and not coefficients[-1]:
        coefficients = coefficients[:-1]
    roots = mpmath.polyroots(coefficients[::-1], maxsteps=500, extraprec=400)
    return sorted(mpmath.re(t) for t in roots if abs(mpmath.im(t)) < 1e-25 and mpmath.re(t) > 0)


# -- the energies ---------------------------------------------------------------------------


def factorisation(weights: Any, strong: float, weak: float) -> Any:
    """Return `||diag(strong, weak) - W_2 W_1||^2` of two 2 x 2 matrices."""
    first, second = weights.reshape(2, 2, 2)
    map_ = second @ first
    return (map_[0, 0] - strong) ** 2 + (map_[1, 1] - weak) ** 2 + map_[0, 1] ** 2 + map_[1, 0] ** 2


def narrow_net(weights: Any, strength: float) -> Any:
    """Return `(strength - w_3 W_2 w_1)^2` of a linear net with two hidden layers of two."""
    first, middle, last = weights[:2], weights[2:6].reshape(2, 2), weights[6:]
    return (strength - last @ (middle @ first)) ** 2


WELLS = Problem(
    title="asymmetric double well",
    energy=lambda x: ((x[0] - 1.5) ** 2 - 1) ** 2 / 4 - x[0] / 2,
    size=1,
    profile=lambda t: ((t - 1.5) ** 2 - 1) ** 2 / 4 - t / 2,
    weight=1,
    theta=lambda t, _: [t],
    start=0.01,
    end=0.5,
)
CUBIC = Problem(
    title="cubic",
    energy=lambda x: x[0] ** 3 / 3 - x[0] ** 2 + x[0] / 4,
    size=1,
    profile=lambda t: t**3 / 3 - t**2 + t / 4,
    weight=1,
    theta=lambda t, _: [t],
    start=0.01,
    end=0.7,
)
SEXTIC = Problem(
    title="sextic",
    energy=lambda x: x[0] ** 6 - x[0] ** 4 - x[0] ** 2 / 10,
    size=1,
    profile=lambda t: t**6 - t**4 - t**2 / 10,
    weight=1,
    theta=lambda t, _: [t],
    start=0.01,
    end=0.6,
)
QUARTIC = Problem(
    title="symmetric double well",
    energy=lambda x: x[0] ** 4 / 4 - x[0] ** 2 / 2,
    size=1,
    profile=lambda t: t**4 / 4 - t**2 / 2,
    weight=1,
    theta=lambda t, _: [t],
    start=0.05,
    end=0.7,
)


def chain(depth: int) -> Problem:
    """Return the scalar chain `E = (1 - w_1 ... w_D)^2 / 2`."""
    return Problem(
        title=f"scalar chain of {depth}",
        energy=lambda x: (1 - x.prod()) ** 2 / 2,
        size=depth,
        profile=lambda t: (1 - t**depth) ** 2 / 2,
        weight=depth,
        theta=lambda t, _: depth * [t],
        start=0.05,
        end=0.35,
        low=0.01,
    )


FACTORISATION = Problem(
    title="2 x 2 factors, a rotation",
    energy=lambda x: factorisation(x, 1.5, 0.5),
    size=8,
    profile=lambda t: (t**2 - 1 / 2) ** 2,
    weight=2,
    theta=lambda t, beta: 2 * [mpmath.sqrt(1.5 - beta), 0, 0, t],
    start=0.05,
    end=0.8,
)
NARROW_NET = Problem(
    title="1-2-2-1 net, two rotations",
    energy=lambda x: narrow_net(x, 0.8),
    size=8,
    profile=lambda t: (t**3 - 4 / 5) ** 2,
    weight=3,
    theta=lambda t, _: [t, 0, t, 0, 0, 0, t, 0],
    start=0.05,
    end=0.5,
    low=0.01,
)


PROBLEMS = {
    "wells": WELLS,
    "cubic": CUBIC,
    "sextic": SEXTIC,
    "quartic": QUARTIC,
    "chain3": chain(3),
    "chain4": chain(4),
    "factors": FACTORISATION,
    "net": NARROW_NET,
}

"""Change points: where a curvature measured along beta changes most abruptly, by its own values alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinodal.arguments import real_number, sequence
from spinodal.errors import SpinodalError

SIGNIFICANT = 5.0  # standard errors by which a change must exceed what is usual
PROMINENT = 0.01  # of the larger value beside it: a step below it is none
ABRUPT = 5.0  # a step is so many times the change that its surroundings explain
NOISE = 2.0  # standard errors that the change on either side may owe to chance
ZERO = 1e-9  # of the largest magnitude: what is below it is rounding
WIDE = 1.1  # factor in beta within which a step takes place
WINDOW = 64  # most points that one step may span

Array = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class ChangePoint:
    """A place on the beta axis at which a quantity changes abruptly.

    Attributes
    ----------
    kind : {"step", "sign change"}
    beta : float
        The geometric mean of the bracket; of a sign change where a straight line over log beta is zero.
    bracket : (lower, upper)
        Betas of the two points between which it lies.
    before, after : float
        The values at these two, the one at the lower beta first.
    significance : float
        `|after - before|` in combined standard errors (of a sign change the smaller distance from zero in its own);
        infinite where both values are exact.
    """

    kind: str
    beta: float
    bracket: tuple[float, float]
    before: float
    after: float
    significance: float

    @property
    def ends(self) -> tuple[float, float]:
        """Return both values."""
        return self.before, self.after

    def __str__(self) -> str:
        """Return the change point in one line."""
        sure = "exact values" if math.isinf(self.significance) else f"{self.significance:.1f} standard errors"
        low, high = self.bracket
        return f"{self.kind} at beta = {self.beta:.6g} [{low:.6g}, {high:.6g}]: {self.before:.5g} -> {self.after:.5g}, {sure}"


def change_points(beta: Sequence[float], values: Sequence[float], stderr: Sequence[float] = ()) -> tuple[ChangePoint, ...]:
    """Return where values along beta change abruptly, by rising beta.

    A **step** is a stretch between two points

    - which is no wider than a factor of `WIDE` in beta,
    - across which the values change by at least `PROMINENT` of the larger magnitude of the two,
    - and by at least `ABRUPT` times what the stretches before and behind it let expect,
    - and by `SIGNIFICANT` combined standard errors more than that.

    These are as wide as itself, or reach as far as the next point. One as wide lets its own change be expected; one k times
    as wide, the part `(sqrt(2) - 1) / (sqrt(1 + k) - 1)` of its change: on the way to a fold, values go like the square root
    of the distance to it, which is steep and no step. Where steps overlap, the steepest one counts.

    A **sign change** lies between two neighbours, among the points whose sign is sure, of which one is positive and one
    negative; one within a step is that step. Nothing else goes in, least of all where a network has its transitions.

    Parameters
    ----------
    beta : sequence of m floats > 0, in any order
    values : sequence of m floats
        Those that are not finite are left out.
    stderr : sequence of m floats, optional
        Standard errors. Default: the values are exact.

    Raises
    ------
    SpinodalError
        If the lengths differ, a beta is not positive, or a standard error is negative.

    Notes
    -----
    *What it is not:* a transition, which is where a minimum ends. A curvature may step where nothing ends, and a phase may
    end where no step stands out. Where beta is covered in coarser steps than `WIDE`, no step can be found.

    Examples
    --------
    A jump from 8 to 2 at beta = 1, on a slope:

    >>> beta = [0.1, 0.3, 0.6, 0.99, 1.01, 2.0, 5.0, 10.0]
    >>> values = [9.0, 8.7, 8.4, 8.0, 2.0, 1.9, 1.8, 1.7]
    >>> print(*change_points(beta, values))
    step at beta = 0.99995 [0.99, 1.01]: 8 -> 2, exact values
    >>> change_points(beta, values, [1.0] * 8)
    ()
    """
    known = _Series.of(beta, values, stderr)
    if len(known.beta) < 2 or known.largest == 0.0:
        return ()
    steps = [known.step(*stretch) for stretch in _steps(known)]
    changes = [known.sign_change(*pair) for pair in known.crossings()]
    alone = [item for item in changes if not any(_overlap(item.bracket, step.bracket) for step in steps)]
    return tuple(sorted([*steps, *alone], key=lambda item: item.beta))


@dataclass(frozen=True)
class _Series:
    """Finite values by rising beta, with their standard errors."""

    beta: Array
    values: Array
    errors: Array

    @classmethod
    def of(cls, beta: Sequence[float], values: Sequence[float], stderr: Sequence[float]) -> _Series:
        beta, values, stderr = (
            [real_number(item) for item in sequence(name, column, of="numbers", do="give one of each per point")]
            for name, column in (("beta", beta), ("values", values), ("stderr", stderr))
        )
        errors = stderr or [0.0] * len(values)
        if not len(beta) == len(values) == len(errors):
            raise SpinodalError(
                got=f"{len(beta)} betas, {len(values)} values and {len(errors)} standard errors",
                allowed="as many of each are allowed",
                do="give one of each per point",
            )
        columns = np.array([beta, values, errors], dtype=float)
        if (columns[0] <= 0.0).any() or (columns[2] < 0.0).any():
            raise SpinodalError(
                got="a beta that is not positive" if (columns[0] <= 0.0).any() else "a standard error that is negative",
                allowed="betas > 0 and standard errors >= 0 are allowed",
                do="leave out points at beta = 0, which have no place on a logarithmic axis, and give 0 for exact values",
            )
        columns = columns[:, np.isfinite(columns).all(0)]
        columns = columns[:, np.argsort(columns[0], kind="stable")]
        columns = columns[:, np.diff(columns[0], prepend=-1.0) > 0.0]
        return cls(*columns)

    @property
    def x(self) -> Array:
        """Return log beta."""
        logs: Array = np.log(self.beta)
        return logs

    @property
    def largest(self) -> float:
        """Return the largest magnitude, 0 where there is no value."""
        return float(np.abs(self.values).max(initial=0.0))

    def changes(self, first: Places, last: Places) -> tuple[Array, Array]:
        """Return the changes across stretches and their standard errors."""
        return np.abs(self.values[last] - self.values[first]), np.hypot(self.errors[first], self.errors[last])

    def expected(self, first: Places, last: Places, width: Array) -> tuple[Array, Array]:
        """Return what stretches let expect beside them over a width, and its standard error; NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            wider = (self.x[last] - self.x[first]) / width
            part = np.where(first < last, (math.sqrt(2.0) - 1.0) / (np.sqrt(1.0 + wider) - 1.0), np.nan)
        change, error = self.changes(first, last)
        return part * change, part * error

    def step(self, first: int, last: int) -> ChangePoint:
        change, error = abs(self.values[last] - self.values[first]), math.hypot(self.errors[first], self.errors[last])
        middle = math.sqrt(self.beta[first] * self.beta[last])
        return self._point("step", middle, first, last, change / error if error else math.inf)

    def sign_change(self, first: int, last: int) -> ChangePoint:
        a, b = self.values[first], self.values[last]
        x = self.x[first] + (self.x[last] - self.x[first]) * a / (a - b)
        sure = [abs(self.values[k]) / self.errors[k] if self.errors[k] else math.inf for k in (first, last)]
        return self._point("sign change", math.exp(x), first, last, min(sure))

    def crossings(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of neighbours, among the points whose sign is sure, of opposite signs."""
        least = np.maximum(SIGNIFICANT * self.errors, ZERO * self.largest)
        sure = np.flatnonzero(np.abs(self.values) > least)
        turns = np.flatnonzero(np.diff(np.sign(self.values[sure])) != 0)
        yield from ((int(sure[k]), int(sure[k + 1])) for k in turns)

    def _point(self, kind: str, beta: float, first: int, last: int, significance: float) -> ChangePoint:
        before, after = float(self.values[first]), float(self.values[last])
        bracket = float(self.beta[first]), float(self.beta[last])
        return ChangePoint(kind, beta, bracket, before, after, float(significance))


def _steps(known: _Series) -> list[tuple[int, int]]:
    """Return the stretches that are steps, the steepest where they overlap."""
    kept: list[tuple[int, int]] = []
    for _, first, last in sorted(_abrupt(known), key=lambda item: (-item[0], item[2] - item[1])):
        if not any(_overlap((first, last), other) for other in kept):
            kept.append((first, last))
    return kept


def _abrupt(known: _Series) -> Iterator[tuple[float, int, int]]:
    """Yield all stretches that fulfil the four conditions, each after its steepness."""
    x, values, count = known.x, known.values, len(known.beta)
    for span in range(1, min(WINDOW, count - 2) + 1):
        first = np.arange(count - span)
        last = first + span
        width = x[last] - x[first]
        change, error = known.changes(first, last)
        before = known.expected(np.clip(np.searchsorted(x, x[first] - width, side="right") - 1, 0, first - 1), first, width)
        behind = known.expected(last, np.clip(np.searchsorted(x, x[last] + width), last + 1, count - 1), width)
        large = np.maximum(PROMINENT * np.maximum(np.abs(values[first]), np.abs(values[last])), ZERO * known.largest)
        fits = (width <= math.log(WIDE)) & (change >= large)
        for usual, doubt in (before, behind):  # NaN, and hence no step, at the ends
            fits &= (change >= ABRUPT * np.maximum(usual - NOISE * doubt, 0.0)) & (change > usual)
            fits &= change - usual >= SIGNIFICANT * np.hypot(error, doubt)
        yield from ((float(change[k] / width[k]), int(first[k]), int(last[k])) for k in np.flatnonzero(fits))


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return max(a[0], b[0]) < min(a[1], b[1])

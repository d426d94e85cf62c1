"""The scalar curvature from Hessian products: adaptive, with its own error bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinodal.curvature.by_sample.pass_of_probes import Passes, PassOfProbes
from spinodal.curvature.by_sample.samples import SampleError
from spinodal.curvature.deflation import Deflation
from spinodal.curvature.heap import give_back
from spinodal.curvature.probes import Probes
from spinodal.errors import SpinodalError
from spinodal.spectrum.estimate import student
from spinodal.spectrum.operator import finite

PILOT = 8  # probes before anything is decided
PASSES = 12  # passes over the samples before an error bar is believed
BLOCK = 4  # products spent before it is looked again where they help most
FEWEST = 5  # probes, and passes, whose spread says something
DEEPEST = 64  # directions that are deflated at most
GRADIENTS = 2  # of the price of one product
ROW_BYTES = 2**24  # of probes that are multiplied at once
LARGE_BYTES = 2**20  # of probes, from which freed memory is given back after every product

MOST_HOLDING = 3.0  # times the directions at hand: among so many eigenvalues they are worth knowing
FEW_HOLDING = 1.5  # the same once it has helped little
UNSEEN = 1e-9  # of R: errors that are rounding

Product = Callable[[Tensor], Tensor]
Means = tuple[np.ndarray | float, np.ndarray | float]


@dataclass(frozen=True)
class Shifted:
    """A surface over theta: its gradient, and what its Hessian has beside that of E.

    Attributes
    ----------
    gradient : Tensor, shape (n,)
    shift : Tensor, shape (n,), or None
        The diagonal matrix that is added to the Hessian of E: of L, `2 beta` times the mask.
    """

    gradient: Tensor
    shift: Tensor | None = None


class Probed:
    """Estimates of the scalar curvature of several surfaces that differ by known shifts, from the same products.

    With T = tr H and F = ||H||_F^2,
    `R = (T^2 - F) / W^2 + 2 (||H g||^2 - T g^T H g) / W^4`, where `W^2 = 1 + ||g||^2`. H g is one product. T comes from
    passes of probes that differ from sample to sample (see `SampleProbes`, `SampleGroups`), or from probes that are the same
    for all where samples meet, and T^2 from pairs of **distinct** ones; F from `||H v||^2`. Where few directions hold most
    of F, they are deflated first (see `Deflation`). Where the Gauss-Newton part of T is the noisy one and can be had exactly,
    only the residual part is left to probes. Products go where they lower the error most.

    Parameters
    ----------
    product : callable, rows (k, n) -> H rows (k, n)
    surfaces : sequence of Shifted
        The first one decides where products go.
    seed : int
    passes : Passes, optional
    gauss_newton : callable -> float, optional
        The exact trace of the Gauss-Newton part, at one gradient per output of a sample and one more.
    deepest : int
        Directions that are deflated at most. Default `DEEPEST`.

    Notes
    -----
    Error bars are jackknife errors over the probes, times the standard deviation of Student's t, and not below what pairs of
    probes allow. Every sum is unbiased; that products go where the probes so far say leaves a bias of up to a fifth of the
    error bar (measured), because F, of a skew distribution, looks settled where it is low. Memory: 2 k vectors of n numbers
    for k deflated directions, and four times `PILOT` more.
    """

    def __init__(
        self,
        product: Product,
        surfaces: Sequence[Shifted],
        *,
        seed: int,
        passes: Passes | None = None,
        gauss_newton: Callable[[], float] | None = None,
        deepest: int = DEEPEST,
    ) -> None:
        self.surfaces, self.passes, self.deepest, self.products = surfaces, passes, deepest, 0
        self._gauss_newton, self._exact_part = gauss_newton, math.nan
        like = surfaces[0].gradient
        self._product, self._probes, self.known = product, Probes(like, (seed, 0)), Deflation(like)
        self._passed: list[PassOfProbes] = []
        self._newest, self._holding = 0, MOST_HOLDING  # directions that were deflated last
        self._forget()
        self._slopes = [self._along(surface) for surface in surfaces]

    # -- products ---------------------------------------------------------------------------

    def _images(self, rows: Tensor) -> Tensor:
        """Return `H v` for every row; refuse what is not finite."""
        images = self._product(rows) if len(rows) else rows
        self.products += len(rows)
        if rows.element_size() * rows.numel() > LARGE_BYTES:
            give_back()
        return finite(images)

    def _along(self, surface: Shifted) -> tuple[float, float, float]:
        """Return `W^2`, `||H g||^2` and `g^T H g` of a surface."""
        gradient = surface.gradient
        if not bool(gradient.any()):
            return 1.0, 0.0, 0.0
        image = self._images(gradient[None]) + (0.0 if surface.shift is None else surface.shift * gradient)
        return 1.0 + _dots(gradient[None], gradient[None])[0], _dots(image, image)[0], _dots(gradient[None], image)[0]

    def _forget(self) -> None:
        """Begin anew on another complement."""
        self._forms: list[float] = []  # w^T H w of every probe w
        self._squares: list[list[float]] = []  # ||P (H + S) w||^2 without the part of S alone: every surface, then S = 0
        self._pairs: list[list[float]] = []  # squares of the same form between different probes
        if self.passes is not None and not self.passes.sees_all:
            self._passed = []

    def _probe(self, count: int, *, keep: bool = False) -> Tensor:
        """Take probes, the same for all samples, in pieces of few bytes; return `P H w`, rows, or none if not to be kept."""
        gradient = self.surfaces[0].gradient
        step = max(1, ROW_BYTES // (len(gradient) * gradient.element_size()))
        kept = gradient.new_empty(count if keep else 0, len(gradient))
        for first in range(0, count, step):
            outside = self._probe_at_once(min(step, count - first))
            if keep:
                kept[first : first + step] = outside
        return kept

    def _probe_at_once(self, count: int) -> Tensor:
        rows = self.known.outside(self._probes.rows(count))
        images = self._images(rows)
        outside = self.known.outside(images)
        shifts = (*(surface.shift for surface in self.surfaces), None)
        forms = np.stack([_square_forms(outside, shift, rows) for shift in shifts], axis=-1)
        pairs = ~np.eye(count, dtype=bool)
        self._forms += _dots(rows, images)
        self._squares += forms[~pairs].tolist()
        self._pairs += np.square(forms[pairs]).tolist()
        return outside

    def _pass(self, count: int) -> None:
        """Take passes over the samples."""
        if self.passes is not None:
            self._passed += [self.passes.trace(self.known) for _ in range(count)]
            self.products += count
            finite(torch.tensor([found.whole for found in self._passed]))

    @property
    def _traces(self) -> list[float]:
        """Return `tr P H P` of every pass; of its Gauss-Newton part the exact value, once that is known."""
        return [self._trace_of(found) - self.known.trace() for found in self._passed]

    def _trace_of(self, found: PassOfProbes) -> float:
        exact = self._exact_part
        return found.whole if math.isnan(exact) or found.residual is None else exact + found.residual

    # -- spending ---------------------------------------------------------------------------

    def spend(self, budget: int, *, rtol: float | None = None) -> bool:
        """Spend products until `stderr <= rtol |R|`, or all of a budget; return whether that was reached."""
        self._begin(budget, rtol)
        while self.products < budget and not self._is_reached(rtol):
            left = budget - self.products
            self._add(min(BLOCK, left), left)
        return rtol is None or self._is_reached(rtol)

    def _begin(self, budget: int, rtol: float | None) -> None:
        """Take a pilot, and deflate while few directions hold most of what is left, and that is too much."""
        outside = self._pilot(budget)
        while not self._is_reached(rtol) and (directions := self._worth_knowing(outside, budget)) is not None:
            before = self._unit_error()
            self.known.add(directions, self._images(directions))
            self._newest = len(directions)
            self._forget()
            outside = self._pilot(budget)
            left = budget - self.products
            if left <= 0 or self._unit_error() > before * math.sqrt(max(0, left - 2 * len(outside)) / left):
                self._holding = FEW_HOLDING  # as much again would help less than to spend its price on probes

    def _pilot(self, budget: int) -> Tensor:
        """Take probes and passes; return the images of these probes, none where there is no room to deflate them."""
        count = max(FEWEST, min(PILOT, (budget - self.products) // 5))
        outside = self._probe(count, keep=self.known.size + count <= self.deepest)
        self._pass(max(FEWEST, min(PASSES, (budget - self.products) // 4)) - len(self._passed))
        return outside

    def _worth_knowing(self, outside: Tensor, budget: int) -> Tensor | None:
        """Return directions to deflate, those of the last images, or None where that would not pay.

        F is held by about `(sum lambda^2)^2 / sum lambda^4` eigenvalues; inner products of images tell the fourth moment.
        Images of the directions that were deflated last point to further ones at no price, as in a block Krylov space.
        """
        count, left = len(outside), budget - self.products
        if not count or left < 3 * count:
            return None
        second, fourth = (float(np.array(found)[:, -1].mean()) for found in (self._squares, self._pairs))
        value = abs(self.curvature(0)[0])
        if second <= 0 or self._unit_error() <= UNSEEN * value or second**2 > self._holding * count * fourth:
            return None
        further = self.known.image[len(self.known.image) - self._newest :]
        most = min(self.deepest - self.known.size, left - 2 * count)
        return self.known.directions(torch.cat([outside, self.known.outside(further)])[:most])

    def _is_reached(self, rtol: float | None) -> bool:
        if rtol is None or len(self._forms) < PILOT or (self._by_passes and len(self._passed) < PASSES):
            return False
        value, stderr = self.curvature(0)
        return stderr <= rtol * abs(value)

    def _add(self, count: int, left: int) -> None:
        """Spend products on what lowers the error most."""
        probes, passes = self._errors(0)
        if self._by_passes and len(self._passed) < PASSES:
            self._pass(min(count, PASSES - len(self._passed)))
        elif not self._by_passes or passes**2 / len(self._passed) <= probes**2 / len(self._forms):
            self._probe(count)
        elif not self._knows_gauss_newton(left):
            self._pass(count)

    def _knows_gauss_newton(self, left: int) -> bool:
        """Compute the trace of the Gauss-Newton part, and tell so, where as many products spent on passes would help less."""
        outputs = None if self.passes is None else self.passes.outputs
        residuals = [found.residual for found in self._passed]
        if self._gauss_newton is None or outputs is None or None in residuals:
            return False
        price = 1 + outputs // GRADIENTS
        more = len(residuals) / (len(residuals) + price)
        if price > left or np.var(np.array(residuals)) > more * np.var(np.array(self._traces)):
            return False
        compute, self._gauss_newton = self._gauss_newton, None
        try:
            self._exact_part = compute()
        except (SampleError, SpinodalError):  # E is no function of outputs, or samples meet in it
            return False
        self.products += price
        return True

    def _unit_error(self) -> float:
        """Return the standard error of one product, where products are shared out as is best, from what is known best."""
        probes = self._least_error(0)
        if not self._by_passes:
            return math.hypot(probes, self._least_error_of_trace(0)) * math.sqrt(len(self._squares))
        return probes * math.sqrt(len(self._squares)) + self._errors(0)[1] * math.sqrt(len(self._passed))

    # -- what was found ---------------------------------------------------------------------

    @property
    def _by_passes(self) -> bool:
        """Tell whether passes say more about the trace than common probes."""
        return len(self._passed) >= FEWEST and bool(np.var(self._traces, ddof=1) <= np.var(self._forms, ddof=1))

    def curvature(self, surface: int) -> tuple[float, float]:
        """Return R of a surface and its standard error."""
        traces, squares = self._samples(surface)
        value = float(self._ricci(surface, _means(traces), float(squares.mean())))
        return value, math.hypot(*self._errors(surface), self._rounding(surface))

    def _rounding(self, surface: int) -> float:
        """Return what rounding alone may do to R, a difference of two positive numbers."""
        epsilon = torch.finfo(self.surfaces[surface].gradient.dtype).eps
        norm_squared = self.known.square_norm(self.surfaces[surface].shift) + float(self._samples(surface)[1].mean())
        return epsilon * (self.trace(surface)[0] ** 2 + norm_squared) / self._slopes[surface][0]

    def trace(self, surface: int) -> tuple[float, float]:
        """Return the trace of the Hessian of a surface and its standard error."""
        traces, _ = self._samples(surface)
        shift = self.surfaces[surface].shift
        known = self.known.trace(shift) + self.known.shift_outside(shift)[0]
        spread = student(len(traces)) * float(traces.std(ddof=1))
        if not self._by_passes:  # the variance of w^T H w is at most 2 F
            spread = max(spread, math.sqrt(2 * float(np.array(self._squares)[:, -1].mean())))
        return known + float(traces.mean()), spread / math.sqrt(len(traces))

    def _samples(self, surface: int) -> tuple[np.ndarray, np.ndarray]:
        traces = self._traces if self._by_passes else self._forms
        return np.array(traces), np.array(self._squares)[:, surface]

    def _errors(self, surface: int) -> tuple[float, float]:
        """Return the jackknife errors due to common probes and due to passes."""
        traces, squares = self._samples(surface)
        fewer = (squares.sum() - squares) / (len(squares) - 1)
        least, least_of_trace = self._least_error(surface), self._least_error_of_trace(surface)
        if not self._by_passes:
            by_probes = self._ricci(surface, _means_without_one(traces), fewer)
            return max(math.hypot(least, least_of_trace), _jackknife(by_probes)), 0.0
        by_probes = self._ricci(surface, _means(traces), fewer)
        by_passes = self._ricci(surface, _means_without_one(traces), float(squares.mean()))
        return max(least, _jackknife(by_probes)), max(least_of_trace, _jackknife(by_passes))

    def _least_error(self, surface: int) -> float:
        """Return the error due to `F = E w^T A w` as pairs of probes know it: the variance is at most `2 E (w^T A w')^2`.

        There are more pairs than probes, and F and its spread, both of a skew distribution, are seldom small together.
        """
        variance = 2 * float(np.array(self._pairs)[:, surface].mean()) if self._pairs else 0.0
        return math.sqrt(variance / len(self._squares)) / self._slopes[surface][0]

    def _least_error_of_trace(self, surface: int) -> float:
        """Return the error due to T, to first and second order: `T^2 - s^2` is uncertain by `sqrt(2) s^2` where T is small."""
        w2, _, bend = self._slopes[surface]
        value, stderr = self.trace(surface)
        return math.hypot((2 * value / w2 - 2 * bend / w2**2) * stderr, math.sqrt(2) * stderr**2 / w2)

    def _ricci(self, surface: int, traces: Means, square: np.ndarray | float) -> np.ndarray | float:
        """Return R from the mean and the mean product of traces on the complement, and the squared norm there."""
        shift, (w2, image_square, bend) = self.surfaces[surface].shift, self._slopes[surface]
        shift_trace, shift_square = self.known.shift_outside(shift)
        known, (mean, pairs) = self.known.trace(shift) + shift_trace, traces
        trace_squared = known**2 + 2 * known * mean + pairs
        norm_squared = self.known.square_norm(shift) + shift_square + square
        return (trace_squared - norm_squared) / w2 + 2 * (image_square - (known + mean) * bend) / w2**2


def _square_forms(outside: Tensor, shift: Tensor | None, rows: Tensor) -> np.ndarray:
    """Return `y_i . y_j + y_i . S w_j + w_i . S y_j` of `y = P H w` and a diagonal S, shape (k, k)."""
    forms = outside @ outside.T
    if shift is not None:
        crossed = outside @ (shift * rows).T
        forms += crossed + crossed.T
    return forms.double().cpu().numpy()


def _dots(a: Tensor, b: Tensor) -> list[float]:
    """Return the inner products of rows, summed in double precision."""
    return [float(value) for value in (a * b).sum(1, dtype=torch.float64)]


def _means(values: np.ndarray) -> Means:
    """Return the mean, and the mean of `x_i x_j` over distinct pairs."""
    total, count = values.sum(), len(values)
    return total / count, (total**2 - np.square(values).sum()) / (count * (count - 1))


def _means_without_one(values: np.ndarray) -> Means:
    """Return the same without each value in turn, as arrays."""
    total, count = values.sum() - values, len(values) - 1
    return total / count, (total**2 - (np.square(values).sum() - np.square(values))) / (count * (count - 1))


def _jackknife(values: np.ndarray | float) -> float:
    """Return the standard error from values with one observation left out each."""
    values = np.atleast_1d(values)
    return student(len(values)) * math.sqrt((len(values) - 1) * float(np.var(values)))

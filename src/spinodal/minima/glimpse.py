"""What a few Hessian products tell of a minimum of a large network: the tangent of its branch, and a bound of the margin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.minima.kronecker import Kronecker
from spinodal.spectrum.davidson import Subspace, davidson
from spinodal.spectrum.eigenbasis import zero_fraction
from spinodal.spectrum.margin import Margin

LARGE = 20_000  # parameters from which a walk in single precision affords a glimpse only
TANGENT = 4  # products on the way
SOFTEST = 10  # the same where a branch may end: the softest direction is looked for as well
ACCURATE = 0.02  # residual of the tangent, relative, at which no more products are spent on it


def affords_glimpses_only(landscape: Landscape) -> bool:
    """Tell a network whose margins would cost more than its minima: large, and computed in single precision."""
    return landscape.dtype == torch.float32 and landscape.size >= LARGE


def glimpse(
    loss: Regularised, theta: Tensor, hints: Sequence[Tensor], factors: Kronecker, *, blur: float, on_the_way: bool
) -> tuple[Margin, Tensor]:
    """Return the lowest Ritz pair of Hess L and the tangent in one small space.

    The space is spanned by directions that neighbours give and by the first preconditioned residuals of the tangent's equation,
    `(Hess L) t = -2 (theta - centre)`; unless `on_the_way`, Davidson's method then goes on for the lowest pair. Towards a fold
    the tangent turns into the soft mode, so the space holds what matters there.

    Parameters
    ----------
    loss : Regularised
    theta : Tensor, shape (n,)
        A minimum, to the tolerance of the search.
    hints : sequence of Tensor, shape (n,)
        Tangents of neighbours.
    factors : Kronecker
        Of a neighbour.
    blur : float
        A part of the margin's error: see `lanczos_margin`.
    on_the_way : bool

    Returns
    -------
    Margin, Tensor of shape (n,)
        The margin's value is an upper bound of the smallest eigenvalue; its residual is the distance to some eigenvalue. *What
        it is not:* the smallest eigenvalue, unless the space happens to hold its mode.
    """
    product, inverse = loss.hessian_operator(theta), factors.at_beta(loss.unit).inverse
    right = loss.push(theta)
    guesses = [*(hint for hint in hints if bool(hint.any())), inverse(right)]
    space = Subspace.of(torch.stack(guesses), product)
    for _ in range(TANGENT - len(space)):
        if (rest := _rest(space, right)) is None:
            break
        space = space.widened(inverse(rest)[None], product)
    zero = zero_fraction(theta.dtype) * float(np.abs(space.values).max())
    if not on_the_way:
        space, _ = davidson(product, space, inverse, zero=zero, budget=SOFTEST)
    return _margin(space, zero, blur), space.solved(right, _least(space, zero))


def _rest(space: Subspace, right: Tensor) -> Tensor | None:
    """Return what the tangent in a space leaves of its equation, None where that is little."""
    along = space.solved(right, _least(space, 0.0))
    rest = right - (space.basis @ along) @ space.images
    return None if float(rest.norm()) <= ACCURATE * float(right.norm()) else rest


def _least(space: Subspace, zero: float) -> float:
    """Return the magnitude up to which Ritz values are left out of a tangent: none is negative then."""
    return max(zero, -float(space.values[0]))


def _margin(space: Subspace, zero: float, blur: float) -> Margin:
    place = int(np.argmax(np.abs(space.values) > zero))
    residual = max(float(space.outside(place).norm()), blur)
    return Margin(float(space.values[place]), space.vector(place), None, residual, float(np.abs(space.values).max()))

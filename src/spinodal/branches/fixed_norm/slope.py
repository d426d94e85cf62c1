"""The exact slope of a branch in rho, by conjugate gradients along the sphere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from spinodal.branches.fixed_norm.sphere import tangential
from spinodal.definitions import ALONG_NEGATIVE


@dataclass(frozen=True)
class Slope:
    """`d theta/d rho` and `d beta/d rho` of the branch at a constrained minimum.

    Attributes
    ----------
    theta_rate : Tensor, shape (n,)
        `v = off / (2 rho) + tau` with `off = theta - centre` and tau along the sphere.
    beta_rate : float
        `-v . (Hess L) v`. It falls short of the exact slope by the square of the error of v.
    image : Tensor, shape (n,)
        `(Hess L) v`, which is `-2 (d beta/d rho) off`.
    escape : Tensor or None
        A direction along the sphere in which the curvature is negative: this is then no constrained minimum.
    """

    theta_rate: Tensor
    beta_rate: float
    image: Tensor
    escape: Tensor | None


def slope(
    product: Callable[[Tensor], Tensor], offset: Tensor, *, guess: Tensor | None, scale: float, tolerance: float, most: int
) -> Slope:
    """Return the slope where the product with Hess L is given.

    From `grad E + 2 beta off = 0` along the branch: `(Hess L) v = -2 off dbeta/drho` and `2 off . v = 1`. Hence v has
    the lowest curvature of all such vectors, `-dbeta/drho`, which conjugate gradients find.

    Parameters
    ----------
    product : callable ``v (n,) -> Hess L v (n,)``
    offset : Tensor, shape (n,)
        `mask * (theta - centre)`.
    guess : Tensor, shape (n,), optional
        Of v, such as a difference of two points.
    scale, tolerance : float
        The residual along the sphere is reduced to `tolerance * scale * ||v||`.
    most : int
        Most products, of which one is spent at once.

    Examples
    --------
    `E = -x^3 / 3 + y^2` at (1, 0), where `beta = x / 2` and `rho = x^2`, so `dbeta/drho = 1 / (4 x)`:

    >>> import torch
    >>> curvature = torch.tensor([-2.0 + 1.0, 2.0 + 1.0])
    >>> slope(lambda v: curvature * v, torch.tensor([1.0, 0.0]), guess=None, scale=1.0, tolerance=1e-6, most=9).beta_rate
    0.25
    """
    v = offset / (2 * float(offset @ offset))
    if guess is not None:
        v = v + tangential(guess, offset)
    image = product(v)
    pull = tangential(image, offset)
    direction, square = -pull, float(pull @ pull)
    largest, escape = scale, None
    for _ in range(most - 1):
        if square <= (tolerance * scale) ** 2 * float(v @ v):
            break
        push = product(direction)
        curvature, length = float(direction @ push), float(direction @ direction)
        largest = max(largest, curvature / length)
        if curvature <= 1e-14 * largest * length:
            escape = direction if curvature < -ALONG_NEGATIVE * largest * length else None
            break
        v, image = v + (square / curvature) * direction, image + (square / curvature) * push
        pull = pull + (square / curvature) * tangential(push, offset)
        fresh = float(pull @ pull)
        direction = tangential(-pull + (fresh / square) * direction, offset)
        square = fresh
    return Slope(v, -float(v @ image), image, escape)

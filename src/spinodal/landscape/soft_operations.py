"""Smooth counterparts of piecewise smooth operations, which approach them as their sharpness s grows.

All are made of two: `softplus(s x) / s` for `max(x, 0)`, off by `log 2 / s` at most, and `log sum exp(s x) / s` for the
largest of k numbers, off by `log k / s` at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

LINEAR = 40.0  # of s x, above which softplus is x to rounding
NEVER = -1e30  # pads a pool: no maximum feels it
Bound = float | Tensor | None
GUARD = 1e-3  # bounds that lie so near to 0, or to 1, without being it, keep logarithms and quotients finite: no kinks


def is_guard(bound: object) -> bool:
    """Tell a bound that guards against rounding from one that shapes a function.

    Examples
    --------
    >>> is_guard(1e-12), is_guard(1 - 1e-7), is_guard(0.0), is_guard(6.0)
    (True, True, False, False)
    """
    if not isinstance(bound, int | float):
        return False
    return 0.0 < abs(bound) <= GUARD or 0.0 < abs(1.0 - bound) <= GUARD


def rectified(x: Tensor, s: float) -> Tensor:
    """Return `softplus(s x) / s`, for `max(x, 0)`.

    Examples
    --------
    >>> round(float(rectified(torch.tensor(0.0), 10.0)), 6)  # log(2) / 10
    0.069315
    """
    return functional.softplus(x, beta=s, threshold=LINEAR)


def bounded(x: Tensor, low: Bound, high: Bound, s: float) -> Tensor:
    """Return x between two bounds, either of which may be None or a guard, which is kept as it is."""
    if is_guard(low) or is_guard(high):
        kept_low, kept_high = (bound if isinstance(bound, float) and is_guard(bound) else None for bound in (low, high))
        x, low, high = torch.clamp(x, kept_low, kept_high), _unless_guard(low), _unless_guard(high)
    if low is None:
        return x if high is None else high - rectified(high - x, s)
    above = low + rectified(x - low, s)
    return above if high is None else above - rectified(x - high, s)


def _unless_guard(bound: Bound) -> Bound:
    return None if is_guard(bound) else bound


def modulus(x: Tensor, s: float) -> Tensor:
    """Return `(softplus(s x) + softplus(-s x)) / s`, for `|x|`."""
    return rectified(x, s) + rectified(-x, s)


def leaky(x: Tensor, slope: Tensor | float, s: float) -> Tensor:
    """Return x below zero times a slope."""
    return slope * x + (1.0 - slope) * rectified(x, s)


def largest(x: Tensor, axes: int | tuple[int, ...], s: float, *, keepdim: bool = False) -> Tensor:
    """Return `log sum exp(s x) / s` along axes, for the maximum."""
    return torch.logsumexp(s * x, axes, keepdim) / s


def exponential(x: Tensor, alpha: float, scale: float, s: float) -> Tensor:
    """Return ELU, whose slopes at zero differ unless alpha is 1: `max(x, 0) + alpha (exp(min(x, 0)) - 1)`."""
    return scale * (rectified(x, s) + alpha * torch.expm1(-rectified(-x, s)))


def pooled(
    x: Tensor, s: float, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], *,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """Return the largest of every window of the last axes, one axis after the other, as the maximum of maxima is the maximum.

    Examples
    --------
    >>> [round(value, 3) for value in pooled(torch.tensor([[1.0, 5.0, 3.0, 2.0]]), 100.0, [2], [2], [0], [1])[0].tolist()]
    [5.0, 3.0]
    """
    axes = range(-len(kernel), 0)
    for axis, width, step, pad, spread in zip(axes, kernel, stride, padding, dilation, strict=True):
        reach, size = spread * (width - 1) + 1, x.shape[axis]
        free = size + 2 * pad - reach
        count = (-(-free // step) if ceil_mode else free // step) + 1
        if ceil_mode and (count - 1) * step >= size + pad:  # a window must not begin in the padding behind
            count -= 1
        behind = (count - 1) * step + reach - size - pad
        sides = [0, 0] * (-axis - 1) + [pad, behind]  # a negative one cuts off what no window reaches
        x = functional.pad(x, sides, value=NEVER) if any(sides) else x
        x = largest(x.unfold(axis, reach, step)[..., ::spread], -1, s)
    return x


def pooled_to(x: Tensor, s: float, sizes: Sequence[int | None]) -> Tensor:
    """Return the largest of the windows into which the last axes are cut for outputs of these sizes (None: as it is)."""
    for axis, count in zip(range(-len(sizes), 0), sizes, strict=True):
        size = x.shape[axis]
        wanted = size if count is None else count
        spans = [(k * size // wanted, -(-(k + 1) * size // wanted)) for k in range(wanted)]
        x = torch.stack([largest(x.narrow(axis, first, last - first), axis, s) for first, last in spans], axis)
    return x

"""Why a search no longer moves: rounding, a precision lower inside, a gradient that is none, a kink, or ill conditioning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.landscape.energy import Energy
from spinodal.landscape.precision import where_lower

Function = Callable[[Tensor], tuple[float, Tensor]]

DOUBLINGS, HALVINGS = 60, 24  # gradients at most, to find where the slope along the gradient turns, and how suddenly
SUDDEN = 0.1  # part of the slope that it gains within a short stretch at a kink,
SHORT = 1e-4  # relative to where that stretch lies
BELIEVED = 0.5  # part of the decrease that the slopes promise, which L must show
NOISE = 50.0  # roundings of L within which it cannot show anything


@dataclass(frozen=True)
class _Turn:
    """Steps along minus the gradient between which the slope turns positive, and the slopes there."""

    low: float
    high: float
    low_slope: float
    high_slope: float


def stall(function: Function, theta: Tensor, value: float, gradient: Tensor, landscape: Energy | None = None) -> str:
    """Return what keeps a search at theta, shape (n,), from going down: a key of `STATUSES`.

    The slope of L along minus its gradient g is followed to where it turns positive. "kink": it jumps there. Otherwise the
    way down to that place promises a decrease of about `||g|| step / 2`: "rounding" if L cannot show that much in its
    precision, "precision" if the model computes in a lower one, "gradient" if L shows nothing of it, else "conditioned".

    Examples
    --------
    `|x|` at its kink, and a parabola at its floor:

    >>> def modulus(x):
    ...     return float(x.abs().sum()), x.sign() + (x == 0)
    >>> stall(modulus, torch.tensor([1e-9], dtype=torch.float64), 1e-9, torch.tensor([1.0], dtype=torch.float64))
    'kink'
    >>> def parabola(x):
    ...     return 1.0 + float(x @ x), 2 * x
    >>> x = torch.tensor([1e-9], dtype=torch.float64)
    >>> stall(parabola, x, 1.0, 2 * x)
    'rounding'
    """
    steepness = float(gradient.norm())
    if steepness == 0.0 or not math.isfinite(steepness):
        return "rounding"
    along = -gradient / steepness
    epsilon = torch.finfo(theta.dtype).eps
    turn = _turn(function, theta, along, steepness, epsilon)
    faint = steepness * (1.0 + float(theta.norm())) <= epsilon ** (1 / 3) * (1.0 + abs(value))
    if turn is not None and faint and turn.high <= _finest(theta, epsilon):
        return "rounding"  # of theta, along a stiff mode
    if turn is not None and _is_sudden(function, theta, along, turn, steepness, epsilon):
        return "kink"
    step = turn.low if turn is not None and turn.low else 2.0 * epsilon * (1.0 + float(theta.norm()))
    promised, unseen = 0.5 * steepness * step, NOISE * (1.0 + abs(value))
    if promised <= unseen * epsilon:
        return "rounding"
    lower = _lower(landscape, theta)
    if lower is not None and promised <= unseen * torch.finfo(lower).eps:
        return "precision"
    shown = value - function(theta + step * along)[0]
    return "conditioned" if shown >= BELIEVED * promised - unseen * epsilon else "gradient"


def _turn(function: Function, theta: Tensor, along: Tensor, steepness: float, epsilon: float) -> _Turn | None:
    """Double the step until the slope is no longer negative."""
    low, low_slope, step = 0.0, -steepness, 2.0 * epsilon * (1.0 + float(theta.norm()))
    for _ in range(DOUBLINGS):
        slope = float(function(theta + step * along)[1] @ along)
        if slope >= 0.0:
            return _Turn(low, step, low_slope, slope)
        if not math.isfinite(slope):
            return None
        low, low_slope, step = step, slope, 2.0 * step
    return None


def _is_sudden(function: Function, theta: Tensor, along: Tensor, turn: _Turn, steepness: float, epsilon: float) -> bool:
    """Tell whether the slope gains a good part of itself within a short stretch, however short that is made."""
    low, high, below, above = turn.low, turn.high, turn.low_slope, turn.high_slope
    finest = _finest(theta, epsilon)
    for _ in range(HALVINGS):
        if above - below < SUDDEN * steepness:
            return False
        if high - low <= max(SHORT * high, finest):
            return True
        middle = 0.5 * (low + high)
        slope = float(function(theta + middle * along)[1] @ along)
        low, below, high, above = (low, below, middle, slope) if slope >= 0.0 else (middle, slope, high, above)
    return True


def _finest(theta: Tensor, epsilon: float) -> float:
    """Return the length of a step of a few roundings of theta."""
    return 4.0 * epsilon * (1.0 + float(theta.norm()))


def _lower(landscape: Energy | None, theta: Tensor) -> torch.dtype | None:
    if landscape is None:
        return None
    with landscape.at(theta) as model:
        found = where_lower(model, lambda: landscape.loss(model, next(iter(landscape.batches))), landscape.dtype)
    return None if found is None else found[1]

"""Comparisons in the user's code whose outcome depends on parameters, and of these the ones that E feels."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from spinodal.landscape.consistency import somewhere
from spinodal.landscape.energy import Energy
from spinodal.landscape.precision import naming

SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
DECIDING = {
    **SIGNS, **{f"__{name}__": sign for name, sign in SIGNS.items()}, "greater": ">", "greater_equal": ">=", "less": "<",
    "less_equal": "<=", **{name: name for name in ("heaviside", "sign", "sgn", "signbit", "argmax", "argmin", "argsort")},
}  # fmt: skip
PATHS = ((0, 1), (2, 3))  # seeds of the random points between which outcomes are compared
MOST = 8  # comparisons that are looked at
BESIDE = 0.6  # power of the rounding: how far beside a change of outcome slopes are compared, relative


@dataclass(frozen=True)
class Decision:
    """What was decided in one call.

    Attributes
    ----------
    sign : str
        `>` and the like, or the name of the function.
    place : str
        The module in which it was called, or "the loss".
    outcome : Tensor
    """

    sign: str
    place: str
    outcome: Tensor

    def differs(self, other: Decision) -> bool:
        """Tell whether the same call had another outcome."""
        return self.outcome.shape != other.outcome.shape or not torch.equal(self.outcome, other.outcome)


class _Watching(TorchFunctionMode):
    """Notes what is decided."""

    def __init__(self, stack: list[str]) -> None:
        super().__init__()
        self.stack = stack
        self.found: list[Decision] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sign = DECIDING.get(getattr(func, "__name__", ""))
        if sign is not None:
            place = self.stack[-1] if self.stack else "the loss"
            outcomes = (value for value in tree_leaves(out) if isinstance(value, Tensor))
            self.found += [Decision(sign, place, outcome.detach().clone()) for outcome in outcomes]
        return out


def felt_decisions(few: Energy) -> tuple[tuple[str, str], ...]:
    """Return sign and place of every comparison by which the slope of E jumps: where its outcome changes, with parameters.

    Between two random points a comparison of which the outcomes differ is led, by halving, to a place at which they change;
    the gradients of E on either side of it are compared. So `torch.where(x > 0, x, 0)` is found, and a comparison that only
    counts, or that changes between two formulas of one smooth function, is not.

    Examples
    --------
    >>> class Net(torch.nn.Linear):
    ...     def forward(self, x):
    ...         out = super().forward(x)
    ...         return torch.where(out > 0, out, 0.1 * out)
    >>> from spinodal.landscape import Landscape
    >>> torch.manual_seed(0) and None
    >>> E = Landscape(Net(2, 3), lambda model, x: (1 - model(x)).square().sum(1).mean(), torch.eye(2))
    >>> felt_decisions(E)
    (('>', 'the model (Net)'),)
    """
    found: dict[tuple[str, str], None] = {}
    for seeds in PATHS:
        with suppress(Exception):  # of the user's code, which need not take every theta
            found |= dict.fromkeys(_felt_between(few, *(somewhere(few, seed=seed) for seed in seeds), known=found))
    return tuple(found)


def _felt_between(few: Energy, start: Tensor, end: Tensor, *, known: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return sign and place of the comparisons that change between two points, are felt, and were not known."""
    found: list[tuple[str, str]] = []
    for number, decision in _changed(few, start, end):
        named = decision.sign, decision.place
        if named not in (*known, *found) and _is_felt(few, number, start, end):
            found.append(named)
    return found


def _changed(few: Energy, start: Tensor, end: Tensor) -> Iterator[tuple[int, Decision]]:
    """Yield the first comparisons that have another outcome at the other end, with their numbers."""
    first, last = _decisions(few, start), _decisions(few, end)
    pairs = enumerate(zip(first, last, strict=False))
    changed = [(number, one) for number, (one, other) in pairs if one.differs(other)]
    yield from changed[:MOST]


def _is_felt(few: Energy, number: int, start: Tensor, end: Tensor) -> bool:
    """Tell whether E or its gradient jumps where a comparison has another outcome, on the way from one point to the other."""
    before, low, high = _decisions(few, start)[number], 0.0, 1.0
    beside = math.pow(torch.finfo(few.dtype).eps, BESIDE)
    while high - low > 0.1 * beside:
        middle = 0.5 * (low + high)
        there = _decisions(few, torch.lerp(start, end, middle))
        same = number < len(there) and not there[number].differs(before)
        low, high = (middle, high) if same else (low, middle)
    sides = (torch.lerp(start, end, part) for part in (low - beside, high + beside))
    (value, slope), (other, other_slope) = (few.over(theta, few.batches) for theta in sides)
    jump = float((slope - other_slope).norm() / (slope.norm() + other_slope.norm()).clamp_min(1e-300))
    return max(jump, abs(value - other) / (1.0 + abs(value))) > math.sqrt(beside)


def _decisions(few: Energy, theta: Tensor) -> list[Decision]:
    """Return what is decided at theta, in the order of the calls."""
    with naming(few.model) as stack:
        watching = _Watching(stack)
        with watching:
            few.uncounted_value(theta)
    return watching.found

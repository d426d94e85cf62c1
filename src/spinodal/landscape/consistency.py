"""Whether E is one function: its value, its gradient and its parts are compared before any of them is believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spinodal.errors import SpinodalError, blaming
from spinodal.landscape.batches import Batches
from spinodal.landscape.energy import Energy
from spinodal.landscape.precision import where_lower

# Steps of central differences, and how far they may lie from the gradient, relative to the sizes of its blocks. In double
# precision the first one is so short that it crosses no kink; a longer one forgives the rounding of ill-conditioned sums. In
# single precision it begins with one that rounding leaves meaning; shorter ones serve an E that bends strongly.
STEPS: dict[torch.dtype, Sequence[tuple[float, float]]] = {
    torch.float64: ((1e-8, 1e-4), (1e-5, 1e-3)),
    torch.float32: ((3e-3, 2e-2), (3e-4, 2e-2), (3e-5, 2e-2)),
}
ROUNDING = 10.0  # roundings of E by which one evaluation may be off
EQUAL = {torch.float64: 1e-9, torch.float32: 1e-4}  # of two ways to the same number, relative
ASIDE = 1e-2  # of parameters, by which a theta is moved at which E may bend
NEARER = (1.0, 0.1, 1e-2, 1e-4, 0.0)  # parts of the way to a random theta, at one of which E is finite
NAMED = 40  # most tensors that are asked one by one which of them disagrees
WHAT = "operations whose gradient is that of their value are allowed"


def check_one_function(landscape: Energy, theta: Tensor, value: float, gradient: Tensor) -> None:
    """Refuse an E whose value, gradient and evaluation with substituted parameters are not those of one function.

    At theta, where value and gradient are given, and at a random point: two gradients and four evaluations of E, uncounted.
    """
    there, lent, slope = _finite_place(landscape)
    scale = abs(value) + abs(lent)
    Slope(landscape, theta, gradient, scale).check(seed=0)
    Slope(landscape, there, slope, scale).check(seed=1)
    other, other_slope = _substituted(landscape, there)
    tolerance = EQUAL.get(landscape.dtype, 1e-4)
    if abs(other - lent) > tolerance * (abs(lent) + scale):
        raise _not_substituted(got=f"E at one theta is {lent:.10g} where the module holds theta and {other:.10g} where it")
    if float((other_slope - slope).norm()) > tolerance * (float(slope.norm()) + scale):
        raise _not_substituted(got="the gradient of E is another where the module holds theta than where theta")


def _finite_place(landscape: Energy) -> tuple[Tensor, float, Tensor]:
    """Return a random theta, E and its gradient there: nearer to the given one where E is not finite far from it."""
    start = landscape.initial
    for near in NEARER:
        there = start + near * (somewhere(landscape) - start)
        lent, slope = landscape.over(there, landscape.batches)
        if math.isfinite(lent) and bool(torch.isfinite(slope).all()):
            break
    return there, lent, slope


def _not_substituted(got: str) -> SpinodalError:
    return SpinodalError(
        got=f"{got} is substituted (torch.func.functional_call)",
        allowed="a model that computes with its registered parameters alone is allowed",
        do="turn off the recomputation of activations (torch.utils.checkpoint); keep no copies of parameters or results in "
        "lists, closures or caches",
    )


def somewhere(landscape: Energy, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Return a random theta about the given one, shape (n,)."""
    generator = torch.Generator().manual_seed(seed)
    start = landscape.initial
    noise = torch.randn(landscape.size, generator=generator, dtype=torch.float64).to(start)
    return scale * (start + (0.1 + start.abs()) * noise)


def parts_are_whole(landscape: Energy, one: Batches, other: Batches, theta: Tensor) -> bool:
    """Tell whether E and its gradient are the same over two ways to cut the data into batches, at theta.

    All that is then used is looked at: a few samples at the beginning do not speak for the rest.
    """
    (a, slope), (b, other_slope) = (landscape.over(theta, batches) for batches in (one, other))
    if not math.isfinite(a) and not math.isfinite(b):  # a random point at which E has no value tells nothing
        return True
    tolerance = EQUAL.get(landscape.dtype, 1e-4)
    if abs(a - b) > tolerance * (abs(a) + abs(b)):
        return False
    return bool((slope - other_slope).norm() <= tolerance * (slope.norm() + other_slope.norm() + abs(a)))


def _substituted(landscape: Energy, theta: Tensor) -> tuple[float, Tensor]:
    """Return E and its gradient at theta with substituted parameters."""
    leaf = theta.clone().requires_grad_(True)
    total, slope = 0.0, torch.zeros_like(theta)
    allowed = "a model that computes with its registered parameters alone, from call to call anew, is allowed"
    do = "keep no copies of parameters, or of results, in lists, closures or caches, and change no parameter in place"
    with blaming("evaluating the model with substituted parameters", allowed=allowed, do=do), torch.enable_grad():
        for weight, batch in landscape.batches.weighted():
            error = landscape.call(leaf, batch)
            (part,) = torch.autograd.grad(error, leaf, materialize_grads=True)
            total += weight * float(error.detach())
            slope.add_(part, alpha=weight)
    return total, slope


@dataclass(frozen=True)
class Slope:
    """A gradient, compared with differences of E along one direction that every parameter tensor has its part in.

    Attributes
    ----------
    landscape : Energy
    theta : Tensor, shape (n,)
    gradient : Tensor, shape (n,)
        What is claimed to be its gradient.
    scale : float
        What the numbers that E is made of are like, whose rounding it has; E itself may be zero.
    moved : bool
        Whether theta was moved already.
    """

    landscape: Energy
    theta: Tensor
    gradient: Tensor
    scale: float
    moved: bool = False

    @property
    def size(self) -> float:
        """Return what differences are relative to: the slope along the gradient of every tensor, summed."""
        return sum(float(self.gradient[part].norm()) * self._reach(part) for part in self._parts)

    def check(self, *, seed: int) -> None:
        """Refuse the gradient where it is not that of E."""
        if not bool(torch.isfinite(self.gradient).all()):
            return  # which has a refusal of its own, or is a far point
        direction = self._direction(seed)
        expected = float(self.gradient @ direction)
        found = [self._difference(direction, expected, step, loose) for step, loose in self._steps[:1]]
        if found[0].agrees:
            return
        if not self.moved:  # E may bend at theta itself, as at weights of zero before a ReLU, but then not beside it
            self._beside().check(seed=seed)
            return
        if lower := self._lower():
            raise staircase(*lower, landscape=self.landscape)
        found += [self._difference(direction, expected, step, loose) for step, loose in self._steps[1:]]
        if not any(item.agrees for item in found):
            raise self._refusal(expected, found[1].slope)

    def _beside(self) -> Slope:
        """Return the gradient of E at a random theta nearby."""
        generator = torch.Generator().manual_seed(2)
        noise = torch.randn(len(self.theta), generator=generator, dtype=torch.float64).to(self.theta)
        theta = self.theta + ASIDE * (1.0 + self.theta.abs()) * noise
        return replace(self, theta=theta, gradient=self.landscape.over(theta, self.landscape.batches)[1], moved=True)

    @property
    def _steps(self) -> Sequence[tuple[float, float]]:
        return STEPS.get(self.landscape.dtype, STEPS[torch.float32])

    @property
    def _parts(self) -> list[slice]:
        return [slice(slot.start, slot.stop) for slot in self.landscape.parameters.slots]

    def _reach(self, part: slice) -> float:
        return max(float(self.theta[part].norm()), 1e-2)

    def _direction(self, seed: int) -> Tensor:
        """Return a direction with a share along the gradient of every tensor, and a random one: a gradient may be missing."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(self.theta), generator=generator, dtype=torch.float64).to(self.theta)
        signs = torch.randint(0, 2, (len(self._parts),), generator=generator).mul(2).sub(1).tolist()
        direction = torch.empty_like(self.theta)
        for part, sign in zip(self._parts, signs, strict=True):
            along, random = self.gradient[part], noise[part]
            size = along.norm()  # which a gradient so small that its square is none, of a unit that is off, does not have
            share = along / size if bool(size > 0) else torch.zeros_like(along)
            direction[part] = self._reach(part) * (sign * share + random / random.norm())
        return direction

    def _difference(self, direction: Tensor, expected: float, step: float, loose: float) -> _Difference:
        up, down = (self.landscape.uncounted_value(self.theta + sign * step * direction) for sign in (1.0, -1.0))
        slope = (up - down) / (2.0 * step)
        rounding = ROUNDING * torch.finfo(self.landscape.dtype).eps * (abs(up) + self.scale + self.size) / step
        return _Difference(slope, agrees=abs(slope - expected) <= loose * self.size + rounding)

    def _lower(self) -> tuple[str, torch.dtype] | None:
        landscape = self.landscape
        with landscape.at(self.theta) as model:
            batch = next(iter(landscape.batches))
            return where_lower(model, lambda: landscape.loss(model, batch), landscape.dtype)

    def _refusal(self, expected: float, found: float) -> SpinodalError:
        names = self._disagreeing()
        which = f", above all in {' and '.join(names)}" if names else ""
        return SpinodalError(
            got=f"the gradient of E is not that of its value: along one direction it says {expected:.4g}, and differences of E "
            f"say {found:.4g}{which}",
            allowed=WHAT,
            do="look for .detach() or torch.no_grad() inside the model, straight-through or reversed gradients, hooks that "
            "scale them, recomputed activations (torch.utils.checkpoint), and padding_idx of functional.embedding",
        )

    def _disagreeing(self) -> list[str]:
        """Return the names of up to three tensors whose differences disagree most with their gradients."""
        slots = self.landscape.parameters.slots
        if len(slots) > NAMED:
            return []
        direction, (step, loose) = self._direction(0), self._steps[1]
        gaps = {}
        for slot, part in zip(slots, self._parts, strict=True):
            alone = torch.zeros_like(direction)
            alone[part] = direction[part]
            expected = float(self.gradient @ alone)
            gaps[slot.name] = abs(self._difference(alone, expected, step, loose).slope - expected)
        return [name for name in sorted(gaps, key=lambda name: -gaps[name])[:3] if gaps[name] > loose * self.size]


@dataclass(frozen=True)
class _Difference:
    slope: float
    agrees: bool


def staircase(where: str, dtype: torch.dtype, *, landscape: Energy) -> SpinodalError:
    """Return the refusal of an E that is computed in a lower precision than the landscape has."""
    low, own = (str(kind).removeprefix("torch.") for kind in (dtype, landscape.dtype))
    remedy = f"use --dtype {low} (dtype=torch.{low}), or " if dtype == torch.float32 else ""
    return SpinodalError(
        got=f"{where} computes in {low}, so that E in {own} is a staircase of {low} steps",
        allowed="a model that keeps the precision it is given is allowed",
        do=f"{remedy}let it work in the dtype of its input",
    )

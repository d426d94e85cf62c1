"""The saddle of index 1 between two minima of L at one beta, by eigenvector following with quasi-Newton steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.definitions import FLAT
from spinodal.landscape.objective import Regularised
from spinodal.minima.lbfgs import Preconditioned
from spinodal.spectrum.davidson import Subspace
from spinodal.spectrum.krylov import random_vectors
from spinodal.spectrum.preconditioner import Preconditioner

PLACES = 7  # between the minima, on the straight line, where L is read
STEPS = 400  # most steps
TURNING, CERTIFIED = 8, 20  # most products of the two lowest eigenvalues on the way and at the end
SETTLED = 0.5  # of the lowest eigenvalue: a residual at which it is known well enough on the way
TURNED = 5  # steps after which the two lowest modes are looked at again
LONGEST, SHORTEST = 0.02, 1e-6  # steps, relative to how far the minima lie apart
GROWN, SMALL = 2.0, 30.0  # times the gradient before, and the tolerance: a step to a larger gradient is refused
SHORTER, LONGER = 0.5, 1.2  # the radius after steps that were refused, and after others
ASIDE = 0.02  # how far a search steps off a saddle of index 2, relative to how far the minima lie apart

PreconditionerAt = Callable[[Tensor], Preconditioner]


@dataclass(frozen=True)
class Pass:
    """A stationary point of L that has one direction down.

    Attributes
    ----------
    theta : Tensor, shape (n,)
    loss : float
    residual : float
        `||grad L|| / (2 beta ||theta - centre||)`.
    values, errors : (float, float)
        The two lowest Ritz values of Hess L, upper bounds of its two lowest eigenvalues, and how far from each an eigenvalue
        lies at most.
    mode, other : Tensor, shape (n,)
        The unit vectors of the two.
    index : int
        The number of the two that are negative; zero modes, up to `FLAT`, are not.
    """

    theta: Tensor
    loss: float
    residual: float
    values: tuple[float, float]
    errors: tuple[float, float]
    mode: Tensor
    other: Tensor
    index: int


def mountain_pass(
    loss: Regularised, a: Tensor, b: Tensor, preconditioner_at: PreconditionerAt, *, tolerance: float
) -> Pass | None:
    """Return the saddle that is reached from the highest place of the straight line between two minima; None where none is.

    From there L is climbed along its lowest mode `u` and descended along all others at once: L-BFGS with the gradient
    `g - 2 (u . g) u`, which vanishes where g does, and whose derivative is positive definite at a saddle of index 1. A step
    takes one gradient; every few steps some Hessian products turn u. Where that comes to rest with two directions down, it
    steps aside along the second and goes on.

    Parameters
    ----------
    loss : Regularised
    a, b : Tensor, shape (n,)
        Minima of L.
    preconditioner_at : callable theta -> Preconditioner
        Makes a positive definite preconditioner near Hess L.
    tolerance : float
        Of the residual, relative to `2 beta ||theta - centre||`.

    Notes
    -----
    Source: Henkelman & Jonsson, J. Chem. Phys. 111 (1999) 7010; Munro & Wales, Phys. Rev. B 59 (1999) 3969.

    *What it is not:* the lowest saddle between the two, nor proof that its two sides lead to them.

    Examples
    --------
    `E = (1 - x^2)^2 + y^2 + x y^2` at beta -> 0 has minima at x = 1 and -1 and its saddle at 0, of height 1:

    >>> from spinodal import Landscape
    >>> from spinodal.spectrum.preconditioner import Uniform
    >>> class Wells(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.x = torch.nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))
    >>> def error(model, batch):
    ...     return (1 - model.x[0] ** 2) ** 2 + (1 + 0.5 * model.x[0]) * (model.x[1] - 0.3 * model.x[0]) ** 2
    >>> loss = Regularised(Landscape(Wells(), error, None), 1e-9)
    >>> left, right = torch.tensor([[-1.0, -0.3], [1.0, 0.5]], dtype=torch.float64)
    >>> found = mountain_pass(loss, left, right, lambda theta: Uniform(1.0), tolerance=1e-3)
    >>> [round(abs(float(x)), 6) for x in found.theta], round(found.loss, 9), found.index
    ([0.0, 0.0], 1.0, 1)
    """
    theta = max((a + share / (PLACES + 1) * (b - a) for share in range(1, PLACES + 1)), key=loss.value)
    apart = float((b - a).norm())
    search = _Search(loss, preconditioner_at, theta, (b - a) / apart, apart)
    while True:
        if search.residual <= tolerance:
            found = search.found()
            if found.index < 2 or search.steps >= STEPS or not search.step_aside(found):
                return found
        if search.steps >= STEPS or not search.advance(tolerance):
            return None


class _Search:
    """The state of the search: where it is, the gradient there, the modes that are followed, and what steps have told."""

    def __init__(
        self, loss: Regularised, preconditioner_at: PreconditionerAt, theta: Tensor, along: Tensor, apart: float
    ) -> None:
        self.loss, self.preconditioner_at, self.theta, self.apart = loss, preconditioner_at, theta, apart
        self.value, self.gradient = loss.value_and_gradient(theta)
        self.preconditioner = preconditioner_at(theta)
        self.modes, self.radius, self.steps = along[None], LONGEST * apart, 0
        self._begin_anew()

    @property
    def residual(self) -> float:
        """Return the relative residual."""
        return self._relative(self.theta, self.gradient)

    def advance(self, tolerance: float) -> bool:
        """Take one step; False where none is found after which the gradient has not grown."""
        if self.steps % TURNED == 0:
            self._turn()
        while self.radius > SHORTEST * self.apart:
            direction = self.memory.direction(self._reflected(self.gradient))
            length = float(direction.norm())
            theta = self.theta + min(1.0, self.radius / max(length, 1e-300)) * direction
            value, gradient = self.loss.value_and_gradient(theta)
            self.memory.keep(theta - self.theta, self._reflected(self.gradient), self._reflected(gradient))
            if self._relative(theta, gradient) <= max(GROWN * self.residual, SMALL * tolerance):
                self.theta, self.value, self.gradient, self.steps = theta, value, gradient, self.steps + 1
                self.radius = min(LONGER * self.radius, LONGEST * self.apart)
                return True
            self.radius = SHORTER * min(self.radius, length)
        return False

    def step_aside(self, found: Pass) -> bool:
        """Step off a stationary point that has two directions down, along the second; tell whether L falls there."""
        length = ASIDE * self.apart
        there = [self.theta + sign * length * found.other for sign in (1.0, -1.0)]
        values = [self.loss.value(theta) for theta in there]
        best = values.index(min(values))
        if not values[best] < self.value:
            return False
        self.theta, self.steps, self.radius = there[best], self.steps + 1, LONGEST * self.apart
        self.value, self.gradient = self.loss.value_and_gradient(self.theta)
        self._begin_anew()
        return True

    def found(self) -> Pass:
        """Return the saddle, with its two lowest Ritz values."""
        inverse = self.preconditioner_at(self.theta).inverse
        noise = next(random_vectors(self.theta))
        space = self._widened([*self.modes, inverse(noise)], inverse, CERTIFIED)
        values, errors = space.values[:2].tolist(), space.residuals[:2].tolist()
        lowest, flat = (values[0], values[-1]), FLAT * 2.0 * self.loss.unit
        index = sum(value < -flat for value in values)
        modes = space.vector(0), space.vector(min(1, len(space) - 1))
        return Pass(self.theta, self.value, self.residual, lowest, (errors[0], errors[-1]), *modes, index)

    def _begin_anew(self) -> None:
        """Forget what steps have told of the curvature."""
        self.memory = Preconditioned(self.theta, self.preconditioner, math.inf)

    def _turn(self) -> None:
        """Turn the modes that are followed towards the two lowest ones here."""
        space = self._widened(list(self.modes), self.preconditioner.inverse, TURNING, settled=SETTLED)
        self.modes = torch.stack([space.vector(k) for k in range(min(2, len(space)))])

    def _widened(
        self, vectors: list[Tensor], inverse: Callable[[Tensor], Tensor], most: int, *, settled: float = 0.0
    ) -> Subspace:
        """Return a space of Hessian products for the two lowest modes, from guesses and their preconditioned residuals."""
        product = self.loss.hessian_operator(self.theta)
        space = Subspace.of(torch.stack(vectors), product)
        while len(space) < min(most, len(self.theta)):
            before = len(space)
            if float(space.residuals[0]) <= settled * abs(float(space.values[0])):
                break
            outside = [space.outside(k) for k in range(min(2, before, most - before))]
            wanted = [inverse(vector) for vector in outside if float(vector.norm()) > 0.0]
            if wanted:
                space = space.widened(torch.stack(wanted), product)
            if len(space) == before:
                break
        return space

    def _reflected(self, gradient: Tensor) -> Tensor:
        """Return a gradient whose part along the lowest mode has the other sign."""
        mode = self.modes[0]
        return gradient - 2.0 * float(mode @ gradient) * mode

    def _relative(self, theta: Tensor, gradient: Tensor) -> float:
        return float(gradient.norm()) / self.loss.scale(theta)

"""The saddle of index 1 between two minima of L at one beta, by eigenvector following in small spaces of Hessian products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.definitions import FLAT
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.davidson import Subspace
from spinodal.spectrum.krylov import random_vectors

PLACES = 7  # between the minima, on the straight line, where L is read
STEPS, PRODUCTS, CERTIFIED = 100, 12, 20  # most steps; most products of one, and of the two lowest eigenvalues at the end
SETTLED, SOLVED = 0.1, 0.1  # of the lowest eigenpair and of the step: residuals, relative, at which products end
FLOOR = 0.01  # of 2 beta: curvatures are taken for no less
FIRST, LONGEST, SHORTEST = 0.06, 0.3, 1e-4  # steps, relative to how far the minima lie apart
GOOD, POOR, LOST = 0.3, 0.7, 1.0  # of the gradient: how far it misses the model's, for longer, shorter and refused steps
LONGER, SHORTER, REFUSED = 2.0, 0.5, 0.4
ASIDE = 0.02  # how far a search steps off a saddle of index 2, relative to how far the minima lie apart
RENEWED = 8  # steps after which the preconditioner is made anew

Inverse = Callable[[Tensor], Tensor]


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
    loss: Regularised, a: Tensor, b: Tensor, inverse_at: Callable[[Tensor], Inverse], *, tolerance: float
) -> Pass | None:
    """Return the saddle that is reached from the highest place of the straight line between two minima; None where none is.

    From there L is climbed along its lowest mode and descended along all others at once: Newton's step in a small space of
    Hessian products, with the sign of the lowest curvature kept negative and that of the others positive, within a radius
    that follows from how well the gradient behind a step was foretold. Where that comes to rest with two directions down, it
    steps aside along the second and goes on.

    Parameters
    ----------
    loss : Regularised
    a, b : Tensor, shape (n,)
        Minima of L.
    inverse_at : callable theta -> (v -> P^-1 v)
        Makes a positive definite preconditioner near Hess L.
    tolerance : float
        Of the residual, relative to `2 beta ||theta - centre||`.

    Notes
    -----
    Source: Cerjan & Miller, J. Chem. Phys. 75 (1981) 2800; Munro & Wales, Phys. Rev. B 59 (1999) 3969.

    *What it is not:* the lowest saddle between the two, nor proof that its two sides lead to them.

    Examples
    --------
    `E = (1 - x^2)^2 + y^2 + x y^2` at beta -> 0 has minima at x = 1 and -1 and its saddle at 0, of height 1:

    >>> from spinodal import Landscape
    >>> class Wells(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.x = torch.nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))
    >>> def error(model, batch):
    ...     return (1 - model.x[0] ** 2) ** 2 + (1 + 0.5 * model.x[0]) * (model.x[1] - 0.3 * model.x[0]) ** 2
    >>> loss = Regularised(Landscape(Wells(), error, None), 1e-9)
    >>> left, right = torch.tensor([[-1.0, -0.3], [1.0, 0.5]], dtype=torch.float64)
    >>> found = mountain_pass(loss, left, right, lambda theta: lambda v: v, tolerance=1e-3)
    >>> [round(abs(float(x)), 6) for x in found.theta], round(found.loss, 9), found.index
    ([0.0, 0.0], 1.0, 1)
    """
    theta = max((a + share / (PLACES + 1) * (b - a) for share in range(1, PLACES + 1)), key=loss.value)
    apart = float((b - a).norm())
    search = _Search(loss, inverse_at, theta, (b - a) / apart, apart)
    while True:
        if search.residual <= tolerance:
            found = search.found()
            if found.index < 2 or search.steps >= STEPS or not search.step_aside(found):
                return found
        if search.steps >= STEPS or not search.advance():
            return None


class _Search:
    """The state of the search: where it is, the gradient there, the modes that are followed, and the radius of a step."""

    def __init__(
        self, loss: Regularised, inverse_at: Callable[[Tensor], Inverse], theta: Tensor, along: Tensor, apart: float
    ) -> None:
        self.loss, self.inverse_at, self.theta, self.apart = loss, inverse_at, theta, apart
        self.value, self.gradient = loss.value_and_gradient(theta)
        self.modes, self.radius, self.steps = along[None], FIRST * apart, 0
        self.inverse = inverse_at(theta)

    @property
    def residual(self) -> float:
        """Return the relative residual."""
        return float(self.gradient.norm()) / self.loss.scale(self.theta)

    def advance(self) -> bool:
        """Take one step; False where none is found that the model foretells."""
        if self.steps and self.steps % RENEWED == 0:
            self.inverse = self.inverse_at(self.theta)
        space = self._space()
        while self.radius > SHORTEST * self.apart:
            weights = space.weights @ self._step(space)
            length = float(weights.norm())
            theta = self.theta + weights @ space.basis
            value, gradient = self.loss.value_and_gradient(theta)
            missed = float((gradient - self.gradient - weights @ space.images).norm() / self.gradient.norm())
            if missed <= LOST or length <= SHORTEST * self.apart:
                self.theta, self.value, self.gradient = theta, value, gradient
                self.modes, self.steps = torch.stack([space.vector(k) for k in range(min(2, len(space)))]), self.steps + 1
                self._judge(missed, length)
                return True
            self.radius = REFUSED * length
        return False

    def step_aside(self, found: Pass) -> bool:
        """Step off a stationary point that has two directions down, along the second; tell whether L falls there."""
        length = self.radius = ASIDE * self.apart
        there = [self.theta + sign * length * found.other for sign in (1.0, -1.0)]
        values = [self.loss.value(theta) for theta in there]
        best = values.index(min(values))
        if not values[best] < self.value:
            return False
        self.theta, self.steps = there[best], self.steps + 1
        self.value, self.gradient = self.loss.value_and_gradient(self.theta)
        return True

    def _judge(self, missed: float, length: float) -> None:
        """Choose the radius of the next step by how well the gradient behind this one was foretold."""
        if missed < GOOD:
            self.radius = min(max(self.radius, LONGER * length), LONGEST * self.apart)
        elif missed > POOR:
            self.radius = SHORTER * length

    def _space(self) -> Subspace:
        """Return a space that holds the lowest mode and, as well as a few products allow, Newton's step."""
        product, gradient = self.loss.hessian_operator(self.theta), self.gradient
        space = Subspace.of(torch.stack([*self.modes, self.inverse(gradient)]), product)
        while len(space) < min(PRODUCTS, len(gradient)):
            rest = gradient - (space.basis @ space.solved(gradient)) @ space.images
            added = [self.inverse(rest)] if float(rest.norm()) > SOLVED * float(gradient.norm()) else []
            if space.residuals[0] > SETTLED * abs(space.values[0]):
                added.append(self.inverse(space.outside(0)))
            before = len(space)
            if added:
                space = space.widened(torch.stack(added), product)
            if len(space) == before:
                break
        return space

    def _step(self, space: Subspace) -> Tensor:
        """Return the step in Ritz coordinates: up along the lowest, down along the others, no longer than the radius."""
        along = space.weights.T @ (space.basis @ self.gradient)
        sizes = torch.from_numpy(space.values).to(along).abs().clamp_min(FLOOR * 2.0 * self.loss.unit)
        signs = torch.ones_like(along)
        signs[0] = -1.0

        def step(shift: float) -> Tensor:
            return -signs * along / (sizes + shift)

        low, high = 0.0, float(along.norm()) / self.radius
        if float(step(0.0).norm()) <= self.radius:
            return step(0.0)
        while high - low > 1e-3 * high:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if float(step(middle).norm()) > self.radius else (low, middle)
        return step(high)

    def found(self) -> Pass:
        """Return the saddle, with its two lowest Ritz values."""
        product, noise = self.loss.hessian_operator(self.theta), next(random_vectors(self.theta))
        space = Subspace.of(torch.stack([*self.modes, self.inverse(noise)]), product)
        while len(space) < min(CERTIFIED, len(self.theta)):
            before = len(space)
            wanted = [outside for k in range(min(2, before)) if float((outside := space.outside(k)).norm()) > 0.0]
            if wanted:
                space = space.widened(torch.stack([self.inverse(outside) for outside in wanted]), product)
            if len(space) == before:
                break
        values, errors = space.values[:2].tolist(), space.residuals[:2].tolist()
        lowest, flat = (values[0], values[-1]), FLAT * 2.0 * self.loss.unit
        index = sum(value < -flat for value in values)
        modes = space.vector(0), space.vector(min(1, len(space) - 1))
        return Pass(self.theta, self.value, self.residual, lowest, (errors[0], errors[-1]), *modes, index)

"""Where to begin: the range of beta that holds all phases, and the deepest phase at its lower end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.minimise import lbfgs_batch
from spinodal.penalty import Penalty
from spinodal.regularised import Regularised

RATIO = 300.0  # LOW = HIGH / RATIO
TRIVIAL_VARIANCE = 1e-6  # of the outputs, relative to the deepest phase
ROUGH, ROUGH_ITERATIONS = 1e-2, 100
CLOSE_ITERATIONS = 500
DOUBLINGS = 60


@dataclass(frozen=True)
class Ladder:
    """Rough minima of several starts along doubled values of beta.

    Attributes
    ----------
    betas : tuple of float
        Rising; the last one is in the trivial phase for every start.
    thetas : tuple of Tensor, each (k, n)
    """

    betas: tuple[float, ...]
    thetas: tuple[Tensor, ...]

    @property
    def high(self) -> float:
        """Return the first beta of the ladder at which every start is trivial."""
        return self.betas[-1]

    def below(self, beta: float) -> Tensor:
        """Return the starts' states at the last rung at or below beta, or at the first rung."""
        rungs = [thetas for rung, thetas in zip(self.betas, self.thetas, strict=True) if rung <= beta]
        return rungs[-1] if rungs else self.thetas[0]


def climb(
    landscape: Landscape, penalty: Penalty, starts: Tensor, variance: Callable[[Tensor], float | None], first: float | None
) -> Ladder:
    """Double beta until the outputs of every start are constant over the sample.

    Parameters
    ----------
    starts : Tensor, shape (k, n)
    variance : callable theta -> variance of the outputs, None if the model cannot be asked
    first : float or None
        Where to begin. Default: 1e-3 of the scale at which penalty and error balance at the starts.
    """
    beta = first or _balance(landscape, penalty, starts)
    thetas, most = starts, 0.0
    betas, states = [], []
    for _ in range(DOUBLINGS):
        thetas, _ = lbfgs_batch(Regularised(landscape, beta, penalty), thetas, tolerance=ROUGH, iterations=ROUGH_ITERATIONS)
        betas.append(beta)
        states.append(thetas)
        spread = [variance(theta) for theta in thetas]
        known = [value for value in spread if value is not None]
        if len(known) < len(spread):
            raise SpinodalError(
                got="the range of beta cannot be found: this task has no predictions to tell the trivial phase by",
                allowed="a range LOW:HIGH, or a task with predict(model, batch) -> outputs, is allowed",
                do="give beta=(low, high) (--beta LOW:HIGH)",
            )
        most = max(most, *known)
        if max(known) < TRIVIAL_VARIANCE * most:
            return Ladder(tuple(betas), tuple(states))
        beta *= 2.0
    raise SpinodalError(
        got=f"no trivial phase up to beta = {beta:.3g}",
        allowed="networks that the penalty can switch off are allowed",
        do="give beta=(low, high)",
    )


def deepest(landscape: Landscape, penalty: Penalty, beta: float, thetas: Tensor) -> Tensor:
    """Return the end with the lowest L at beta among k starts, shape (k, n), loosely minimised."""
    ends, values = lbfgs_batch(Regularised(landscape, beta, penalty), thetas, tolerance=ROUGH, iterations=CLOSE_ITERATIONS)
    return ends[int(torch.argmin(values))]


def _balance(landscape: Landscape, penalty: Penalty, starts: Tensor) -> float:
    """Return 1e-3 of the beta at which penalty and error are equal, averaged over the starts."""
    errors, _ = landscape.values_and_gradients(starts)
    norms = penalty.offset(starts).square().sum(1)
    return 1e-3 * float(errors.abs().mean()) / max(float(norms.mean()), 1e-12)

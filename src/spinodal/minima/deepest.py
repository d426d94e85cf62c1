"""Where to begin: the range of beta that holds all phases, and the deepest phase at its lower end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import lbfgs_batch

RATIO = 300.0  # LOW = HIGH / RATIO
TRIVIAL_VARIANCE = 1e-6  # of the outputs, relative to the deepest phase
ROUGH, ROUGH_ITERATIONS = 1e-2, 100
CLOSE_ITERATIONS = 150
DOUBLINGS = 60
FAR_BELOW = 16.0  # the factor from which beta is raised to the lower end of the range


@dataclass(frozen=True)
class Ladder:
    """What a rough climb in beta found.

    Attributes
    ----------
    high : float
        The first of the doubled values of beta at which the climber was trivial.
    bottom : Tensor, shape (k, n)
        Rough minima of all starts at a beta far below the range, where no mode has died yet.
    top : Tensor, shape (n,)
        The climber at `high`.
    """

    high: float
    bottom: Tensor
    top: Tensor


def no_predictions() -> SpinodalError:
    """Return the refusal of a task whose range cannot be found."""
    return SpinodalError(
        got="the range of beta cannot be found: this task has no predictions to tell the trivial phase by",
        allowed="a range LOW:HIGH, or a task with predict(model, batch) -> outputs, is allowed",
        do="give beta=(low, high) (--beta LOW:HIGH)",
    )


def climb(landscape: Landscape, penalty: Penalty, starts: Tensor, variance: Callable[[Tensor], float | None]) -> Ladder:
    """Let the first start climb, doubling beta until its outputs are constant over the sample.

    It begins at 1e-3 of the beta at which penalty and error balance. A rough climb may fall early;
    the sweep extends the range where it did.

    Parameters
    ----------
    starts : Tensor, shape (k, n)
    variance : callable theta -> variance of the outputs, None if the model cannot be asked
    """
    beta = _balance(landscape, penalty, starts)
    bottom = _rough(landscape, penalty, beta, starts)
    climber, most = bottom[:1], 0.0
    for _ in range(DOUBLINGS):
        climber = _rough(landscape, penalty, beta, climber)
        spread = variance(climber[0])
        if spread is None:
            raise no_predictions()
        most = max(most, spread)
        if spread < TRIVIAL_VARIANCE * most:
            return Ladder(beta, bottom, climber[0])
        beta *= 2.0
    raise SpinodalError(
        got=f"no trivial phase up to beta = {beta:.3g}",
        allowed="networks that the penalty can switch off are allowed",
        do="give beta=(low, high) (--beta LOW:HIGH)",
    )


def deepest(landscape: Landscape, penalty: Penalty, beta: float, thetas: Tensor) -> Tensor:
    """Return the end with the lowest L at beta among k starts, shape (k, n), loosely minimised."""
    loss = Regularised(landscape, beta, penalty)
    ends, values = lbfgs_batch(loss, thetas, tolerance=ROUGH, iterations=CLOSE_ITERATIONS)
    return ends[int(torch.argmin(values.nan_to_num(nan=torch.inf)))]


def annealed(landscape: Landscape, penalty: Penalty, low: float, high: float, starts: Tensor) -> Tensor:
    """Return a rough minimum at `low`, reached by halving beta from the deepest start at `high / 10`, shape (n,).

    A stronger penalty smooths the landscape, so this often ends deeper than a random start at `low`;
    but modes that are dead at `high / 10` may stay so, hence it is one candidate among others.
    """
    beta = max(0.1 * high, low)
    theta = deepest(landscape, penalty, beta, starts)
    while beta > low:
        beta = max(0.5 * beta, low)
        theta = _rough(landscape, penalty, beta, theta[None])[0]
    return theta


def raised(landscape: Landscape, penalty: Penalty, low: float, start: Tensor) -> Tensor:
    """Return a rough minimum at `low`, reached by doubling beta from far below, shape (n,).

    As weights shrink modes only die, so this ends with modes that a start at `low` itself may never find.
    """
    beta, theta = low / FAR_BELOW, start
    while beta < low:
        theta = _rough(landscape, penalty, beta, theta[None])[0]
        beta *= 2.0
    return theta


def _rough(landscape: Landscape, penalty: Penalty, beta: float, thetas: Tensor) -> Tensor:
    loss = Regularised(landscape, beta, penalty)
    return lbfgs_batch(loss, thetas, tolerance=ROUGH, iterations=ROUGH_ITERATIONS)[0]


def _balance(landscape: Landscape, penalty: Penalty, starts: Tensor) -> float:
    """Return 1e-3 of the beta at which penalty and error are equal, averaged over the starts."""
    errors, _ = landscape.values_and_gradients(starts)
    norms = penalty.offset(starts).square().sum(1)
    return 1e-3 * float(errors.abs().mean()) / max(float(norms.mean()), 1e-12)

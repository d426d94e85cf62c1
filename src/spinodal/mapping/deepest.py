"""Where to begin: the range of beta that holds all phases, and the deepest phase at its lower end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from spinodal.definitions import MACROSCOPIC, RANGE, TRIVIAL
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.objective import Regularised
from spinodal.minima.minimise import lbfgs_batch
from spinodal.observe import Observation

ROUGH, ROUGH_ITERATIONS = 1e-2, 100
CLOSE_ITERATIONS = 150
SLOW_ITERATIONS = 400  # where beta falls: what is left of a rough minimum at one value is found more dearly at the next ones
DOUBLINGS = 60
FAR_BELOW = 16.0  # the factor from which beta is raised to the lower end of the range: no mode has died so far below it


@dataclass(frozen=True)
class Ladder:
    """What a rough climb in beta found.

    Attributes
    ----------
    high : float
        The first of the doubled values of beta at which the climber was trivial.
    low : float
        The last of them up to which its E had changed by no more than 1 % of its change up to `high`, and at most
        `high / 300`.
    bottom : Tensor, shape (k, n)
        Rough minima of all starts at a beta far below the range, where no mode has died yet.
    top : Tensor, shape (n,)
        The climber at `high`.
    """

    high: float
    low: float
    bottom: Tensor
    top: Tensor


def no_predictions() -> SpinodalError:
    """Return the refusal of a task whose range cannot be found."""
    return SpinodalError(
        got="the range of beta cannot be found: this task has no predictions to tell the trivial phase by",
        allowed="a range LOW:HIGH, or a task with predict(model, batch) -> outputs, is allowed",
        do="give beta=(low, high) (--beta LOW:HIGH)",
    )


class Search(Protocol):
    """Minimises L from k starts, each by itself: `lbfgs_batch`, or the same done by workers."""

    def __call__(self, loss: Regularised, starts: Tensor, *, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
        """Return the ends, shape (k, n), and L there, shape (k,)."""
        ...


def climb(
    landscape: Landscape,
    control: Control,
    starts: Tensor,
    observe: Callable[[Tensor], Observation],
    search: Search = lbfgs_batch,
) -> Ladder:
    """Let the first start climb, doubling beta until it is trivial: its outputs are constant, or those of the centre.

    It begins at 1e-3 of the beta at which penalty and error balance. A rough climb may fall early;
    the sweep extends the range where it did.

    Parameters
    ----------
    starts : Tensor, shape (k, n)
    observe : callable theta -> Observation
        Without a variance of the outputs where the model cannot be asked.
    search : Search
    """
    beta = _balance(landscape, control, starts)
    bottom, _ = _rough(landscape, control, beta, starts, search)
    climber, most, rungs = bottom[:1], 0.0, list[tuple[float, float]]()
    for _ in range(DOUBLINGS):
        climber, errors = _rough(landscape, control, beta, climber, search)
        rungs.append((beta, float(errors[0])))
        view = observe(climber[0])
        if view.breadth is None:
            raise no_predictions()
        most = max(most, view.breadth)
        if is_trivial(view, most):
            return Ladder(beta, _flat_up_to(rungs), bottom, climber[0])
        beta *= 2.0
    raise SpinodalError(
        got=f"no trivial phase up to beta = {beta:.3g}",
        allowed="networks that the penalty can switch off are allowed",
        do="give beta=(low, high) (--beta LOW:HIGH)",
    )


def is_trivial(view: Observation, variance: float | None) -> bool:
    """Tell the trivial phase: outputs that differ little from those that a large value leaves (see `Observation.liveliness`).

    `variance` is the `breadth` of the deepest phase, of which 1e-6 is little.
    """
    return view.liveliness is not None and variance is not None and view.liveliness < TRIVIAL * variance


def deepest(
    landscape: Landscape, control: Control, beta: float, thetas: Tensor, search: Search = lbfgs_batch
) -> tuple[Tensor, float]:
    """Return the end with the lowest L at beta among k starts, shape (k, n), loosely minimised, and L there."""
    loss = Regularised(landscape, beta, control)
    ends, values = search(loss, thetas, tolerance=ROUGH, iterations=CLOSE_ITERATIONS)
    values = values.nan_to_num(nan=torch.inf)
    first = int(torch.argmin(values))
    return ends[first], float(values[first])


def annealed(
    landscape: Landscape, control: Control, low: float, high: float, starts: Tensor, search: Search = lbfgs_batch
) -> Tensor:
    """Return a rough minimum at `low`, reached by halving beta from the deepest start at `high / 10`, shape (n,).

    A stronger penalty smooths the landscape, so this often ends deeper than a random start at `low`;
    but modes that are dead at `high / 10` may stay so, hence it is one candidate among others.
    """
    beta = max(0.1 * high, low)
    theta, _ = deepest(landscape, control, beta, starts, search)
    while beta > low:
        beta = max(0.5 * beta, low)
        theta = _rough(landscape, control, beta, theta[None], search, SLOW_ITERATIONS)[0][0]
    return theta


def _flat_up_to(rungs: Sequence[tuple[float, float]]) -> float:
    """Return where a range begins: where E, of rising beta, hardly changed yet, and at most a set part of its end.

    A network without transitions decays so slowly that all of its change may lie below that part.

    Examples
    --------
    >>> _flat_up_to([(1.0, 0.0), (2.0, 0.001), (4.0, 0.5), (1024.0, 1.0)])
    2.0
    """
    (_, first), (high, last) = rungs[0], rungs[-1]
    flat = [beta for beta, error in rungs if error - first <= MACROSCOPIC * (last - first)]
    return min(high / RANGE, max(flat, default=high))


def below(landscape: Landscape, control: Control, low: float, starts: Tensor, search: Search = lbfgs_batch) -> Tensor:
    """Return rough minima of k starts at `low / FAR_BELOW`, shape (k, n): starts at `low` with modes that it hides.

    At `low` a mode may be dead and stay so, as its dead state is a minimum of its own beside a deeper one; the lower beta is,
    the smaller is the basin of that minimum.
    """
    return _rough(landscape, control, low / FAR_BELOW, starts, search)[0]


def raised(landscape: Landscape, control: Control, low: float, start: Tensor, search: Search = lbfgs_batch) -> Tensor:
    """Return a rough minimum at `low`, reached by doubling beta from far below, shape (n,).

    As weights shrink modes only die, so this ends with modes that a start at `low` itself may never find.
    """
    beta, theta = low / FAR_BELOW, start
    while beta < low:
        theta = _rough(landscape, control, beta, theta[None], search)[0][0]
        beta *= 2.0
    return theta


def _rough(
    landscape: Landscape, control: Control, beta: float, thetas: Tensor, search: Search, iterations: int = ROUGH_ITERATIONS
) -> tuple[Tensor, Tensor]:
    """Return rough minima, shape (k, n), and E there, shape (k,)."""
    loss = Regularised(landscape, beta, control)
    ends, values = search(loss, thetas, tolerance=ROUGH, iterations=iterations)
    conjugates, _ = loss.control.conjugates_and_forces(ends)
    return ends, values - beta * conjugates.to(values)


def _balance(landscape: Landscape, control: Control, starts: Tensor) -> float:
    """Return 1e-3 of the beta at which penalty and error are equal, averaged over the starts."""
    errors, _ = landscape.values_and_gradients(starts)
    conjugates, _ = control.on(landscape).conjugates_and_forces(starts)
    return 1e-3 * float(errors.abs().mean()) / max(abs(float(conjugates.mean())), 1e-12)

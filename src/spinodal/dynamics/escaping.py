"""`escape`: a way out of a plateau, by making dead modes alive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spinodal.arguments import positive_number
from spinodal.counts import Counts
from spinodal.definitions import DEEPER, MACROSCOPIC
from spinodal.dynamics.diagnosing import trivial_model
from spinodal.dynamics.observing import telling_slots
from spinodal.dynamics.raising import raised
from spinodal.dynamics.residual import no_matrices
from spinodal.errors import positive_beta
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import Minimum, minimise
from spinodal.shown import Shown
from spinodal.words.numbers import significant

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the largest singular value: amplitudes that are tried, the gentlest first


@dataclass(frozen=True, eq=False, repr=False)
class WayOut(Shown):
    """Where to go on training from, and where that leads.

    Attributes
    ----------
    theta : Tensor, shape (n,)
        The point with its dead modes raised; where nothing deeper was found, the point itself.
    amplitude : float
        To which they were raised; 0 where nothing deeper was found.
    error, loss : float
        E and L at the point that was given.
    without : Minimum
        That descent leads to from that point, however long it takes.
    minimum : Minimum
        That descent leads to from theta.
    spent : Counts
    """

    theta: Tensor
    amplitude: float
    error: float
    loss: float
    without: Minimum
    minimum: Minimum
    spent: Counts = field(default_factory=Counts)

    @property
    def found(self) -> bool:
        """Tell whether it leads deeper than the point, and no less deep than descent alone."""
        return self.amplitude > 0.0

    def __str__(self) -> str:
        """Return what was found in a sentence."""
        here = f"E = {significant(self.error, 4)}, L = {significant(self.loss, 4)}"
        if not self.found:
            return f"No way out of {here}: with dead modes raised, descent leads no deeper."
        there = f"E = {significant(self.minimum.error, 4)}, L = {significant(self.minimum.loss, 4)}"
        alone = f"without it to L = {significant(self.without.loss, 4)}, however long that takes"
        return f"Dead modes raised to {significant(self.amplitude, 3)}: descent leads from {here} to {there}; {alone}."


def escape(
    landscape: Landscape, theta: Any, beta: float, *, amplitude: float | None = None, penalty: Penalty | None = None
) -> WayOut:
    """Return a point from which descent leaves a plateau, slow or metastable: theta with its dead modes made alive.

    Singular values of every weight matrix below an amplitude are raised to it, their singular vectors kept. Modes that are
    alive stay as they are, so that E hardly changes, and the dead ones stand above the saddle beneath which they would die.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), a module, or what has a `theta`
    beta : float
        > 0, of the training that is to go on. PyTorch's `weight_decay` is `2 * beta`.
    amplitude : float, optional
        > 0. Default: 1/8, 1/4, 1/2 and 1 of the largest singular value of theta, or of the model as it was given where that is
        larger; the gentlest that leads deeper is taken.
    penalty : Penalty, optional
        Default: all parameters, the origin.

    Returns
    -------
    WayOut
        `found` tells whether it leads to a deeper minimum of L: this is checked by a search from it, at each amplitude.

    Raises
    ------
    SpinodalError
        For a theta, beta or amplitude that does not fit, and models without weight matrices.

    Notes
    -----
    *What it is not:* a search for the deepest phase, or a proof that there is none where nothing was found. It helps where a
    plateau is one of dead modes, of low rank, not where the norm drifts (see `diagnose`). What it was compared with, and on
    which tasks, is a table of the documentation; nothing is claimed beyond it.

    Examples
    --------
    Three layers of one unit, `E = (1 - w1 w2 w3)^2`: the origin is a minimum of L, and the deeper one is near 1.

    >>> line = lambda: torch.nn.Linear(1, 1, bias=False)
    >>> chain = torch.nn.Sequential(line(), line(), line())
    >>> E = Landscape(chain, lambda model, x: (model(x) - 1).square().sum(), torch.ones(1, 1))
    >>> out = escape(E, 0.01 * torch.ones(3), 0.02, amplitude=0.2)
    >>> out.found, round(out.without.error, 6), out.theta.tolist(), out.minimum.error < 0.01
    (True, 1.0, [0.2, 0.2, 0.2], True)
    """
    loss = Regularised(landscape, positive_beta(beta), penalty or Penalty())
    point = landscape.vector(getattr(theta, "theta", theta))
    amplitudes = _amplitudes(landscape, point, amplitude)
    with landscape.counting() as spent:
        error, value = landscape.value(point), loss.value(point)
        without = minimise(landscape, beta=loss.beta, start=point, penalty=penalty)
        span = abs(landscape.value(trivial_model(loss)) - without.error) + abs(error - without.error)
        for height in amplitudes:
            start = raised(landscape, point[None], height)[0]
            found = minimise(landscape, beta=loss.beta, start=start, penalty=penalty)
            if found.loss < value - MACROSCOPIC * span and found.loss <= without.loss + DEEPER * span:
                return WayOut(start, height, error, value, without, found, spent.copy())
    return WayOut(point, 0.0, error, value, without, without, spent.copy())


def _amplitudes(landscape: Landscape, point: Tensor, amplitude: float | None) -> tuple[float, ...]:
    """Return the amplitudes to try, rising."""
    if amplitude is not None:
        return (positive_number("amplitude", amplitude, do="try half of the largest singular value"),)
    slots = telling_slots(landscape)
    if not slots:
        raise no_matrices()
    largest = max(
        float(torch.linalg.matrix_norm(theta[start:stop].reshape(rows, -1), ord=2))
        for theta in (point, landscape.initial)
        for start, stop, rows in slots
    )
    return tuple(share * largest for share in SHARES)

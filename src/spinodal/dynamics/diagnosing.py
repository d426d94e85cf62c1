"""`diagnose`: whether a plateau will end, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spinodal.arguments import positive_number, seed_number
from spinodal.definitions import DEEPER, DRIFTED, MACROSCOPIC, PLATEAU_LEFT
from spinodal.dynamics.diagnosis import CONVERGED, DRIFTING, METASTABLE, SLOW, Diagnosis
from spinodal.dynamics.flow import Flow, gradient_flow
from spinodal.dynamics.saddle import Saddle, saddle_beside
from spinodal.errors import positive_beta
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.deepest import deepest
from spinodal.minima.minimise import Minimum, minimise
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.spectrum.extremes import Extremes, extreme_eigenvalues
from spinodal.spectrum.krylov import random_vectors
from spinodal.spectrum.operator import affords_dense

STARTS, GAINS = 8, (1.0, 1.5)  # random starts of the search for the deepest phase, and their sizes


def diagnose(
    landscape: Landscape,
    theta: Any,
    beta: float,
    *,
    learning_rate: float | None = None,
    penalty: Penalty | None = None,
    phases: PhaseDiagram | Sequence[Any] | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Tell what a plateau is: metastable, slow, drifting, or the best known phase.

    Gradient flow of `L = E + beta ||theta - centre||^2` is solved from theta to its end, in steps as long as the curvature
    allows: where it leads and when E falls on the way are measured, not guessed from a sign.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), a module, or what has a `theta`
    beta : float
        > 0. PyTorch's `weight_decay` is `2 * beta`.
    learning_rate : float, optional
        Of gradient descent: times become epochs, and it is checked against `2 / lambda_max(Hess L)`.
    penalty : Penalty, optional
        Default: all parameters, the origin.
    phases : PhaseDiagram, or sequence of what has a `theta`, optional
        What theta is compared with: every phase, minimised at beta. Default: the deepest of a few random starts.
    seed : int
        Of the random starts and of the search for a saddle. Default 0.

    Returns
    -------
    Diagnosis
        Verdict, evidence, and a sentence (`str`).

    Raises
    ------
    SpinodalError
        For a theta, beta or learning rate that does not fit.

    Notes
    -----
    *What it is not:* a statement on noise. Mini-batches may leave what gradient flow does not. "Best known" depends on what is
    known: give a map.

    Examples
    --------
    `E = (1 - w1 w2 w3)^2`: the origin is a minimum of L for every beta > 0, although a deeper one is near 1.

    >>> class Chain(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(3))
    >>> E = Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2, None)
    >>> [diagnose(E, w * torch.ones(3), 0.01).verdict for w in (0.001, 0.02, 1.0)]
    ['metastable', 'slow', 'converged']
    """
    loss = Regularised(landscape, positive_beta(beta), penalty or Penalty())
    point = landscape.vector(getattr(theta, "theta", theta))
    if learning_rate is not None:
        positive_number("learning_rate", learning_rate, do="give that of the training")
    with landscape.counting() as spent:
        found = _found(loss, point, penalty, phases, learning_rate, seed)
    return replace(found, spent=spent.copy())


def _found(
    loss: Regularised,
    point: Tensor,
    penalty: Penalty | None,
    phases: PhaseDiagram | Sequence[Any] | None,
    learning_rate: float | None,
    seed: int,
) -> Diagnosis:
    """Follow the flow, find what is deepest, and judge."""
    landscape, flow = loss.landscape, gradient_flow(loss, point)
    end = minimise(landscape, beta=loss.beta, start=flow.theta, penalty=penalty)
    best = min([end, *_known(loss, penalty, phases, seed_number(seed))], key=lambda item: item.loss)
    return _judged(loss, point, flow, end, best, learning_rate, seed, penalty)


def _judged(
    loss: Regularised,
    point: Tensor,
    flow: Flow,
    end: Minimum,
    best: Minimum,
    learning_rate: float | None,
    seed: int,
    penalty: Penalty | None,
) -> Diagnosis:
    """Put the evidence together."""
    value, gradient = loss.value_and_gradient(point)
    spectrum = _ends_of_spectrum(loss, point, penalty)
    error, norm, last = flow.errors[0], flow.norms[0], float(end.theta.norm())
    span = max(abs(loss.landscape.value(trivial_model(loss)) - best.error), abs(error - best.error), 1e-300)
    fall = error - min(flow.errors[-1], end.error)
    verdict = _verdict(fall, end.loss - best.loss, norm**2 - last**2, span, last**2)
    saddle = saddle_beside(loss, end.theta, seed=seed) if verdict == METASTABLE and affords_dense(loss.landscape) else None
    return Diagnosis(
        verdict=verdict, beta=loss.beta, error=error, loss=value, norm=norm, residual=float(gradient.norm()), end=end,
        best=best, flow=flow, lowest=float(spectrum.smallest.values[0]),
        component=float(spectrum.smallest.vectors[0] @ gradient), largest=float(spectrum.largest.values[0]),
        escape_time=flow.when(error - min(0.5 * fall, PLATEAU_LEFT * span)) if verdict == SLOW else math.inf,
        drift_time=flow.when_norm(math.sqrt(0.5 * (norm**2 + last**2))) if norm > last else 0.0,
        barrier=None if saddle is None else saddle.loss - end.loss,
        curvatures=None if saddle is None else _curvatures(loss, end.theta, saddle), learning_rate=learning_rate,
    )  # fmt: skip


def _curvatures(loss: Regularised, minimum: Tensor, saddle: Saddle) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return all eigenvalues of Hess L at a minimum and at a saddle."""
    values = eigenbasis(loss.shifted(loss.landscape.hessian(minimum)), vectors=False).values
    return tuple(values.tolist()), tuple(saddle.values.tolist())


def _verdict(fall: float, above: float, lost: float, span: float, squared: float) -> str:
    """Return the verdict from the fall of E, the height above the best minimum, and the loss of squared norm."""
    if fall > MACROSCOPIC * span:
        return SLOW
    if above > DEEPER * span:
        return METASTABLE
    return DRIFTING if lost > DRIFTED * squared else CONVERGED


def trivial_model(loss: Regularised) -> Tensor:
    """Return the centre of the penalty, the origin by default."""
    nothing = torch.zeros_like(loss.landscape.initial)
    trivial = loss.control.trivial(nothing)
    return nothing if trivial is None else trivial


def _ends_of_spectrum(loss: Regularised, point: Tensor, penalty: Penalty | None) -> Extremes:
    method = "dense" if affords_dense(loss.landscape) else "lanczos"
    return extreme_eigenvalues(loss.landscape, point, beta=loss.beta, penalty=penalty, method=method)


def _known(
    loss: Regularised, penalty: Penalty | None, phases: PhaseDiagram | Sequence[Any] | None, seed: int
) -> Iterable[Minimum]:
    """Return minima at beta: of every known phase, or the deepest that random starts lead to."""
    if phases is None:
        starts = [deepest(loss.landscape, penalty or Penalty(), loss.beta, _random(loss.landscape, seed))[0]]
    elif isinstance(phases, PhaseDiagram):
        starts = [_nearest(phase.points, loss.beta).minimum.theta for phase in phases.phases]
    else:
        starts = [loss.landscape.vector(getattr(item, "theta", item)) for item in phases]
    for start in starts:
        yield minimise(loss.landscape, beta=loss.beta, start=start, penalty=penalty)


def _nearest(points: Sequence[Any], beta: float) -> Any:
    return min(points, key=lambda point: abs(math.log(point.beta / beta)))


def _random(landscape: Landscape, seed: int) -> Tensor:
    """Return random thetas, shape (k, n): normal weights of variance 1 over their number of inputs."""
    draws = random_vectors(landscape.initial, seed)
    thetas = torch.stack([next(draws) * GAINS[place % len(GAINS)] for place in range(STARTS)])
    for slot in landscape.parameters.slots:
        inputs = slot.shape[1:].numel() if len(slot.shape) > 1 else max(slot.stop - slot.start, 1)
        thetas[:, slot.start : slot.stop] /= math.sqrt(inputs)
    return thetas

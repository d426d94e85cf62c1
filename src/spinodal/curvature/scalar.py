"""The scalar curvature of the error surface or the loss surface: exact where affordable, with an error bar elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.arguments import accuracy, seed_number, sequence, whole_number
from spinodal.curvature import gauss
from spinodal.curvature.by_sample.pass_of_probes import Passes
from spinodal.curvature.by_sample.sample_groups import GROUPS, SampleGroups
from spinodal.curvature.by_sample.sample_probes import SampleProbes
from spinodal.curvature.by_sample.samples import SampleError
from spinodal.curvature.gauss_newton_trace import exact_trace
from spinodal.curvature.probed import DEEPEST, FEWEST, Probed, Shifted
from spinodal.curvature.probes import Probes
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.kinks import KINKS, has_kinks
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty, l2
from spinodal.spectrum.estimate import Estimate
from spinodal.spectrum.operator import finite, strength

METHODS = ("auto", "dense", "probes")
SMALL = 1000  # parameters up to which "auto" is exact where no budget is given
BUDGET, BUDGET_FOR_ACCURACY = 100, 1000  # products, where none is given: without and with an `rtol`
VECTORS = 16  # deflated directions and their images may take so many times less than the memory, each


@dataclass(frozen=True)
class Curvatures:
    """Scalar curvatures and traces of several surfaces over one theta, from the same products.

    Attributes
    ----------
    scalar, trace : tuple of Estimate
        R, and the trace of the Hessian, for every beta that was asked for.
    """

    scalar: tuple[Estimate, ...]
    trace: tuple[Estimate, ...]


def scalar_curvature(
    landscape: Landscape,
    theta: object,
    *,
    beta: float = 0.0,
    method: str = "auto",
    budget: int | None = None,
    rtol: float | None = None,
    seed: int = 0,
    penalty: Penalty | None = None,
) -> Estimate:
    """Return the scalar (Ricci) curvature R of the graph of E at theta, or of `L = E + beta ||theta - centre||^2`.

        R = [(tr H)^2 - ||H||_F^2] / W2 + 2 [||H g||^2 - (tr H)(g^T H g)] / W2^2,      W2 = 1 + ||g||^2

    with gradient g and Hessian H of the surface.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), or a module of the landscape's kind
    beta : float
        0 (default) for the error surface, else the loss surface at this beta.
    method : {"auto", "dense", "probes"}
        "dense" is exact, from all n products. "probes" estimates R from Hessian products (see `Probed`).
        "auto": dense for up to `SMALL` parameters, and for a budget of n products or more; else probes.
    budget : int, optional
        Most Hessian products, at least `least_budget`. Default `BUDGET`; with `rtol`, `BUDGET_FOR_ACCURACY`. One pass of probes
        over the samples counts as one.
    rtol : float, optional
        Spend products until the standard error is at most `rtol |R|`. Default: spend the budget.
    seed : int
        Of the probes. Default 0.
    penalty : Penalty, optional
        Centre and mask. Default: all parameters are pulled to the origin.

    Returns
    -------
    Estimate
        With one standard error; 0 where exact.

    Raises
    ------
    SpinodalError
        For bad arguments, an E without second derivatives, and a Hessian that is not finite.

    Notes
    -----
    R is not invariant under rescaling of E. It is not a test for transitions: see `docs/concepts/curvature.md`.
    Samples are taken in parts, so that memory does not grow with their number: besides model and data it is about
    `landscape.memory` bytes and up to 160 vectors of n numbers where 64 directions are deflated, 40 where none are.

    Examples
    --------
    The monkey saddle `x^3 - 3 x y^2` at (1, 1):

    >>> import torch
    >>> class Monkey(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.at = torch.nn.Parameter(torch.ones(2))
    >>> E = Landscape(Monkey(), lambda model, batch: model.at[0] ** 3 - 3 * model.at[0] * model.at[1] ** 2, None)
    >>> R = scalar_curvature(E, torch.ones(2))
    >>> round(R.value * 1369, 9), R.stderr, R.method
    (-144.0, 0.0, 'dense')
    """
    found = curvatures(
        landscape, theta, betas=(beta,), method=method, budget=budget, rtol=rtol, seed=seed, penalty=penalty
    )  # fmt: skip
    return found.scalar[0]


def curvatures(
    landscape: Landscape,
    theta: object,
    *,
    betas: Sequence[float],
    method: str = "auto",
    budget: int | None = None,
    rtol: float | None = None,
    seed: int = 0,
    penalty: Penalty | None = None,
) -> Curvatures:
    """Return R and tr H of the surfaces of several betas (0: of E) at one theta; all come from the same products.

    Parameters are those of `scalar_curvature`, but for `betas`, a sequence of float; `rtol` is that of the first surface.
    """
    point = landscape.vector(theta)
    penalty = penalty or Penalty()
    wanted = sequence("betas", betas, of="numbers >= 0", do="give (0.0,) for E")
    if not wanted:
        raise SpinodalError(got="no beta", allowed="at least one beta is allowed", do="give (0.0,) for E")
    losses = [Regularised(landscape, strength(beta), l2(penalty, "the curvature of L")) for beta in wanted]
    least = least_budget(landscape.size, len(losses))
    most = _budget(budget, rtol, least, landscape.size)
    seed = seed_number(seed)
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    rtol = accuracy(rtol)
    landscape.require_second_derivatives()
    before = landscape.counts.copy()
    exact = most >= landscape.size or (budget is None and landscape.size <= SMALL)
    if method == "dense" or landscape.size <= least or (method == "auto" and exact):
        found = _dense(losses, point)
    else:
        found = _probed(losses, point, most, rtol, seed)
    spent = landscape.counts - before
    caveats = (KINKS,) if has_kinks(landscape, point) else ()

    def finished(estimates: tuple[Estimate, ...]) -> tuple[Estimate, ...]:
        return tuple(replace(estimate, spent=spent, caveats=caveats) for estimate in estimates)

    return replace(found, scalar=finished(found.scalar), trace=finished(found.trace))


def _dense(losses: Sequence[Regularised], theta: Tensor) -> Curvatures:
    """Return exact values from one gradient and one dense Hessian."""
    landscape = losses[0].landscape
    gradient, hessian = landscape.gradient(theta).double(), finite(landscape.hessian(theta))
    matrices = [loss.shifted(hessian).double() for loss in losses]
    slopes = [gradient + loss.pull(theta).double() for loss in losses]
    scalar = [gauss.ricci(slope, matrix) for slope, matrix in zip(slopes, matrices, strict=True)]
    trace = [float(matrix.trace()) for matrix in matrices]
    size = len(theta)
    exact = [[Estimate(value, 0.0, products=size, method="dense") for value in values] for values in (scalar, trace)]
    return Curvatures(tuple(exact[0]), tuple(exact[1]))


def _probed(losses: Sequence[Regularised], theta: Tensor, budget: int, rtol: float | None, seed: int) -> Curvatures:
    """Return estimates from at most a budget of products, over samples in parts that fit the memory."""
    whole, width = losses[0].landscape, len(theta) * theta.element_size()
    deepest = min(DEEPEST, whole.memory // (VECTORS * width))
    landscape = whole.split(theta) or whole
    gradient = landscape.gradient(theta)
    estimator = Probed(
        landscape.hessian_operator(theta),
        [_shifted(loss, theta, gradient) for loss in losses],
        seed=seed,
        passes=_passes(whole, theta, (seed, 1)),
        gauss_newton=lambda: exact_trace(whole, theta, is_limited=True).value,
        deepest=deepest,
    )
    reached = estimator.spend(budget, rtol=rtol)

    def estimate(value: float, stderr: float) -> Estimate:
        status = "estimated" if reached else "not reached"
        return Estimate(value, stderr, products=estimator.products, method="probes", seed=seed, status=status)

    indices = range(len(losses))
    return Curvatures(
        tuple(estimate(*estimator.curvature(index)) for index in indices),
        tuple(estimate(*estimator.trace(index)) for index in indices),
    )


def _shifted(loss: Regularised, theta: Tensor, gradient: Tensor) -> Shifted:
    shift = 2 * loss.beta * l2(loss.control, "the curvature of L").diagonal(theta) if loss.beta else None
    return Shifted(gradient + loss.pull(theta), shift)


def _passes(landscape: Landscape, theta: Tensor, seed: tuple[int, ...]) -> Passes | None:
    """Return the best passes of probes that the model and the loss allow; None where samples meet."""
    try:
        return SampleProbes(landscape, theta, seed)
    except (SampleError, SpinodalError):
        groups = landscape.split(theta, pieces=GROUPS)
        return None if groups is None else SampleGroups(groups, theta, Probes(theta, seed))


def least_budget(size: int, surfaces: int = 1) -> int:
    """Return the fewest products of an estimate: one along each gradient, and what two error bars need; at most n.

    Examples
    --------
    >>> least_budget(1000), least_budget(3)
    (11, 3)
    """
    return min(surfaces + 2 * FEWEST, size)


def _budget(budget: int | None, rtol: float | None, least: int, size: int) -> int:
    """Return the most products to spend."""
    if budget is None:
        return BUDGET if rtol is None else BUDGET_FOR_ACCURACY
    return whole_number("budget", budget, least=least, do=f"give {BUDGET}, or method='dense' for {size} products")

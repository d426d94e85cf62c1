"""All curvature at one point of a map, from one dense Hessian or from shared products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import Tensor

from spinodal.arguments import accuracy, seed_number, whole_number
from spinodal.codec import Record
from spinodal.counts import Counts
from spinodal.curvature.fisher import fisher_trace
from spinodal.curvature.scalar import BUDGET, METHODS, SMALL, curvatures
from spinodal.curvature.second_order import SecondOrder
from spinodal.errors import SpinodalError, positive_beta, told, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.kinks import KINKS, has_kinks
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty, l2
from spinodal.shown import Shown
from spinodal.spectrum.estimate import Estimate
from spinodal.spectrum.saddle_index import SaddleIndex, index_of, saddle_indices


@dataclass(frozen=True, repr=False)
class Curvature(Shown, Record):
    """Curvature of E and of `L = E + beta ||theta - centre||^2` at one theta.

    Attributes
    ----------
    beta : float
        Of L.
    error, loss : Estimate
        The scalar curvature R of the graphs of E and of L (see `spinodal.curvature.gauss.ricci`).
    trace : Estimate
        `tr H` of E; that of L is larger by 2 beta for every penalised parameter.
    fisher_trace : Estimate or None
        None where E is no function of outputs of the model, so that there is no Fisher information; a caveat says so.
    no_fisher_trace : str or None
        Why there is none.
    index_of_error, index_of_loss : SaddleIndex
        Numbers of negative eigenvalues of H and of Hess L. At a minimum of L the latter is 0 and the former need not be.
    spent : Counts

    Notes
    -----
    *What it is not:* a definition of a phase. In exactly solved chains R of E changes its sign neither where a phase ends nor
    where two are equally deep; and R is not invariant when E is rescaled.
    """

    JSON = "beta error loss trace fisher_trace no_fisher_trace index=indices counts=spent"

    beta: float
    error: Estimate
    loss: Estimate
    trace: Estimate
    fisher_trace: Estimate | None
    index_of_error: SaddleIndex
    index_of_loss: SaddleIndex
    spent: Counts = field(default_factory=Counts)
    no_fisher_trace: str | None = None

    def __str__(self) -> str:
        """Return the curvatures, one per line."""
        fisher = "not known" if self.fisher_trace is None else str(self.fisher_trace)
        return "\n".join([
            f"curvature at beta = {self.beta:.6g}: R of E = {self.error}, R of L = {self.loss}",
            f"trace of the Hessian of E: {self.trace}; Fisher trace: {fisher}",
            f"index of E: {self.index_of_error}, of L: {self.index_of_loss}",
        ])  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], **aside: Any) -> Self:
        """Return what `to_dict` made a record of."""
        indices = {f"index_of_{surface}": SaddleIndex.from_dict(item) for surface, item in record["index"].items()}
        return super().from_dict(record, **indices, **aside)

    @property
    def indices(self) -> dict[str, SaddleIndex]:
        """Return the saddle indices by their surfaces."""
        return {"error": self.index_of_error, "loss": self.index_of_loss}

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return what these numbers leave out: sentences."""
        estimates = (self.error, self.loss, self.trace, *((self.fisher_trace,) if self.fisher_trace else ()))
        missing = {f"no Fisher trace: {self.no_fisher_trace}"} if self.no_fisher_trace else set()
        return tuple(sorted({text for estimate in estimates for text in estimate.caveats} | missing))


def curvature_at(
    landscape: Landscape,
    theta: Tensor,
    *,
    beta: float,
    penalty: Penalty | None = None,
    method: str = "auto",
    budget: int | None = None,
    rtol: float | None = None,
    seed: int = 0,
) -> Curvature:
    """Return the curvature of E and of L at theta; what both share is computed once.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,)
    beta : float > 0
    penalty : Penalty, optional
        Centre and mask. Default: all parameters are pulled to the origin.
    method : {"auto", "dense", "probes"}
        "dense": one gradient and one Hessian give everything exactly. "probes": Hessian products, with standard errors.
        Default "auto": dense where `scalar_curvature` is.
    budget : int, optional
        Hessian products that both R together may take, and as many again for the index; the Fisher trace takes its own
        (see `fisher_trace`). Default: that of `scalar_curvature`.
    rtol : float, optional
        Relative standard error of R of E that is enough.
    seed : int
        Of the probes. Default 0.

    Raises
    ------
    SpinodalError
        For bad arguments, an E without second derivatives, and second derivatives that are not finite at theta.

    Examples
    --------
    `E = (1 - w1 w2)^2 / 2` on its way from the live phase to the dead one, which it reaches at beta = 1/2:

    >>> import torch
    >>> class Pair(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    >>> E = Landscape(Pair(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> found = curvature_at(E, torch.full((2,), 0.5**0.5, dtype=torch.float64), beta=0.25)
    >>> round(found.error.value, 12), round(found.loss.value, 12), round(found.trace.value, 12)
    (0.32, 2.0, 1.0)
    >>> print(found.index_of_error, found.index_of_loss)
    0 0
    """
    before = landscape.counts.copy()
    loss = Regularised(landscape, positive_beta(beta), l2(penalty or Penalty(), "the curvature of L"))
    rtol, vector = accuracy(rtol), landscape.vector(theta)
    if is_dense(landscape, method, budget):
        found = exact_curvature(loss, vector, SecondOrder.at(loss, vector, vectors=False), seed=seed_number(seed))
    else:
        found = _estimated(loss, vector, budget=budget, rtol=rtol, seed=seed_number(seed))
    return replace(found, spent=landscape.counts - before)


def is_dense(landscape: Landscape, method: str, budget: int | None) -> bool:
    """Tell whether curvature is to be exact, from a dense Hessian, or refuse a method or a budget that is none."""
    if budget is not None:
        whole_number("budget", budget, least=1, do="give the most Hessian products")
    if method not in METHODS:
        raise unknown_name("method", str(method), METHODS)
    affordable = landscape.size <= SMALL if budget is None else landscape.size <= budget
    return method == "dense" or (method == "auto" and affordable)


def exact_curvature(loss: Regularised, theta: Tensor, known: SecondOrder, *, seed: int = 0) -> Curvature:
    """Return everything from one gradient and one dense Hessian."""
    landscape, surface, lifted = loss.landscape, known.error, known.loss
    caveats = (KINKS,) if has_kinks(landscape, theta) else ()
    values = surface.ricci(), lifted.ricci(), float(surface.hessian.trace())
    error, lifted_error, trace = (_dense(value, landscape, caveats) for value in values)
    return Curvature(
        beta=loss.beta,
        error=error,
        loss=lifted_error,
        trace=trace,
        index_of_error=index_of(known.basis_of_error),
        index_of_loss=index_of(known.basis_of_loss),
        **_fisher(landscape, theta, seed),
    )


def _estimated(loss: Regularised, theta: Tensor, *, budget: int | None, rtol: float | None, seed: int) -> Curvature:
    """Return everything from Hessian products; the numbers of negative directions are lower bounds then."""
    landscape, penalty, betas = loss.landscape, l2(loss.control, "the curvature of L"), (0.0, loss.beta)
    found = curvatures(
        landscape, theta, betas=betas, method="probes", budget=budget, rtol=rtol, seed=seed, penalty=penalty
    )  # fmt: skip
    indices = saddle_indices(
        landscape, theta, betas=betas, penalty=penalty, budget=budget or BUDGET, method="lanczos", seed=seed
    )
    error, lifted = found.scalar
    of_error, of_loss = indices
    return Curvature(
        beta=loss.beta,
        error=error,
        loss=lifted,
        trace=found.trace[0],
        index_of_error=of_error,
        index_of_loss=of_loss,
        **_fisher(landscape, theta, seed),
    )


def _dense(value: float, landscape: Landscape, caveats: tuple[str, ...]) -> Estimate:
    return Estimate(value, 0.0, products=landscape.size, method="dense", caveats=caveats)


def _fisher(landscape: Landscape, theta: Tensor, seed: int) -> dict[str, Any]:
    """Return the Fisher trace, or why there is none: the rest of the curvature does not need it."""
    try:
        return {"fisher_trace": fisher_trace(landscape, theta, seed=seed), "no_fisher_trace": None}
    except SpinodalError as cause:  # E is no function of outputs
        why = cause.got
    except Exception as cause:  # noqa: BLE001 - what nobody foresaw in the user's model, called otherwise than the user does
        why = told(cause)
    return {"fisher_trace": None, "no_fisher_trace": " ".join(why.split())}

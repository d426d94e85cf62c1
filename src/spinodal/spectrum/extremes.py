"""The largest and the smallest eigenvalues of the Hessian, each with the error it may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from spinodal.arguments import real_number, seed_number, whole_number
from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.spectrum.eigenbasis import Eigenbasis, eigenbasis
from spinodal.spectrum.lanczos import LEAST_PRODUCTS, Look, lanczos, rows_in
from spinodal.spectrum.operator import HessianOperator, method_for, refusing

BUDGET = 300  # products
TOLERANCE = 1e-5  # residual relative to the largest |eigenvalue|
MEMORY = 512 * 2**20  # bytes
STATUSES = {
    "exact": "exact: from all second derivatives, or a basis of the whole space",
    "closed": "exact up to rounding: so many Krylov spaces were exhausted that no copy is missing (with probability one)",
    "converged": "converged: every residual is below the tolerance",
    "budget": "not converged: the products are spent; the residuals say how far each value may be off",
}


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Approximate eigenpairs of a symmetric matrix.

    Attributes
    ----------
    values : Tensor, shape (k,), float64
    residuals : Tensor, shape (k,), float64
        `||H y - value y||`, rounding included: some eigenvalue lies within this distance of the value.
    vectors : Tensor, shape (k, n)
        Orthonormal rows.
    """

    values: Tensor
    residuals: Tensor
    vectors: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        """Return the values with their residuals in one line."""
        pairs = zip(self.values.tolist(), self.residuals.tolist(), strict=True)
        return ", ".join(f"{value:.6g} +- {residual:.1g}" for value, residual in pairs) or "none"


@dataclass(frozen=True, eq=False)
class Extremes:
    """The ends of a spectrum.

    Attributes
    ----------
    largest : Eigenpairs
        Falling from the largest eigenvalue.
    smallest : Eigenpairs
        Rising from the smallest, most negative one.
    products : int
        Hessian products used; a dense Hessian counts as n of them.
    method : str
        "dense" or "lanczos".
    status : str
        A key of `STATUSES`.
    seed : int
        Of the start vectors.
    spent : Counts
    """

    largest: Eigenpairs
    smallest: Eigenpairs
    products: int
    method: str
    status: str
    seed: int = 0
    spent: Counts = field(default_factory=Counts)

    def __str__(self) -> str:
        """Return both ends and what they cost."""
        how = f"{self.method}, {self.products} products, {STATUSES[self.status].partition(':')[0]}"
        return f"largest {self.largest}; smallest {self.smallest} ({how})"


def extreme_eigenvalues(
    landscape: Landscape,
    theta: object,
    *,
    beta: float = 0.0,
    penalty: Control | None = None,
    largest: int = 1,
    smallest: int = 1,
    tolerance: float = TOLERANCE,
    budget: int = BUDGET,
    method: str = "auto",
    seed: int = 0,
) -> Extremes:
    """Return the largest and smallest eigenvalues of the Hessian of E (beta = 0), or of `L = E + beta ||theta - centre||^2`.

    Lanczos with full reorthogonalisation; products in the landscape's precision, everything else in float64. Where n products
    are within the budget the dense Hessian is used, whose values are exact.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), or a module
    beta : float
        Default 0: of E.
    penalty : Control, optional
        Centre and mask. Default: all parameters, the origin.
    largest, smallest : int
        How many of each end; at most n come back. Default 1.
    tolerance : float
        Stops when all residuals are below this times the largest |eigenvalue|. Default `TOLERANCE`.
    budget : int
        Most Hessian products. Default `BUDGET`. With 0 nothing comes back.
    method : {"auto", "dense", "lanczos"}
    seed : int
        Of the start vectors. Default 0.

    Returns
    -------
    Extremes
        With the residual of every value. A budget that was too small is its status, not an exception.

    Raises
    ------
    SpinodalError
        For arguments that do not fit, and second derivatives that do not exist or are not finite.

    Notes
    -----
    *What it is not:* Lanczos from one start vector sees one copy of a multiple eigenvalue, and proves only that each value is
    within its residual of some eigenvalue; that none lies farther out has probability near one and no proof. The second
    of two equal largest eigenvalues is missed, unless the status is "exact" or "closed". Those within rounding, as from hidden
    symmetries, are such copies.

    Memory: the basis takes up to `landscape.memory` bytes; then the process restarts from its best vectors.

    Source: B. Parlett, *The Symmetric Eigenvalue Problem*, ch. 13; K. Wu & H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000) 602.

    Examples
    --------
    `E = 3 u^2 / 2 - v^2 / 4` has the eigenvalues 3 and -1/2:

    >>> class Saddle(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.zeros(2))
    >>> factors = torch.tensor([1.5, -0.25], dtype=torch.float64)
    >>> E = Landscape(Saddle(), lambda model, batch: factors @ model.w**2, None)
    >>> found = extreme_eigenvalues(E, E.initial)
    >>> found.largest.values.item(), found.smallest.values.item(), found.status
    (3.0, -0.5, 'exact')
    """
    _check(largest, smallest, tolerance, budget, seed)
    operator = HessianOperator.at(landscape, theta, beta=beta, penalty=penalty)
    before = landscape.counts.copy()
    if method_for(method, landscape.size <= budget) == "dense":
        found = dense_extremes(operator.dense(), precision=landscape.dtype, largest=largest, smallest=smallest)
    else:
        found = lanczos_extremes(
            operator, operator.theta, largest=largest, smallest=smallest, tolerance=tolerance, budget=budget, seed=seed,
            memory=landscape.memory,
        )  # fmt: skip
    return Extremes(
        found.largest, found.smallest, found.products, found.method, found.status, seed, spent=landscape.counts - before
    )


def dense_extremes(
    hessian: Tensor,
    *,
    largest: int = 1,
    smallest: int = 1,
    precision: torch.dtype | None = None,
    basis: Eigenbasis | None = None,
) -> Extremes:
    """Return the extreme eigenvalues of a symmetric matrix, shape (n, n), of its `basis` where that is known."""
    basis = eigenbasis(hessian, precision=precision) if basis is None else basis
    values, vectors = basis.values, basis.vectors.to(hessian)

    def pairs(order: Tensor) -> Eigenpairs:
        chosen = vectors[:, order]
        residuals = (hessian @ chosen - chosen * values[order].to(hessian)).norm(dim=0)
        return Eigenpairs(values[order].cpu(), residuals.double().cpu() + basis.rounding, chosen.T.contiguous())

    rising = torch.arange(len(values), device=hessian.device)
    return Extremes(pairs(rising.flip(0)[:largest]), pairs(rising[:smallest]), len(values), "dense", "exact")


def lanczos_extremes(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    *,
    largest: int = 1,
    smallest: int = 1,
    tolerance: float = TOLERANCE,
    budget: int = BUDGET,
    seed: int = 0,
    memory: int = MEMORY,
    every: int = 1,
) -> Extremes:
    """Return the extreme eigenvalues of a symmetric operator `v (n,) -> H v (n,)`; `like`, shape (n,), gives n and the dtype.

    See `extreme_eigenvalues`. `memory` is what the basis may take, in bytes; three times what is wanted has room in any case.
    `every` is the least number of products from one look at the values to the next.

    Examples
    --------
    >>> spectrum = torch.linspace(1.0, 2.0, 1000, dtype=torch.float64)
    >>> spectrum[7] = -0.5
    >>> found = lanczos_extremes(lambda vector: spectrum * vector, spectrum, largest=0, tolerance=1e-6)
    >>> round(found.smallest.values.item(), 9), found.products < 30
    (-0.5, True)
    """
    keep = _Ends(largest, smallest)
    look, status = None, "budget"
    rows = rows_in(memory, like, 3 * (largest + smallest) + LEAST_PRODUCTS)
    for look in lanczos(refusing(product), like, budget=budget, seed=seed, rows=rows, keep=keep, every=every):
        status = _status(look, keep, tolerance)
        if status != "budget":
            break
    if look is None:
        none = Eigenpairs(torch.zeros(0).double(), torch.zeros(0).double(), like[None, :][:0])
        return Extremes(none, none, 0, "lanczos", status, seed)
    top, bottom = keep.top(look.values), keep.bottom(look.values)
    return Extremes(_pairs(look, top), _pairs(look, bottom), look.products, "lanczos", status, seed)


class _Ends:
    """Which Ritz values, rising, are wanted at either end, and which more are kept in a restart."""

    def __init__(self, largest: int, smallest: int) -> None:
        self.largest, self.smallest = largest, smallest

    def top(self, values: np.ndarray) -> np.ndarray:
        return np.arange(len(values))[::-1][: self.largest]

    def bottom(self, values: np.ndarray) -> np.ndarray:
        return np.arange(len(values))[: self.smallest]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Keep the wanted ones and, as neighbours speed up convergence, half of what room is left."""
        wanted = self.largest + self.smallest
        spare = (len(values) - wanted) // 2
        below = self.smallest + spare * self.smallest // max(wanted, 1)
        above = self.largest + spare * self.largest // max(wanted, 1)
        return np.concatenate([np.arange(below), np.arange(len(values) - above, len(values))])


def _status(look: Look, ends: _Ends, tolerance: float) -> str:
    """Return why the process may stop here, "budget" if it may not.

    Once a space has closed, only further closed ones tell anything: as many as copies may be wanted of one eigenvalue.
    """
    if look.is_whole:
        return "exact"
    if look.closed:
        return "closed" if look.is_closed and look.closed >= max(ends.largest, ends.smallest) else "budget"
    enough = look.products >= LEAST_PRODUCTS and len(look.values) >= ends.largest + ends.smallest
    wanted = look.residuals[np.r_[ends.top(look.values), ends.bottom(look.values)]]
    return "converged" if enough and np.all(wanted <= tolerance * look.largest) else "budget"


def _pairs(look: Look, chosen: np.ndarray) -> Eigenpairs:
    """Return Ritz pairs with their vectors."""
    weights = torch.from_numpy(look.weights[:, chosen].T.copy()).to(look.krylov.rows)
    residuals = torch.from_numpy(look.residuals[chosen] + look.rounding)
    return Eigenpairs(torch.from_numpy(look.values[chosen].copy()), residuals, weights @ look.krylov.basis)


def _check(largest: int, smallest: int, tolerance: float, budget: int, seed: int) -> None:
    """Refuse what is no number of eigenvalues, no tolerance, no budget or no seed."""
    whole_number("largest", largest, least=0, do="give how many eigenvalues from above")
    whole_number("smallest", smallest, least=0, do="give how many eigenvalues from below")
    whole_number("budget", budget, least=0, do="give the most Hessian products")
    seed_number(seed)
    if not real_number(tolerance) > 0:
        raise SpinodalError(got=f"tolerance = {tolerance!r}", allowed="a positive number is allowed", do="try 1e-5")

"""The saddle index: how many directions the surface bends down in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from spinodal.arguments import seed_number, whole_number
from spinodal.codec import Record, one_of
from spinodal.counts import Counts
from spinodal.definitions import INDEX_SETTLED
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.shown import Shown
from spinodal.spectrum.eigenbasis import Eigenbasis, zero_fraction
from spinodal.spectrum.extremes import MEMORY
from spinodal.spectrum.lanczos import LEAST_PRODUCTS, Look, lanczos, rows_in
from spinodal.spectrum.operator import HessianOperator, affords_dense, eigenbases, method_for, refusing

BUDGET = 200  # products
ROWS = 40  # least basis vectors in memory
STATUSES = {
    "exact": "exact: counted among all eigenvalues",
    "precision": "counted among all eigenvalues in single precision, in which small ones are not told from zero",
    "closed": "a lower bound: the last Krylov space held no further negative direction, and there is none with probability one",
    "settled": "a lower bound: all negative values seen and the next one have converged, and a further start showed no more",
    "memory": "a lower bound: memory for more directions is used up; a landscape with more of it may show more",
    "budget": "a lower bound: the products are spent; more of them may show more negative directions",
}

UNFINISHED = ("budget", "memory")  # go on while there are products


@dataclass(frozen=True, repr=False)
class SaddleIndex(Shown, Record):
    """The number of negative eigenvalues of a Hessian outside its zero modes, or a lower bound of it.

    Attributes
    ----------
    value : int
    is_exact : bool
        Whether all eigenvalues were computed, in float64. Otherwise `value` is a lower bound.
    products : int
        Hessian products used; a dense Hessian counts as n of them.
    lowest : float
        The smallest eigenvalue; of a lower bound the smallest Ritz value, which it cannot lie above. NaN without products.
    zero_modes : int or None
        Number of zero modes; None where they cannot be counted.
    method : str
        "dense" or "lanczos".
    status : str
        A key of `STATUSES`.
    seed : int
    spent : Counts

    Examples
    --------
    >>> print(SaddleIndex(2, is_exact=True, products=9), "and", SaddleIndex(2, is_exact=False, products=9))
    2 and >= 2
    """

    JSON = "value exact=is_exact lowest zero_modes products method status"

    value: int
    is_exact: bool
    products: int = 0
    lowest: float = float("nan")
    zero_modes: int | None = None
    method: str = "dense"
    status: Annotated[str, one_of(STATUSES)] = "exact"
    seed: int = 0
    spent: Counts = field(default_factory=Counts)

    def __int__(self) -> int:
        return self.value

    def __str__(self) -> str:
        """Return the index as words have it: `2`, or `>= 2` for a lower bound."""
        return f"{self.value}" if self.is_exact else f">= {self.value}"


def saddle_index(
    landscape: Landscape,
    theta: object,
    *,
    beta: float = 0.0,
    penalty: Penalty | None = None,
    budget: int | None = None,
    method: str = "auto",
    seed: int = 0,
) -> SaddleIndex:
    """Return how many eigenvalues of the Hessian of E (beta = 0), or of L, are negative, outside its zero modes.

    A zero mode is an eigenvalue that is zero up to rounding and to what is left of the gradient (see `Margin`). At an L2
    minimiser directions with eigenvalues between `-2 beta` and 0 count for E and not for L.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), or a module
    beta : float
        Default 0: of E.
    penalty : Penalty, optional
        Centre and mask. Default: all parameters, the origin.
    budget : int, optional
        Most Hessian products, n of them for a dense Hessian. Default: a dense Hessian where dense Newton is the solver of
        choice (see `solver_for`) or n is at most `BUDGET`, otherwise up to `BUDGET` products. Not dense in float32.
    method : {"auto", "dense", "lanczos"}
    seed : int
        Of the start vectors. Default 0.

    Returns
    -------
    SaddleIndex
        Exact from a dense Hessian in float64. Otherwise the number of Ritz values that are negative beyond rounding: by
        Cauchy's interlacing no more than there are such eigenvalues, and printed as `>= k`.

    Raises
    ------
    SpinodalError
        For arguments that do not fit, and second derivatives that do not exist or are not finite.

    Notes
    -----
    *What it is not:* the lower bound is no estimate: k products show k directions at most. Of equal eigenvalues a start vector
    shows one; while the budget lasts further starts, beside what was found, look for the others. What counts as rounding is
    measured: the part of the products that no symmetric operator can have.

    Source: Cauchy's interlacing theorem; B. Parlett, *The Symmetric Eigenvalue Problem*, ch. 10.

    Examples
    --------
    `E = (1 - w1 w2 w3)^2 / 2` at (-1, 1, 1): eigenvalues -1, -1 and 5, twice a saddle.

    >>> class Chain(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.tensor([0.0, 0.0, 0.0]))
    >>> E = Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> print(saddle_index(E, torch.tensor([-1.0, 1.0, 1.0])), saddle_index(E, torch.tensor([-1.0, 1.0, 1.0]), beta=2.0))
    2 0
    """
    (index,) = saddle_indices(landscape, theta, betas=(beta,), penalty=penalty, budget=budget, method=method, seed=seed)
    return index


def saddle_indices(
    landscape: Landscape,
    theta: object,
    *,
    betas: Sequence[float],
    penalty: Penalty | None = None,
    budget: int | None = None,
    method: str = "auto",
    seed: int = 0,
) -> tuple[SaddleIndex, ...]:
    """Return the saddle index for several beta, 0 for that of E, from one dense Hessian or the same products.

    See `saddle_index`. H does not depend on beta, so that one Krylov space serves all, unless the penalty has a mask: then the
    budget is that of each. `products` and `spent` are those of all together, otherwise.
    """
    if budget is not None:
        whole_number("budget", budget, least=0, do="give the most Hessian products")
    seed_number(seed)
    operators = [HessianOperator.at(landscape, theta, beta=beta, penalty=penalty) for beta in betas]
    before = landscape.counts.copy()
    found: Iterable[SaddleIndex]
    if method_for(method, _is_affordable(landscape, budget)) == "dense":
        hessian = landscape.hessian(operators[0].theta)
        gradient = landscape.gradient(operators[0].theta)
        found = map(index_of, eigenbases(operators, hessian, gradient, vectors=False))
    else:
        run = partial(lanczos_indices, budget=BUDGET if budget is None else budget, seed=seed, memory=landscape.memory)
        if penalty is None or (isinstance(penalty, Penalty) and penalty.mask is None):
            error, shifts = operators[0].of_error(), [2.0 * operator.loss.beta for operator in operators]
            found = run(error, error.theta, shifts=shifts)
        else:
            found = [index for operator in operators for index in run(operator, operator.theta)]
    spent = landscape.counts - before
    return tuple(replace(index, seed=seed, spent=spent) for index in found)


def _is_affordable(landscape: Landscape, budget: int | None) -> bool:
    """Tell whether a dense Hessian is within the budget, and precise enough to count its eigenvalues."""
    if landscape.dtype != torch.float64:
        return False
    most = BUDGET if budget is None else budget
    return landscape.size <= most or (budget is None and affords_dense(landscape))


def index_of(basis: Eigenbasis) -> SaddleIndex:
    """Return the index that all eigenvalues tell: a lower bound where their entries were computed in single precision.

    Examples
    --------
    >>> from spinodal.spectrum.eigenbasis import eigenbasis
    >>> index = index_of(eigenbasis(torch.diag(torch.tensor([-2.0, 0.0, 1.0], dtype=torch.float64)), vectors=False))
    >>> index.value, index.zero_modes, index.lowest
    (1, 1, -2.0)
    """
    values, exact = basis.values, basis.precision == torch.float64
    status = "exact" if exact else "precision"
    return SaddleIndex(basis.index, exact, len(values), float(values[0]), basis.zero_modes, "dense", status)


def lanczos_indices(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    *,
    shifts: Sequence[float] = (0.0,),
    budget: int = BUDGET,
    seed: int = 0,
    memory: int = MEMORY,
) -> tuple[SaddleIndex, ...]:
    """Return lower bounds of the indices of `H + shift` for several shifts from the same products `v (n,) -> H v (n,)`.

    `like`, shape (n,), gives n and the dtype; `memory` is what the basis may take, in bytes. See `saddle_index`.

    Examples
    --------
    >>> spectrum = torch.linspace(1.0, 2.0, 1000, dtype=torch.float64)
    >>> spectrum[:2] = torch.tensor([-0.5, -0.1])
    >>> print(*lanczos_indices(lambda vector: spectrum * vector, spectrum, shifts=(0.0, 0.2)))
    >= 2 >= 1
    """
    rows = rows_in(memory, like, ROWS)
    room = len(like) if rows >= len(like) else rows // 2  # what a restart leaves, see `_lowest`
    counters, locked = [_Counter(shift, seed, room) for shift in shifts], 0
    for look in lanczos(refusing(product), like, budget=budget, seed=seed, rows=rows, keep=_lowest):
        for counter in counters:
            counter.see(look)
        if any(counter.found.status in UNFINISHED for counter in counters):
            continue
        seen = max(counter.found.value for counter in counters)
        if look.is_closed or seen == locked:
            break
        if look.products < budget:  # copies of what was found may be left: look for them outside of it
            locked = seen
            look.krylov.lock(look.values[:seen], look.weights[:, :seen])
            for counter in counters:
                counter.rest(look.products)
    return tuple(counter.found for counter in counters)


class _Counter:
    """Counts negative eigenvalues of `H + shift` as a Krylov space grows; beyond `room` of them restarts forget some."""

    def __init__(self, shift: float, seed: int, room: int) -> None:
        self.shift, self.room = shift, room
        self.found = SaddleIndex(0, False, 0, method="lanczos", status="budget", seed=seed)
        self.counted = 0  # when the last space closed
        self.since = 0  # products before the present space began

    def see(self, look: Look) -> None:
        """Look at the Ritz values once more."""
        values = look.values + self.shift
        zero = _zero(look, float(np.abs(values).max()))
        below = max(self.found.value, int(np.sum(values < -zero)))
        status = self._status(look, values, below, zero)
        exact = status == "exact"
        modes = int(np.sum(np.abs(values) <= zero)) if exact else None
        self.found = replace(
            self.found, value=below, is_exact=exact, products=look.products, lowest=float(values[0]), zero_modes=modes,
            status=status,
        )  # fmt: skip
        if look.is_closed:
            self.counted = below

    def rest(self, products: int) -> None:
        """Begin anew beside what was found."""
        self.since = products
        self.found = replace(self.found, status="budget")

    def _status(self, look: Look, values: np.ndarray, below: int, zero: float) -> str:
        """Return why no more is to be looked for, "budget" if it is."""
        if look.is_whole and look.krylov.rows.dtype == torch.float64:
            return "exact"
        if below > self.room:
            return "memory"
        if look.is_closed:
            return "closed" if below == self.counted else "budget"
        if look.closed or look.products - self.since < LEAST_PRODUCTS or below >= len(values):
            return "budget"
        seen, residuals = np.abs(values[: below + 1]), look.residuals[: below + 1]
        return "settled" if np.all(residuals <= np.maximum(INDEX_SETTLED * seen, zero)) else "budget"


def _lowest(values: np.ndarray) -> np.ndarray:
    """Keep half of the Ritz values in a restart: the lowest, but for the largest one, which sets what is zero."""
    return np.append(np.arange(len(values) // 2), len(values) - 1)


def _zero(look: Look, largest: float) -> float:
    """Return the magnitude up to which a Ritz value may belong to a zero mode, on the safe side."""
    return zero_fraction(look.krylov.rows.dtype) * (largest + look.krylov.leak) + look.rounding

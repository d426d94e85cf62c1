"""The solvers: one record for each method, and which one serves a landscape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from spinodal.definitions import BRACKET_DENSE, BRACKET_ROUGH
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.minima.kronecker import Kronecker
from spinodal.minima.landmark import Landmark, price
from spinodal.minima.lbfgs import Preconditioned, lbfgs
from spinodal.minima.newton import newton
from spinodal.minima.newton_cg import newton_cg
from spinodal.minima.solution import LOST, Departure, Solution
from spinodal.spectrum.margin import LANCZOS_STEPS
from spinodal.spectrum.operator import SMALL

LARGE, DEAR = 800, 2000  # parameters up to which a dense Hessian may be kept, and the gradients that it may cost then
LARGER, CHEAP = 2000, 700  # the same where points share Hessians
FLOAT32_TOLERANCE = 1e-3
AIDED = 2000  # most iterations with a preconditioner, before plain ones take over


@dataclass(frozen=True)
class Search:
    """What one run of a solver is given beside L and its start.

    Attributes
    ----------
    tolerance : float
        The residual to reach, relative to `Regularised.scale`.
    radius : float
        Of the first trust region.
    landmark, factors : Landmark or None, Kronecker or None
        Second-order knowledge from nearby.
    has_left : Departure or None
        Tells that the search is far from where it should have stayed.
    patience : float
        Part of the cost of a Hessian after which a search from a landmark is given up, as one where it has come to serves it
        better ("underway").
    """

    tolerance: float
    radius: float
    landmark: Landmark | None = None
    factors: Kronecker | None = None
    has_left: Departure | None = None
    patience: float = math.inf


class Run(Protocol):
    """One run of a method from a start."""

    def __call__(self, loss: Regularised, start: Tensor, search: Search) -> Solution:
        """Return where it led."""
        ...


@dataclass(frozen=True)
class Solver:
    """A method of minimisation, and all that follows from its choice.

    Attributes
    ----------
    name : str
        What it is asked for by.
    run : callable (loss, start, Search) -> Solution
    tolerance : float
        Relative residual in float64, unless another one is asked for.
    float32_tolerance : float or None
        The same in float32; None where it works in float64 only.
    bracket : float
        Relative width to which macroscopic transitions are bracketed.
    sees_kinks : bool
        Whether its margins and slopes are accurate enough to tell kinks, and orders: second-order methods.
    is_dense : bool
        Whether it takes dense Hessians, which count zero modes, and serve neighbours as landmarks.
    takes_factors : bool
        Whether Kronecker factors of a neighbour help it.
    escapes : int
        Descents from saddles before one is reported as such.
    margin_steps : int
        Most Hessian products for a margin without a dense Hessian.
    tangent : (float, int)
        Relative residual and most products of a solve with Hess L, for the tangent of a branch.
    certifies : bool
        Whether its ends are to be certified as minima; training for a number of epochs ends at none.
    """

    name: str
    run: Run
    tolerance: float
    float32_tolerance: float | None
    bracket: float
    sees_kinks: bool
    is_dense: bool
    takes_factors: bool
    escapes: int
    margin_steps: int
    tangent: tuple[float, int]
    certifies: bool = True

    def tolerance_in(self, dtype: torch.dtype, asked: float | None = None) -> float:
        """Return the relative residual that is minimised to: the one asked for, or the default at this precision."""
        return asked or (self.tolerance if dtype == torch.float64 else self.float32_tolerance or FLOAT32_TOLERANCE)

    def refuse(self, dtype: torch.dtype) -> None:
        """Refuse a precision in which the solver does not work."""
        if dtype != torch.float64 and self.float32_tolerance is None:
            raise SpinodalError(
                got=f"solver {self.name} in {str(dtype).removeprefix('torch.')}",
                allowed=f"{self.name} certifies, and does so in float64 only",
                do="use float64, or another solver",
            )


def _newton(loss: Regularised, start: Tensor, search: Search) -> Solution:
    return newton(
        loss, start, tolerance=search.tolerance, radius=search.radius, landmark=search.landmark, has_left=search.has_left,
        patience=search.patience,
    )  # fmt: skip


def _newton_cg(loss: Regularised, start: Tensor, search: Search) -> Solution:
    return newton_cg(loss, start, tolerance=search.tolerance, radius=search.radius)


def _lbfgs(loss: Regularised, start: Tensor, search: Search) -> Solution:
    if search.factors is not None:
        aided = _aided(loss, start, search, search.factors)
        if aided.stop in ("converged", "left", *LOST):
            return aided
        start = aided.theta
    return lbfgs(loss, start, tolerance=search.tolerance, has_left=search.has_left)


def _aided(loss: Regularised, start: Tensor, search: Search, factors: Kronecker) -> Solution:
    """Minimise by L-BFGS in the coordinates of Kronecker factors, which are charged each time that they are used."""
    loss.landscape.ledger.charge(passes=factors.price)
    memory = Preconditioned(start, factors.at_beta(loss.unit), 0.3 * (1.0 + float(start.norm())))
    return lbfgs(loss, start, tolerance=search.tolerance, iterations=AIDED, has_left=search.has_left, memory=memory)


NEWTON = Solver(
    name="newton", run=_newton, tolerance=1e-9, float32_tolerance=None, bracket=BRACKET_DENSE, sees_kinks=True, is_dense=True,
    takes_factors=False, escapes=20, margin_steps=300, tangent=(1e-6, 500),
)  # fmt: skip
NEWTON_CG = Solver(
    name="newton_cg", run=_newton_cg, tolerance=1e-7, float32_tolerance=FLOAT32_TOLERANCE,
    bracket=BRACKET_ROUGH, sees_kinks=True,
    is_dense=False, takes_factors=False, escapes=3, margin_steps=300, tangent=(1e-6, 500),
)  # fmt: skip
LBFGS = Solver(
    name="lbfgs", run=_lbfgs, tolerance=1e-4, float32_tolerance=FLOAT32_TOLERANCE,
    bracket=BRACKET_ROUGH, sees_kinks=False,
    is_dense=False, takes_factors=True, escapes=3, margin_steps=LANCZOS_STEPS, tangent=(0.05, 30),
)  # fmt: skip
SOLVERS = {solver.name: solver for solver in (NEWTON, NEWTON_CG, LBFGS)}


def solver_named(name: str | Solver) -> Solver:
    """Return the solver of a name, or refuse an unknown one; a solver is returned as it is.

    Examples
    --------
    >>> solver_named("lbfgs").sees_kinks
    False
    """
    if isinstance(name, Solver):
        return name
    if name not in SOLVERS:
        raise unknown_name("solver", name, ("auto", *SOLVERS))
    return SOLVERS[name]


def is_dense(name: str) -> bool:
    """Tell whether a solver that made a result takes dense Hessians; one that is not known any more does not."""
    return name in SOLVERS and SOLVERS[name].is_dense


def sees_kinks(name: str) -> bool:
    """Tell whether a solver that made a result sees kinks; one that is not known any more does not."""
    return name in SOLVERS and SOLVERS[name].sees_kinks


def solver_for(landscape: Landscape, solver: str = "auto") -> str:
    """Return the solver's name, choosing by counted cost where `solver` is "auto".

    Newton in float64 up to 500 parameters, up to 800 where a dense Hessian with its factorisation costs at most 2,000
    gradients (see `Counts`), as it does unless samples are few, and up to 2,000 where at most 700, as of feed-forward networks
    with a thousand samples and more; L-BFGS beyond and in float32.
    """
    if solver != "auto":
        chosen = solver_named(solver)
        chosen.refuse(landscape.dtype)
        return chosen.name
    if landscape.dtype != torch.float64 or landscape.size > LARGER:
        return LBFGS.name
    dear = DEAR if landscape.size <= LARGE else CHEAP
    return NEWTON.name if landscape.size <= SMALL or price(landscape) <= dear else LBFGS.name

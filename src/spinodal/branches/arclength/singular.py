"""Newton's iteration onto a singular point of a branch: a fold, or a branch point."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spinodal.branches.arclength.bordered import Spectrum
from spinodal.branches.arclength.corrector import TOLERANCE
from spinodal.branches.arclength.equations import Equations
from spinodal.definitions import REACHABLE, SINGULAR, SINGULAR_MET, TOGETHER

MOST = 12  # Newton steps


@dataclass(frozen=True)
class Singular:
    """Where an iteration has come to.

    Attributes
    ----------
    theta, beta, loss, residual : as of a solved point
    spectrum : Spectrum
    mode : Tensor, shape (n,)
        phi, the unit vector that Hess L (nearly) sends to zero.
    curvature : float
        `phi . Hess L phi`.
    bend : float
        `D^3 E [phi, phi, phi]`; 0 by symmetry at a pitchfork.
    crossing : float
        Rate `dcurvature/dbeta` along the trunk: the branch on which phi has no part.
    trunk : Tensor, shape (n,)
        `dtheta/dbeta` of that branch.
    multiplicity : int
        Number of modes that vanish together, zero modes of symmetries among them.
    iterations : int
    converged : bool
    """

    theta: Tensor
    beta: float
    loss: float
    residual: Tensor
    spectrum: Spectrum
    mode: Tensor
    curvature: float
    bend: float
    crossing: float
    trunk: Tensor
    multiplicity: int
    iterations: int
    converged: bool


def polish_fold(equations: Equations, theta: Tensor, beta: float, mode: Tensor) -> Singular:
    """Solve `F = 0`, `phi . Hess L phi = 0` for `(theta, beta)` from nearby.

    Newton's method on the extended system (Moore & Spence 1980) in the eigenbasis of the symmetric Hess L.
    The derivative of the eigenvalue is `D^3 L [phi, phi, dtheta] + phi . Hess C phi dbeta`, exact by automatic
    differentiation. Zero modes are left alone.
    """
    return _polish(equations, theta, beta, mode, _fold_step, together=0.0)


def polish_branch_point(equations: Equations, theta: Tensor, beta: float, mode: Tensor) -> Singular:
    """Solve `F = 0` across phi, `phi . Hess L phi = 0`, `phi . (theta - centre) = 0` from nearby.

    The last equation, which says that dF/dbeta lies in the range of Hess L, replaces the component of F
    along phi; that component vanishes at a true branch point, and the result's residual tells.
    """
    return _polish(equations, theta, beta, mode, _branch_step, together=TOGETHER)


@dataclass(frozen=True)
class _Local:
    """The linear problem of one step: displacements `across + along a + with_beta b`."""

    equations: Equations
    theta: Tensor
    beta: float
    mode: Tensor
    curvature: float
    residual: Tensor
    column: Tensor
    bend: Tensor  # D^3 E [phi, phi, .]
    across: Tensor  # solves F = 0 in the other modes
    with_beta: Tensor  # dtheta / dbeta in the other modes
    resolvent: Callable[[Tensor], Tensor]  # inverse of Hess L in the other modes


def _polish(
    equations: Equations,
    theta: Tensor,
    beta: float,
    mode: Tensor,
    step: Callable[[_Local], tuple[float, float]],
    *,
    together: float,
) -> Singular:
    best: Singular | None = None
    for count in range(MOST):
        loss, residual = equations.value_and_residual(theta, beta)
        spectrum = equations.spectrum(theta, beta, residual)
        mode, curvature = _soft_mode(spectrum, mode)
        bend = equations.third_product(theta, beta, mode, mode)
        local, vanishing = _local(equations, theta, beta, residual, spectrum, mode, curvature, bend, together)
        crossing = float(bend @ local.with_beta) + 2.0 * float(mode @ equations.bent(theta, mode))
        size = float(residual.norm()) / equations.scale(theta, beta)
        found = Singular(
            theta, beta, loss, residual, spectrum, mode, curvature, float(bend @ mode), crossing, local.with_beta,
            vanishing, count, size <= REACHABLE and abs(curvature) <= SINGULAR * spectrum.scale,
        )  # fmt: skip
        if found.converged and size <= TOLERANCE and abs(curvature) <= SINGULAR_MET * SINGULAR * spectrum.scale:
            return found
        if best is not None and not _defect(found, equations) < 0.5 * _defect(best, equations):
            if best.converged or count > MOST // 2:
                break
        else:
            best = found
        a, b = step(local)
        theta, beta = theta + local.across + a * mode + b * local.with_beta, beta + b
        if not (math.isfinite(a) and equations.axis.allows(beta)):
            break
    return best or found


def _defect(found: Singular, equations: Equations) -> float:
    """Return how far an iterate is from solving its equations, both made relative."""
    size = float(found.residual.norm()) / equations.scale(found.theta, found.beta)
    return size + abs(found.curvature) / found.spectrum.scale


def _soft_mode(spectrum: Spectrum, guess: Tensor) -> tuple[Tensor, float]:
    """Return the mode that the guess has become: one eigenvector, or its part among those that vanish."""
    overlaps = (spectrum.vectors.T @ guess).abs() / (spectrum.values.abs() / spectrum.scale + 1e-6) ** 0.5
    likeliest = abs(float(spectrum.values[int(overlaps.argmax())]))
    if likeliest <= spectrum.null:
        return spectrum.softest(guess, spectrum.null)
    vector = spectrum.vectors[:, int(overlaps.argmax())]
    vector = vector if float(vector @ guess) >= 0 else -vector
    return vector, float(spectrum.values[int(overlaps.argmax())])


def _local(
    equations: Equations,
    theta: Tensor,
    beta: float,
    residual: Tensor,
    spectrum: Spectrum,
    mode: Tensor,
    curvature: float,
    bend: Tensor,
    together: float,
) -> tuple[_Local, int]:
    others = spectrum.values.abs() > max(spectrum.null, together * abs(curvature))
    values, vectors = spectrum.values[others], spectrum.vectors[:, others]
    if abs(curvature) > spectrum.null and not together:  # the soft mode is one of them: take it out
        keep = (vectors.T @ mode).abs() < 0.5
        values, vectors = values[keep], vectors[:, keep]

    def resolvent(vector: Tensor) -> Tensor:
        return vectors @ ((vectors.T @ vector) / values)

    column = equations.column(theta)
    across, with_beta = resolvent(-residual), resolvent(-column)
    local = _Local(equations, theta, beta, mode, curvature, residual, column, bend, across, with_beta, resolvent)
    return local, len(spectrum.values) - len(values)


def _fold_step(local: _Local) -> tuple[float, float]:
    """Return `(a, b)` of the step along phi and in beta, from the equations along phi and for the eigenvalue."""
    bend = local.bend
    penalised = 2.0 * float(local.mode @ local.equations.bent(local.theta, local.mode))
    matrix = [
        [local.curvature, float(local.column @ local.mode)],
        [float(bend @ local.mode), float(bend @ local.with_beta) + penalised],
    ]
    right = [-float(local.residual @ local.mode), -local.curvature - float(bend @ local.across)]
    return _two_by_two(matrix, right)


def _branch_step(local: _Local) -> tuple[float, float]:
    """Return `(a, b)` from the equations for the overlap of phi with `theta - centre`, and for the eigenvalue.

    phi turns with theta: `dphi . offset = -D^3 E [z, phi, dtheta]` with `z` the inverse of Hess L, in the
    other modes, on the offset.
    """
    mode, bend = local.mode, local.bend
    offset = 0.5 * local.column
    turned = local.resolvent(offset)
    masked = local.equations.bent(local.theta, mode)
    overlap = masked - local.equations.third_product(local.theta, local.beta, turned, mode)
    matrix = [
        [float(overlap @ mode), float(overlap @ local.with_beta) - 2.0 * float(turned @ masked)],
        [float(bend @ mode), float(bend @ local.with_beta) + 2.0 * float(mode @ masked)],
    ]
    right = [-float(offset @ mode) - float(overlap @ local.across), -local.curvature - float(bend @ local.across)]
    return _two_by_two(matrix, right)


def _two_by_two(matrix: list[list[float]], right: list[float]) -> tuple[float, float]:
    """Solve a system of two equations, in the least-squares sense where it is singular."""
    system = np.array(matrix)
    if not np.isfinite(system).all():
        return math.nan, math.nan
    a, b = np.linalg.lstsq(system, np.array(right), rcond=1e-14)[0]
    return float(a), float(b)

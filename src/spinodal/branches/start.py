"""Where a walk begins, and within which beta it stays; what cannot be solved is refused with its residual."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.branches.branch import Branch
from spinodal.branches.point import StationaryPoint
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.axis import LOG, Axis
from spinodal.landscape.control import Control
from spinodal.minima.minimise import Minimum, minimise

BEYOND = 1e3  # how far, as a factor, a branch is followed past its start or its goal on the side where no end was given
Start = Minimum | StationaryPoint | Branch | Tensor


@dataclass(frozen=True)
class Candidate:
    """Where a walk is asked to begin."""

    theta: Tensor
    beta: float


def candidate(landscape: Landscape, start: Start, beta: float | None, control: Control) -> Candidate:
    """Return theta and beta of a start; what comes as a tensor is minimised."""
    point = start.points[-1] if isinstance(start, Branch) else start
    if isinstance(point, Minimum | StationaryPoint):
        if beta is not None and beta != point.beta:
            raise SpinodalError(
                got=f"beta = {beta!r} and a start at beta = {point.beta!r}",
                allowed="a start that has its own beta is continued from there",
                do="leave beta out, or minimise at the other beta first",
            )
        if isinstance(point, StationaryPoint) or point.converged:
            return Candidate(landscape.vector(point.theta), point.beta)
        beta = point.beta
    if beta is None:
        raise SpinodalError(
            got="a start without beta", allowed="a tensor and its beta, or a Minimum, is allowed", do="add beta=..."
        )
    theta = point.theta if isinstance(point, Minimum) else point
    minimum = minimise(landscape, beta=beta, start=theta, control=control)
    if not minimum.converged:
        raise not_stationary(minimum.residual, beta, minimum.status)
    return Candidate(minimum.theta, minimum.beta)


def not_stationary(residual: float, beta: float, why: str = "no stationary point of L was found from it") -> SpinodalError:
    """Return the refusal of a start, with its residual."""
    return SpinodalError(
        got=f"the start is not stationary at beta = {beta:.6g}: its residual ||grad L|| is {residual:.2e} ({why})",
        allowed="a start from which a stationary point of L is reached is allowed",
        do="start from spinodal.minimise(...), or at another beta",
    )


def bounds_of(bounds: tuple[float, float] | None, beta: float, to: float, axis: Axis = LOG) -> tuple[float, float]:
    """Return the range of beta to stay in, or refuse one that does not hold the start."""
    if to == beta:
        raise SpinodalError(got=f"to = {to:g}, the start's beta", allowed="another beta is allowed", do="go up or down")
    low, high = min(beta, to), max(beta, to)
    if bounds is None:
        return (axis.reduced(low, BEYOND), high) if to > beta else (low, axis.enlarged(high, BEYOND))
    lower, upper = (axis.checked(value, "bounds") for value in bounds)
    if not lower < upper or not lower <= low or not high <= upper:
        raise SpinodalError(
            got=f"bounds = ({lower:g}, {upper:g})",
            allowed=f"LOW < HIGH that hold the start, {beta:g}, and to = {to:g}, are allowed",
            do=f"try ({axis.reduced(low, BEYOND):g}, {high:g})",
        )
    return lower, upper

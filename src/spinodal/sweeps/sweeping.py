"""The verb: walk from a minimum to another beta."""

from __future__ import annotations

from typing import Literal, overload

from spinodal.counts import Counts
from spinodal.definitions import LEAST_RANGE, TENTH_OF_ERROR
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control, checked_control, one_control
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import Minimum, solver_for
from spinodal.observe import Observer
from spinodal.sweeps.loop import Loop
from spinodal.sweeps.point import Point
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.walk import Walker
from spinodal.tasks.task import Task

DIRECTIONS = ("up", "down", "loop")


@overload
def sweep(
    landscape: Landscape,
    *,
    start: Minimum,
    to: float,
    direction: Literal["up", "down"] | None = None,
    penalty: Control | None = None,
    control: Control | None = None,
    solver: str = "auto",
    bracket: float | None = None,
    task: Task | None = None,
) -> Sweep: ...
@overload
def sweep(
    landscape: Landscape,
    *,
    start: Minimum,
    to: float,
    direction: Literal["loop"],
    penalty: Control | None = None,
    control: Control | None = None,
    solver: str = "auto",
    bracket: float | None = None,
    task: Task | None = None,
) -> Loop: ...
def sweep(
    landscape: Landscape,
    *,
    start: Minimum,
    to: float,
    direction: str | None = None,
    penalty: Control | None = None,
    control: Control | None = None,
    solver: str = "auto",
    bracket: float | None = None,
    task: Task | None = None,
) -> Sweep | Loop:
    """Walk from a minimum to another beta, warm-started, bracketing every discontinuity; in a loop, also back.

    Parameters
    ----------
    landscape : Landscape
    start : Minimum
        Where to begin (see `minimise`).
    to : float
        Where to end, > 0 unless a control allows other values. PyTorch's `weight_decay` is `2 * beta`.
    direction : {"up", "down", "loop"}, optional
        "loop" also walks back to the beta of `start`, from where the way there ended. Default: up or down,
        as follows from `to`.
    penalty, control : Penalty or another Control, optional
        What is turned, under either name; it must be the one that `start` minimises. Default: the L2 penalty, whole.
    solver : str
        See `solver_for`.
    bracket : float, optional
        Relative width of macroscopic brackets. Default 1e-5 dense, 1e-3 matrix-free.
    task : Task, optional
        For accuracies and output variance at every point.

    Returns
    -------
    Sweep, or Loop in a loop
        Discontinuities are called macroscopic relative to `|E(centre) - E(start)|`, or to a tenth of
        `|E(start)|` where that is larger, as in a trivial start, and never to less than `1e-9 (1 + |E(centre)|)`; as the
        walk goes on, to the largest change of E met. With a `Field`, E is that of the lowest value, `Point.height`.

    Raises
    ------
    SpinodalError
        If `direction` is none of these, or contradicts `to`.

    Examples
    --------
    The scalar chain of depth 3, `E = (1 - w1 w2 w3)^2 / 2`, jumps at beta = .236235:

    >>> import torch
    >>> from spinodal import minimise
    >>> class Chain(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(3))
    >>> E = Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> walk = sweep(E, start=minimise(E, beta=0.1, start=E.initial), to=0.4)
    >>> [(round(t.beta, 5), t.order) for t in walk.transitions]
    [(0.23624, 'first')]

    The zero state that it falls into stays a minimum for every beta > 0, so the way back meets nothing. The area
    is the integral of `3 w^2` along the branch, on which `beta = w (1 - w^3) / 2`:

    >>> loop = sweep(E, start=minimise(E, beta=0.1, start=E.initial), to=0.4, direction="loop")
    >>> len(loop.down.transitions), round(loop.area, 3)
    (0, 0.284)
    """
    turned = checked_control(one_control(penalty, control) or Penalty())
    to = turned.axis.checked(to, "to")
    _check_direction(direction, start.beta, to)
    turned = turned.over(start.beta, to)
    chosen = None if bracket is None else Resolution(bracket=bracket)
    name = solver_for(landscape, solver)
    walker = Walker(landscape, turned, Observer(landscape, turned, task), solver=name)
    first = walker.find(start.beta, lambda: (landscape.vector(start.theta), Counts(parameters=landscape.size)))
    error_range = _error_range(walker, first)
    scout = Scout(
        walker,
        error_range=error_range,
        norm_range=max(abs(first.norm_squared), error_range / (max(first.beta, to) - first.reference)),
        lowest=min(first.beta, to),
        resolution=chosen or Resolution(bracket=walker.solver.bracket),
    )
    there = scout.walk(first, to)
    if direction != "loop":
        return there
    back = scout.walk(there.points[-1], first.beta)
    return Loop(there, back) if to > first.beta else Loop(back, there)


def _error_range(walker: Walker, first: Point) -> float:
    """Return what jumps are compared with, as far as the first point tells."""
    centre = walker.control.trivial(first.minimum.theta)
    trivial = first.height if centre is None else walker.landscape.value(centre)
    return max(abs(trivial - first.height), TENTH_OF_ERROR * abs(first.height), LEAST_RANGE * (1.0 + abs(trivial)))


def _check_direction(direction: str | None, start: float, to: float) -> None:
    """Refuse an unknown direction, or one in which `to` does not lie."""
    if direction is None:
        return
    if direction not in DIRECTIONS:
        raise unknown_name("direction", direction, DIRECTIONS)
    if (direction == "up" and to < start) or (direction == "down" and to > start):
        raise SpinodalError(
            got=f"direction = {direction!r} from beta = {start:g} to {to:g}",
            allowed="a direction in which `to` lies, or 'loop', is allowed",
            do="leave direction out: it follows from `to`",
        )

"""`train`: training from one or many starts, as one computation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spinodal.arguments import real_number, seed_number, sequence, whole_number
from spinodal.dynamics.gradients import Gradients
from spinodal.dynamics.method import Method
from spinodal.dynamics.observing import Observing
from spinodal.dynamics.runs import Plan, Progress, Runs
from spinodal.dynamics.trajectory import Trajectory
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.spectrum.operator import strength

if TYPE_CHECKING:
    from spinodal.tasks.task import Task


def train(
    landscape: Landscape,
    start: Any,
    *,
    beta: float,
    learning_rate: float,
    epochs: int,
    method: str = "gd",
    momentum: float = 0.0,
    batch_size: int | None = None,
    temperature: float | None = None,
    seeds: int | Sequence[int] = 0,
    penalty: Penalty | None = None,
    levels: Sequence[float] = (),
    until: Callable[[Tensor], Tensor] | None = None,
    floor: float | None = None,
    task: Task | None = None,
    margins: bool = False,
    resume: Trajectory | None = None,
    progress: Progress | None = None,
    keep: Callable[[Trajectory], None] | None = None,
) -> Trajectory:
    """Train on `L = E + beta ||theta - centre||^2` from one or many starts, all of them in one batched computation.

    Parameters
    ----------
    landscape : Landscape
    start : Tensor of shape (n,) or (k, n), a module, what has a `theta`, or a sequence of these
        One start with several `seeds` is trained once for each.
    beta : float
        >= 0. PyTorch's `weight_decay` is `2 * beta`.
    learning_rate : float
        > 0. Full-batch descent is stable below `2 / lambda_max(Hess L)`.
    epochs : int
        Passes over the data; of the full-batch methods, steps.
    method : {"gd", "adam", "sgd", "langevin"}
        See `Method`. Default "gd": full-batch gradient descent.
    momentum : float
        Of "gd" and "sgd". Default 0.
    batch_size : int
        Of "sgd": samples of a mini-batch.
    temperature : float
        Of "langevin": the stationary density is `exp(-L / temperature)`.
    seeds : int or sequence of int
        Of noise and mini-batches, one for each run, or the first of consecutive ones. Default 0. A run depends on its own
        seed and start alone, not on the runs beside it.
    penalty : Penalty, optional
        Default: all parameters, the origin.
    levels : sequence of float
        Errors; when E first falls to each is timed, between two epochs (with mini-batches, between two recorded ones).
    until : callable thetas (k, n) -> (k,), optional
        A run arrives, and ends, where this is 0 or less.
    floor : float, optional
        A run arrives, and ends, where E is at this value or below. Not together with `until`.
    task : Task, optional
        Whose accuracy and held-out data are looked at.
    margins : bool
        Whether margins are recorded; each costs a Hessian or about a hundred products. Default False.
    resume : Trajectory, optional
        The beginning of the same runs, from an earlier call with fewer epochs, or from `keep`.
    progress : callable (epoch, errors), optional
    keep : callable Trajectory -> None, optional
        Called at every recorded epoch with what there is, to be kept.

    Returns
    -------
    Trajectory
        A run that diverges has ended with this as its status, with the epoch and the last error; the others go on.

    Raises
    ------
    SpinodalError
        For starts that do not fit, numbers that do not fit the method, mini-batches of data that are not samples, and a
        trajectory of other runs.

    Notes
    -----
    E and the norm are recorded at 48 epochs for every factor of ten, ranks, margins and accuracies at 8.

    Examples
    --------
    `E = (1 - w)^2` from w = 0: every step shrinks the distance to 1 by half.

    >>> class One(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = nn.Parameter(torch.tensor(0.0))
    >>> E = Landscape(One(), lambda model, batch: (1 - model.w) ** 2, None)
    >>> history = train(E, E.initial, beta=0.0, learning_rate=0.25, epochs=3, levels=(0.25,))
    >>> history.error.tolist(), history.crossings.item()
    ([[1.0, 0.25, 0.0625, 0.015625]], 1.0)
    """
    loss = Regularised(landscape, strength(beta), penalty or Penalty())
    how = Method(method, learning_rate, momentum, batch_size, temperature)
    if how.batch_size is not None:
        _refuse_batches(landscape, how.batch_size)
    thetas = starts_of(landscape, start)
    numbers = _seeds(seeds, len(thetas))
    thetas = thetas.expand(len(numbers), -1) if len(thetas) == 1 else thetas
    length = whole_number("epochs", epochs, least=0, do="give how long to train")
    observing = Observing(loss, task, margins=margins)
    plan = Plan(loss, how, length, _levels(levels), until, _floor(floor, until), observing)
    if resume is not None:
        _refuse_other(resume, plan, numbers)
    return Runs(plan, thetas.clone(), numbers, resume).run(progress, keep)


def starts_of(landscape: Landscape, start: Any) -> Tensor:
    """Return starts as rows, shape (k, n), or refuse them.

    Examples
    --------
    >>> line = nn.Linear(1, 1, bias=False)
    >>> E = Landscape(line, lambda model, batch: (1 - model.weight.sum()) ** 2, None)
    >>> starts_of(E, [torch.zeros(1), line]).shape
    torch.Size([2, 1])
    """
    if isinstance(start, nn.Module) or hasattr(start, "theta"):
        start = [start]
    if isinstance(start, Tensor) and start.dim() == 1:
        start = start[None]
    rows = sequence("start", start, of="points of the landscape", do="give a tensor of shape (n,) or (k, n)")
    if not rows:
        raise SpinodalError(got="no start", allowed="at least one start is needed", do="give a tensor of shape (n,) or (k, n)")
    return torch.stack([landscape.vector(getattr(row, "theta", row)) for row in rows])


def _seeds(seeds: int | Sequence[int], starts: int) -> tuple[int, ...]:
    """Return one seed for each run."""
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        numbers = tuple(seed_number(seed) for seed in seeds)
        if not numbers or starts not in (1, len(numbers)):
            raise SpinodalError(
                got=f"{len(numbers)} seeds for {starts} start{'s' if starts > 1 else ''}",
                allowed="one seed for each start, or several seeds for one start, are allowed",
                do="give one whole number, from which the seeds are counted",
            )
        return numbers
    first = seed_number(seeds)
    return tuple(range(first, first + starts))


def _levels(levels: Sequence[float]) -> tuple[float, ...]:
    given = sequence("levels", levels, of="errors", do="for example [0.1]")
    numbers = tuple(real_number(level) for level in given)
    if any(number != number for number in numbers):
        raise SpinodalError(got=f"levels = {levels!r}", allowed="numbers are allowed", do="for example [0.1]")
    return numbers


def _floor(floor: float | None, until: object) -> float:
    """Return the error at which runs end, minus infinity where there is none."""
    if floor is None:
        return -math.inf
    if until is not None or math.isnan(real_number(floor)):
        raise SpinodalError(
            got=f"floor = {floor!r}{' and until' if until is not None else ''}",
            allowed="a number, or `until`, is allowed",
            do="give one of them",
        )
    return real_number(floor)


def _refuse_batches(landscape: Landscape, size: int) -> None:
    gradients = Gradients(landscape)
    if not gradients.can_choose:
        raise SpinodalError(
            got=f"data in {landscape.batches.count} batches, or not made of samples",
            allowed="mini-batches are drawn from one batch whose tensors all have one row for each sample",
            do="give the data as one batch, or use a full-batch method",
        )
    if size > gradients.samples:
        raise SpinodalError(
            got=f"batch_size = {size} for {gradients.samples} samples", allowed="as many as there are at most", do="lower it"
        )


def _refuse_other(known: Trajectory, plan: Plan, seeds: tuple[int, ...]) -> None:
    """Refuse to go on with runs that began in another way."""
    there = {"beta": known.beta, "method": known.method, "seeds": known.seeds, "levels": known.levels}
    here = {"beta": plan.loss.beta, "method": plan.method, "seeds": seeds, "levels": plan.levels}
    different = [f"{name}: {there[name]!r} there, {here[name]!r} now" for name in there if there[name] != here[name]]
    if known.theta.shape[1] != plan.loss.landscape.size:
        different.append(f"parameters: {known.theta.shape[1]} there, {plan.loss.landscape.size} now")
    if int(known.state["epoch"][0]) > plan.epochs:
        different.append(f"epochs: {int(known.state['epoch'][0])} there, {plan.epochs} now")
    if different:
        raise SpinodalError(
            got=f"a trajectory of other runs ({'; '.join(different)})",
            allowed="the beginning of the same runs is allowed",
            do="repeat what began them with as many epochs or more, or leave `resume` out",
        )

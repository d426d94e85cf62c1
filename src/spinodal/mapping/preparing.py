"""A task prepared to be mapped, or refused with the cause, before anything is written."""

from __future__ import annotations

from collections.abc import Callable

import torch

from spinodal.errors import SpinodalError, blaming, refusing
from spinodal.landscape import Landscape
from spinodal.landscape.axis import LOG
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.penalty import l2
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.mapping.deepest import no_predictions
from spinodal.mapping.options import MapOptions
from spinodal.mapping.trial import try_start
from spinodal.minima.minibatch import refuse_without_samples
from spinodal.minima.minimise import solver_for
from spinodal.tasks.task import DTYPES, Task

Prepared = tuple[Landscape, Turned]


def prepare(
    task: Task,
    options: MapOptions,
    control: Control | None = None,
    *,
    on_landscape: Callable[[Landscape], None] = lambda landscape: None,
) -> Prepared:
    """Return the landscape and the control of a task, or refuse a task that cannot be mapped.

    `on_landscape` is told of the landscape as soon as there is one: what it remarks need not wait for the checks that follow.
    """
    _check_seed(options)
    device = usable_device(options.device)
    allowed, do = "a model, a loss and data that work together are allowed", "check the task, or add --debug to see where"
    with blaming(f"task {task.name}", allowed=allowed, do=do):
        landscape = task.landscape(
            dtype=DTYPES.get(options.dtype), device=device, soften=options.sharpness, shards=options.shards
        )
        on_landscape(landscape)
        turned = task.penalty(landscape, control)
        _refuse_unmappable(turned, options)
        refuse_scale_invariance(landscape, turned)
        chosen_solver(task, options, landscape)
        if options.grid is not None:
            l2(turned, "a grid of weight_decay", "leave the grid out")
            refuse_without_samples(landscape)
        landscape.require_second_derivatives()  # margins need them, after minutes
        view = try_start(task, landscape, turned, 1000 * options.seed)
    if options.beta is None and options.grid is None and view.output_variance is None:
        raise no_predictions()
    return landscape, turned


def chosen_solver(task: Task, options: MapOptions, landscape: Landscape) -> str:
    """Return the solver that the options name, else the task, else the size."""
    if options.grid is not None:
        return options.solver
    return solver_for(landscape, task.solver if options.solver == "auto" else options.solver)


def _refuse_unmappable(control: Turned, options: MapOptions) -> None:
    """Refuse a control along which there is no map, or not all of one."""
    if control.axis is not LOG:
        raise SpinodalError(
            got=f"a map along {control.convention}, whose {control.name} may have either sign",
            allowed="controls with positive values, from the deepest phase to the trivial one, are allowed",
            do="walk with spinodal.sweep(landscape, start=..., to=..., direction='loop', control=...)",
        )
    if options.curvature:
        l2(control, "the curvature of L", "leave curvature out")


def _check_seed(options: MapOptions) -> None:
    """Refuse a seed whose starts have no seed of 64 bits."""
    drawn = options.starts * (1 + options.repeats)
    if 1000 * abs(options.seed) + drawn > 2**63:
        raise SpinodalError(
            got=f"seed = {options.seed}",
            allowed=f"a whole number of size up to {2**63 // 1000 - drawn:,} is allowed",
            do="give a smaller one",
        )


def usable_device(name: str) -> torch.device:
    """Return the device of a name, or refuse it if it is not there."""
    with refusing(
        (RuntimeError, AssertionError),
        lambda cause: f"device {name!r} cannot be used ({str(cause).split(chr(10))[0]})",
        allowed="cpu, or cuda where it is available",
        do="try cpu",
    ):
        device = torch.device(name)
        torch.zeros(1, device=device)
        return device

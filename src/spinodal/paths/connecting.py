"""The door of the room: the lowest path between two points that a budget finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import accumulate

from torch import Tensor

from spinodal.arguments import switch
from spinodal.counts import Counts
from spinodal.landscape import Landscape
from spinodal.paths.alignment import align
from spinodal.paths.along import observed
from spinodal.paths.ends import end_of, module_at, refuse_same
from spinodal.paths.found import Found
from spinodal.paths.line import Line
from spinodal.paths.path import Path
from spinodal.paths.search import Search
from spinodal.paths.settings import BUDGET, Forgetful, Recorder, Settings
from spinodal.tasks.task import Task


def connect(
    landscape: Landscape,
    a: object,
    b: object,
    *,
    method: str = "l2",
    budget: float = BUDGET,
    tolerance: float | None = None,
    start: str = "straight",
    bends: int = 3,
    aligned: bool = False,
    task: Task | None = None,
    recorder: Recorder | None = None,
    tell: Callable[[str], None] = lambda what: None,
) -> Path:
    """Join two points of an error surface by a path on which E stays low.

    The default tries one way after the other until a path is low. Where samples are many (512 or more, over which E is a mean)
    it begins with a cubic curve, trained batch by batch at places where E is high: one pass over the data is worth many
    gradients there. Then comes the straight line: where E is largest it gets a point, E is minimised across the line there, and
    again where E is largest then. Where that leaves a barrier the L2 probe walks: it minimises `E + beta ||theta - b||^2` while
    beta rises, from a until theta is b, with smaller steps in beta where the minimiser jumps; what was walked is lowered in the
    same way, and its pass is relaxed as a whole, as a chain and as an elastic band; the same from b. The lowest of these is
    returned, lowered further by what is left of the budget; `way` says which that is.

    Parameters
    ----------
    landscape : Landscape
    a, b : Minimum, point, Snapshot, module, state dict, or theta of shape (n,)
        The ends. They need not be minima.
    method : {"l2", "walk", "straight", "bezier", "chain", "band"}
        "walk" is the L2 probe without what comes before it; "straight" only measures; "bezier" and "chain" train a quadratic
        curve or a polygonal chain; "band" is the nudged elastic band.
    budget : float
        What the search may cost in gradient-equivalents (see `Counts`), the final measurement aside. Default 3000.
    tolerance : float, optional
        A path that rises above its larger end by no more is not improved any further. Default: 1e-6 of the barrier of the
        straight line, 1e-4 in single precision.
    start : method that a band begins with, on half of the budget. Default "straight".
    bends : int
        Points between the ends of a chain or a band. Default 3.
    aligned : bool
        Whether the hidden units of b are put into the order of those of a before (see `align`): the path then ends at a point
        of the same function. Default False.
    task : Task, optional
        For accuracies and the held-out error along the path.
    recorder : Recorder, optional
        Where parts are kept as they are found, such as `spinodal.store.Journal`. Default: nowhere.
    tell : callable, optional
        Called with what is begun.

    Returns
    -------
    Path
        A barrier that stays is its status, not an exception.

    Raises
    ------
    SpinodalError
        If an end does not fit or is not finite, if both are the same, or for an unknown method.

    Notes
    -----
    *What it is not:* proof that no lower path exists. The largest E between points is that of all samples, with an
    `uncertainty` from the parabolas through them; a spike between samples is not seen.

    Examples
    --------
    A product of two weights that should be 1, on its two sides: every path passes a zero, where E is 1.

    >>> import torch
    >>> class Product(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    >>> E = Landscape(Product(), lambda model, batch: (1 - model.w.prod()) ** 2, None)
    >>> a, b = torch.tensor([2.0, 0.5]), torch.tensor([0.5, 2.0])
    >>> connect(E, a, b).reached, connect(E, a, -b).reached
    (True, False)
    >>> round(connect(E, a, -b).barrier, 2)
    1.0
    """
    first, last = end_of(landscape, a, "a"), end_of(landscape, b, "b")
    refuse_same(first, last)
    settings = Settings(method, start, budget, tolerance, bends, recorder or Forgetful(), tell)
    alignment = align(landscape, first, last) if switch("aligned", aligned) else None
    last = last if alignment is None else alignment.theta
    with landscape.counting() as spent:
        turned = _comes_first(landscape, last, first)
        ends, names = ((last, first), ("b", "a")) if turned else ((first, last), ("a", "b"))
        search = Search(landscape, ends, names, settings)
        line, found = search.run()
        found = search.with_saddles(found)
    return replace(_path(landscape, search, line, found, task, spent, turned=turned), alignment=alignment)


def _comes_first(landscape: Landscape, one: Tensor, other: Tensor) -> bool:
    """Tell which end a search begins with, so that a path and its reverse are sought in the same way: that of smaller E."""
    with landscape.uncounted():
        errors = landscape.value(one), landscape.value(other)
    return (errors[0], float(one.norm())) < (errors[1], float(other.norm()))


def _path(
    landscape: Landscape, search: Search, line: Line, found: Found, task: Task | None, spent: Counts, *, turned: bool
) -> Path:
    profile = _profile(line)
    if turned:
        found, profile = found.reversed(), tuple((1.0 - t, error) for t, error in reversed(profile))
    points = found.points
    top = max(error for _, error in profile)
    return Path(
        points=points,
        error=found.errors,
        profile=profile,
        uncertainty=max(0.0, line.highest()[2] - top),
        straight=search.height,
        tolerance=search.tolerance,
        method=search.settings.method,
        way=found.way,
        jumps=found.jumps,
        along=observed(landscape, points, task),
        stats=spent,
        make=partial(module_at, landscape),
    )


def _profile(line: Line) -> tuple[tuple[float, float], ...]:
    """Return all samples of E by arc length over the whole, in rising order."""
    lengths = line.lengths()
    begins = [0.0, *accumulate(lengths)]
    samples = {
        (begins[segment] + place * lengths[segment]) / begins[-1]: error
        for segment, interval in enumerate(line.intervals())
        for place, error in interval.samples
    }
    return tuple(sorted(samples.items()))

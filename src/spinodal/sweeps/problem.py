"""A problem prepared once: everything that walks need, wherever they are walked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.control import Turned
from spinodal.observe import Observation
from spinodal.sweeps.point import Point
from spinodal.sweeps.recorder import Recorder
from spinodal.sweeps.walk import Walker
from spinodal.tasks.blame import Owner, nobody


@dataclass(frozen=True)
class Problem:
    """What is minimised, along what, how, and what is observed.

    Attributes
    ----------
    landscape : Landscape
    control : Turned
    observe : callable theta -> Observation
    solver : str
    tolerance : float or None
    owner : callable
        Names the place in the code of the task that an exception passed (see `spinodal.tasks.blame.owner_of`).
    """

    landscape: Landscape
    control: Turned
    observe: Callable[[Tensor], Observation]
    solver: str
    tolerance: float | None = None
    owner: Owner = nobody

    def walker(self, recorder: Recorder | None = None, *, known: Sequence[Point] = ()) -> Walker:
        """Return a walker, from points that are known if there are any."""
        return Walker(
            self.landscape, self.control, self.observe,
            solver=self.solver, tolerance=self.tolerance, recorder=recorder, known=known,
        )  # fmt: skip

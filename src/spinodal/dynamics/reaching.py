"""Which phases of a map gradient descent can hold at a learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spinodal.arguments import positive_number
from spinodal.codec import keyed
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.penalty import Penalty, l2
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shown import Shown
from spinodal.spectrum.extremes import extreme_eigenvalues
from spinodal.words.numbers import significant

ACCURACY = 1e-3  # relative, of the largest eigenvalue


@dataclass(frozen=True)
class Sharpness:
    """The largest curvature at a point of a map.

    Attributes
    ----------
    index, phase : int
        Of the point and of its phase.
    beta : float
    largest : float
        `lambda_max(Hess L)`.
    learning_rate : float
        `2 / largest`: descent is stable below it; infinite where nothing bends up.
    """

    index: int
    phase: int
    beta: float
    largest: float
    learning_rate: float


@dataclass(frozen=True, repr=False)
class Reach(Shown):
    """Whether descent with a learning rate can stay in the phases of a map.

    Attributes
    ----------
    learning_rate : float
    points : tuple of Sharpness
        Phase by phase, by rising beta.
    """

    learning_rate: float
    points: tuple[Sharpness, ...]

    @property
    def phases(self) -> tuple[int, ...]:
        """Return the phases, in order."""
        return tuple(dict.fromkeys(point.phase for point in self.points))

    def held(self, phase: int) -> tuple[Sharpness, ...]:
        """Return the points of a phase at which descent is stable."""
        return tuple(point for point in self.points if point.phase == phase and self.learning_rate < point.learning_rate)

    @property
    def out_of_reach(self) -> tuple[int, ...]:
        """Return the phases that exist, but can be held nowhere at this learning rate."""
        return tuple(phase for phase in self.phases if not self.held(phase))

    def __str__(self) -> str:
        """Return a sentence for every phase."""
        return "\n".join(self._said(phase) for phase in self.phases)

    def _said(self, phase: int) -> str:
        points = [point for point in self.points if point.phase == phase]
        rates = sorted(point.learning_rate for point in points)
        ends = dict.fromkeys(significant(rate, 3) for rate in (rates[0], rates[-1]))
        stable = f"descent is stable below {' to '.join(ends)}"
        held = self.held(phase)
        if not held:
            return f"Phase {phase} exists, but cannot be held at learning_rate = {self.learning_rate:g}: {stable}."
        if len(held) == len(points):
            return f"Phase {phase} can be held at learning_rate = {self.learning_rate:g}: {stable}."
        lost = [point.beta for point in points if point not in held]
        where = f"beta = {' to '.join(dict.fromkeys(significant(beta, 4) for beta in (min(lost), max(lost))))}"
        return f"Phase {phase} cannot be held everywhere at learning_rate = {self.learning_rate:g}, not at {where}: {stable}."

    def to_dict(self) -> dict[str, Any]:
        """Return the facts in JSON types."""
        return {**keyed(self, "learning_rate points out_of_reach"), "text": str(self)}


def reachable(
    diagram: PhaseDiagram, learning_rate: float, *, landscape: Landscape | None = None, penalty: Control | None = None
) -> Reach:
    """Tell which phases of a map gradient descent can hold: `learning_rate < 2 / lambda_max(Hess L)` at their points.

    Parameters
    ----------
    diagram : PhaseDiagram
    learning_rate : float
        > 0, of full-batch gradient descent without momentum.
    landscape : Landscape, optional
        Default: that of the map's task.
    penalty : Control, optional
        What the map turned. Default: what the task turns.

    Returns
    -------
    Reach
        Its text names phases that exist and cannot be held.

    Raises
    ------
    SpinodalError
        For a learning rate that is not positive, and where neither a landscape is given nor the task can be made again.

    Notes
    -----
    *What it is not:* whether training gets there. Adam, momentum and mini-batches have other limits. Descent above the limit
    may stay near a phase on a path of its own, at the edge of stability, not at its minimum.

    Examples
    --------
    >>> import spinodal as sp
    >>> task = sp.tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> diagram = sp.map_phases(task)
    >>> reachable(diagram, 0.4).out_of_reach, reachable(diagram, 1.2).out_of_reach
    ((), (0, 1, 2))
    """
    rate = positive_number("learning_rate", learning_rate, do="give that of the training")
    penalty = penalty or diagram.control.made
    if landscape is None:
        task = _task_of(diagram)
        landscape = task.landscape()
        penalty = penalty or task.penalty(landscape)
    decay = None if penalty is None else l2(penalty, "the sharpness of a map")
    return Reach(rate, tuple(_sharpnesses(diagram, landscape, decay)))


def _task_of(diagram: PhaseDiagram) -> Any:
    """Return the task of a map, or refuse a map that knows none."""
    if diagram.models is None:
        raise SpinodalError(
            got="a map without its task", allowed="a map whose task can be made again is allowed", do="give landscape="
        )
    return diagram.models.task()


def _sharpnesses(diagram: PhaseDiagram, landscape: Landscape, penalty: Penalty | None) -> Iterable[Sharpness]:
    for phase in diagram.phases:
        for point in phase.points:
            ends = extreme_eigenvalues(
                landscape,
                point.minimum.theta,
                beta=point.beta,
                penalty=penalty,
                smallest=0,
                tolerance=ACCURACY,
                method="lanczos",
            )
            largest = float(ends.largest.values[0])
            yield Sharpness(point.index, phase.id, point.beta, largest, 2.0 / largest if largest > 0.0 else math.inf)

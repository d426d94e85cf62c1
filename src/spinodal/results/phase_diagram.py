"""The phases of a network along beta, with what is said, written and drawn of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spinodal.conventions import one_beta
from spinodal.errors import SpinodalError
from spinodal.labelled import result
from spinodal.phases.diagram import Diagram
from spinodal.phases.snapshot import Snapshot
from spinodal.sweeps.point import Point
from spinodal.words import conclusion

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True, repr=False)
class PhaseDiagram(Diagram):
    """The result of a map: phases and transitions along beta.

    Its attributes are those of `spinodal.phases.diagram.Diagram`.
    """

    def at(self, beta: float | None = None, *, weight_decay: float | None = None) -> Snapshot:
        """Return the model at the followed point nearest to beta, on a log scale.

        Parameters
        ----------
        beta : float > 0
        weight_decay : float > 0
            PyTorch's, in place of beta.

        Raises
        ------
        SpinodalError
            Unless one of the two is given, as a finite positive number; for a weight_decay where another control than the L2
            penalty was turned.
        """
        if weight_decay is not None and not self.control.is_l2:
            raise SpinodalError(
                got=f"a weight_decay in a map along {self.control.name}, {self.control.convention}",
                allowed=f"a value of {self.control.name} is allowed",
                do="give beta=..., which is that value",
            )
        wanted = one_beta(beta, weight_decay)
        return self._snapshot(min(self.points, key=lambda point: abs(math.log(point.beta / wanted))))

    def at_point(self, index: int) -> Snapshot:
        """Return the model at a point by its number in the journal: a followed one, or a side of a transition.

        Raises
        ------
        SpinodalError
            If this diagram has no such point.
        """
        known = {point.index: point for point in self._all_points()}
        if index not in known:
            raise SpinodalError(
                got=f"point {index!r}",
                allowed=f"the followed points of this map are allowed: {_stretches(known)}",
                do="choose one by its beta with at(beta)",
            )
        return self._snapshot(known[index])

    def _all_points(self) -> tuple[Point, ...]:
        walked = self.points + (self.back.points if self.back else ())
        known = walked + tuple(point for points in (*self.beyond.values(), *self.started.values()) for point in points)
        return known + tuple(side for found in self.all_transitions for side in (found.before, found.after))

    def _snapshot(self, point: Point) -> Snapshot:
        return Snapshot(point, self.task, self.models, self.control.convention)

    def answer(self) -> str:
        """Return the conclusion in a few sentences, whether the run is unfinished, and what is missing."""
        return conclusion.answer(self)

    def concluded(self) -> str:
        """Return what the walk tells and whether it ended early: the answer without what going on with the run may add."""
        return conclusion.concluded(self)

    def __str__(self) -> str:
        """Return the answer and the transitions, one per line."""
        return "\n".join([self.answer(), *map(str, self.transitions)])

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types; every key is always present (see the docs for the schema)."""
        return result.to_json(self)

    def to_xarray(self) -> xarray.Dataset:
        """Return points, transitions and phases as labelled arrays; every variable says what it is.

        It is what `result.nc` holds. Without a run folder, the attributes `settings` and `provenance` are missing.

        Examples
        --------
        >>> from spinodal import map_phases, tasks
        >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
        >>> dataset = map_phases(task).to_xarray()
        >>> dataset.transition_beta.round(4).values.tolist()
        [0.4, 0.9]
        >>> dataset.transition_rank.sel(side="after").values.tolist()
        [1, 0]
        >>> dataset.weight_decay.attrs["description"]
        'weight_decay of torch.optim.SGD and Adam: 2 * beta'
        """
        from spinodal.labelled.collate import collate  # xarray is slow to import

        return collate(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per followed point, in the order walked.

        The index is the number of the point in the journal. Columns are the variables of `to_xarray` along
        `point`; one that also has other dimensions becomes a column per label, such as `accuracy_train` or
        `class_accuracy_train_8`, unless nothing is known for that label. Singular values are left out.

        Examples
        --------
        >>> from spinodal import map_phases, tasks
        >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
        >>> frame = map_phases(task).to_pandas()
        >>> frame.groupby("in_phase")["rank"].median().tolist()
        [2.0, 1.0, 0.0]
        """
        from spinodal.labelled.frame import frame

        return frame(self.to_xarray())


def _stretches(numbers: Iterable[int]) -> str:
    """Return whole numbers as words, neighbours joined: `0, 3-7, 9`."""
    known = set(numbers)
    first = sorted(n for n in known if n - 1 not in known)
    last = sorted(n for n in known if n + 1 not in known)
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(first, last, strict=True))

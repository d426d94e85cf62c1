"""The phases of a network: the stretches of beta between macroscopic transitions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from spinodal.continuation.branch import Branch
from spinodal.counts import Counts
from spinodal.curvature.result import CurvatureChange, found_changes, to_result
from spinodal.curvature.survey import Survey
from spinodal.diagram.branch_record import to_record
from spinodal.diagram.certificates import Certificates
from spinodal.diagram.envelope import Violation
from spinodal.diagram.existence import Existence
from spinodal.diagram.hysteresis import Loop
from spinodal.diagram.phase_coexistence import PhaseCoexistence
from spinodal.diagram.spinodals import Spinodal
from spinodal.diagram.tree import Fall
from spinodal.errors import SpinodalError
from spinodal.minimise import SECOND_ORDER
from spinodal.models import Models
from spinodal.penalty import CONVENTION, one_beta, weight_decay
from spinodal.snapshot import Snapshot
from spinodal.sweep import Sweep
from spinodal.theory import ExactTransition
from spinodal.transitions import Transition
from spinodal.walk import Point

if TYPE_CHECKING:
    import pandas
    import xarray

SCHEMA = 1
ALIVE = 0.5  # recall at or above which a class is alive at a point


@dataclass(frozen=True)
class Phase:
    """A stretch of one followed branch between macroscopic transitions.

    Attributes
    ----------
    id : int
        Counted from the lowest beta. Phases that only the way back of a loop met come last, in the order met.
    points : tuple of Point
        By rising beta.
    falls_to : int or None
        The phase that the walk entered when this one ended.
    existence : Existence or None
        In a loop: the whole range in which the phase is a minimum.
    beyond : tuple of Point
        In a loop: points of the phase outside of `beta`, to which it was followed in search of its ends; by rising beta.
    """

    id: int
    points: tuple[Point, ...]
    falls_to: int | None
    existence: Existence | None = None
    beyond: tuple[Point, ...] = ()

    @property
    def beta(self) -> tuple[float, float]:
        """Return the range of beta that was followed."""
        return self.points[0].beta, self.points[-1].beta

    @property
    def rank(self) -> int:
        """Return the effective rank on most of the phase."""
        return int(self._typical([point.observation.rank for point in self.points]))

    @property
    def error(self) -> tuple[float, float]:
        """Return E at the lowest and at the highest beta."""
        return self.points[0].error, self.points[-1].error

    @property
    def classes(self) -> tuple[int, ...] | None:
        """Return the classes whose recall is at least .5 on most of the phase; None without classes.

        None of them is alive where the predictor is constant.
        """
        recalls = [point.observation.class_accuracy["train"] for point in self.points]
        if any(recall is None for recall in recalls):
            return None
        alive = []
        for index in range(len(recalls[0] or ())):
            votes = [bool(recall and (recall[index] or 0.0) >= ALIVE and not _is_constant(recall)) for recall in recalls]
            if self._typical(votes):
                alive.append(index)
        return tuple(alive)

    def accuracy(self, part: str) -> tuple[float, float] | None:
        """Return the accuracy on "train" or "held_out" at the lowest and the highest beta."""
        low, high = (point.observation.accuracy[part] for point in (self.points[0], self.points[-1]))
        return None if low is None or high is None else (low, high)

    def _typical(self, values: Sequence[Any]) -> Any:
        """Return the value that holds on the largest part of the phase, measured in log beta."""
        weights: dict[Any, float] = {}
        logs = [math.log(point.beta) for point in self.points]
        for index, value in enumerate(values):
            left = logs[max(index - 1, 0)]
            right = logs[min(index + 1, len(logs) - 1)]
            weights[value] = weights.get(value, 0.0) + max(right - left, 1e-12)
        return max(weights, key=lambda value: weights[value])


def _is_constant(recall: Sequence[float | None]) -> bool:
    """Tell a predictor that answers one class whatever it sees."""
    known = [value for value in recall if value is not None]
    return sorted(known)[-1:] == [1.0] and sum(known) == 1.0


@dataclass(frozen=True)
class PhaseDiagram:
    """The result of a map: phases and transitions along beta.

    Attributes
    ----------
    task : mapping
        Name and settings of the task.
    seed : int
    range : (low, high) in beta
    points : tuple of Point
        On the followed branches, in the order walked.
    transitions : tuple of Transition
        In the order met, minor ones included.
    exact : tuple of ExactTransition
        Closed forms, where they apply.
    spent : Counts
    seconds : float
    solver, run_status : str
    run : mapping
        Of a run folder: the `settings` and the `provenance` that its journal recorded. Otherwise empty.
    models : Models or None
        What gives the models of the points back.
    back : Sweep or None
        The way back of a loop; `points` and `transitions` are those of the way up.
    back_phases : tuple of int
        The phases along the way back, in the order met.
    existence : mapping of phases to Existence
    beyond : mapping of phases to tuple of Point
        See `Phase`.
    branches : mapping of phases to Branch
        Through the fold in which the phase ends, and along the saddles behind it.
    spinodals : tuple of Spinodal
    coexistence : tuple of PhaseCoexistence
    tree : tuple of Fall
    violations : tuple of Violation
        In a loop: where a deeper phase must exist that was not found.
    curvature : Survey or None
        The curvature of E and of L at the followed points, where a map was asked for it.
    """

    task: Mapping[str, Any]
    seed: int
    range: tuple[float, float]
    points: tuple[Point, ...]
    transitions: tuple[Transition, ...]
    spent: Counts
    seconds: float
    solver: str
    run_status: str
    exact: tuple[ExactTransition, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    models: Models | None = field(default=None, compare=False, repr=False)
    back: Sweep | None = None
    back_phases: tuple[int, ...] = ()
    existence: Mapping[int, Existence] = field(default_factory=dict)
    beyond: Mapping[int, tuple[Point, ...]] = field(default_factory=dict)
    branches: Mapping[int, Branch] = field(default_factory=dict)
    spinodals: tuple[Spinodal, ...] = ()
    coexistence: tuple[PhaseCoexistence, ...] = ()
    tree: tuple[Fall, ...] = ()
    violations: tuple[Violation, ...] = ()
    curvature: Survey | None = None

    @property
    def change_points(self) -> tuple[CurvatureChange, ...]:
        """Return where the curvature along the ways changes most abruptly; none where it was not computed.

        They follow from R alone and are no transitions (see `spinodal.curvature.change_points`).
        """
        return found_changes(self)

    @property
    def loop(self) -> Loop | None:
        """Return both ways of a loop, None if one was walked only."""
        if self.back is None:
            return None
        return Loop(Sweep(self.points, self.transitions, self.run_status), self.back)

    @property
    def certificates(self) -> Certificates:
        """Return the checks of all branches, and of the lower envelope of L."""
        return Certificates(max((branch.area.worst for branch in self.branches.values()), default=None), self.violations)

    @property
    def macroscopic(self) -> tuple[Transition, ...]:
        """Return the transitions that separate phases."""
        return tuple(transition for transition in self.transitions if not transition.minor)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return the phases by rising beta, then those that only the way back met."""
        stretches = stretches_of(self.points, self.transitions)
        upward = self.range[0] == self.points[0].beta or self.points[0].beta <= self.points[-1].beta
        ordered = list(stretches) if upward else [stretch[::-1] for stretch in reversed(stretches)]
        last = len(ordered) - 1
        first = [(stretch, _next_phase(index, last, upward)) for index, stretch in enumerate(ordered)]
        return tuple(
            Phase(index, stretch, falls_to, self.existence.get(index), self.beyond.get(index, ()))
            for index, (stretch, falls_to) in enumerate([*first, *self._met_on_the_way_back(len(first))])
        )

    def _met_on_the_way_back(self, known: int) -> list[tuple[tuple[Point, ...], int | None]]:
        """Return points, by rising beta, and next phase of the phases that only the way back met."""
        if self.back is None:
            return []
        following = (*self.back_phases[1:], None)
        walked = zip(self.back_phases, self.back.stretches, following, strict=True)
        return [(stretch[::-1], after) for phase, stretch, after in walked if phase >= known]

    def lost_classes(self, transition: Transition) -> tuple[int, ...] | None:
        """Return the classes that live before a macroscopic transition and not after; None without classes."""
        before, after = self._phase_at(transition.before), self._phase_at(transition.after)
        if before is None or after is None or before.classes is None or after.classes is None:
            return None
        return tuple(sorted(set(before.classes) - set(after.classes)))

    def _phase_at(self, point: Point) -> Phase | None:
        """Return the phase in which a followed point lies."""
        phases = self.phases
        home = {known.index: phase for phase in phases for known in phase.points}
        if self.back is not None and point.index not in home:
            back = zip(self.back_phases, self.back.stretches, strict=True)
            home |= {known.index: phases[phase] for phase, stretch in back for known in stretch}
        return home.get(point.index)

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
            Unless one of the two is given, as a finite positive number.
        """
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
        known = walked + tuple(point for points in self.beyond.values() for point in points)
        return known + tuple(side for found in self.all_transitions for side in (found.before, found.after))

    @property
    def all_transitions(self) -> tuple[Transition, ...]:
        """Return the transitions of the first leg, then those of the way back of a loop."""
        return self.transitions + (self.back.transitions if self.back else ())

    def _snapshot(self, point: Point) -> Snapshot:
        return Snapshot(point, self.task, self.models)

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
        from spinodal.store.collate import collate  # xarray is slow to import

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
        from spinodal.store.frame import frame

        return frame(self.to_xarray())

    @property
    def ends(self) -> tuple[Point, Point]:
        """Return the points at the lowest and at the highest beta that were followed."""
        return min(self.points, key=lambda point: point.beta), max(self.points, key=lambda point: point.beta)

    @property
    def has_matrices(self) -> bool:
        """Tell whether the model has weight matrices; without them its rank of 0 says nothing."""
        return bool(self.points[0].observation.ranks)

    @property
    def sees_kinks(self) -> bool:
        """Tell whether the solver sees kinks (second-order transitions); a first-order one sees jumps only."""
        return self.solver in SECOND_ORDER

    @property
    def is_smooth(self) -> bool:
        """Tell whether nothing was met at all, minor transitions and changes of the rank included."""
        return self.sees_kinks and not self.transitions and len({point.observation.rank for point in self.points}) == 1

    def answer(self) -> str:
        """Return the map in one sentence, and whether the walk ended early in another."""
        found = self._found() if self.macroscopic else self._nothing_found()
        return found if self.run_status == "complete" else f"{found} The walk {self.run_status.rstrip('.')}."

    def _nothing_found(self) -> str:
        low, high = self.ends
        size = "macroscopic " if self.transitions else ""
        ranks = low.observation.rank, high.observation.rank
        text = f"between beta = {low.beta:.4g} and {high.beta:.4g}"
        text += f", but the rank goes from {ranks[0]} to {ranks[1]}" if ranks[0] != ranks[1] else ""
        if not self.sees_kinks:
            return f"No {size}jump was found {text}; {unseen_kinks(self.solver)}."
        return f"No {size}transition {text}{': the model changes smoothly' if self.is_smooth else ''}."

    def _found(self) -> str:
        found, phases = self.macroscopic, self.phases
        first, last = min(found, key=lambda t: t.beta), max(found, key=lambda t: t.beta)
        count = f"{len(found)} transition{'s' if len(found) > 1 else ''}"
        if self.points[0].beta > self.points[-1].beta:
            left = f" of rank {phases[-1].rank}" if self.has_matrices else ""
            return (
                f"{count} on the way down: the phase{left} ends at {_place(last)}; "
                f"below {_place(first)} {self._state(phases[0], 'at most', phases[0].error[1])}."
            )
        rank = f" (rank {phases[0].rank})" if self.has_matrices else ""
        return (
            f"{count}: the deepest phase{rank} ends at {_place(first)}{self._first_loss()}; "
            f"above {_place(last)} {self._state(phases[-1], 'at least', phases[-1].error[0])}."
        )

    def _state(self, phase: Phase, bound: str, error: float) -> str:
        return f"the model has rank {phase.rank}" if self.has_matrices else f"E is {bound} {error:.4g}"

    def _first_loss(self) -> str:
        """Name the first classes to go as beta rises, and where."""
        for transition in sorted(self.macroscopic, key=lambda t: t.beta):
            if lost := self.lost_classes(transition):
                plural = "es" if len(lost) > 1 else ""
                return f"; first to go: class{plural} {', '.join(map(str, lost))} at beta = {transition.beta:.5g}"
        return ""

    def __str__(self) -> str:
        """Return the answer and the transitions, one per line."""
        return "\n".join([self.answer(), *map(str, self.transitions)])

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types; every key is always present (see the docs for the schema)."""
        return {
            "schema": SCHEMA,
            "run_status": self.run_status,
            "task": dict(self.task),
            "seed": self.seed,
            "range": list(self.range),
            "convention": CONVENTION,
            "solver": self.solver,
            "transitions": [self._transition(transition) for transition in self.all_transitions],
            "phases": [_phase(phase) for phase in self.phases],
            "spinodals": [item.to_dict() for item in self.spinodals],
            "coexistence": [item.to_dict() for item in self.coexistence],
            "branches": [{"phase": phase, **to_record(branch)} for phase, branch in self.branches.items()],
            "loop": self._loop(),
            "tree": [edge.to_dict() for edge in self.tree],
            "certificates": self.certificates.to_dict(),
            "curvature": to_result(self),
            "placement": None,  # of a model on this map; `spinodal map --start` puts it here
            "followed": [point.index for point in self.points],
            "exact": [asdict(item) for item in self.exact],
            "stats": {
                "error_evaluations": self.spent.error_evaluations,
                "gradient_evaluations": self.spent.gradient_evaluations,
                "hessian_products": self.spent.hessian_products,
                "hessians": self.spent.hessians,
                "passes": self.spent.passes,
                "gradient_equivalents": self.spent.gradient_equivalents,
                "points": len(self.points),
                "unconverged": sum(not point.minimum.converged for point in self.points),
                "seconds": self.seconds,
            },
        }

    def _loop(self) -> dict[str, Any] | None:
        if self.loop is None:
            return None
        return {
            "area": _finite(self.loop.area),
            "back_to": self.loop.down.points[-1].beta,
            "status": self.loop.down.status,
            "followed": [point.index for point in self.loop.down.points],
            "phases": list(self.back_phases),
        }

    def _transition(self, transition: Transition) -> dict[str, Any]:
        sides = (transition.before, transition.after)
        seen = [side.observation for side in sides]
        lost = None if transition.minor else self.lost_classes(transition)
        return {
            "beta": transition.beta,
            "weight_decay": weight_decay(transition.beta),
            "bracket": list(transition.bracket),
            "direction": transition.direction,
            "order": transition.order,
            "minor": transition.minor,
            "status": transition.status,
            "evidence": {name: _finite(value) for name, value in asdict(transition.evidence).items()},
            "error": [side.error for side in sides],
            "norm": [view.norm for view in seen],
            "rank": [view.rank for view in seen],
            "margin": [_finite(side.minimum.margin) for side in sides],
            "accuracy": {part: _pair([view.accuracy[part] for view in seen]) for part in ("train", "held_out")},
            "class_accuracy": {
                part: _pair([_row(view.class_accuracy[part]) for view in seen]) for part in ("train", "held_out")
            },
            "lost_classes": None if lost is None else list(lost),
            "points": [side.index for side in sides],
        }


def unseen_kinks(solver: str) -> str:
    """Say what a first-order solver does not see."""
    return f"{solver} does not see kinks (second-order transitions): --solver newton_cg does"


def _place(transition: Transition) -> str:
    return f"beta = {transition.beta:.5g} (weight_decay = {weight_decay(transition.beta):.5g})"


def stretches_of(points: Sequence[Point], transitions: Iterable[Transition]) -> tuple[tuple[Point, ...], ...]:
    """Return the points of a walk from one macroscopic transition to the next, in the order walked."""
    return Sweep(tuple(points), tuple(transitions), "").stretches


def _stretches(numbers: Iterable[int]) -> str:
    """Return whole numbers as words, neighbours joined: `0, 3-7, 9`."""
    known = set(numbers)
    first = sorted(n for n in known if n - 1 not in known)
    last = sorted(n for n in known if n + 1 not in known)
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(first, last, strict=True))


def _next_phase(index: int, last: int, upward: bool) -> int | None:
    if upward:
        return index + 1 if index < last else None
    return index - 1 if index > 0 else None


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "id": phase.id,
        "beta": list(phase.beta),
        "rank": phase.rank,
        "error": list(phase.error),
        "accuracy": {part: _pair(phase.accuracy(part)) for part in ("train", "held_out")},
        "classes": None if phase.classes is None else list(phase.classes),
        "falls_to": phase.falls_to,
        "existence": None if phase.existence is None else phase.existence.to_dict(),
        "beyond": [point.index for point in phase.beyond],
    }


def _pair(values: Sequence[Any] | None) -> list[Any] | None:
    """Return two values as a list, or None if either is missing."""
    return None if values is None or any(value is None for value in values) else list(values)


def _finite(value: Any) -> Any:
    """Return None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(values: Sequence[float | None] | None) -> list[float | None] | None:
    return None if values is None else list(values)

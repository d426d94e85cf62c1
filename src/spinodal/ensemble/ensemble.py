"""Many maps beside each other: their transitions matched, with mean, spread, and how many maps met each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spinodal.codec import plain
from spinodal.ensemble.matching import shared_transitions
from spinodal.ensemble.shared import SharedTransition
from spinodal.errors import SpinodalError
from spinodal.minima.minibatch import TRAINERS
from spinodal.missing import Missing, listed
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shown import Drawn
from spinodal.words.ensemble import found_line

if TYPE_CHECKING:
    import xarray

SCHEMA = 1


@dataclass(frozen=True, repr=False)
class Ensemble(Drawn):
    """Maps beside each other.

    Attributes
    ----------
    members : tuple of PhaseDiagram
    names : tuple of str
        Of the members, such as "seed-3".
    transitions : tuple of SharedTransition
        The macroscopic ones of all members, each once, by rising beta.
    by_phase : bool
        Whether transitions were matched by the phases that they end, as all members are minima of one task, control and
        sharpness; else they were matched by ranks and places.
    missing : tuple of Missing
        Members that failed, each with its cause; the rest stands.

    Examples
    --------
    Both seeds of a linear net lose its modes at `beta = s`:

    >>> from spinodal import map_ensemble, tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> ensemble = map_ensemble(task, seeds=range(2), starts=1)
    >>> [(round(found.beta, 4), found.met, found.ranks) for found in ensemble.transitions]
    [(0.4, 2, (2, 1)), (0.9, 2, (1, 0))]
    >>> ensemble
    <Ensemble: 2 maps of gaussian: 2 transitions, met by all of them. Maps that met the same one met it in the same place, ...>
    """

    members: tuple[PhaseDiagram, ...]
    names: tuple[str, ...]
    transitions: tuple[SharedTransition, ...]
    by_phase: bool
    missing: tuple[Missing, ...] = ()

    @classmethod
    def of(
        cls, diagrams: Sequence[PhaseDiagram], names: Sequence[str] | None = None, *, missing: Sequence[Missing] = ()
    ) -> Ensemble:
        """Return the ensemble of maps that are there.

        Parameters
        ----------
        diagrams : sequence of PhaseDiagram
        names : sequence of str, optional
            Different ones. Default: "seed-N" where the seeds differ, else "map-K" counted from 0.
        missing : sequence of Missing

        Raises
        ------
        SpinodalError
            For no map, names that do not fit, or maps along different controls.
        """
        chosen = _names(diagrams) if names is None else tuple(names)
        if not diagrams or len(set(chosen)) < len(diagrams):
            raise SpinodalError(
                got=f"{len(diagrams)} maps with the names {', '.join(chosen) or 'none'}",
                allowed="one map or more, each with a name of its own, are needed",
                do="map a task with spinodal.map_ensemble, or leave the names out",
            )
        _refuse_other_conventions(diagrams)
        first = diagrams[0]
        one = all(
            (dict(other.task), other.control, other.sharpness) == (dict(first.task), first.control, first.sharpness)
            and other.solver not in TRAINERS  # what is trained on a grid is no minimum
            for other in diagrams
        )
        found = shared_transitions(diagrams, chosen, by_phase=one)
        return cls(tuple(diagrams), chosen, found, one, tuple(missing))

    @property
    def task(self) -> str:
        """Return the name of the task, or of all tasks."""
        return ", ".join(dict.fromkeys(str(member.task["name"]) for member in self.members))

    @property
    def convention(self) -> str:
        """Return what L is."""
        return self.members[0].control.convention

    @property
    def is_l2(self) -> bool:
        """Tell whether what is turned is the L2 penalty."""
        return self.members[0].control.is_l2

    @property
    def shared(self) -> tuple[SharedTransition, ...]:
        """Return the transitions that every member met."""
        return tuple(item for item in self.transitions if item.met == item.of)

    def to_dict(self) -> dict[str, Any]:
        """Return the ensemble in JSON types; every key is always present."""
        return {
            "schema": SCHEMA,
            "task": self.task,
            "convention": self.convention,
            "by_phase": self.by_phase,
            "members": [_member(name, diagram) for name, diagram in zip(self.names, self.members, strict=True)],
            "transitions": [item.to_dict(is_l2=self.is_l2) for item in self.transitions],
            "shared": [item.id for item in self.shared],
            "missing": plain(self.missing),
        }

    def to_xarray(self) -> xarray.Dataset:
        """Return transitions, and the points of all members, as labelled arrays along `member`.

        Members have different numbers of points, and miss transitions that others met: NaN stands in their place, and -1 for
        whole numbers.

        Examples
        --------
        >>> from spinodal import map_ensemble, tasks
        >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
        >>> dataset = map_ensemble(task, seeds=range(2), starts=1, beta=(0.3, 0.6)).to_xarray()
        >>> dataset.transition_beta.sel(member="seed-1").values.round(4).tolist()
        [0.4]
        >>> dataset.met.values.tolist()
        [2]
        """
        from spinodal.ensemble.collate import collate  # xarray is slow to import

        return collate(self.members, self.names, self.transitions, self.convention)

    def __str__(self) -> str:
        """Return what was found in a few sentences."""
        return " ".join(filter(None, [found_line(self.to_dict()), listed(self.missing)]))


def _member(name: str, diagram: PhaseDiagram) -> dict[str, Any]:
    whole: Mapping[str, Any] = diagram.to_dict()
    kept = ("task", "seed", "range", "solver", "run_status", "missing", "stats")
    return {"name": name, **{key: whole[key] for key in kept}, "answer": diagram.answer()}


def _names(diagrams: Sequence[PhaseDiagram]) -> tuple[str, ...]:
    seeds = [diagram.seed for diagram in diagrams]
    if len(set(seeds)) == len(seeds):
        return tuple(f"seed-{seed}" for seed in seeds)
    return tuple(f"map-{number}" for number in range(len(diagrams)))


def _refuse_other_conventions(diagrams: Sequence[PhaseDiagram]) -> None:
    first = diagrams[0].control.convention
    for other in diagrams:
        if other.control.convention != first:
            raise SpinodalError(
                got=f"maps along {first} and along {other.control.convention}",
                allowed="maps along one control are allowed: their values are compared",
                do="compare those of one control",
            )

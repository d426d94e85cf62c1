"""Shares of basins: of random starts at several beta, how many reach which phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.phases.started import with_started
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.share import CONFIDENCE, Share
from spinodal.shares.training import Training
from spinodal.shown import Drawn
from spinodal.sweeps.point import Point
from spinodal.words.shares import share_sentences, training_phrase

if TYPE_CHECKING:
    import xarray

SCHEMA = 1


@dataclass(frozen=True, repr=False)
class Shares(Drawn):
    """Which phases training from random starts reaches.

    Attributes
    ----------
    task, convention : str
    beta : tuple of float
        Rising.
    seeds : tuple of int
        Of the starts, the same at every beta.
    mapped : tuple of int
        Phases of the map that was given; the others are new, and numbered after them.
    shares : tuple of Share
        Of every phase at every beta, by phase.
    unsettled : tuple of int
        At each beta, starts whose training was not finished, or whose search ended in no minimum.
    training : Training
        How starts were trained.
    rates : tuple of float
        The learning rate of gradient descent at each beta; empty for L-BFGS.
    found : mapping of phases to tuple of Point
        The minima of the new phases, at each beta at which they were met or walked.
    map : PhaseDiagram or None
        The map that was given.
    spent : Counts
    """

    task: str
    convention: str
    beta: tuple[float, ...]
    seeds: tuple[int, ...]
    mapped: tuple[int, ...]
    shares: tuple[Share, ...]
    unsettled: tuple[int, ...]
    training: Training
    rates: tuple[float, ...] = ()
    found: Mapping[int, tuple[Point, ...]] = field(default_factory=dict, compare=False)
    map: PhaseDiagram | None = field(default=None, compare=False)
    spent: Counts = field(default_factory=Counts, compare=False)

    @property
    def phases(self) -> tuple[int, ...]:
        """Return all phases."""
        return tuple(dict.fromkeys(item.phase for item in self.shares if item.phase is not None))

    @property
    def new(self) -> tuple[int, ...]:
        """Return the phases that only starts found."""
        return tuple(phase for phase in self.phases if phase not in self.mapped)

    def of(self, phase: int) -> tuple[Share, ...]:
        """Return the shares of a phase, by rising beta."""
        return tuple(item for item in self.shares if item.phase == phase)

    def at(self, beta: float) -> tuple[Share, ...]:
        """Return the shares at a beta, those that were reached, the largest first."""
        found = [item for item in self.shares if item.beta == beta and item.count]
        return tuple(sorted(found, key=lambda item: (-item.count, item.phase)))

    @property
    def not_finished(self) -> tuple[Share, ...]:
        """Return the shares of the starts that ended at no minimum, by rising beta."""
        pairs = zip(self.beta, self.unsettled, strict=True)
        return tuple(Share(beta, None, lost, len(self.seeds)) for beta, lost in pairs)

    def rank(self, phase: int) -> int | None:
        """Return the rank of a phase where most starts reach it; None where none does."""
        most = max(self.of(phase), key=lambda item: item.count)
        return None if most.point is None else most.point.observation.rank

    def diagram(self) -> PhaseDiagram:
        """Return the map that was given with the phases that only starts found.

        These come after all others, each with its minima at every beta at which starts reached it, or to which it was followed.

        Raises
        ------
        SpinodalError
            Where no map was given.
        """
        if self.map is None:
            raise SpinodalError(
                got="shares without a map", allowed="phases of starts enter the map that was given", do="give diagram=..."
            )
        return with_started(self.map, self.found)

    def to_dict(self) -> dict[str, Any]:
        """Return the shares in JSON types; every key is always present."""
        return {
            "schema": SCHEMA,
            "task": self.task,
            "convention": self.convention,
            "beta": list(self.beta),
            "seeds": list(self.seeds),
            "training": {
                "method": self.training.method,
                "epochs": self.training.epochs,
                "learning_rate": list(self.rates) or None,
            },
            "confidence": CONFIDENCE,
            "phases": [self._phase(phase) for phase in self.phases],
            "shares": [item.to_dict() for item in self.shares],
            "unsettled": list(self.unsettled),
            "not_finished": [item.to_dict() for item in self.not_finished],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], point: Callable[[int], Point], map: PhaseDiagram | None) -> Shares:
        """Return shares from what `to_dict` gave, with the points of their numbers; what they cost is not known any more.

        Raises
        ------
        KeyError, TypeError, ValueError, IndexError
            If the record is not one that `to_dict` made.
        """
        training, rates = record["training"], record["training"]["learning_rate"]
        known = [item for item in record["shares"] if item["point"] is not None]
        at = {(item["phase"], item["beta"]): point(item["point"]) for item in known}
        return cls(
            task=str(record["task"]),
            convention=str(record["convention"]),
            beta=tuple(record["beta"]),
            seeds=tuple(record["seeds"]),
            mapped=tuple(phase["id"] for phase in record["phases"] if not phase["new"]),
            shares=tuple(
                Share(item["beta"], item["phase"], item["count"], item["of"], at.get((item["phase"], item["beta"])))
                for item in record["shares"]
            ),
            unsettled=tuple(record["unsettled"]),
            training=Training(training["method"], epochs=training["epochs"]),
            rates=tuple(rates or ()),
            found={
                phase["id"]: tuple(point(number) for number in phase["points"]) for phase in record["phases"] if phase["new"]
            },
            map=map,
        )

    def _phase(self, phase: int) -> dict[str, Any]:
        points = self.found.get(phase, ())
        return {
            "id": phase,
            "rank": self.rank(phase),
            "new": phase in self.new,
            "beta": [points[0].beta, points[-1].beta] if points else None,
            "points": [point.index for point in points],
        }

    def to_xarray(self) -> xarray.Dataset:
        """Return shares, counts and intervals as labelled arrays along `phase` and `beta`."""
        import xarray  # slow to import

        rows = [self.of(phase) for phase in self.phases]
        axes, lost = ("phase", "beta"), self.not_finished
        variables: dict[str, Any] = {
            "share": (axes, [[item.share for item in row] for row in rows]),
            "count": (axes, [[item.count for item in row] for row in rows]),
            "interval": ((*axes, "side"), [[item.interval for item in row] for row in rows]),
            "is_new": ("phase", [phase in self.new for phase in self.phases]),
            "unsettled": ("beta", list(self.unsettled)),
            "not_finished": ("beta", [item.share for item in lost]),
            "not_finished_interval": (("beta", "side"), [item.interval for item in lost]),
        }
        labels = {"phase": list(self.phases), "beta": list(self.beta), "side": ["lower", "upper"]}
        told = {"title": f"shares of {self.task}", "convention": self.convention, "training": self.how}
        return xarray.Dataset(variables, labels, told)

    @property
    def how(self) -> str:
        """Return how starts were trained, in words."""
        return training_phrase(self.to_dict()["training"])

    def __str__(self) -> str:
        """Return how starts were trained, and what was reached at each beta."""
        return "\n".join(share_sentences(self.to_dict()))

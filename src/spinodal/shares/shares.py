"""Shares of basins: of random starts at several beta, how many reach which phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spinodal.codec import Record, keyed, plain, read
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


@dataclass(frozen=True)
class _Phase(Record):
    """What the record of shares says of a phase: of a new one the range, and the numbers of its points."""

    id: int
    rank: int | None
    new: bool
    beta: tuple[float, float] | None
    points: tuple[int, ...]


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
        return max(self.of(phase), key=lambda item: item.count).rank

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
            **keyed(self, "task convention beta seeds"),
            "training": {
                "method": self.training.method,
                "epochs": self.training.epochs,
                "learning_rate": list(self.rates) or None,
            },
            "confidence": CONFIDENCE,
            "phases": plain([self._phase(phase) for phase in self.phases]),
            **keyed(self, "shares unsettled not_finished"),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], point: Callable[[int], Point], of: PhaseDiagram | None) -> Shares:
        """Return shares from what `to_dict` gave, with the points of their numbers; what they cost is not known any more.

        Raises
        ------
        KeyError, TypeError, ValueError, IndexError
            If the record is not one that `to_dict` made.
        """
        known = read(tuple[_Phase, ...], record["phases"])
        shares = [Share.from_dict(item, point=_at(point, item["point"])) for item in record["shares"]]
        training = {name: record["training"][name] for name in ("method", "epochs")}
        return read(
            cls,
            record,
            mapped=tuple(phase.id for phase in known if not phase.new),
            shares=tuple(shares),
            training=read(Training, training),
            rates=read(tuple[float, ...], record["training"]["learning_rate"] or []),
            found={phase.id: tuple(map(point, phase.points)) for phase in known if phase.new},
            map=of,
        )

    def _phase(self, phase: int) -> _Phase:
        points = self.found.get(phase, ())
        ends = (points[0].beta, points[-1].beta) if points else None
        return _Phase(phase, self.rank(phase), phase in self.new, ends, tuple(point.index for point in points))

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


def _at(point: Callable[[int], Point], number: Any) -> Point | None:
    """Return the point of a number from JSON, None for null."""
    return None if number is None else point(read(int, number))

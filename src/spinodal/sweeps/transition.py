"""A place where a followed minimum jumps or kinks."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.codec import Positive, Record
from spinodal.definitions import JUMPED
from spinodal.shown import Shown
from spinodal.sweeps.gap import gap
from spinodal.sweeps.order import Evidence, missing
from spinodal.sweeps.point import Point
from spinodal.sweeps.uncertainty import of_error
from spinodal.words.numbers import ends, half, to_error

NAMES = {"first": "first-order transition", "second": "second-order transition"}


@dataclass(frozen=True, repr=False)
class Transition(Shown, Record):
    """A discontinuity (or kink) of the followed minimum.

    Attributes
    ----------
    beta : float
        Best estimate, inside the bracket.
    bracket : (lower, upper)
        The branch was still followed at one end and was left at the other.
    direction : {"up", "down"}
    order : {"first", "second", "not classified"}
    minor : bool
        Below 1 % of the range of E (first order) or of the squared norm (second order).
    status : str
    before, after : Point
        In the direction walked.
    evidence : Evidence
    """

    JSON = "beta direction order minor status bracket evidence points=indices"

    beta: Positive
    bracket: tuple[Positive, Positive]
    direction: str
    order: str
    minor: bool
    status: str
    before: Point
    after: Point
    evidence: Evidence

    @property
    def indices(self) -> tuple[int, int]:
        """Return the numbers of the points before and after."""
        return self.before.index, self.after.index

    @property
    def jumps(self) -> bool:
        """Tell a jump from a kink: most of the change of E or of the squared norm is not what the slopes explain."""
        return self.order == "first" or (self.order != "second" and gap(self.before, self.after).relative > JUMPED)

    @property
    def kind(self) -> str:
        """Return what it is, in words: its order, or that this is not proven."""
        return NAMES.get(self.order, f"{'jump' if self.jumps else 'kink'}, order not proven")

    @property
    def missing(self) -> str | None:
        """Return what evidence of its order is missing, None where it is classified."""
        return None if self.order in NAMES else missing(self.evidence)

    def __str__(self) -> str:
        """Return the transition in one line, to the digits of its bracket, with the ranks at the ends where they differ."""
        kind = "minor transition" if self.minor else self.kind
        sides = (self.before, self.after)
        before, after = (side.observation.rank for side in sides)
        errors = " -> ".join(to_error(side.error, of_error(side), 4) for side in sides)
        return f"{kind} at beta = {to_error(self.beta, half(self.bracket))} [{', '.join(ends(self.bracket))}]: E {errors}" + (
            f", rank {before} -> {after}" if before != after else ""
        )

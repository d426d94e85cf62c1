"""Two maps of one task compared: where the transitions of one lie relative to the ends and coexistence points of the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from spinodal.codec import Record, keyed
from spinodal.errors import SpinodalError
from spinodal.phases.diagram import Diagram
from spinodal.phases.step import Step
from spinodal.phases.upper_ends import upper_coexistence, upper_end


@dataclass(frozen=True)
class Meeting(Record):
    """A transition of the first map, and the one of the second that is nearest to it.

    Attributes
    ----------
    end : float
        Where the phase of the first map ends: its spinodal.
    coexistence : float or None
        Where it is as deep as what it falls into, if that is known.
    ranks : (below, above)
    bracket : (lower, upper) or None
        Of the transition of the second map; None where it has none left.
    other_ranks : (below, above) or None
    """

    JSON = "end coexistence ranks bracket other_ranks outside place"

    end: float
    coexistence: float | None
    ranks: tuple[int, int]
    bracket: tuple[float, float] | None
    other_ranks: tuple[int, int] | None

    @property
    def outside(self) -> float | None:
        """Return by how much the bracket lies beyond coexistence and end, relatively; negative below, 0 where it does not."""
        if self.bracket is None:
            return None
        low, high = sorted((self.end if self.coexistence is None else self.coexistence, self.end))
        if self.bracket[0] > high:
            return self.bracket[0] / high - 1.0
        return self.bracket[1] / low - 1.0 if self.bracket[1] < low else 0.0

    @property
    def place(self) -> str:
        """Return where the transition of the second map lies, in words."""
        if self.outside is None:
            return "not met"
        if self.outside > 0.0:
            return f"{100.0 * self.outside:.2g} % above the end"
        if self.outside < 0.0:
            return f"{-100.0 * self.outside:.2g} % below {'the end' if self.coexistence is None else 'coexistence'}"
        return "at the end" if self.coexistence is None else "between coexistence and end"


@dataclass(frozen=True)
class Comparison:
    """Two maps of one task, both walked upwards.

    Attributes
    ----------
    first, second : Diagram
    meetings : tuple of Meeting
        One for every macroscopic transition of the first, by rising beta.
    alone : tuple of (lower, upper)
        Brackets of the second that are nearest to no transition of the first.
    """

    first: Diagram
    second: Diagram
    meetings: tuple[Meeting, ...]
    alone: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, first: Diagram, second: Diagram) -> Comparison:
        """Return the comparison: pairs of transitions, the nearest first, each used once.

        Raises
        ------
        SpinodalError
            For maps of different tasks or controls.
        """
        if dict(first.task) != dict(second.task) or first.control != second.control:
            raise SpinodalError(
                got=f"maps of {first.task['name']} ({first.control.described}) and {second.task['name']} "
                f"({second.control.described}), or of other settings of a task",
                allowed="two maps of one task with the same settings, around the same centre, are allowed",
                do="map the same task twice, as with --solver adam --grid",
            )
        partner = _paired(first.steps, second.steps)
        meetings = tuple(_meeting(first, step, partner.get(step.number)) for step in first.steps)
        used = {other.number for other in partner.values()}
        alone = tuple(step.transition.bracket for step in second.steps if step.number not in used)
        return cls(first, second, meetings, alone)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison in JSON types."""
        return {
            "task": dict(self.first.task),
            "convention": self.first.control.convention,
            "solvers": [self.first.solver, self.second.solver],
            **keyed(self, "meetings alone"),
        }


def _paired(first: tuple[Step, ...], second: tuple[Step, ...]) -> dict[int, Step]:
    """Return the partner of each step by its number, nearest pairs first."""
    pairs = sorted((abs(math.log(a.beta / b.beta)), a.number, b.number) for a in first for b in second)
    found: dict[int, Step] = {}
    for _, a, b in pairs:
        if a not in found and all(other.number != b for other in found.values()):
            found[a] = second[b - 1]
    return found


def _meeting(first: Diagram, step: Step, other: Step | None) -> Meeting:
    phase = step.phases[0]
    return Meeting(
        end=upper_end(first, phase) or step.beta,
        coexistence=upper_coexistence(first, phase),
        ranks=step.ranks,
        bracket=None if other is None else other.transition.bracket,
        other_ranks=None if other is None else other.ranks,
    )

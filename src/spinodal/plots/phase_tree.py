"""What the picture of the tree shows: where every phase exists, and which one it falls into."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.phases.tree import Fall
from spinodal.plots.axis import is_joined, padded

Interval = tuple[float, float]


@dataclass(frozen=True)
class PhaseBar:
    """The range of one phase.

    Attributes
    ----------
    phase : int
    rank : int or None
        On most of it; None without weight matrices.
    error : (lowest, highest)
        E where it was followed.
    range : (lowest, highest) beta
        In which it exists; the lowest is 0 where it stays a minimum for every beta > 0.
    stable, metastable : tuple of (lowest, highest)
        Where no deeper phase is known, and where one is. Neither where this was not computed.
    reasons : (str, str)
        Why the range ends below and above; "" where this was not computed.
    """

    phase: int
    rank: int | None
    error: Interval
    range: Interval
    stable: tuple[Interval, ...]
    metastable: tuple[Interval, ...]
    reasons: tuple[str, str]


@dataclass(frozen=True)
class TreeRecord:
    """What the picture of the tree shows.

    Attributes
    ----------
    title : str
    bars : tuple of PhaseBar
        By rising E: the lowest comes first.
    falls : tuple of Fall
    limits : (lowest, highest) beta
        Of what is drawn; a range from 0 reaches beyond it.
    """

    title: str
    bars: tuple[PhaseBar, ...]
    falls: tuple[Fall, ...]
    limits: Interval

    def row(self, phase: int) -> int:
        """Return the place of a phase in `bars`."""
        return next(row for row, bar in enumerate(self.bars) if bar.phase == phase)


def tree_record(diagram: Diagram) -> TreeRecord | None:
    """Return the record of a diagram, or None where there is neither a branch nor a way back."""
    if not is_joined(diagram):
        return None
    bars = sorted((_bar(phase, diagram.has_matrices) for phase in diagram.phases), key=lambda bar: sum(bar.error))
    ends = [beta for bar in bars for interval in (bar.range, *bar.stable, *bar.metastable) for beta in interval]
    walked = [beta for phase in diagram.phases for beta in phase.beta]
    return TreeRecord(
        title=f"Phases of {diagram.task['name']} and what they fall into",
        bars=tuple(bars),
        falls=diagram.tree,
        limits=padded([beta for beta in (*ends, *walked, *(fall.beta for fall in diagram.tree)) if beta > 0]),
    )


def _bar(phase: Phase, has_matrices: bool) -> PhaseBar:
    found = phase.existence
    low, high = sorted(phase.error)
    return PhaseBar(
        phase=phase.id,
        rank=phase.rank if has_matrices else None,
        error=(low, high),
        range=found.range if found else phase.beta,
        stable=found.stable if found else (),
        metastable=found.metastable if found else (),
        reasons=(found.lower_reason, found.upper_reason) if found else ("", ""),
    )

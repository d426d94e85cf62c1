"""What is joined to a walk: its branches and, of a loop, the way back, with what both tell of the phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from spinodal.branches.branch import Branch
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.diagram import Diagram
from spinodal.phases.envelope import Violation
from spinodal.phases.existence import Existence
from spinodal.phases.spinodals import Spinodal
from spinodal.phases.tree import Fall
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition

D = TypeVar("D", bound=Diagram)


@dataclass(frozen=True)
class Joined:
    """What branches, and of a loop the way back, add to the diagram of a walk up (see `Diagram`)."""

    transitions: tuple[Transition, ...]
    branches: Mapping[int, Branch]
    coexistence: tuple[PhaseCoexistence, ...] = ()
    spinodals: tuple[Spinodal, ...] = ()
    tree: tuple[Fall, ...] = ()
    back: Sweep | None = None
    back_phases: tuple[int, ...] = ()
    existence: Mapping[int, Existence] = field(default_factory=dict)
    beyond: Mapping[int, tuple[Point, ...]] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()

    def to(self, diagram: D) -> D:
        """Return the diagram of a walk with all of it."""
        return replace(diagram, **vars(self))

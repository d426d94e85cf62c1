"""Minima from given starts, found by workers ahead: the rivals of a model that is placed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.counts import Counts
from spinodal.sweeps.ahead import Made
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.problem import Problem


@dataclass(frozen=True)
class Find:
    """A minimum that is wanted.

    Attributes
    ----------
    phase : int
        From whose point it is sought.
    beta : float
    theta : Tensor, shape (n,)
    """

    phase: int
    beta: float
    theta: Tensor

    @property
    def part(self) -> str:
        """Return the name of this part of the work."""
        return f"from phase {self.phase}"


def minimum_from(problem: Problem, find: Find) -> Made:
    """Minimise from a start, in a worker; return the point made."""
    memory = Memory()
    walker, start = problem.walker(memory), problem.landscape.vector(find.theta)
    with walker.within(find.part):
        walker.find(find.beta, lambda: (start, Counts(parameters=problem.landscape.size)))
    return memory.made

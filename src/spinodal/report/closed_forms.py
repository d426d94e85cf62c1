"""Closed forms beside the measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.phases.diagram import Diagram
from spinodal.sweeps.transition import Transition
from spinodal.theory import ExactTransition


@dataclass(frozen=True)
class ClosedForm:
    """A transition known exactly, and the measured one that belongs to it.

    Attributes
    ----------
    exact : ExactTransition
    number : int or None
        Of the measured macroscopic transition, counted from 1 by rising beta; None where none belongs to it.
    difference : float or None
        Measured minus exact beta.
    inside : bool or None
        Whether the exact beta lies in the measured bracket.
    """

    exact: ExactTransition
    number: int | None
    difference: float | None
    inside: bool | None

    @property
    def relative(self) -> float | None:
        """Return the difference over the exact beta."""
        return None if self.difference is None else self.difference / self.exact.beta


def compare(diagram: Diagram) -> tuple[ClosedForm, ...]:
    """Return the closed forms of a diagram by rising beta, each with the measured transition that belongs to it.

    They belong together when each is the nearest to the other. A first-order closed form is the end of the
    live branch, which a downward walk does not meet; it has no measured partner there.
    """
    found = sorted(diagram.macroscopic, key=lambda transition: transition.beta)
    return tuple(_compared(form, diagram.exact, found) for form in sorted(diagram.exact, key=lambda form: form.beta))


def _compared(form: ExactTransition, forms: Sequence[ExactTransition], found: Sequence[Transition]) -> ClosedForm:
    comparable = [transition for transition in found if form.order == "second" or transition.direction == "up"]
    if not comparable:
        return ClosedForm(form, None, None, None)
    nearest = min(comparable, key=lambda transition: abs(transition.beta - form.beta))
    distance = abs(nearest.beta - form.beta)
    if any(abs(nearest.beta - other.beta) < distance for other in forms):
        return ClosedForm(form, None, None, None)
    low, high = nearest.bracket
    return ClosedForm(form, found.index(nearest) + 1, nearest.beta - form.beta, low <= form.beta <= high)

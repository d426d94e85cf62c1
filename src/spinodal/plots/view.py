"""The stretch of beta in which a map changes, and where its transitions lie in it: what is looked at first."""

from __future__ import annotations

import math

from spinodal.definitions import MACROSCOPIC
from spinodal.phases.diagram import Diagram

ROOM = 0.08  # of the width of the stretch in log beta, shown on either side of it
SPREAD = 1.5  # factor in beta from the first to the last transition; where they lie closer, what is before them counts more
NEARLY_ALL = 0.85  # of the width of the map: a stretch that is wider is no closer look


def first_view(diagram: Diagram, limits: tuple[float, float]) -> tuple[float, float]:
    """Return the part of the limits in which E changes, with every transition, closed form and point of equal depth in it.

    It begins where E has risen by 1 % of its change over the walk, and ends where 1 % of that is left; but no farther below the
    first macroscopic transition than the last lies above it, so that they fill half of it. All of the limits where that is most
    of them, or where E does not change.
    """
    stretch = _changing(diagram)
    if stretch is None:
        return limits
    brackets = [beta for found in diagram.transitions for beta in found.bracket]
    points = [*brackets, *(form.beta for form in diagram.exact), *(item.beta for item in diagram.coexistence)]
    marked = [*stretch, *(beta for beta in points if limits[0] <= beta <= limits[1])]
    low, high = max(min(marked), _below_transitions(diagram)), max(marked)
    room = (high / low) ** ROOM
    view = max(low / room, limits[0]), min(high * room, limits[1])
    return limits if math.log(view[1] / view[0]) > NEARLY_ALL * math.log(limits[1] / limits[0]) else view


def _below_transitions(diagram: Diagram) -> float:
    """Return as far below the first macroscopic transition as the last lies above it; 0 where that says nothing."""
    met = [item.beta for item in diagram.macroscopic]
    found = [*met, *(item.beta for item in diagram.coexistence), *(form.beta for form in diagram.exact)]
    return min(found) ** 2 / max(found) if found and max(found) > SPREAD * min(found) else 0.0


def _changing(diagram: Diagram) -> tuple[float, float] | None:
    """Return the last beta up to which E has hardly changed, and the first from which it hardly does; None if it does not."""
    points = sorted(diagram.points, key=lambda point: point.beta)
    errors = [point.error for point in points]
    little = MACROSCOPIC * (max(errors) - min(errors))
    begin = max(point.beta for point in points if point.error <= min(errors) + little)
    end = min(point.beta for point in points if point.error >= max(errors) - little)
    return (begin, end) if begin < end else None

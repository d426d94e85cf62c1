"""What comes before an answer: that many of its points are none, or that it is of another energy than the one given."""

from __future__ import annotations

from collections.abc import Sequence

from spinodal.conventions import weight_decay
from spinodal.definitions import MANY_UNCONVERGED
from spinodal.phases.limit import Limit
from spinodal.phases.low_end import ENDLESS, LowEnd
from spinodal.phases.softened import Softened
from spinodal.sweeps.point import Point
from spinodal.words.numbers import significant, to_error


def unconverged_line(points: Sequence[Point]) -> str:
    """Say that most of what follows has no ground, where more than a fifth of the points did not converge; else ""."""
    failed = [point.minimum for point in points if not point.minimum.converged]
    if len(failed) <= MANY_UNCONVERGED * len(points):
        return ""
    stops = [minimum.stop for minimum in failed]
    commonest = max(failed, key=lambda minimum: stops.count(minimum.stop))
    return f"{len(failed):,} of {len(points):,} points did not converge ({commonest.status}): between them nothing is claimed."


def softened_line(found: Softened | None) -> str:
    """Say what was mapped in place of the network as given, and how far from it that is; "" where it is that."""
    if found is None:
        return ""
    place = f"weight_decay = {significant(weight_decay(found.beta), 3)}"
    return (
        f"Kinks are softened (sharpness {found.sharpness:g}): at the points of this map, E of the network as given differs "
        f"by at most {abs(found.difference):.2g} (at {place})."
    )


def limits_line(limits: Sequence[Limit]) -> str:
    """Say where the transitions of the network as given are, with their errors, and which of them it confirms."""
    if not limits:
        return ""
    places = [_limit(limit) for limit in limits]
    return f"Of the network as given: {'; '.join(places)}."


def low_end_line(found: LowEnd) -> str:
    """Say that no finite minimiser is in sight as beta goes to 0; "" where one is, or nothing is known."""
    if found.status != ENDLESS or found.growth is None:
        return ""
    return (
        "No finite minimiser is in sight as weight_decay goes to 0: at the lower end of the map the squared norm still grows "
        f"like weight_decay^-{significant(found.growth, 2)}, as where data can be separated or a channel leads to infinity."
    )


def _limit(found: Limit) -> str:
    if found.limit is None or found.error is None:
        return f"the limit of the transition at beta = {significant(found.beta[0], 4)} is not known ({found.reason})"
    how = f"{'' if found.is_confirmed else 'not '}confirmed by minimising it on both sides"
    return f"a transition at beta = {to_error(found.limit, found.error)} +- {significant(found.error, 1)} ({how})"

"""How long the steps of a walk may be: longer upwards where E hardly changes, as slopes can be trusted to end the stretch."""

from __future__ import annotations

from spinodal.definitions import MAY_BE_MACROSCOPIC, QUIET_STRIDE, STEEPENS
from spinodal.sweeps.gap import Gap
from spinodal.sweeps.point import Point
from spinodal.sweeps.way import Way


def first_step(way: Way, start: Point) -> float:
    """Return a step to begin with: a short one, or the longest where E hardly changes over it by its slope at the start."""
    longest = QUIET_STRIDE * way.resolution.largest
    foreseen = STEEPENS * abs(start.error_slope) * way.unit(start) * longest
    return longest if _may_stride(way) and way.criteria.is_quiet_change(foreseen) else way.resolution.first


def largest_step(way: Way, found: Gap) -> float:
    """Return the largest step behind a gap."""
    quiet = _may_stride(way) and way.criteria.is_quiet_change(found.change)
    return (QUIET_STRIDE if quiet else 1.0) * way.resolution.largest


def _may_stride(way: Way) -> bool:
    return way.sign > 0.0 and not way.criteria.rough


def certain_at_once(way: Way, point: Point) -> float:
    """Return a step along which, as the slope goes, E changes by twice a jump that matters."""
    slope = abs(point.error_slope) * way.unit(point)
    return min(2.0 * MAY_BE_MACROSCOPIC * way.criteria.error_range / max(slope, 1e-300), way.resolution.largest)

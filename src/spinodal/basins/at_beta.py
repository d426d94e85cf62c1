"""What identifies a phase, at any beta at which it is known: between two of its points, what lies between theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from spinodal.phases.catalogue import Fingerprint
from spinodal.phases.phase import Phase
from spinodal.sweeps.point import Point

Rows = tuple[tuple[float, ...], ...]


def known_points(phase: Phase) -> tuple[Point, ...]:
    """Return all points of a phase, those beyond its walk as well, by rising beta."""
    return tuple(sorted((*phase.points, *phase.beyond), key=lambda point: point.beta))


def answers_of(point: Point, least: float) -> Rows | None:
    """Return the confusion matrix at a point, if there is one; where outputs vary by less than `least`, one answer for all.

    What a trivial phase answers is rounding.
    """
    confusion = point.observation.confusion["train"]
    if confusion is None or (point.observation.liveliness or 0.0) >= least:
        return confusion
    return tuple((float(sum(row)), *(0.0 for _ in row[1:])) for row in confusion)


def fingerprint_at(points: Sequence[Point], beta: float, least: float = 0.0) -> Fingerprint:
    """Return the fingerprint of a phase at a beta within its points, linear in log beta from one of them to the next.

    Parameters
    ----------
    points : sequence of Point
        Of one phase, by rising beta.
    beta : float
        Between the first and the last of them.
    least : float
        Of the variation of outputs: with less, a phase is trivial (see `answers_of`).
    """
    high = next(place for place, point in enumerate(points) if point.beta >= beta)
    low = high if points[high].beta == beta else high - 1
    first, second = (_fingerprint(points[place], least) for place in (low, high))
    share = 0.0 if low == high else math.log(beta / first.beta) / math.log(second.beta / first.beta)
    return _between(first, second, share, beta)


def _fingerprint(point: Point, least: float) -> Fingerprint:
    return replace(Fingerprint.of(point), answers=answers_of(point, least))


def _between(first: Fingerprint, second: Fingerprint, share: float, beta: float) -> Fingerprint:
    values = {name: _mixed(row, second.singular_values[name], share) for name, row in first.singular_values.items()}
    answers = None
    if first.answers is not None and second.answers is not None:
        answers = tuple(_mixed(a, b, share) for a, b in zip(first.answers, second.answers, strict=True))
    pull = None if first.pull is None or second.pull is None else _mix(first.pull, second.pull, share)
    return Fingerprint(
        beta=beta,
        error=_mix(first.error, second.error, share),
        norm_squared=_mix(first.norm_squared, second.norm_squared, share),
        singular_values=values,
        radius=max(first.radius, second.radius),
        pull=pull,
        answers=answers,
    )


def _mixed(first: Sequence[float], second: Sequence[float], share: float) -> tuple[float, ...]:
    return tuple(_mix(a, b, share) for a, b in zip(first, second, strict=True))


def _mix(first: float, second: float, share: float) -> float:
    return first if first == second else (1.0 - share) * first + share * second

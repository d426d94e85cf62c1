"""What joins the sweeps and branches of a diagram, from its JSON; runs of older versions have none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spinodal.errors import printable
from spinodal.phases.branch_record import from_record
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.envelope import Violation
from spinodal.phases.existence import Existence, Interval
from spinodal.phases.joined import Joined
from spinodal.phases.spinodals import Spinodal, SpinodalCertificate
from spinodal.phases.tree import Fall
from spinodal.store.record import number, optional, positive, text, whole
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition


def points_beside(result: Mapping[str, Any]) -> set[int]:
    """Return the numbers of the points that a result needs beside those of its first leg and of its transitions."""
    back = set(map(whole, result["loop"]["followed"])) if result.get("loop") else set()
    return back.union(*(map(whole, phase.get("beyond", ())) for phase in result["phases"]))


def joined(
    result: Mapping[str, Any], points: Mapping[int, Point], up: Sequence[Transition], back: Sequence[Transition]
) -> Joined:
    """Return what is joined to a walk, given its points by their numbers and the transitions of both ways."""
    loop, phases = result.get("loop"), result["phases"]
    return Joined(
        transitions=tuple(up),
        branches={whole(item["phase"]): from_record(item) for item in result.get("branches", ())},
        coexistence=tuple(map(_coexistence, result.get("coexistence", ()))),
        spinodals=tuple(map(_spinodal, result.get("spinodals", ()))),
        tree=tuple(map(_fall, result.get("tree", ()))),
        back=None if loop is None else _sweep(loop, points, back),
        back_phases=() if loop is None else tuple(map(whole, loop["phases"])),
        existence={whole(item["id"]): _existence(item["existence"]) for item in phases if item.get("existence")},
        beyond={whole(item["id"]): tuple(points[k] for k in item["beyond"]) for item in phases if item.get("beyond")},
        violations=tuple(map(_violation, result.get("certificates", {}).get("violations", ()))),
    )


def _words(value: object) -> str:
    return printable(text(value))


def _sweep(loop: Mapping[str, Any], points: Mapping[int, Point], transitions: Sequence[Transition]) -> Sweep:
    return Sweep(tuple(points[index] for index in loop["followed"]), tuple(transitions), _words(loop["status"]))


def _existence(item: Mapping[str, Any]) -> Existence:
    return Existence(
        range=_interval(item["range"]),
        lower_reason=_words(item["lower_reason"]),
        upper_reason=_words(item["upper_reason"]),
        stable=tuple(map(_interval, item["stable"])),
        metastable=tuple(map(_interval, item["metastable"])),
    )


def _interval(item: Sequence[Any]) -> Interval:
    low, high = map(number, item)
    return low, high


def _spinodal(item: Mapping[str, Any]) -> Spinodal:
    return Spinodal(
        beta=positive(item["beta"]),
        phase=whole(item["phase"]),
        side=_words(item["side"]),
        certificate=optional(_certificate, item["certificate"]),
        reason=optional(_words, item["reason"]),
    )


def _certificate(item: Mapping[str, Any]) -> SpinodalCertificate:
    numbers = {name: number(item[name]) for name in ("residual", "eigenvalue", "overlap")}
    return SpinodalCertificate(**numbers, status=_words(item["status"]))


def _coexistence(item: Mapping[str, Any]) -> PhaseCoexistence:
    positive(item["beta"])
    return PhaseCoexistence.from_dict({**item, "status": _words(item["status"])})


def _fall(item: Mapping[str, Any]) -> Fall:
    to = optional(whole, item["falls_to"])
    return Fall(whole(item["phase"]), to, positive(item["beta"]), _words(item["direction"]))


def _violation(item: Mapping[str, Any]) -> Violation:
    return Violation(positive(item["beta"]), _words(item["text"]))

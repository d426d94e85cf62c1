"""What joins the sweeps and branches of a diagram, from its JSON; runs of older versions have none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spinodal.codec import read
from spinodal.phases.branch_record import read_branch
from spinodal.phases.envelope import Violation
from spinodal.phases.existence import Existence
from spinodal.phases.joined import Joined
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition


def points_beside(result: Mapping[str, Any]) -> set[int]:
    """Return the numbers of the points that a result needs beside those of its first leg and of its transitions."""
    back = set(_numbers(result["loop"]["followed"])) if result.get("loop") else set()
    return back.union(*(_numbers(phase.get("beyond", ())) for phase in result["phases"]))


def joined(
    result: Mapping[str, Any], points: Mapping[int, Point], up: Sequence[Transition], back: Sequence[Transition]
) -> Joined:
    """Return what is joined to a walk, given its points by their numbers and the transitions of both ways."""
    loop, phases = result.get("loop"), {read(int, item["id"]): item for item in result["phases"]}
    return read(
        Joined,
        result,
        transitions=tuple(up),
        branches={read(int, item["phase"]): read_branch(item) for item in result.get("branches", ())},
        back=None if loop is None else _sweep(loop, points, back),
        back_phases=() if loop is None else _numbers(loop["phases"]),
        existence={phase: Existence.from_dict(item["existence"]) for phase, item in phases.items() if item.get("existence")},
        beyond={phase: tuple(points[k] for k in item["beyond"]) for phase, item in phases.items() if item.get("beyond")},
        violations=read(tuple[Violation, ...], result.get("certificates", {}).get("violations", ())),
    )


def _numbers(values: object) -> tuple[int, ...]:
    return read(tuple[int, ...], values)


def _sweep(loop: Mapping[str, Any], points: Mapping[int, Point], transitions: Sequence[Transition]) -> Sweep:
    return Sweep(tuple(points[index] for index in loop["followed"]), tuple(transitions), read(str, loop["status"]))

"""Curvature at every followed point of a map: a pass after the walk, which decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from spinodal.codec import plain
from spinodal.counts import Counts
from spinodal.curvature.along import Curvature, curvature_at
from spinodal.errors import RunFolderError
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.missing import Attempts, outcome_of
from spinodal.sweeps.point import Point
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.blame import Owner


@dataclass(frozen=True)
class Survey:
    """Curvature along a map.

    Attributes
    ----------
    points : mapping of the numbers of points to Curvature
    failed : mapping of the numbers of points to str
        Why there is none.
    """

    points: Mapping[int, Curvature] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return what the numbers leave out: sentences."""
        return tuple(sorted({text for found in self.points.values() for text in found.caveats}))

    def at(self, point: Point) -> Curvature | None:
        """Return the curvature at a point of the map; None where it could not be computed, or was not asked for."""
        return self.points.get(point.index)


def note_name(index: int) -> str:
    """Return the name under which a journal keeps the curvature of a point."""
    return f"curvature of point {index}"


def point_seed(seed: int, index: int) -> int:
    """Return the seed of the probes at a point: it depends on the map's seed and the point's number alone.

    Examples
    --------
    >>> point_seed(0, 3) == point_seed(0, 3), point_seed(0, 3) == point_seed(0, 4)
    (True, False)
    """
    return int(np.random.SeedSequence([seed % 2**64, index]).generate_state(1)[0])


def survey(
    points: Iterable[Point],
    landscape: Landscape,
    penalty: Penalty,
    recorder: Recorder,
    *,
    seed: int,
    attempts: Attempts | None = None,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Survey, Counts]:
    """Return the curvature at points, and what it cost over all processes that worked on it.

    Every point is one note of the recorder, made before the next one is started; what is noted is not computed again.

    Parameters
    ----------
    points : iterable of Point
        Each number is taken once.
    landscape, penalty
    recorder : Recorder
    seed : int
        Of the map, see `point_seed`.
    attempts : Attempts, optional
        What cannot be computed at a point is noted as such; any other failure is not, so that it can be tried again.
    on_point : callable ``(done, total)``
        Hears of the progress.
    """
    attempts, distinct = attempts or Attempts(), {point.index: point for point in points}
    known, failed, again, spent = {}, {}, {}, Counts(parameters=landscape.size)
    for done, (index, point) in enumerate(sorted(distinct.items())):
        on_point(done, len(distinct))
        try:
            note = recorder.note(note_name(index), partial(noted, point, landscape, penalty, seed, attempts.owner))
            spent = spent + Counts(**note["counts"])
            if note["failed"] is None:
                known[index] = Curvature.from_dict(note)
            else:
                failed[index] = note["failed"]
        except RunFolderError:
            raise
        except Exception as cause:  # noqa: BLE001 - a map is worth more than the curvature of one of its points
            failed[index] = again[index] = attempts.failure(f"the curvature at point {index}", cause)
    _tell(failed, again, len(distinct), attempts)
    return Survey(known, failed), spent


def _tell(failed: Mapping[int, str], again: Mapping[int, str], total: int, attempts: Attempts) -> None:
    """Say at how many points the curvature is missing, by their causes."""
    for text, count in Counter(failed.values()).items():
        attempts.lack(f"the curvature at {count} of {total} points", text, final=text not in again.values())


def recalled(
    indices: Iterable[int], recorded: Callable[[str], dict[str, Any] | None], failed: Mapping[int, str] | None = None
) -> Survey:
    """Return what a journal keeps of the curvature of points; at those that `failed` it may keep none.

    Raises
    ------
    TypeError, KeyError, ValueError
        If a point has no record, or a damaged one.
    """
    notes = {index: recorded(note_name(index)) or {} for index in indices if index not in (failed or {})}
    without = {index: str(note["failed"]) for index, note in notes.items() if note["failed"] is not None}
    known = {index: Curvature.from_dict(note) for index, note in notes.items() if index not in without}
    return Survey(known, {**without, **(failed or {})})


def noted(point: Point, landscape: Landscape, penalty: Penalty, seed: int, owner: Owner) -> dict[str, Any]:
    """Return what is noted of the curvature at a point: its record, or why it cannot be computed; and what that cost."""
    with landscape.counting() as spent:
        theta, beta = point.minimum.theta, point.beta
        compute = partial(curvature_at, landscape, theta, beta=beta, penalty=penalty, seed=point_seed(seed, point.index))
        record, failed = outcome_of(lambda: plain(compute()), owner)
    return {**(record or {}), "failed": failed, "counts": vars(spent)}

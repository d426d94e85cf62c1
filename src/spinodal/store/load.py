"""A diagram back from its run folder, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spinodal.counts import Counts
from spinodal.phases import PhaseDiagram
from spinodal.store.run import RunFolder
from spinodal.theory import ExactTransition
from spinodal.transitions import Evidence, Transition
from spinodal.walk import Point


def load(run: str | Path) -> PhaseDiagram:
    """Return the `PhaseDiagram` of a finished run.

    Parameters
    ----------
    run : path of a run folder

    Raises
    ------
    SpinodalError
        If there is no run, it is not finished, or it is damaged.
    """
    folder = RunFolder(Path(run))
    result = folder.result()
    wanted = {index for item in result["transitions"] for index in item["points"]} | set(result["followed"])
    points = {index: folder.journal.point(index) for index in sorted(wanted)}
    stats = {key: value for key, value in result["stats"].items() if key in Counts.__dataclass_fields__}
    return PhaseDiagram(
        task=result["task"],
        seed=result["seed"],
        range=tuple(result["range"]),
        points=tuple(points[index] for index in result["followed"]),
        transitions=tuple(_transition(item, points) for item in result["transitions"]),
        spent=Counts(**stats, parameters=len(next(iter(points.values())).minimum.theta)),
        seconds=result["stats"]["seconds"],
        solver=result["solver"],
        run_status=result["run_status"],
        exact=tuple(ExactTransition(**item) for item in result["exact"]),
    )


def _transition(item: dict[str, Any], points: dict[int, Point]) -> Transition:
    before, after = item["points"]
    return Transition(
        beta=item["beta"],
        bracket=(item["bracket"][0], item["bracket"][1]),
        direction=item["direction"],
        order=item["order"],
        minor=item["minor"],
        status=item["status"],
        before=points[before],
        after=points[after],
        evidence=Evidence(**item["evidence"]),
    )

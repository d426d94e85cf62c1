"""A diagram back from its run folder, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.phases import PhaseDiagram
from spinodal.store.journal import Journal
from spinodal.store.run import RunFolder, damaged
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
    try:
        return _diagram(result, folder.journal)
    except SpinodalError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as cause:
        raise damaged(folder.path / "result.json", f"{type(cause).__name__}: {cause}") from cause


def _diagram(result: dict[str, Any], journal: Journal) -> PhaseDiagram:
    """Return the diagram; every value is taken by its type, so that a wrong one fails here."""
    wanted = {index for item in result["transitions"] for index in item["points"]} | set(result["followed"])
    points = {index: journal.point(index) for index in sorted(wanted)}
    followed = tuple(points[index] for index in result["followed"])
    low, high = map(float, result["range"])
    stats = {key: int(value) for key, value in result["stats"].items() if key in Counts.__dataclass_fields__}
    return PhaseDiagram(
        task={**result["task"], "name": str(result["task"]["name"])},
        seed=int(result["seed"]),
        range=(low, high),
        points=followed,
        transitions=tuple(_transition(item, points) for item in result["transitions"]),
        spent=Counts(**stats, parameters=len(followed[0].minimum.theta)),
        seconds=float(result["stats"]["seconds"]),
        solver=str(result["solver"]),
        run_status=str(result["run_status"]),
        exact=tuple(_exact(item) for item in result["exact"]),
    )


def _transition(item: dict[str, Any], points: dict[int, Point]) -> Transition:
    before, after = item["points"]
    low, high = map(float, item["bracket"])
    return Transition(
        beta=float(item["beta"]),
        bracket=(low, high),
        direction=str(item["direction"]),
        order=str(item["order"]),
        minor=bool(item["minor"]),
        status=str(item["status"]),
        before=points[before],
        after=points[after],
        evidence=Evidence(**item["evidence"]),
    )


def _exact(item: dict[str, Any]) -> ExactTransition:
    numbers = {key: item[key] if item[key] is None else float(item[key]) for key in ("singular_value", "beta", "coexistence")}
    return ExactTransition(**{**item, **numbers})

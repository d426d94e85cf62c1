"""An ensemble as labelled arrays along its members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spinodal.ensemble.shared import Seen, SharedTransition
from spinodal.labelled.arrays import Arrays
from spinodal.labelled.variables import MEASURED, SIDED
from spinodal.phases.diagram import Diagram

if TYPE_CHECKING:
    import xarray

OVER = "over the members that met it"
OF_ALL: dict[str, tuple[str, Callable[[SharedTransition], float | None]]] = {
    "mean": (f"mean of beta {OVER}", lambda item: item.beta),
    "deviation": (f"standard deviation of beta {OVER}; NaN where one did", lambda item: item.deviation),
    "low": (f"lowest beta {OVER}", lambda item: item.spread.low),
    "high": (f"highest beta {OVER}", lambda item: item.spread.high),
    "width": ("least difference of beta between members, beyond the brackets", lambda item: item.spread.width),
}
OF_EACH: dict[str, tuple[list[str], str, Callable[[Seen], Any]]] = {
    "transition_beta": ([], "where the phase ends: polished where its branch was followed", lambda seen: seen.beta),
    "transition_bracket": (["bracket"], "of the walk", lambda seen: seen.step.transition.bracket),
    "transition_coexistence": ([], "where both phases are equally deep; NaN where not known", lambda seen: seen.coexistence),
    "transition_error": (
        ["side"],
        SIDED,
        lambda seen: (seen.step.transition.before.error, seen.step.transition.after.error),
    ),
}


def collate(
    members: Sequence[Diagram], names: Sequence[str], transitions: Sequence[SharedTransition], convention: str
) -> xarray.Dataset:
    """Return transitions and points along `member`; a missing measurement is NaN, a missing whole number -1.

    Raises
    ------
    SpinodalError
        If xarray is not installed.
    """
    longest = max(len(member.points) for member in members)
    sizes = {"member": len(members), "transition": len(transitions), "point": longest, "bracket": 2, "side": 2}
    arrays = Arrays(sizes)
    _add_points(arrays, members)
    _add_transitions(arrays, names, transitions)
    labels: dict[str, Any] = {
        "member": list(names),
        "seed": ("member", [member.seed for member in members]),
        "bracket": ["lower", "upper"],
        "side": ["before", "after"],
    }
    title = f"{len(members)} maps of {', '.join(dict.fromkeys(str(member.task['name']) for member in members))}"
    return arrays.dataset(labels, {"title": title, "convention": convention})


def _add_points(arrays: Arrays, members: Sequence[Diagram]) -> None:
    """Add what was measured at the followed points of every member, in the order walked."""
    along = ["member", "point"]
    betas = [[point.beta for point in member.points] for member in members]
    arrays.numbers("beta", along, betas, "beta", "of the points in the order walked; NaN beyond the last one of a member")
    for name, (title, description, read) in MEASURED.items():
        arrays.numbers(name, along, [[read(point) for point in member.points] for member in members], title, description)
    ranks = [[point.observation.rank for point in member.points] for member in members]
    arrays.whole("rank", along, ranks, "rank", "smallest effective rank of the weight matrices")
    accuracies = [[point.observation.accuracy["train"] for point in member.points] for member in members]
    arrays.numbers("accuracy", along, accuracies, "accuracy", "on the training samples; NaN where it does not apply")


def _add_transitions(arrays: Arrays, names: Sequence[str], transitions: Sequence[SharedTransition]) -> None:
    along = ["member", "transition"]
    seen = [{item.member: item for item in found.seen} for found in transitions]
    for name, (more, description, read) in OF_EACH.items():
        rows = [[read(of[member]) if member in of else None for of in seen] for member in names]
        arrays.numbers(name, [*along, *more], rows, name.replace("_", " "), description)
    for name, (description, of_all) in OF_ALL.items():
        arrays.numbers(name, ["transition"], map(of_all, transitions), name, description)
    arrays.whole("met", ["transition"], [found.met for found in transitions], "met", "by how many members")
    arrays.whole("transition_rank", ["transition", "side"], [found.ranks for found in transitions], "rank", SIDED)
    arrays.words("order", ["transition"], [found.order for found in transitions], "order", "in most of the members")
    arrays.words(
        "direction", ["transition"], [found.direction for found in transitions], "direction", "in which beta was walked"
    )

"""Tables for people, from the result's JSON."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.table import Table
from rich.text import Text

from spinodal.commands.table import Column, table
from spinodal.conventions import is_l2, weight_decay
from spinodal.errors import printable
from spinodal.landscape.reading.sentences import remarkable
from spinodal.words.doubts import doubts
from spinodal.words.numbers import significant
from spinodal.words.repeats import SPREAD, SPREAD_NOTE
from spinodal.words.rows import BRACKET_NOTE, HALF_BRACKET, TERMINAL, between, gained, listed, phase_cells, transition_cells

TRANSITION = ("direction", "beta", HALF_BRACKET, SPREAD, "weight_decay", "order", "E", "norm", "rank", "accuracy",
              "classes lost", "classes gained", "exact")  # fmt: skip
PHASE = ("phase", "beta", "weight_decay", "rank", "E", "a minimum in", "deepest in", "accuracy", "held out", "living classes")
ALWAYS = ("phase", "beta", HALF_BRACKET, "weight_decay", "order", "E", "norm", "rank")  # columns, whatever their rows say
SPARE = {"weight_decay": 1, HALF_BRACKET: 2, "norm": 3}  # columns, those that are left out first with higher numbers
FOLDS = ("order", "classes lost", "classes gained", "deepest in", "living classes")
HEADINGS = {"direction": "way", "weight_decay": "w. decay"}


def transitions_table(result: Mapping[str, Any], width: int) -> Table:
    """Return the macroscopic transitions, one per row, with closed forms beside them where they apply."""
    found = [item for item in result["transitions"] if not item["minor"]]
    living = {phase["id"]: phase["classes"] for phase in result["phases"]}
    new = [gained(item, living) for item in found]
    exact = [form["beta"] for form in result["exact"]]
    rows = [
        {
            **transition_cells(item, TERMINAL),
            "classes gained": listed(classes if any(new) else None, TERMINAL),
            "exact": significant(min(exact, key=lambda beta: abs(beta - item["beta"])), 6) if exact else TERMINAL.absent,
        }
        for item, classes in zip(found, new, strict=True)
    ]
    always = (*ALWAYS, "direction", "exact") if exact else (*ALWAYS, "direction")
    return told("Transitions", rows, width, names=_telling(result, TRANSITION), always=always, headings=HEADINGS)


def has_rank(result: Mapping[str, Any]) -> bool:
    """Tell whether any phase has a rank above 0; a model without weight matrices has none."""
    return any(item["rank"] for item in result["phases"])


def phases_table(result: Mapping[str, Any], width: int) -> Table:
    """Return the phases, one per row, by rising beta."""
    rows = [
        {
            "phase": str(item["id"]),
            **phase_cells(item, TERMINAL),
            "a minimum in": _existence(item, "range"),
            "deepest in": _existence(item, "stable"),
        }
        for item in result["phases"]
    ]
    return told("Phases", rows, width, names=_telling(result, PHASE), always=ALWAYS, headings=HEADINGS)


def told(
    title: str,
    rows: Sequence[Mapping[str, str]],
    width: int,
    *,
    names: Iterable[str] = (),
    always: Container[str] = (),
    headings: Mapping[str, str] = MappingProxyType({}),
    spare: Mapping[str, int] = SPARE,
    folds: Container[str] = FOLDS,
) -> Table:
    """Return rows as a table, without the columns of which no row says anything, but for those that it always has."""
    shown = [name for name in names or rows[0] if name in always or any(row[name] != TERMINAL.absent for row in rows)]
    columns = [
        Column(headings.get(name, name), [row[name] for row in rows], spare.get(name, 0), name in folds) for name in shown
    ]
    return table(title, columns, width)


def _telling(result: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the columns that mean something: a way in a loop, weight_decay along the L2 penalty, a rank with matrices."""
    means = {"direction": bool(result.get("loop")), "weight_decay": _has_decay(result), "rank": has_rank(result)}
    return [name for name in names if means.get(name, True)]


def _has_decay(result: Mapping[str, Any]) -> bool:
    """Tell a map along the L2 penalty, whose beta is half a weight_decay; older results are of no other."""
    return is_l2(result["convention"])


def _existence(phase: Mapping[str, Any], part: str) -> str:
    """Return the whole range of a phase, or the parts of it where it is the deepest known."""
    found = phase.get("existence")
    if not found:
        return TERMINAL.absent
    ranges = [found[part]] if part == "range" else found[part]
    return ", ".join(between(interval, TERMINAL) for interval in ranges) or "none"


def summary(result: Mapping[str, Any]) -> Text:
    """Return what was done and what it cost, in a few lines."""
    minor = sum(item["minor"] for item in result["transitions"])
    stats = result["stats"]
    low, high = result["range"]
    return Text(
        f"{printable(result['task']['name'])}, seed {result['seed']}, solver {result['solver']}, "
        + (
            f"beta {low:.4g} to {high:.4g} (weight_decay {weight_decay(low):.4g} to {weight_decay(high):.4g})\n"
            if _has_decay(result)
            else f"{printable(result['control']['name'])} {low:.4g} to {high:.4g}, which is beta in the tables\n"
        )
        + f"convention: {printable(result['convention'])}{' (w. decay)' if _has_decay(result) else ''}\n"
        + (f"{BRACKET_NOTE}\n" if len(result["transitions"]) > minor else "")
        + (f"{SPREAD_NOTE}\n" if any(item.get("repeats") for item in result["transitions"]) else "")
        + (f"{_minor(minor)} (below 1 % of the range of E) in the report and the JSON\n" if minor else "")
        + _loop(result.get("loop"))
        + "".join(f"{line}\n" for line in _equally_deep(result.get("coexistence", ()), of_decay=_has_decay(result)))
        + "".join(f"{item['text']}\n" for item in result.get("certificates", {}).get("violations", ()))
        + "".join(f"{sentence}\n" for sentence in doubts(result))
        + "".join(f"{printable(sentence)}\n" for sentence in remarkable(result.get("reading", {})))
        + f"{stats['gradient_evaluations']:,} gradients, {stats['hessian_products']:,} Hessian products, "
        f"{stats['hessians']:,} Hessians, {stats['points']} points, {stats['seconds']:.1f} s"
        + (f"\n{_counted(stats['unconverged'])} did not converge; see `status` of their minima" if stats["unconverged"] else "")
    )


def _loop(loop: Mapping[str, Any] | None) -> str:
    if loop is None:
        return ""
    ended = "" if loop["status"] == "complete" else f"; the way back {loop['status']}"
    size = (
        "" if loop["area"] is None else f"loop area (integral of norm^2 dbeta between the ways up and down) {loop['area']:.4g}"
    )
    return f"{size}{ended}\n".removeprefix("; ")


def _equally_deep(found: Sequence[Mapping[str, Any]], *, of_decay: bool) -> list[str]:
    """Return where phases are equally deep, with latent heat and barrier, by rising beta."""
    lines = []
    for item in sorted(found, key=lambda item: float(item["beta"])):
        decay = f" (weight_decay = {significant(weight_decay(item['beta']), 6)})" if of_decay else ""
        heat = f"latent heat {significant(item['latent_heat'], 4)} in norm^2"
        heights = item.get("barrier") and " and ".join(significant(height, 3) for height in item["barrier"])
        barrier = f", barrier {heights} in L" if heights else ""
        phases = " and ".join(map(str, item["phases"]))
        lines.append(f"phases {phases} are equally deep at beta = {significant(item['beta'], 6)}{decay}: {heat}{barrier}")
    return lines


def _minor(count: int) -> str:
    return f"{count} minor discontinuit{'ies' if count != 1 else 'y'}"


def _counted(points: int) -> str:
    return f"{points:,} point{'s' if points != 1 else ''}"

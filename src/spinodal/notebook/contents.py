"""What is told of a result: its sentences and tables, those that terminal and report have, where they have any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import singledispatch

from spinodal.basins.tree import Hierarchy
from spinodal.dynamics.trajectory import Trajectory
from spinodal.ensemble.ensemble import Ensemble
from spinodal.paths.path import Path
from spinodal.phases.phase import Phase
from spinodal.report.branch_rows import coexistence_table, spinodal_table
from spinodal.report.hierarchy import basin_table, merging_table, rank_table
from spinodal.report.path_page import path_table
from spinodal.report.rows import Table, number, phase_table, table, transition_table
from spinodal.report.shares import share_table
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.shares import Shares
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition
from spinodal.words.ensemble import shared_cells
from spinodal.words.numbers import significant
from spinodal.words.rows import PAGE

LONG = 120  # characters from which a text is no cell of a table


@dataclass(frozen=True)
class Contents:
    """Sentences, the most important first, and tables with their headings; empty tables are left out."""

    sentences: tuple[str, ...]
    tables: tuple[tuple[str, Table], ...] = ()


def contents(result: object) -> Contents:
    """Return what is told of a result."""
    told = _told(result)
    return Contents(told.sentences, tuple((heading, data) for heading, data in told.tables if data.rows))


@singledispatch
def _told(result: object) -> Contents:
    return Contents(_lines(result), (("Values", _values(result)),))


@_told.register
def _(result: PhaseDiagram) -> Contents:
    joined = [("Spinodals", spinodal_table(result))] if result.spinodals else []
    met = [("Coexistence", coexistence_table(result))] if result.coexistence else []
    tables = [("Transitions", transition_table(result)), ("Phases", phase_table(result)), *joined, *met]
    shown = tables if result.control.is_l2 else [(heading, _without_decay(data)) for heading, data in tables]
    return Contents(tuple(filter(None, [result.answer()])), tuple(shown))


@_told.register
def _(result: Phase) -> Contents:
    first, last = result.points[0], result.points[-1]
    return Contents(_lines(result), (("At its ends", _sides(("at the lowest β", first), ("at the highest β", last))),))


@_told.register
def _(result: Transition) -> Contents:
    return Contents(
        _lines(result), (("At the ends of the bracket", _sides(("before", result.before), ("after", result.after))),)
    )


@_told.register
def _(result: Path) -> Contents:
    return Contents((f"{result.status}.",), (("The path", path_table([result.to_dict()])),))


@_told.register
def _(result: Hierarchy) -> Contents:
    tables = (("Basins", basin_table(result)), ("Ranks", rank_table(result)), ("Where seeds merge", merging_table(result)))
    return Contents(_lines(result), tables)


@_told.register
def _(result: Ensemble) -> Contents:
    rows = [shared_cells(item, PAGE) for item in result.to_dict()["transitions"]]
    return Contents(_lines(result), (("Transitions", table(rows)),))


@_told.register
def _(result: Shares) -> Contents:
    return Contents(_lines(result), (("Shares", share_table(result)),))


@_told.register
def _(result: Trajectory) -> Contents:
    rows = [
        {"seed": str(result.seeds[run]), "E at the end": number(_last(errors)), "epochs": f"{ended:,}", "ended": end}
        for run, (errors, ended, end) in enumerate(zip(result.error.tolist(), result.ended, result.ends, strict=True))
    ]  # fmt: skip
    return Contents(_lines(result), (("Runs", table(rows)),))


def _lines(result: object) -> tuple[str, ...]:
    return tuple(filter(None, str(result).split("\n")))


def _last(errors: Sequence[float]) -> float:
    return next((error for error in reversed(errors) if not math.isnan(error)), math.nan)


def _sides(*sides: tuple[str, Point]) -> Table:
    """Return points beside each other, one per row."""
    return table([{"": name, **_seen(point)} for name, point in sides])


def _seen(point: Point) -> Mapping[str, str]:
    view = point.observation
    scores = {f"accuracy, {part.replace('_', ' ')}": number(value) for part, value in view.accuracy.items()}
    cells = {
        "β": significant(point.beta),
        "E": number(point.error, 6),
        "L": number(point.minimum.loss, 6),
        "‖θ‖": number(view.norm),
    }
    return {**cells, "margin": number(point.minimum.margin, 4), "rank": str(view.rank) if view.ranks else "", **scores}


def _values(result: object) -> Table:
    """Return the numbers and short texts of a result."""
    if not is_dataclass(result):
        return Table((), (), ())
    known = [(item.name.replace("_", " "), _cell(getattr(result, item.name))) for item in fields(result)]
    rows = tuple((name, cell) for name, cell in known if cell)
    return Table(("", "value"), rows, ("",) * len(rows))


def _cell(value: object) -> str:
    """Return a number, a short text or a pair of numbers as text, "" for anything else."""
    if isinstance(value, bool | int):
        return f"{value:,}" if type(value) is int else "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 7)
    if isinstance(value, str):
        return value if len(value) <= LONG else ""
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(item, float) for item in value):
        return " to ".join(number(item, 7) for item in value)
    return ""


def _without_decay(data: Table) -> Table:
    """Return a table without the columns of a weight_decay, which another control than the L2 penalty has not."""
    kept = [place for place, heading in enumerate(data.headings) if heading != "weight_decay"]
    rows = tuple(tuple(row[place] for place in kept) for row in data.rows)
    return Table(tuple(data.headings[place] for place in kept), rows, data.keys)

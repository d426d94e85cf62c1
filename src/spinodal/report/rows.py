"""Rows of the report's tables, every cell a text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.labelled.result import phase_record, transition_record
from spinodal.observe import Observation
from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.phases.step import Step
from spinodal.plots.recall import PARTS
from spinodal.report.closed_forms import ClosedForm, compare
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.uncertainty import of_error, of_norm
from spinodal.words.numbers import percent, significant, to_error
from spinodal.words.rows import PAGE, pair, phase_cells, transition_cells

SIGNS = {"beta": "β", "norm": "‖θ‖"}  # for what a terminal spells out
MOST_MINOR = 200  # rows of minor transitions, the largest in E


@dataclass(frozen=True)
class Table:
    """Headings and rows; `keys` links a row to what it describes."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[str, ...]


def transition_table(diagram: Diagram) -> Table:
    """Return the macroscopic transitions by rising beta, counted from 1."""
    found = diagram.steps
    exact = {item.number: item for item in compare(diagram) if item.number is not None}
    rows = [
        {"": str(step.number), **transition_row(diagram, step.transition), **_gained(step),
         **_beside(diagram, exact.get(step.number)), "status": step.transition.status}
        for step in found
    ]  # fmt: skip
    return table(rows, [str(step.number) for step in found])


def minor_table(diagram: Diagram) -> Table:
    """Return the minor transitions by rising beta, at most the `MOST_MINOR` with the largest jumps of E."""
    minor = [transition for transition in diagram.transitions if transition.minor]
    largest = sorted(minor, key=lambda t: -abs(t.after.error - t.before.error))[:MOST_MINOR]
    rows = [{**transition_row(diagram, t), "status": t.status} for t in sorted(largest, key=lambda t: t.beta)]
    return table(rows)


def phase_table(diagram: Diagram) -> Table:
    """Return the phases by rising beta."""
    phases = diagram.phases
    return table([_phase(diagram, phase) for phase in phases], [str(phase.id) for phase in phases])


def closed_form_table(diagram: Diagram) -> Table:
    """Return the closed forms beside the measurement."""
    return table([_closed_form(item) for item in compare(diagram)])


def cost(diagram: Diagram) -> list[tuple[str, str]]:
    """Return what a map cost."""
    spent = diagram.spent
    return [
        ("solver", diagram.solver),
        ("parameters", f"{spent.parameters:,}"),
        ("error evaluations", f"{spent.error_evaluations:,}"),
        ("gradient evaluations", f"{spent.gradient_evaluations:,}"),
        ("Hessian products", f"{spent.hessian_products:,}"),
        ("dense Hessians", f"{spent.hessians:,}"),
        ("gradient-equivalents", f"{spent.gradient_equivalents:,.0f}"),
        ("points on the followed branches", f"{len(diagram.points):,}"),
        ("of these not converged", f"{sum(not point.minimum.converged for point in diagram.points):,}"),
        ("seconds", f"{diagram.seconds:.1f}"),
        ("status of the run", diagram.run_status),
    ]


def grouped(tree: Mapping[str, Any], title: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return nested settings as titled lists of texts: plain values under `title`, those of a mapping under its name.

    Examples
    --------
    >>> grouped({"python": "3.11", "host": {"cores": 2, "names": ["a", "b"]}}, "run")
    [('run', [('python', '3.11')]), ('host', [('cores', '2'), ('names', 'a b')])]
    >>> grouped({"settings": {"map": {"starts": 4}}}, "run")
    [('settings: map', [('starts', '4')])]
    """
    return list(_groups(tree, title, ""))


def _groups(tree: Mapping[str, Any], title: str, path: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    plain = [(str(key), _text(value)) for key, value in tree.items() if not isinstance(value, Mapping)]
    if plain:
        yield title, plain
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _groups(value, f"{path}{key}", f"{path}{key}: ")


def point_columns(points: Sequence[Point], steps: Mapping[str, float | None]) -> list[tuple[str, list[str]]]:
    """Return all values of the points, named, as texts: what a figure shows on hovering.

    `steps` are what one sample moves in the accuracies (see `Diagram.sample_steps`).
    """
    views = [point.observation for point in points]
    columns = [
        ("point", [str(point.index) for point in points]),
        ("β", [significant(point.beta) for point in points]),
        ("weight_decay", [significant(weight_decay(point.beta)) for point in points]),
        ("E", [to_error(point.error, of_error(point), 6) for point in points]),
        ("L", [to_error(point.minimum.loss, of_error(point), 6) for point in points]),
        ("‖θ‖", [to_error(point.observation.norm, of_norm(point), 6) for point in points]),
        ("‖θ − centre‖", ["" if view.distance == view.norm else number(view.distance) for view in views]),
        ("margin", [_margin(point) for point in points]),
        ("residual", [number(point.minimum.residual, 2) for point in points]),
        ("rank", [_rank(view) for view in views]),
        ("ranks", [", ".join(f"{name} {rank}" for name, rank in view.ranks.items()) for view in views]),
        *((f"accuracy, {PARTS[part]}", [_part(view.accuracy[part], steps[part]) for view in views]) for part in PARTS),
        ("variance of the outputs", [number(view.output_variance) for view in views]),
        *((str(name), [number(view.custom.get(name)) for view in views]) for name in views[0].custom),
        ("status", [point.minimum.status for point in points]),
    ]
    return [(name, cells) for name, cells in columns if any(cells)]


def rank_pair(step: Step) -> list[str]:
    """Return the ranks of the phases beside a transition, in the direction walked; two empty texts without matrices."""
    return [str(rank) for rank in step.along[0]] if step.low.observation.ranks else ["", ""]


def _rank(view: Observation) -> str:
    return str(view.rank) if view.ranks else ""


def transition_row(diagram: Diagram, transition: Transition) -> dict[str, str]:
    """Return what a table says of any transition; pairs are in the direction walked."""
    return _ranked(diagram, transition_cells(transition_record(diagram, transition), PAGE))


def _ranked(diagram: Diagram, cells: dict[str, str]) -> dict[str, str]:
    """Return cells with no rank where there are no matrices."""
    return cells if diagram.has_matrices else {**cells, "rank": ""}


def _gained(step: Step) -> dict[str, str]:
    """Return the classes that a transition gives, in the direction walked."""
    _, _, gained = step.along
    return {"classes gained": " ".join(map(str, gained))}


def _beside(diagram: Diagram, found: ClosedForm | None) -> dict[str, str]:
    """Return the closed form of a transition and the relative difference from it."""
    if not diagram.exact:
        return {}
    if found is None:
        return {"closed form β": "–", "difference": "–"}
    return {"closed form β": f"{found.exact.beta:.7g}", "difference": f"{found.relative:+.1e}"}


def _phase(diagram: Diagram, phase: Phase) -> dict[str, str]:
    return {
        "": str(phase.id),
        **_ranked(diagram, phase_cells(phase_record(diagram, phase), PAGE)),
        "falls to": "–" if phase.falls_to is None else f"phase {phase.falls_to}",
        "points": f"{len(phase.points):,}",
    }


def _closed_form(item: ClosedForm) -> dict[str, str]:
    form = item.exact
    return {
        "mode s": f"{form.singular_value:.6g}",
        "order": form.order,
        "exact weight_decay": f"{weight_decay(form.beta):.8g}",
        "exact β": f"{form.beta:.8g}",
        "coexistence β": "–" if form.coexistence is None else f"{form.coexistence:.8g}",
        "measured": "not met" if item.number is None else f"transition {item.number}",
        "difference": "–" if item.difference is None else f"{item.difference:+.2e}",
        "relative": "–" if item.relative is None else f"{item.relative:+.1e}",
        "inside the bracket": "–" if item.inside is None else ("yes" if item.inside else "no"),
    }


def table(rows: Sequence[Mapping[str, str]], keys: Sequence[str] = ()) -> Table:
    """Return rows as a table, without the columns that are empty in all of them."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    headings = tuple(SIGNS.get(name, name) for name in names)
    return Table(headings, tuple(tuple(row[name] for name in names) for row in rows), tuple(keys) or ("",) * len(rows))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "–" if value is None else str(value)


def arrow(texts: Sequence[str]) -> str:
    """Return `a → b`, one of them if they are alike, "" if there is nothing."""
    return pair(texts, PAGE)


def number(value: float | None, digits: int = 5) -> str:
    """Return a number, a dash where it is not finite, "" where there is none."""
    if value is None:
        return ""
    return f"{value:.{digits}g}" if math.isfinite(value) else "–"


def _margin(point: Point) -> str:
    margin, error = point.minimum.margin, point.minimum.margin_error
    if not (math.isfinite(margin) and error > 0):
        return number(margin, 4)
    return f"{to_error(margin, error, 4)} ± {number(error, 1)}"


def _part(value: float | None, step: float | None) -> str:
    return "" if value is None else percent(value, step)

"""Rows of the report's tables, every cell a text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spinodal.observe import Observation
from spinodal.penalty import weight_decay
from spinodal.phases import Phase, PhaseDiagram
from spinodal.plots.recall import PARTS
from spinodal.report.closed_forms import ClosedForm, compare
from spinodal.report.step import Step, steps
from spinodal.sweeps.transition import Transition
from spinodal.walk import Point

MOST_MINOR = 200  # rows of minor transitions, the largest in E


@dataclass(frozen=True)
class Table:
    """Headings and rows; `keys` links a row to what it describes."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[str, ...]


def transition_table(diagram: PhaseDiagram) -> Table:
    """Return the macroscopic transitions by rising beta, counted from 1."""
    found = steps(diagram)
    exact = {item.number: item for item in compare(diagram) if item.number is not None}
    rows = [
        {"": str(step.number), **transition_row(step.transition), "rank": arrow(rank_pair(step)), **_classes(step),
         **_beside(diagram, exact.get(step.number)), "status": step.transition.status}
        for step in found
    ]  # fmt: skip
    return table(rows, [str(step.number) for step in found])


def minor_table(diagram: PhaseDiagram) -> Table:
    """Return the minor transitions by rising beta, at most the `MOST_MINOR` with the largest jumps of E."""
    minor = [transition for transition in diagram.transitions if transition.minor]
    largest = sorted(minor, key=lambda t: -abs(t.after.error - t.before.error))[:MOST_MINOR]
    rows = [{**transition_row(t), "status": t.status} for t in sorted(largest, key=lambda t: t.beta)]
    return table(rows, [""] * len(rows))


def phase_table(diagram: PhaseDiagram) -> Table:
    """Return the phases by rising beta."""
    phases = diagram.phases
    return table([_phase(phase) for phase in phases], [str(phase.id) for phase in phases])


def closed_form_table(diagram: PhaseDiagram) -> Table:
    """Return the closed forms beside the measurement."""
    return table([_closed_form(item) for item in compare(diagram)], [""] * len(diagram.exact))


def cost(diagram: PhaseDiagram) -> list[tuple[str, str]]:
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


def point_columns(points: Sequence[Point]) -> list[tuple[str, list[str]]]:
    """Return all values of the points, named, as texts: what a figure shows on hovering."""
    views = [point.observation for point in points]
    columns = [
        ("point", [str(point.index) for point in points]),
        ("β", [f"{point.beta:.7g}" for point in points]),
        ("weight_decay", [f"{weight_decay(point.beta):.7g}" for point in points]),
        ("E", [number(point.error) for point in points]),
        ("L", [number(point.minimum.loss) for point in points]),
        ("‖θ‖", [number(view.norm) for view in views]),
        ("‖θ − centre‖", ["" if view.distance == view.norm else number(view.distance) for view in views]),
        ("margin", [_margin(point) for point in points]),
        ("residual", [number(point.minimum.residual, 2) for point in points]),
        ("rank", [_rank(view) for view in views]),
        ("ranks", [", ".join(f"{name} {rank}" for name, rank in view.ranks.items()) for view in views]),
        *((f"accuracy, {PARTS[part]}", [_part(view.accuracy[part]) for view in views]) for part in PARTS),
        ("variance of the outputs", [number(view.output_variance) for view in views]),
        *((str(name), [number(view.custom.get(name)) for view in views]) for name in views[0].custom),
        ("status", [point.minimum.status for point in points]),
    ]
    return [(name, cells) for name, cells in columns if any(cells)]


def rank_pair(step: Step) -> list[str]:
    """Return the ranks of the phases beside a transition, in the direction walked; two empty texts without matrices."""
    if not step.low.observation.ranks:
        return ["", ""]
    return [str(rank) for rank in (step.ranks if step.transition.direction == "up" else step.ranks[::-1])]


def _rank(view: Observation) -> str:
    return str(view.rank) if view.ranks else ""


def transition_row(transition: Transition) -> dict[str, str]:
    """Return what a table says of any transition; pairs are in the direction walked."""
    pair = (transition.before, transition.after)
    low, high = transition.bracket
    return {
        "weight_decay": f"{weight_decay(transition.beta):.6g}",
        "β": f"{transition.beta:.7g}",
        "±": f"{(high - low) / 2:.1g}",
        "direction": transition.direction,
        "order": transition.order,
        "E": arrow([number(side.error) for side in pair]),
        "‖θ‖": arrow([number(side.observation.norm) for side in pair]),
        "margin": arrow([number(side.minimum.margin, 3) for side in pair]),
        "rank": arrow([_rank(side.observation) for side in pair]),
        "accuracy": arrow([_part(side.observation.accuracy["train"]) for side in pair]),
        "held out": arrow([_part(side.observation.accuracy["held_out"]) for side in pair]),
    }


def _classes(step: Step) -> dict[str, str]:
    """Return the classes that a transition costs and gives, in the direction walked."""
    if step.classes is None:
        return {}
    upward = step.transition.direction == "up"
    lost, gained = (step.lost, step.gained) if upward else (step.gained, step.lost)
    return {"classes lost": _listed(lost), "classes gained": _listed(gained) if gained else ""}


def _beside(diagram: PhaseDiagram, found: ClosedForm | None) -> dict[str, str]:
    """Return the closed form of a transition and the relative difference from it."""
    if not diagram.exact:
        return {}
    if found is None:
        return {"closed form β": "–", "difference": "–"}
    return {"closed form β": f"{found.exact.beta:.7g}", "difference": f"{found.relative:+.1e}"}


def _phase(phase: Phase) -> dict[str, str]:
    low, high = phase.beta
    return {
        "": str(phase.id),
        "weight_decay": f"{weight_decay(low):.5g} – {weight_decay(high):.5g}",
        "β": f"{low:.5g} – {high:.5g}",
        "rank": str(phase.rank) if phase.points[0].observation.ranks else "",
        "E": arrow([number(value) for value in phase.error]),
        "accuracy": arrow([_part(value) for value in phase.accuracy("train") or ()]),
        "held out": arrow([_part(value) for value in phase.accuracy("held_out") or ()]),
        "living classes": _listed(phase.classes),
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


def table(rows: Sequence[Mapping[str, str]], keys: Sequence[str]) -> Table:
    """Return rows as a table, without the columns that are empty in all of them."""
    headings = [heading for heading in (rows[0] if rows else ()) if any(row[heading] for row in rows)]
    return Table(tuple(headings), tuple(tuple(row[heading] for heading in headings) for row in rows), tuple(keys))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "–" if value is None else str(value)


def arrow(pair: Sequence[str]) -> str:
    """Return `a → b`, one of them if they are alike, "" if there is nothing."""
    if not any(pair):
        return ""
    return pair[0] if pair[0] == pair[1] else " → ".join(pair)


def number(value: float | None, digits: int = 5) -> str:
    """Return a number, a dash where it is not finite, "" where there is none."""
    if value is None:
        return ""
    return f"{value:.{digits}g}" if math.isfinite(value) else "–"


def _margin(point: Point) -> str:
    margin, error = point.minimum.margin, point.minimum.margin_error
    return f"{number(margin, 4)} ± {number(error, 1)}" if math.isfinite(margin) and error > 0 else number(margin, 4)


def _part(value: float | None) -> str:
    return "" if value is None else f"{100.0 * value:.4g} %"


def _listed(classes: Sequence[int] | None) -> str:
    if classes is None:
        return ""
    return " ".join(map(str, classes)) or "none"

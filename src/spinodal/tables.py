"""Tables for people, from the result's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from spinodal.penalty import weight_decay


def transitions_table(result: Mapping[str, Any]) -> Table:
    """Return the macroscopic transitions, one per row, with closed forms beside them where they apply."""
    exact = list(result["exact"])
    table = Table(title="Transitions", title_justify="left")
    for heading in ("beta", "±", "w. decay", "order", "E", "norm", "rank"):
        table.add_column(heading, justify="right")
    has_classes = any(item["lost_classes"] is not None for item in result["transitions"])
    if has_classes:
        table.add_column("accuracy", justify="right")
        table.add_column("classes lost")
    if exact:
        table.add_column("exact", justify="right")
    for item in result["transitions"]:
        if item["minor"]:
            continue
        low, high = item["bracket"]
        row = [
            f"{item['beta']:.6g}",
            f"{(high - low) / 2:.0e}",
            f"{item['weight_decay']:.5g}",
            item["order"],
            arrow(item["error"], ".3g"),
            arrow(item["norm"], ".3g"),
            arrow(item["rank"], "d"),
        ]
        if has_classes:
            row += [arrow(item["accuracy"]["train"], ".0%"), listed(item["lost_classes"])]
        if exact:
            row.append(f"{min((form['beta'] for form in exact), key=lambda beta: abs(beta - item['beta'])):.6g}")
        table.add_row(*row)
    return table


def phases_table(result: Mapping[str, Any]) -> Table:
    """Return the phases, one per row, by rising beta."""
    table = Table(title="Phases", title_justify="left")
    for heading in ("phase", "beta", "w. decay", "rank", "E"):
        table.add_column(heading, justify="right")
    has_classes = any(item["classes"] is not None for item in result["phases"])
    held_out = any(item["accuracy"]["held_out"] for item in result["phases"])
    if has_classes:
        table.add_column("accuracy", justify="right")
        if held_out:
            table.add_column("held out", justify="right")
        table.add_column("living classes")
    for item in result["phases"]:
        low, high = item["beta"]
        row = [
            str(item["id"]),
            f"{low:.3g} - {high:.3g}",
            f"{weight_decay(low):.3g} - {weight_decay(high):.3g}",
            str(item["rank"]),
            arrow(item["error"], ".3g"),
        ]
        if has_classes:
            row.append(arrow(item["accuracy"]["train"], ".0%"))
            if held_out:
                row.append(arrow(item["accuracy"]["held_out"], ".0%"))
            row.append(listed(item["classes"]))
        table.add_row(*row)
    return table


def summary(result: Mapping[str, Any]) -> Text:
    """Return what was done and what it cost, in a few lines."""
    minor = sum(item["minor"] for item in result["transitions"])
    stats = result["stats"]
    low, high = result["range"]
    return Text(
        f"{result['task']['name']}, seed {result['seed']}, solver {result['solver']}, "
        f"beta {low:.4g} to {high:.4g} (weight_decay {weight_decay(low):.4g} to {weight_decay(high):.4g})\n"
        f"convention: {result['convention']} (w. decay)\n"
        f"{minor} minor discontinuities (below 1 % of the range of E) are in the JSON only\n"
        f"{stats['gradient_evaluations']:,} gradients, {stats['hessian_products']:,} Hessian products, "
        f"{stats['hessians']:,} Hessians, {stats['points']} points, {stats['seconds']:.1f} s"
    )


def arrow(pair: Sequence[Any] | None, form: str) -> str:
    """Return two numbers as `a→b`, or a dash."""
    return "-" if pair is None else f"{pair[0]:{form}}→{pair[1]:{form}}"


def listed(values: Sequence[int] | None) -> str:
    """Return a list of classes, "none" for an empty one, or a dash where there are no classes."""
    if values is None:
        return "-"
    return " ".join(map(str, values)) or "none"

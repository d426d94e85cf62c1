"""Tables for people: no number is cut off, whatever the width of the terminal."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from diagrams import diagram
from spinodal.commands.table import Column, fitting, needed, table
from spinodal.commands.tables import phases_table, summary, transitions_table
from spinodal.commands.verbs.theory import theory_table
from spinodal.conventions import CONVENTION
from spinodal.theory import deep_linear

SIDES = {"error": [0.02341, 0.3228], "norm": [1.018, 3.56e-05], "rank": [10, 9]}
CLASSES = {"accuracy": {"train": [0.994, 0.93], "held_out": [0.951, 0.9]}, "lost_classes": [1, 2, 3, 4, 5, 6, 7, 9]}
ABOVE = {"beta": [0.0159, 0.0254], "rank": 9}
NO_CLASSES = {"accuracy": {"train": None, "held_out": None}, "lost_classes": None}
WIDTHS = [*range(80, 125), 200]


def result(kind: str) -> dict[str, Any]:
    classes = NO_CLASSES if kind in ("exact", "neither") else CLASSES
    if kind == "few classes":  # a short cell beside a long word: the width is taken from the wrong one
        classes = classes | {"lost_classes": [2, 6, 7]}
    living = list(range(10)) if classes is not NO_CLASSES else None
    transition = {
        "beta": 0.0158745,
        "bracket": [0.015874, 0.015875],
        "weight_decay": 0.031749,
        "minor": False,
        "direction": "up",
    }
    orders = [{"order": order} for order in ("not classified", "first", "second")]
    phase = {"id": 10, "beta": [0.00187, 0.0159], "rank": 10, "error": [0.0234, 0.227], "accuracy": classes["accuracy"]}
    return {
        "convention": CONVENTION,
        "transitions": [transition | SIDES | classes | order for order in orders],
        "exact": [{"beta": 0.410549}] if kind == "exact" else [],
        "phases": [phase | {"classes": living}, phase | {"id": 11, "classes": None if living is None else []} | ABOVE],
    }


def printed(made: Table, width: int, encoding: str = "utf-8") -> str:
    class Terminal(StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]
            return encoding

    terminal = Terminal()
    Console(file=terminal, width=width, soft_wrap=True, highlight=False).print(made, soft_wrap=False)
    return terminal.getvalue()


def words(made: Table) -> list[str]:
    """Return every word of the cells and headings."""
    texts = [str(text) for column in made.columns for text in (column.header, *column.cells)]
    return [word for text in texts for word in text.split()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("make", [transitions_table, phases_table])
@pytest.mark.parametrize("kind", ["classes", "few classes", "exact", "neither"])
def test_every_word_of_a_table_is_printed_whole(kind: str, make: Callable[[dict[str, Any], int], Table], width: int) -> None:
    made = make(result(kind), width)
    text = printed(made, width)
    left = text.split()
    for word in words(made):
        left.remove(word)  # raises where the word was cut or folded
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", [20, 40, 60])
def test_what_is_too_wide_is_folded_and_not_cut(width: int) -> None:
    text = printed(transitions_table(result("classes"), width), width)
    assert sorted("".join(words(transitions_table(result("classes"), width)))) == sorted(
        "".join(text.split("left out")[0].replace("Transitions", "").replace("─", "").split())
    )


def test_where_there_is_room_nothing_is_left_out() -> None:
    headings = [column.header for column in transitions_table(result("classes"), 200).columns]
    assert headings == ["beta", "half bracket", "w. decay", "order", "E", "norm", "rank", "accuracy", "classes lost"]
    assert "left out" not in printed(transitions_table(result("classes"), 200), 200)


def test_columns_are_left_out_by_their_rank_and_named() -> None:
    columns = [Column("a", ["1"]), Column("bbbb", ["2"], spare=1), Column("cccc", ["3"], spare=2)]
    assert [needed(columns[:count]) for count in (1, 2, 3)] == [2, 8, 14]
    for width, headings in {14: "a bbbb cccc", 13: "a bbbb", 8: "a bbbb", 7: "a", 1: "a"}.items():
        assert [column.heading for column in fitting(columns, width)] == headings.split()
    assert table("title", columns, 7).caption == "left out for lack of width: bbbb, cccc"
    assert table("title", columns, 14).caption is None


def test_a_transition_stands_in_its_row() -> None:
    lines = printed(transitions_table(result("exact"), 120), 120).splitlines()
    assert [line.split() for line in lines if "first" in line] == [
        ["0.0158745", "5e-07", "0.031749", "first", "0.0234->0.323", "1.02->3.56e-05", "10->9", "0.410549"]
    ]


@pytest.mark.parametrize("downward", [False, True])
def test_the_rank_beside_a_transition_is_that_of_the_phases_and_not_of_the_bracket(downward: bool) -> None:
    value = diagram(downward=downward).to_dict()
    for item in value["transitions"]:
        item["rank"] = [1, 1]  # a mode that fades is below the threshold before it is dead
    column = next(column for column in transitions_table(value, 120).columns if column.header == "rank")
    assert list(column.cells) == (["1->2", "2->3"] if downward else ["3->2", "2->1"])


def test_without_weight_matrices_tables_have_no_rank() -> None:
    value = diagram(matrices=()).to_dict()
    for made in (transitions_table(value, 120), phases_table(value, 120)):
        assert "rank" not in [column.header for column in made.columns]


def test_minor_transitions_are_not_listed() -> None:
    value = result("neither")
    value["transitions"][0]["minor"] = True
    assert transitions_table(value, 80).row_count == 2


@pytest.mark.parametrize("count", [0, 3])
def test_tables_without_transitions_or_beside_closed_forms_have_their_headings(count: int) -> None:
    value = result("exact") | {"transitions": result("exact")["transitions"][:count]}
    assert transitions_table(value, 80).row_count == count
    assert "beta" in printed(transitions_table(value, 80), 80)


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    for made in (transitions_table(result("classes"), 80), theory_table(deep_linear([0.9, 0.5], matrices=3), 80)):
        assert printed(made, 80, "ascii").isascii()


RUN = {
    "task": {"name": "own\x1b[2J.py:task"}, "seed": 0, "solver": "newton", "range": [0.1, 0.2], "convention": CONVENTION,
    "stats": {"gradient_evaluations": 1, "hessian_products": 2, "hessians": 3, "points": 4, "seconds": 5.0, "unconverged": 0},
}  # fmt: skip


@pytest.mark.parametrize(("minor", "said"), [(0, []), (1, ["1 minor discontinuity"]), (2, ["2 minor discontinuities"])])
def test_minor_discontinuities_are_told_where_there_are_any(minor: int, said: list[str]) -> None:
    text = summary(RUN | {"transitions": [{"minor": True}] * minor + [{"minor": False}]}).plain
    assert [line.split(" (")[0] for line in text.split("\n") if "minor" in line] == said


def test_a_name_that_steers_a_terminal_is_spelled_out() -> None:
    assert summary(RUN | {"transitions": []}).plain.startswith(r"own\x1b[2J.py:task, seed 0")

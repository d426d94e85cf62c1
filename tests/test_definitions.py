"""What decides is named once: no threshold hides as a number in the rooms that judge."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import spinodal
from spinodal import definitions
from spinodal.counts import Counts
from spinodal.sweeps.resolution import Resolution

HOME = Path(spinodal.__file__).parent
ROOMS = ("spectrum", "sweeps", "phases")
PLAIN = {0.0, 0.5, 1.0, 2.0}  # nothing, halves, wholes, doubles: no thresholds
STEERING = {  # floats that no judgement depends on
    ("spectrum/density.py", "WIDTH"): "how a density is drawn",
    ("spectrum/density.py", "AROUND"): "how a density is drawn",
    ("spectrum/extremes.py", "TOLERANCE"): "the default of an argument; every value comes with its residual",
    ("spectrum/lowest.py", "LARGEST"): "accuracy of an inner iteration, whose error is the square of it",
    ("spectrum/lowest.py", "INVERTED"): "accuracy of an inner iteration; what it finds is checked",
    ("spectrum/preconditioner.py", "FACTOR"): "growth of a shift that is tried until it suffices",
    ("sweeps/walk.py", "LOOSE"): "accuracy of the search between transitions",
    ("sweeps/summit.py", "STEP"): "the longest step of a climb",
    ("sweeps/summit.py", "LEAST"): "the shortest step of a climb",
    ("sweeps/summit.py", "BESIDE"): "when a climb ends; the bracket is closed by searches",
    ("sweeps/summit.py", "APART"): "when a climb ends; the bracket is closed by searches",
    ("sweeps/summit.py", "CLOSE"): "when a climb ends; the bracket is closed by searches",
    ("sweeps/summit.py", "ROUGH"): "accuracy of a climb, whose end is a minimum of its own",
    ("sweeps/turn.py", "ACCURATE"): "accuracy of a climb; what it tells is measured at a place that it was not fitted to",
    ("sweeps/turn.py", "REACH"): "the longest step of a search",
    ("sweeps/crossing.py", "APART"): "how many points of a climb are kept",
    ("sweeps/guide.py", "ASIDE"): "where fewer samples are asked; what is found is judged as in any walk",
    ("sweeps/guide.py", "LONGEST"): "the steps that fewer samples suggest",
    ("phases/branch_following.py", "BEYOND"): "how far a branch is followed",
}


def files() -> list[Path]:
    return sorted(file for room in ROOMS for file in (HOME / room).rglob("*.py"))


def floats(node: ast.AST) -> set[float]:
    found = (item.value for item in ast.walk(node) if isinstance(item, ast.Constant))
    return {value for value in found if isinstance(value, float) and value not in PLAIN}


def compared(node: ast.Compare) -> Iterator[float]:
    """Yield the floats that a comparison is made with, not those within a call or a subscript of it."""
    for part in (node.left, *node.comparators):
        stack: list[ast.AST] = [part]
        while stack:
            item = stack.pop()
            if isinstance(item, ast.Constant):
                yield from floats(item)
            elif isinstance(item, ast.BinOp | ast.UnaryOp | ast.IfExp):
                stack.extend(ast.iter_child_nodes(item))


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(HOME)))
def test_no_comparison_holds_a_threshold(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [(node.lineno, value) for node in ast.walk(tree) if isinstance(node, ast.Compare) for value in compared(node)]
    assert not found, f"name these in definitions.py: {found}"


def test_no_threshold_is_a_number_of_a_module() -> None:
    found = set()
    for file in files():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            value = getattr(node, "value", None) if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if value is not None and floats(value):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target  # type: ignore[union-attr]
                first = target.elts[0] if isinstance(target, ast.Tuple) else target
                found.add((str(file.relative_to(HOME)), ast.unparse(first)))
    assert found == STEERING.keys()


def test_every_definition_is_used_and_assigned_once() -> None:
    tree = ast.parse((HOME / "definitions.py").read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    names = [item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)]
    text = "\n".join(file.read_text(encoding="utf-8") for file in HOME.rglob("*.py") if file.name != "definitions.py")
    own = (HOME / "definitions.py").read_text(encoding="utf-8")
    assert len(names) == len(set(names))
    assert [name for name in names if name not in text and own.count(name) < 2] == []


def test_the_definitions_are_those_that_the_docs_state() -> None:
    assert (definitions.ZERO_MODE, definitions.MACROSCOPIC, definitions.TRIVIAL, definitions.ALIVE) == (1e-8, 0.01, 1e-6, 0.5)
    assert (definitions.RANK, definitions.RANK_LEAST, definitions.RANGE) == (0.1, 1e-3, 300.0)
    assert (Resolution().bracket, Resolution().minor) == (definitions.BRACKET_DENSE, definitions.BRACKET_MINOR) == (1e-5, 1e-2)
    assert Counts(error_evaluations=10, gradient_evaluations=1, hessian_products=2).gradient_equivalents == 10.0


def test_the_docs_state_every_definition() -> None:
    page = (HOME.parents[1] / "docs" / "reference" / "definitions.md").read_text(encoding="utf-8")
    lines = re.findall(
        r"^([A-Z_, ]+) = (.*?)  # (.*)$", (HOME / "definitions.py").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    rows = [f"| `{name}` | `{value}` | {meaning} |" for name, value, meaning in lines]
    assert re.findall(r"^\| `.*$", page, flags=re.MULTILINE) == rows

"""The notebooks of the documentation: executed, small, and their cells do again what they show."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from documents import DOCS, agrees
from spinodal.shown import Shown

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
LARGEST = 400_000  # bytes


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def shown(cell: dict[str, Any], kind: str) -> str:
    """Return what the outputs of a kind of a cell show as text, "" for none."""
    texts = [
        item["text"] if kind == "stream" else item["data"]["text/plain"]
        for item in cell["outputs"]
        if item["output_type"] == kind
    ]
    return "".join("".join(text) for text in texts)


def run(text: str, names: dict[str, Any]) -> object:
    """Execute a cell, and return the value of its last line where that is an expression."""
    tree = ast.parse(text)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["practitioner", "theorist"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_was_executed_from_top_to_bottom_without_an_error(path: Path) -> None:
    notebook = read(path)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert (notebook["nbformat"], [cell["execution_count"] for cell in cells]) == (4, list(range(1, len(cells) + 1)))
    assert {item["output_type"] for cell in cells for item in cell["outputs"]} <= {"stream", "execute_result"}
    assert all(item.get("name", "stdout") == "stdout" for cell in cells for item in cell["outputs"])  # no warning
    assert path.stat().st_size < LARGEST
    pages = [item["data"] for cell in cells for item in cell["outputs"] if item["output_type"] == "execute_result"]
    assert any("text/html" in page for page in pages)
    assert any("image/png" in page for page in pages)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_cells_print_and_show_in_order_in_a_fresh_folder_what_it_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            value = run(source(cell), names)
            assert agrees(shown(cell, "stream"), capsys.readouterr().out), source(cell)
            result = shown(cell, "execute_result")
            assert (value is None) == (not result)
            if isinstance(value, Shown):
                assert agrees(result, repr(value))
            else:
                assert value is None or isinstance(value, Figure | Path)

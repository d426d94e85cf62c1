"""The joints of the house: no import circle, no arrow upwards, no name that hides a module, nothing long, no slow help."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import spinodal
from spinodal.cli import app

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MOST_LINES, LONGEST_BODY = 400, 40

LEVELS = """
errors version definitions shown
codec
conventions arguments counts files
words.numbers theory parallel
landscape
processes
tasks
missing
spectrum
minima
observe
branches
sweeps
curvature
phases
words
labelled
results
mapping
paths dynamics basins
ensemble shares
store
plots
report
notebook
claims
commands
cli
__main__
spinodal
"""  # the lowest first; a module may import what lies lower, and others of its own room
LEVEL = {name: level for level, line in enumerate(LEVELS.split("\n")) for name in line.split()}


def named(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {named(path): path for path in sorted(SOURCE.rglob("*.py"))}
SCRIPTS = sorted((ROOT / "bench").rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported anywhere: at the top, for type checkers and inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


GRAPH = {name: {other for other in imported(tree_of(path)) if other in MODULES} - {name} for name, path in MODULES.items()}


def place_of(module: str) -> str:
    """Return the room of a module, or the module itself where it has a level of its own."""
    inside = module.removeprefix("spinodal.")
    return inside if inside in LEVEL else inside.split(".")[0]


def test_no_module_imports_itself_on_a_way_round() -> None:
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])))


def test_every_room_has_a_level_and_every_level_a_room() -> None:
    places = {place_of(module) for module in MODULES}
    assert places <= set(LEVEL)
    assert set(LEVEL) == places


def upward(graph: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} -> {other}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        if place_of(module) != place_of(other) and LEVEL[place_of(module)] <= LEVEL[place_of(other)]
    ]


def test_no_arrow_points_up() -> None:
    assert upward(GRAPH) == []


def test_an_arrow_that_points_up_or_sideways_is_found_out() -> None:
    graph = {"spinodal.tasks.task": {"spinodal.minima.newton"}, "spinodal.counts": {"spinodal.files", "spinodal.errors"}}
    assert upward(graph) == ["spinodal.counts -> spinodal.files", "spinodal.tasks.task -> spinodal.minima.newton"]


HIDDEN_IMPORTS = """
if TYPE_CHECKING:
    from spinodal import errors
def later():
    import spinodal.counts
    from spinodal.files import writing
"""


def test_imports_for_type_checkers_and_inside_functions_count() -> None:
    assert set(imported(ast.parse(HIDDEN_IMPORTS))) == {"spinodal.errors", "spinodal.counts", "spinodal.files"}


# -- names ----------------------------------------------------------------------------------------


def test_no_name_of_the_package_hides_a_module() -> None:
    hidden = [name for name in spinodal.__all__ if name not in ("tasks", "theory") and find_spec(f"spinodal.{name}")]
    assert hidden == []


def test_names_are_imported_lazily_from_where_type_checkers_see_them() -> None:
    tree = tree_of(MODULES["spinodal"])
    (checked,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {name: home for name, home in seen.items() if home != "spinodal"} == spinodal.HOMES
    assert set(spinodal.HOMES) | {"tasks", "theory"} == {*spinodal.__all__, "__version__"}
    assert all(getattr(spinodal, name) is not None for name in spinodal.__all__)
    assert set(spinodal.__all__) <= set(dir(spinodal))


def test_what_the_package_does_not_have_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'spinodal' has no attribute 'minimize'"):
        spinodal.minimize  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(spinodal, "__wrapped__")


# -- lengths --------------------------------------------------------------------------------------


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (*MODULES.values(), *SCRIPTS)}
    assert {str(path): length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    assert [item for module, path in MODULES.items() for item in long_functions(module, tree_of(path))] == []


def test_a_long_function_is_found_out_and_its_docstring_is_not_counted() -> None:
    text = 'def long():\n    """Count.\n\n    To two.\n    """\n' + "    count = 2\n"
    assert long_functions("m", ast.parse(text + "    count = 2\n" * (LONGEST_BODY - 1))) == []
    assert long_functions("m", ast.parse(text + "    count = 2\n" * LONGEST_BODY)) == [f"m.long: {LONGEST_BODY + 1}"]


def long_functions(module: str, tree: ast.Module) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f"{module}.{node.name}: {lines}" for node in functions if (lines := body_length(node)) > LONGEST_BODY]


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


# -- what is imported when ------------------------------------------------------------------------

SLOW = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "plotly", "pandas", "xarray"}
LOADED = """
import sys
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
COMMAND = """
import contextlib, io, sys
sys.argv = ["spinodal", *WORDS]
from spinodal.cli import main
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main()
assert out.getvalue()
"""


def loaded_by(program: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", program + LOADED], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "words", ["--help", "--version", "theory", *(f"{verb.name} --help" for verb in app.registered_commands)]
)
def test_help_version_and_closed_forms_wait_for_nothing_slow(words: str) -> None:
    assert loaded_by(f"WORDS = {words.split()}" + COMMAND) & SLOW == set()


def test_all_names_of_the_package_import_nothing_slow_beside_torch() -> None:
    assert loaded_by("from spinodal import *") & SLOW == {"torch", "numpy"}

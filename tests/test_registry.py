"""Tasks by name: text becomes arguments by their declared types, files become tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.tasks.registry import BUILT_IN, arguments_of, make_task

HEAD = """
from __future__ import annotations
from collections.abc import Sequence
from typing import Literal, Optional
import torch
from torch import nn
from spinodal import Task

def made(**settings):
    x = torch.eye(3, dtype=torch.float64)
    return Task(nn.Linear(3, 3), lambda m, b: (m(b[0]) - b[1]).square().sum(1).mean(), (x, x), settings=settings)
"""


def write(folder: Path, source: str, name: str = "own.py") -> str:
    path = folder / name
    path.write_text(HEAD + source)
    return str(path)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_task_is_a_whole_task(name: str) -> None:
    task = make_task(name, {})
    assert isinstance(task, sp.Task)
    assert task.name == name
    assert set(task.settings) == set(arguments_of(name))
    landscape = task.landscape()
    assert landscape.value(task.initial(seed=1)) > 0
    assert task.initial(seed=1).equal(task.initial(seed=1))
    assert not task.initial(seed=1).equal(task.initial(seed=2))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_default_survives_its_own_text(name: str) -> None:
    texts = {key: ",".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for key, v in arguments_of(name).items()}
    assert make_task(name, texts).settings == make_task(name, {}).settings


@pytest.mark.parametrize(
    ("text", "value"), [("10,10", [10, 10]), ("7", [7]), ("4, 5", [4, 5]), ("", []), ("3,", [3])], ids=lambda v: repr(v)
)
def test_lists_are_given_with_commas(text: str, value: list[int]) -> None:
    assert make_task("gaussian", {"hidden": text, "activation": "linear", "samples": "20"}).settings["hidden"] == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("no", False), ("1", True), ("False", False)])
def test_switches_are_given_in_words(text: str, value: bool) -> None:
    assert make_task("gaussian", {"bias": text, "samples": "20"}).settings["bias"] is value


@pytest.mark.parametrize(
    ("signature", "text", "value"),
    [
        ("a: int", "3", 3),
        ("a: float", "1e-3", 1e-3),
        ("a: str = 'x'", "y", "y"),
        ("a=3", "4", 4),
        ("a=0.5", "4", 4.0),
        ("a=True", "no", False),
        ("a=(1, 2)", "3,4", [3, 4]),
        ("a: Sequence[float] = ()", "3,4", [3.0, 4.0]),
        ("a: list[str] = []", "u,v", ["u", "v"]),
        ("a=None", "text", "text"),
        ("a: int | None = None", "3", 3),
        ("a: Optional[float] = None", "3", 3.0),
        ("a: Literal['u', 'v'] = 'u'", "v", "v"),
    ],
    ids=lambda v: repr(v),
)
def test_text_becomes_the_declared_type(tmp_path: Path, signature: str, text: str, value: Any) -> None:
    name = write(tmp_path, f"def task({signature}): return made(got=a)\n")
    got = make_task(f"{name}:task", {"a": text}).settings["got"]
    assert got == value
    assert type(got) is type(value)


def test_a_literal_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path, "def task(a: Literal['u', 'v'] = 'u'): return made(got=a)\n")
    with pytest.raises(SpinodalError):
        make_task(f"{name}:task", {"a": "w"})


def test_a_task_is_named_after_its_file_and_knows_its_arguments(tmp_path: Path) -> None:
    name = write(tmp_path, "def task(width=3): return made()\n")
    task = make_task(f"{name}:task", {"width": "4"})
    assert task.name == f"{name}:task"
    assert task.settings["width"] == 4


def test_an_edited_file_is_another_task(tmp_path: Path) -> None:
    name = write(tmp_path, "def task(): return made()\n")
    first = make_task(f"{name}:task", {}).settings
    again = make_task(f"{name}:task", {}).settings
    write(tmp_path, "def task(): return made()  # edited\n")
    edited = make_task(f"{name}:task", {}).settings
    assert first == again
    assert first != edited


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "", "spinodal_test_neighbour.py")
    name = write(tmp_path, "from spinodal_test_neighbour import made\ndef task(): return made()\n")
    assert isinstance(make_task(f"{name}:task", {}), sp.Task)


def test_a_function_may_import_the_neighbours_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, "", "spinodal_test_late_neighbour.py")
    name = write(tmp_path, "def task():\n    import spinodal_test_late_neighbour as late\n    return late.made()\n")
    assert isinstance(make_task(f"{name}:task", {}), sp.Task)


def test_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    source = "from dataclasses import dataclass\n@dataclass\nclass Shape:\n    width: int = 3\ndef task(): return made()\n"
    assert isinstance(make_task(f"{write(tmp_path, source)}:task", {}), sp.Task)


def test_a_class_or_callable_that_makes_a_task_will_do(tmp_path: Path) -> None:
    name = write(tmp_path, "import functools\ntask = functools.partial(made, kind='partial')\n")
    assert make_task(f"{name}:task", {}).settings["kind"] == "partial"


def test_loading_a_file_leaves_the_import_path_as_it_was(tmp_path: Path) -> None:
    import sys

    name, before = write(tmp_path, "def task(): return made()\n"), list(sys.path)
    make_task(f"{name}:task", {})
    assert sys.path == before

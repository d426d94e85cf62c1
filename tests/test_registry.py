"""Tasks by name: text becomes arguments by their declared types, files become tasks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from image_files import images, write_npz
from spinodal.errors import SpinodalError
from spinodal.tasks.mnist_files import VARIABLE
from spinodal.tasks.registry import BUILT_IN, arguments_of, make_task

HEAD = """
from __future__ import annotations
from collections.abc import Sequence
from pathlib import Path
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


@pytest.fixture(autouse=True)
def _some_images(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the task that reads images some to read."""
    monkeypatch.setenv(VARIABLE, str(write_npz(tmp_path_factory.mktemp("images") / "set.npz", images())))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_task_is_a_whole_task(name: str) -> None:
    task = make_task(name, {})
    assert isinstance(task, sp.Task)
    assert task.name == name
    assert set(arguments_of(name)) - {"classes", "held_out_classes"} <= set(task.settings) <= set(arguments_of(name))
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
        ("a: int | None = 3", "none", None),
        ("a: Optional[str] = 'x'", "None", None),
        ("a: str = 'x'", "none", "none"),
        ("a=None", "none", None),
        ("a: str | int = 0", "3", 3),
        ("a: str | int = 0", "three", "three"),
        ("a: float | bool = 0.0", "true", True),
        ("a: bool | int = 0", "1", 1),
        ("a: list[int] | int = 0", "3", 3),
        ("a: list[int] | int = 0", "3,4", [3, 4]),
        ("a: list[int] | None = None", "3,4", [3, 4]),
        ("a: Literal[1, 2] = 1", "2", 2),
        ("a: Literal['u', None] = 'u'", "none", None),
        ("a: Literal['u'] | int = 0", "u", "u"),
        ("a: tuple[int, str] = (0, '')", "3,4", [3, "4"]),
        ("a: Sequence[Literal['u', 'v']] = ()", "u,v", ["u", "v"]),
        ("a: list = []", "u,v", ["u", "v"]),
        ("a: Path = Path('.')", "data.csv", "data.csv"),
        ("a: object = None", "x", "x"),
        ("a: 'Nowhere' = 3", "4", 4),
        ("b: Nowhere = 0, a: int = 0", "4", 4),
        ("a: 1 / 0 = 3", "4", 4),
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
    with pytest.raises(SpinodalError, match="a value of type one of 'u', 'v' is allowed"):
        make_task(f"{name}:task", {"a": "w"})


@pytest.mark.parametrize(
    ("signature", "text", "allowed"),
    [
        ("a: int | None = None", "three", "a value of type int or none is allowed; for example 10"),
        ("a: int = 0", "none", "a value of type int is allowed"),
        ("a: tuple[int, str] = (0, '')", "3", "comma-separated int, str is allowed; for example 10,name"),
        ("a: list[int] | None = None", "3,x", "comma-separated int or none is allowed; for example 10,10"),
        ("a: None = None", "x", "a value of type none is allowed"),
        ("a: Literal[True, 2] = 2", "3", "one of True, 2 is allowed"),
        ("a: nn.Module = None", "tanh", "has type Module, which no text can give"),
        ("a: dict[str, int] | nn.Module = None", "x", "which no text can give"),
    ],
    ids=lambda v: repr(v),
)
def test_text_that_does_not_fit_the_declared_type_is_refused(tmp_path: Path, signature: str, text: str, allowed: str) -> None:
    name = write(tmp_path, f"def task({signature}): return made(got=a)\n")
    with pytest.raises(SpinodalError) as refusal:
        make_task(f"{name}:task", {"a": text})
    assert allowed in str(refusal.value)


def test_an_argument_without_a_default_is_asked_for(tmp_path: Path) -> None:
    name = write(tmp_path, "def task(width: int, *more, **others): return made(got=width)\n")
    assert make_task(f"{name}:task", {"width": "3"}).settings["got"] == 3
    with pytest.raises(SpinodalError, match="add --set width=VALUE"):
        make_task(f"{name}:task", {})


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


def test_a_file_hides_no_package_of_its_name(tmp_path: Path) -> None:
    import random

    name = write(tmp_path, "def task(): return made()\n", "random.py")
    assert isinstance(make_task(f"{name}:task", {}), sp.Task)
    assert sys.modules["random"] is random


def test_a_file_that_raises_leaves_no_module_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    with pytest.raises(SpinodalError, match=r"importing .* raised ZeroDivisionError"):
        make_task(f"{write(tmp_path, '1 / 0', 'raising.py')}:task", {})
    assert not [name for name in set(sys.modules) - before if "raising" in name]


CALLABLES = {
    "a partial function": (
        "def plain(width: int | None = 0, kind=''): return made(got=width)\ntask = functools.partial(plain, kind='x')"
    ),
    "a wrapped function": "@functools.lru_cache\ndef task(width: int | None = 0): return made(got=width)",
    "an instance": "class Maker:\n    def __call__(self, width: int | None = 0): return made(got=width)\ntask = Maker()",
    "a class": (
        "class task(Task):\n    def __init__(self, width: int | None = 0):\n        x = torch.eye(3)\n"
        "        super().__init__(nn.Linear(3, 3), lambda m, b: m(b[0]).square().mean(), (x, x), settings={'got': width})"
    ),
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_whatever_can_be_called_makes_a_task(tmp_path: Path, kind: str) -> None:
    name = write(tmp_path, f"import functools\n{CALLABLES[kind]}\n")
    assert make_task(f"{name}:task", {"width": "4"}).settings["got"] == 4


def test_settings_are_kept_in_types_that_a_file_can_hold(tmp_path: Path) -> None:
    source = """
import numpy
def task():
    return made(
        count=numpy.int64(3), scale=numpy.float32(0.5), clip=float("inf"), lost=float("nan"), place=Path("a/b"),
        widths=(3, [4, None]), deep={"x": (1,), 2: True},
    )
"""
    name = write(tmp_path, source)
    first, again = (make_task(f"{name}:task", {}).settings for _ in range(2))
    assert first == again
    assert first == json.loads(json.dumps(first, allow_nan=False)) == {
        "source": first["source"], "count": 3, "scale": 0.5, "clip": "inf", "lost": "nan", "place": "a/b",
        "widths": [3, [4, None]], "deep": {"x": [1], "2": True},
    }  # fmt: skip


def test_loading_a_file_leaves_the_import_path_as_it_was(tmp_path: Path) -> None:
    name, before = write(tmp_path, "def task(): return made()\n"), list(sys.path)
    make_task(f"{name}:task", {})
    assert sys.path == before

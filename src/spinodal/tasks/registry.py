"""Tasks by name: the built-in ones, and `path/to/file.py:function` for your own."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from spinodal.errors import SpinodalError, blaming, refusing, unknown_name
from spinodal.tasks.argument import value_of
from spinodal.tasks.autoencoder import autoencoder
from spinodal.tasks.digits import digits
from spinodal.tasks.gaussian import gaussian
from spinodal.tasks.mnist import mnist
from spinodal.tasks.modular import modular
from spinodal.tasks.parity import parity
from spinodal.tasks.patterns import patterns
from spinodal.tasks.settings import plain
from spinodal.tasks.task import Task

SEED = 0  # of everything that a task function draws without a seed of its own
BUILT_IN: dict[str, Callable[..., Task]] = {
    "autoencoder": autoencoder,
    "digits": digits,
    "gaussian": gaussian,
    "mnist": mnist,
    "modular": modular,
    "parity": parity,
    "patterns": patterns,
}


@dataclass(frozen=True)
class Maker:
    """The function that makes a task; `path` is the user's file it lies in, None for a built-in one."""

    name: str
    function: Callable[..., Task]
    path: Path | None = None

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the arguments it takes."""
        return dict(inspect.signature(self.function).parameters)


@dataclass(frozen=True)
class Recipe:
    """How a task was made by its name, to be made again by another process: the same one, or it is refused.

    Attributes
    ----------
    name : str
    arguments : mapping
        As text.
    settings : mapping
        What the task says of itself, the checksum of its file among it.
    """

    name: str
    arguments: Mapping[str, str]
    settings: Mapping[str, Any]

    def __call__(self) -> Task:
        """Return the task."""
        task = make_task(self.name, self.arguments)
        if task.settings != self.settings:
            raise SpinodalError(
                got=f"{self.name} makes another task now than it made when this run began",
                allowed="a file that stays as it is while workers read it is allowed",
                do="leave it alone, and go on with --resume",
            )
        return task


def make_task(name: str, settings: Mapping[str, str]) -> Task:
    """Return the task of a name with arguments given as text (`{"hidden": "10,10"}`).

    Raises
    ------
    SpinodalError
        For an unknown task or argument (the nearest names are offered), text that does not fit the
        argument's type, or a task file that cannot be used.
    """
    maker = _maker(name)
    arguments = _arguments(maker, settings)
    task = _made(maker, arguments)
    if not isinstance(task, Task):
        raise SpinodalError(
            got=f"{name} returned a {type(task).__name__}",
            allowed="a spinodal.Task is needed",
            do="return Task(model, loss, data)",
        )
    if maker.path is not None:
        source = hashlib.sha256(maker.path.read_bytes()).hexdigest()[:16]
        task.name = name
        task.settings = plain({**arguments, "source": source, **task.settings})
    task.remake = Recipe(name, dict(settings), task.settings)
    return task


def arguments_of(name: str) -> dict[str, Any]:
    """Return the arguments of a task with their defaults."""
    return {key: item.default for key, item in _maker(name).parameters.items()}


def _maker(name: str) -> Maker:
    if ":" in name or name.endswith(".py"):
        return _from_file(name)
    if name not in BUILT_IN:
        error = unknown_name("task", name, BUILT_IN)
        raise SpinodalError(got=error.got, allowed=f"{error.allowed}, or path/to/file.py:function", do=error.do)
    return Maker(name, BUILT_IN[name])


def _arguments(maker: Maker, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the arguments given as text; refuse unknown ones, and required ones that are missing."""
    parameters = maker.parameters
    what = f"argument of {maker.name}"
    for key in settings:
        if key not in parameters:
            raise unknown_name(what, key, parameters)
    for key, item in parameters.items():
        if item.default is item.empty and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD) and key not in settings:
            raise SpinodalError(
                got=f"no value for argument {key} of task {maker.name}",
                allowed="a value for every argument without a default is needed",
                do=f"add --set {key}=VALUE, or give it a default",
            )
    return {key: value_of(maker.function, parameters[key], maker.name, text) for key, text in settings.items()}


def _made(maker: Maker, arguments: Mapping[str, Any]) -> object:
    what, do = f"task {maker.name}", "run it alone to see why, or add --debug"
    with blaming(what, allowed="a function that returns a Task is allowed", do=do), _neighbours(maker.path), _seeded():
        return maker.function(**arguments)


def _from_file(name: str) -> Maker:
    path_text, _, function = name.rpartition(":")
    path = Path(path_text or name)
    if not path_text or not function:
        raise SpinodalError(
            got=f"task {name!r} names no function", allowed="path/to/file.py:function is allowed", do=f"try {name}:task"
        )
    if not os.path.isfile(path):  # unlike `Path.is_file`, it answers for names too long as well
        raise SpinodalError(got=f"no file {path}", allowed="path/to/file.py:function is allowed", do="check the path")
    _refuse_unwritable(name)
    module = _imported(path)
    if not hasattr(module, function):
        public = [key for key, value in vars(module).items() if _is_own_function(value, module) and not key.startswith("_")]
        kind = f"function in {path}"
        raise unknown_name(kind, function, public)
    maker = getattr(module, function)
    if not callable(maker):
        raise SpinodalError(
            got=f"{name} is a {type(maker).__name__}", allowed="a function returning a Task is allowed", do="name a function"
        )
    return Maker(name, maker, path)


def _is_own_function(value: object, module: ModuleType) -> bool:
    """Tell what may make a task from classes, and from what a file imports."""
    return callable(value) and not isinstance(value, type) and getattr(value, "__module__", None) == module.__name__


def _refuse_unwritable(name: str) -> None:
    """Refuse a name that the files of a run cannot hold."""
    got, allowed = f"the name {name!r} is not valid UTF-8", "a name that can be written into the files of a run is allowed"
    with refusing(UnicodeEncodeError, got, allowed=allowed, do="rename the file or its folder"):
        name.encode()


def _imported(path: Path) -> ModuleType:
    """Run a file as a module; its name cannot hide that of a package (a task in `random.py`)."""
    name = f"spinodal_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpinodalError(
            got=f"{path} is not a Python file", allowed="path/to/file.py:function is allowed", do="check the path"
        )
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up
    what, do = f"importing {path}", "run it with python to see why, or add --debug"
    try:
        with blaming(what, allowed="a file that imports without errors is allowed", do=do), _neighbours(path), _seeded():
            spec.loader.exec_module(module)
    except BaseException:
        _restore(name, before)
        raise
    return module


def _restore(name: str, module: ModuleType | None) -> None:
    sys.modules.pop(name, None)
    if module is not None:
        sys.modules[name] = module


@contextmanager
def _seeded() -> Iterator[None]:
    """Let the same command draw the same random numbers, in constructors of modules and for data; leave no trace of it."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        random.seed(SEED)
        np.random.seed(SEED)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


@contextmanager
def _neighbours(path: Path | None) -> Iterator[None]:
    """Let imports find the files beside the task's file, as if it were run by itself."""
    if path is None:
        yield
        return
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's file may have taken it out
            sys.path.remove(folder)

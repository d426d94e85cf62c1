"""Tasks by name: the built-in ones, and `path/to/file.py:function` for your own."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from spinodal.errors import SpinodalError, unknown_name
from spinodal.tasks.digits import digits
from spinodal.tasks.gaussian import gaussian
from spinodal.tasks.task import Task

BUILT_IN: dict[str, Callable[..., Task]] = {"digits": digits, "gaussian": gaussian}


def make_task(name: str, settings: Mapping[str, str]) -> Task:
    """Return the task of a name with arguments given as text (`{"hidden": "10,10"}`).

    Raises
    ------
    SpinodalError
        For an unknown task or argument (the nearest names are offered), text that does not fit the
        argument's type, or a task file that cannot be used.
    """
    maker, origin = _maker(name)
    arguments = {key: _value(maker, name, key, text) for key, text in settings.items()}
    try:
        task = maker(**arguments)
    except SpinodalError:
        raise
    except (Exception, SystemExit) as cause:
        raise SpinodalError(
            got=f"task {name} raised {type(cause).__name__}: {_first_line(cause)}",
            allowed="a function that returns a Task is allowed",
            do="run it alone to see why, or add --debug",
        ) from cause
    if not isinstance(task, Task):
        raise SpinodalError(
            got=f"{name} returned a {type(task).__name__}",
            allowed="a spinodal.Task is needed",
            do="return Task(model, loss, data)",
        )
    if origin:
        task.name = name
        task.settings = {**arguments, "source": origin, **task.settings}
    return task


def arguments_of(name: str) -> dict[str, Any]:
    """Return the arguments of a task with their defaults."""
    maker, _ = _maker(name)
    return {key: item.default for key, item in inspect.signature(maker).parameters.items()}


def _maker(name: str) -> tuple[Callable[..., Task], str | None]:
    """Return the function that makes a task, and a digest of its file if it is the user's."""
    if ":" in name or name.endswith(".py"):
        return _from_file(name)
    if name not in BUILT_IN:
        error = unknown_name("task", name, BUILT_IN)
        raise SpinodalError(got=error.got, allowed=f"{error.allowed}, or path/to/file.py:function", do=error.do)
    return BUILT_IN[name], None


def _from_file(name: str) -> tuple[Callable[..., Task], str]:
    path_text, _, function = name.rpartition(":")
    path = Path(path_text or name)
    if not path_text or not function:
        raise SpinodalError(
            got=f"task {name!r} names no function", allowed="path/to/file.py:function is allowed", do=f"try {name}:task"
        )
    if not path.is_file():
        raise SpinodalError(got=f"no file {path}", allowed="path/to/file.py:function is allowed", do="check the path")
    module = _imported(path)
    if not hasattr(module, function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        kind = f"function in {path}"
        raise unknown_name(kind, function, public)
    maker = getattr(module, function)
    if not callable(maker):
        raise SpinodalError(
            got=f"{name} is a {type(maker).__name__}", allowed="a function returning a Task is allowed", do="name a function"
        )
    return maker, hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SpinodalError(
            got=f"{path} is not a Python file", allowed="path/to/file.py:function is allowed", do="check the path"
        )
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as cause:
        raise SpinodalError(
            got=f"{path} raised {type(cause).__name__} when imported: {_first_line(cause)}",
            allowed="a file that imports without errors is allowed",
            do="run it with python to see why, or add --debug",
        ) from cause
    finally:
        sys.path.pop(0)
    return module


def _value(maker: Callable[..., Task], task: str, key: str, text: str) -> Any:
    """Return the argument's value from its text, by the type the function declares."""
    parameters = inspect.signature(maker).parameters
    if key not in parameters:
        what = f"argument of {task}"
        raise unknown_name(what, key, parameters)
    kind = get_type_hints(maker).get(key, _type_of(parameters[key].default))
    try:
        return _parsed(kind, text)
    except ValueError as cause:
        raise SpinodalError(
            got=f"{key}={text!r} for task {task}",
            allowed=f"a value of type {_named(kind)} is allowed",
            do=f"for example {_example(kind)}",
        ) from cause


def _parsed(kind: Any, text: str) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) is not None and arguments:
        return [_parsed(arguments[0], part) for part in text.split(",") if part.strip()]
    if kind is bool:
        if text.lower() in ("true", "yes", "1"):
            return True
        if text.lower() in ("false", "no", "0"):
            return False
        raise ValueError(text)
    return kind(text.strip()) if kind in (int, float, str) else text


def _type_of(default: Any) -> Any:
    if isinstance(default, list | tuple) and default:
        return tuple[type(default[0]), ...]  # type: ignore[misc]
    return type(default) if isinstance(default, bool | int | float | str) else str


def _named(kind: Any) -> str:
    arguments = get_args(kind)
    return f"comma-separated {arguments[0].__name__}" if arguments else getattr(kind, "__name__", str(kind))


def _example(kind: Any) -> str:
    arguments = get_args(kind)
    single = {int: "10", float: "0.5", bool: "true"}.get(arguments[0] if arguments else kind, "name")
    return f"{single},{single}" if arguments else single


def _first_line(cause: BaseException) -> str:
    return (str(cause).strip() or "no message").split("\n")[0]

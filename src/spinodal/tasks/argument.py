"""The value of a task's argument from its text, by the type that the task's function declares."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from spinodal.errors import SpinodalError

SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
EXAMPLES = {int: "10", float: "0.5", bool: "true", str: "name", type(None): "none", Path: "data.csv"}
LISTS = (list, tuple, Sequence, Iterable, Collection)
UNIONS = (Union, types.UnionType)
BROADEST = (bool, Path, str)  # tried last in a union: they take what a narrower type would take too


def declared_type(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the type of a parameter: its annotation, or that of its default where there is none that resolves."""
    if parameter.annotation is not inspect.Parameter.empty:
        holder: Any = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
        try:
            return get_type_hints(holder, globalns=_globals(function))["it"]
        except Exception:  # noqa: BLE001 - a name that the user's file does not know, or any error of evaluating it
            pass
    return _type_of(parameter.default)


def parsed(kind: Any, text: str) -> Any:
    """Return the value of a type from its text; lists are separated by commas, "none" is None.

    Raises
    ------
    ValueError
        If the text does not fit.
    TypeError
        If no text can be a value of this type.

    Examples
    --------
    >>> parsed(list[int], "10,10"), parsed(float | None, "none"), parsed(Literal["u", "v"], "v")
    ([10, 10], None, 'v')
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        return _first_that_fits(arguments, text)
    if origin is Literal:
        return _member(arguments, text)
    if origin in LISTS or kind in LISTS:
        return _list(arguments or (str,), text)
    if kind is Any or kind is object:
        return text
    if kind is type(None) or kind is None:
        return _member((None,), text)
    if kind is bool:
        return _member_of(SWITCH, text.strip().lower())
    if kind in (int, float, str, Path):
        return kind(text.strip())
    raise TypeError(kind)


def named(kind: Any) -> str:
    """Return a type in words.

    Examples
    --------
    >>> named(tuple[int, ...]), named(int | None), named(Literal["u", "v"])
    ('comma-separated int', 'int or none', "one of 'u', 'v'")
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        return " or ".join(named(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in LISTS or kind in LISTS:
        return "comma-separated " + ", ".join(named(argument) for argument in arguments or (str,) if argument is not ...)
    return "none" if kind in (None, type(None)) else getattr(kind, "__name__", str(kind))


def example(kind: Any) -> str:
    """Return a text that fits a type.

    Examples
    --------
    >>> example(tuple[int, ...]), example(Literal["u", "v"])
    ('10,10', 'u')
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        return example(arguments[0])
    if origin is Literal:
        return str(arguments[0])
    if origin in LISTS or kind in LISTS:
        kinds = [argument for argument in arguments or (str,) if argument is not ...]
        return ",".join(example(item) for item in (kinds * 2 if len(kinds) == 1 else kinds))
    return EXAMPLES.get(kind, "name")


def value_of(function: Callable[..., Any], parameter: inspect.Parameter, task: str, text: str) -> Any:
    """Return the value of a task's argument from its text, or refuse text that does not fit its type."""
    kind = declared_type(function, parameter)
    try:
        return parsed(kind, text)
    except ValueError as cause:
        raise SpinodalError(
            got=f"{parameter.name}={text!r} for task {task}",
            allowed=f"a value of type {named(kind)} is allowed",
            do=f"for example {example(kind)}",
        ) from cause
    except TypeError as cause:
        raise SpinodalError(
            got=f"argument {parameter.name} of task {task} has type {named(kind)}, which no text can give",
            allowed="int, float, bool, str, Path, None, Literal, unions and lists of these can be given as text",
            do="annotate it with one of these, or set it in the file",
        ) from cause


def _first_that_fits(kinds: Sequence[Any], text: str) -> Any:
    if type(None) in kinds and text.strip().lower() == "none":
        return None
    narrow_first = sorted((kind for kind in kinds if kind is not type(None)), key=_breadth)
    failures: list[Exception] = []
    for kind in narrow_first:
        try:
            return parsed(kind, text)
        except (ValueError, TypeError) as failure:
            failures.append(failure)
    raise next((failure for failure in failures if isinstance(failure, ValueError)), failures[0])


def _breadth(kind: Any) -> int:
    order = (Literal, int, float)
    name = get_origin(kind) or kind
    return order.index(name) if name in order else len(order) + (1 + BROADEST.index(name) if name in BROADEST else 0)


def _member(values: Sequence[Any], text: str) -> Any:
    """Return the value that a text spells; "none" and "true" are written in any case."""
    spelled = {_spelling(value): value for value in values}
    word = text.strip()
    return spelled[word] if word in spelled else _member_of(spelled, word.lower())


def _spelling(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _member_of(spelled: Mapping[str, Any], text: str) -> Any:
    if text not in spelled:
        raise ValueError(text)
    return spelled[text]


def _list(kinds: Sequence[Any], text: str) -> list[Any]:
    parts = [part for part in text.split(",") if part.strip()]
    if len(kinds) == 1 or kinds[-1] is ...:
        return [parsed(kinds[0], part) for part in parts]
    return [parsed(kind, part) for kind, part in zip(kinds, parts, strict=True)]


def _type_of(default: Any) -> Any:
    if isinstance(default, list | tuple) and default:
        return tuple[type(default[0]), ...]  # type: ignore[misc]
    if default is None:
        return str | None
    return type(default) if isinstance(default, bool | int | float | str | list | tuple) else str


def _globals(function: Any) -> dict[str, Any]:
    """Return the names that a function's annotations may use."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if hasattr(function, "__globals__"):
        return dict(function.__globals__)
    return dict(vars(sys.modules.get(function.__module__, types.ModuleType("none"))))

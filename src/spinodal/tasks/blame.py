"""Whose code an exception came from: that of a task, or our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import walk_tb
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from spinodal.errors import SpinodalError, one_line, printable, told

if TYPE_CHECKING:
    from spinodal.tasks.task import Task

HERE = re.escape(str(Path(__file__).parent))
OURS = re.compile(rf"{HERE}|{re.escape(str(Path(torch.__file__).parent))}")  # where no code of a task lies
Owner = Callable[[BaseException], str | None]


def owner_of(task: Task) -> Owner:
    """Return a function that names the place in a task's code which an exception passed, None where it passed none.

    The code of a task is its loss, its predictions, starts and order parameters, and the `forward` of its modules; what
    spinodal itself brings along, as for a built-in task, is not.

    Examples
    --------
    >>> from spinodal import Task
    >>> def loss(model, batch):
    ...     raise RuntimeError("no loss today")
    >>> owner = owner_of(Task(torch.nn.Linear(1, 1), loss, torch.ones(1, 1)))
    >>> try:
    ...     loss(None, None)
    ... except RuntimeError as cause:
    ...     owner(cause) is None
    False
    >>> owner(KeyError(2)) is None
    True
    """
    codes = frozenset(_codes(task))

    def owner(cause: BaseException) -> str | None:
        passed = [
            (frame, line) for link in _chain(cause) for frame, line in walk_tb(link.__traceback__) if frame.f_code in codes
        ]
        if not passed:
            return None
        frame, line = passed[-1]
        return f"{Path(frame.f_code.co_filename).name}, line {line}"

    return owner


def _chain(cause: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from."""
    while cause is not None:
        yield cause
        cause = cause.__cause__


def nobody(_cause: BaseException) -> str | None:
    """Return None: no code of others was run."""
    return None


def why(cause: BaseException, owner: Owner = nobody) -> str:
    """Return why something failed, in one printable line that blames the task only where its code raised.

    Examples
    --------
    >>> why(KeyError(2))
    'an error of spinodal itself, not of the task: KeyError: 2'
    >>> why(MemoryError())
    'not enough memory: MemoryError'
    """
    if isinstance(cause, SpinodalError):
        return one_line(cause)
    place = owner(cause)
    if isinstance(cause, MemoryError | torch.OutOfMemoryError):
        return printable(f"not enough memory: {told(cause)}")
    if place is not None:
        return printable(f"the code of the task raised {told(cause)} ({place})")
    return printable(f"an error of spinodal itself, not of the task: {told(cause)}")


def _codes(task: Task) -> Iterator[CodeType]:
    """Yield the code of everything that a task brings along."""
    held = [item for value in vars(task).values() for item in (value.values() if isinstance(value, dict) else (value,))]
    modules = [module for item in held if isinstance(item, torch.nn.Module) for module in item.modules()]
    called = [item for item in held if callable(item) and not isinstance(item, torch.nn.Module | type)]
    forwards = (getattr(type(module), "forward", None) for module in modules)  # none of a scripted class
    for function in [*called, *forwards]:
        yield from (code for code in _code(function) if not OURS.match(code.co_filename))


def _code(item: Any) -> Iterator[CodeType]:
    """Yield the code of a function and of what it wraps, or of an object that is called."""
    while item is not None:
        code = getattr(item, "__code__", None) or getattr(vars(type(item)).get("__call__"), "__code__", None)
        if isinstance(code, CodeType):
            yield code
        item = getattr(item, "__wrapped__", None) or getattr(item, "func", None)  # decorated, or a partial

"""What is given in place of a task, refused with the way from it to one."""

from __future__ import annotations

from typing import Any

from torch import nn

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.tasks.registry import BUILT_IN
from spinodal.tasks.task import Task


def expected_task(given: Any) -> Task:
    """Return what is a task, and refuse anything else.

    Examples
    --------
    >>> expected_task("gaussian")
    Traceback (most recent call last):
    spinodal.errors.SpinodalError: the text 'gaussian' in place of a task; a Task is allowed; give sp.tasks.gaussian()
    """
    if isinstance(given, Task):
        return given
    got = f"the text {given!r}" if isinstance(given, str) else f"a {type(given).__name__}"
    raise SpinodalError(got=f"{got} in place of a task", allowed="a Task is allowed", do=_way_from(given))


def _way_from(given: Any) -> str:
    if isinstance(given, str) and given in BUILT_IN:
        return f"give sp.tasks.{given}()"
    if isinstance(given, str):
        named = ", ".join(sorted(BUILT_IN))
        return f"call one of sp.tasks ({named}), or make_task(name, {{}}) of spinodal.tasks.registry for a file.py:function"
    if isinstance(given, nn.Module):
        return "give Task(model, loss, data)"
    if isinstance(given, Landscape):
        return "give the Task that it was made from, or Task(model, loss, data)"
    return "call it, if it is the function that makes a task" if callable(given) else "give Task(model, loss, data)"

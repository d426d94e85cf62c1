"""Functions that a copied module keeps, and that know the module it was copied from."""

from __future__ import annotations

from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any

import torch
from torch import nn

Copies = Mapping[int, Any]  # what was copied, by the identity of the original


def rebind(model: nn.Module, copies: Copies) -> None:
    """Let the functions among the attributes and hooks of a copied module work on the copy.

    `copy.deepcopy` copies no functions. A hook that writes `self.features`, or an activation that calls `self.layer`, would
    go on with the original, whose parameters stay where they are.

    Parameters
    ----------
    model : nn.Module
        A copy.
    copies : mapping of identities to copies
        The memory of `copy.deepcopy`.
    """
    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):
            for name, value in list(vars(module).items()):
                _rebind_attribute(vars(module), name, value, copies)


def _rebind_attribute(held: dict[str, Any], name: str, value: Any, copies: Copies) -> None:
    """Rebind a function, or those in a dictionary (hooks among them) or list."""
    if isinstance(value, FunctionType):
        held[name] = _rebound(value, copies)
    elif isinstance(value, dict | list):
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, item in pairs:
            if isinstance(item, FunctionType):
                value[key] = _rebound(item, copies)


def _rebound(function: FunctionType, copies: Copies, above: tuple[int, ...] = ()) -> FunctionType:
    """Return a function that sees copies where it saw originals; itself where it saw none."""
    inside = (*above, id(function))

    def twin(value: Any) -> Any:
        if isinstance(value, FunctionType) and id(value) not in inside:
            return _rebound(value, copies, inside)
        return copies.get(id(value), value)

    cells = tuple(_twin_of_cell(cell, twin) for cell in function.__closure__ or ())
    defaults = tuple(map(twin, function.__defaults__ or ()))
    named = {name: twin(value) for name, value in (function.__kwdefaults__ or {}).items()}
    used = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
    seen = {name: copies[id(value)] for name, value in used.items() if id(value) in copies}
    before = (*(function.__closure__ or ()), *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if not seen and all(a is b for a, b in zip((*cells, *defaults, *named.values()), before, strict=True)):
        return function
    scope = {**function.__globals__, **seen} if seen else function.__globals__
    made = FunctionType(function.__code__, scope, function.__name__, defaults or None, cells or None)
    made.__kwdefaults__ = named or None
    made.__dict__.update(function.__dict__)
    return made


def _twin_of_cell(cell: CellType, twin: Any) -> CellType:
    """Return a cell with the copy of what it holds; itself where that is not copied, or where it is empty."""
    try:
        value = cell.cell_contents
    except ValueError:
        return cell
    found = twin(value)
    return cell if found is value else CellType(found)

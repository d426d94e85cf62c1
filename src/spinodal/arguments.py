"""Arguments of the wrong kind or size, refused before they fail somewhere inside."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

from spinodal.errors import SpinodalError, refusing

SEEDS = 2**63  # seeds that every generator takes
SOLVERS = ("newton", "newton_cg", "lbfgs")  # of `spinodal.minima`; tasks name theirs


def whole_number(name: str, value: Any, *, least: int, do: str) -> int:
    """Return `value` as an int, or refuse it unless it is a whole number >= `least`.

    Examples
    --------
    >>> whole_number("inputs", 3, least=1, do="give the number of units")
    3
    """
    number = _index(value)
    if number is None or number < least:
        raise SpinodalError(got=f"{name} = {value!r}", allowed=f"whole numbers >= {least} are allowed", do=do)
    return number


def seed_number(value: Any) -> int:
    """Return a seed as an int, or refuse it."""
    number = _index(value)
    if number is None or not 0 <= number < SEEDS:
        raise SpinodalError(got=f"seed = {value!r}", allowed="whole numbers from 0 to 2^63 - 1 are allowed", do="try 0")
    return number


def switch(name: str, value: Any) -> bool:
    """Return `value` if it is True or False, or refuse it."""
    if not isinstance(value, bool):
        raise SpinodalError(got=f"{name} = {value!r}", allowed="True or False is allowed", do="give one of them")
    return value


def real_number(value: Any) -> float:
    """Return `value` as a float, NaN unless it is a number, so that one comparison refuses all."""
    if isinstance(value, str | bytes | bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def positive_number(name: str, value: object, *, do: str) -> float:
    """Return a number, or refuse it unless it is finite and positive."""
    number = real_number(value)
    if not 0.0 < number < math.inf:
        raise SpinodalError(got=f"{name} = {value!r}", allowed="a finite number > 0 is allowed", do=do)
    return number


def number_from_zero(name: str, value: object, *, do: str) -> float:
    """Return a number, or refuse it unless it is finite and >= 0."""
    number = real_number(value)
    if not 0.0 <= number < math.inf:
        raise SpinodalError(got=f"{name} = {value!r}", allowed="a finite number >= 0 is allowed", do=do)
    return number


def accuracy(value: Any, *, called: str = "rtol =") -> float | None:
    """Return a relative standard error that is asked for, None where none is, or refuse it.

    Examples
    --------
    >>> accuracy(0.01), accuracy(None)
    (0.01, None)
    """
    if value is None:
        return None
    number = real_number(value)
    if not 0.0 < number < 1.0:
        raise SpinodalError(got=f"{called} {value!r}", allowed="a number between 0 and 1 is allowed", do="try 0.01")
    return number


def sequence(name: str, values: Any, *, of: str, do: str) -> list[Any]:
    """Return `values` as a list, or refuse what is no sequence, text included."""
    with refusing(TypeError, lambda _: f"{name} = {values!r}", allowed=f"a sequence of {of} is allowed", do=do):
        if isinstance(values, str | bytes | Mapping):
            raise TypeError
        return list(values)  # which a number is not, nor a tensor without axes


def _index(value: Any) -> int | None:
    """Return a whole number as an int, None for anything else (True and False are not numbers here)."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None

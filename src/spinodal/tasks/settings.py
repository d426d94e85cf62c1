"""The settings that identify a run, in types that JSON and TOML hold."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from typing import Any

from spinodal.errors import SpinodalError


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as None, switches, numbers, words, and lists and mappings of these.

    Numbers of other libraries become Python's, paths become words, tuples become lists. Numbers that
    are not finite become words, which compare equal to themselves.

    Raises
    ------
    SpinodalError
        For anything else: its text may differ from run to run, and a run could not be resumed.

    Examples
    --------
    >>> plain({"widths": (3, 4), "clip": float("inf"), "start": None})
    {'widths': [3, 4], 'clip': 'inf', 'start': None}
    """
    return {_word(key, "a key"): _plain(value, str(key)) for key, value in settings.items()}


def _plain(value: Any, name: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str | os.PathLike):
        return _word(os.fspath(value), name)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_word(key, name): _plain(item, f"{name}.{key}") for key, item in value.items()}
    raise _refused(got=f"setting {name} is a {type(value).__name__}")


def _word(value: Any, name: str) -> str:
    """Return a word that can be written as UTF-8."""
    try:
        str(value).encode()
    except UnicodeEncodeError as cause:
        raise _refused(got=f"setting {name} is {value!r}, which is no valid text") from cause
    return str(value)


def _refused(got: str) -> SpinodalError:
    return SpinodalError(
        got=got,
        allowed="numbers, words, true and false, None, and lists and mappings of these are allowed",
        do="give what identifies it: .item() or .tolist() of a tensor, the name of a function",
    )

"""The command that goes on with a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spinodal.mapping.options import TRAINED, MapOptions
from spinodal.tasks.registry import BUILT_IN

DEFAULTS = {name: getattr(MapOptions, name) for name in TRAINED}  # which need a grid beside them
MAPPING = ("map", "hierarchy")  # verbs that make runs of maps
AGAIN = ("basins",)  # verbs whose runs are gone on with by the same command
ENTERED = ("--out", "--resume")  # the folder and how it is entered, which are given anew
MANY = ("--seeds", "--workers", "--scheduler", "--json")  # of many maps, not of one
SWITCHES = ("--resume",)  # options without a value
ANEW = "the program that began it, given this folder and resume=True"


def command_of(path: Path, provenance: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> str:
    """Return the command line that goes on with the run in a folder: the one that began it, or one with the same settings.

    Examples
    --------
    >>> command_of(Path("runs/a"), {"command": ["/bin/spinodal", "map", "wine.py:wine", "--out", "old"]}, {})
    'spinodal map wine.py:wine --resume --out runs/a'
    >>> settings = {"task": {"name": "gaussian", "hidden": [4]}, "map": {"direction": "loop", "beta": [0.1, 1.0], "seed": 2}}
    >>> command_of(Path("runs/a"), None, settings)
    'spinodal map gaussian --set hidden=4 --direction loop --beta 0.1:1.0 --seed 2 --resume --out runs/a'

    One map of many is gone on with alone:

    >>> many = {"command": ["spinodal", "map", "wine.py:wine", "--seeds", "0:8", "--workers", "4", "--out", "runs/wine"]}
    >>> command_of(Path("runs/wine/seed-2"), many, settings)
    'spinodal map wine.py:wine --seed 2 --resume --out runs/wine/seed-2'
    """
    try:
        _, verb, *words = map(str, (provenance or {})["command"])
    except (ValueError, KeyError, TypeError):
        verb, words = "", []
    alone: list[str] = []
    if verb in AGAIN:
        return shlex.join(["spinodal", verb, *_without(words, (*ENTERED, "--json")), "--resume", "--out", str(path)])
    if verb not in MAPPING:
        words = list(_words(settings))
    elif verb != "map" or any(word.partition("=")[0] == "--seeds" for word in words):
        words, alone = list(_without(words, MANY)), ["--seed", str(_mapping(settings.get("map")).get("seed", 0))]
    return shlex.join(["spinodal", "map", *_without(words, ENTERED), *alone, "--resume", "--out", str(path)]) if words else ANEW


def _without(words: list[str], options: tuple[str, ...]) -> Iterator[str]:
    """Yield the words of a command line but for some options, and their values, where they have one."""
    rest = iter(words)
    for word in rest:
        if word in options and word not in SWITCHES:
            next(rest, None)
        elif word.partition("=")[0] not in options:
            yield word


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words that name a built-in task, its arguments and the options; none for a task of the user's own."""
    task, options = (settings.get(name) for name in ("task", "map"))
    if not isinstance(task, Mapping) or not isinstance(options, Mapping) or task.get("name") not in BUILT_IN:
        return
    yield str(task["name"])
    for key, value in task.items():
        if key != "name":
            yield from ("--set", f"{key}={_joined(value, ',')}")
    control = settings.get("control")
    if isinstance(control, Mapping) and "from" in control:
        yield from ("--centre", str(control["from"]))
    for key, value in options.items():
        if value is True:
            yield f"--{key}"
        elif value is not False and value not in ("auto", None) and value != DEFAULTS.get(key):
            yield from (f"--{key.replace('_', '-')}", _joined(value, ":"))


def _joined(value: Any, sign: str) -> str:
    return sign.join(map(str, value)) if isinstance(value, list | tuple) else str(value)

"""The fields of the options as keyword arguments: those that completion shows are those that are taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from spinodal.errors import unknown_name
from spinodal.mapping.options import MapOptions

Verb = TypeVar("Verb", bound=Callable[..., Any])


def with_options(verb: Verb) -> Verb:
    """Show the fields of `MapOptions` with types and defaults in the signature of a verb that takes them as `**settings`.

    Type checkers read `Unpack[MapSettings]`; this is for completion and `help`, which do not.

    Examples
    --------
    >>> from spinodal import map_phases
    >>> parameters = inspect.signature(map_phases).parameters
    >>> parameters["starts"].default, "settings" in parameters
    (4, False)
    """
    signature = inspect.signature(verb)
    own = [item for item in signature.parameters.values() if item.kind is not inspect.Parameter.VAR_KEYWORD]
    taken = [
        inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=item.type)
        for item in fields(MapOptions)
    ]
    verb.__signature__ = signature.replace(parameters=[*own, *taken])  # type: ignore[attr-defined]
    return verb


def chosen_options(options: MapOptions | None, settings: Mapping[str, Any]) -> MapOptions:
    """Return the options with the settings in their place; a name that is none of them is refused with the nearest.

    Raises
    ------
    SpinodalError
    """
    known = [item.name for item in fields(MapOptions)]
    for name in settings:
        if name not in known:
            raise unknown_name("option", name, known)
    return replace(options, **settings) if options else MapOptions(**settings)

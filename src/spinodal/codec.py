"""Dataclasses as JSON and back: the one place for NaN, arrays and tensors, and for text that may be printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

from spinodal.errors import printable

if TYPE_CHECKING:
    from cattrs import BaseConverter

T = TypeVar("T")


class Record:
    """A dataclass that is written as JSON.

    `JSON` names its keys in order, as `key` or `key=attribute`; an attribute may be a property, and may be dotted. Without
    it the keys are the fields. Fields that are not among the keys lie elsewhere, such as tensors.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Side(Record):
    ...     JSON = "ends width middle"
    ...     ends: tuple[float, float]
    ...     width: float = math.nan
    ...
    ...     @property
    ...     def middle(self) -> float:
    ...         return 0.5 * sum(self.ends)
    >>> Side((1.0, 2.0)).to_dict()
    {'ends': [1.0, 2.0], 'width': None, 'middle': 1.5}
    >>> Side.from_dict({"ends": [1, 2], "width": None})
    Side(ends=(1.0, 2.0), width=nan)
    """

    JSON: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types; null stands for a number that is not finite."""
        return dict(plain(self))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], **aside: Any) -> Self:
        """Return what `to_dict` made a record of; `aside` are the fields that it does not hold.

        Raises
        ------
        KeyError, TypeError, ValueError, OverflowError
            If the record is no such one.
        """
        return read(cls, record, **aside)


def plain(value: object) -> Any:
    """Return a value in JSON types: a dataclass by its keys, tuples, arrays and tensors as lists, NaN and infinities as null.

    Examples
    --------
    >>> import torch
    >>> plain({1: (0.5, math.inf), "theta": torch.tensor([1.0, math.nan])})
    {'1': [0.5, None], 'theta': [1.0, None]}
    """
    return _converter().unstructure(value)


def read(kind: type[T], record: object, **aside: Any) -> T:
    """Return a value of a type from JSON, every part of it taken by its type: a wrong one fails here.

    Null stands for NaN where a number is needed. Text is made printable: a file may have come from anybody. What a record has
    beside the keys of its class is left alone, and what it lacks is as the class has it by default.

    Parameters
    ----------
    kind : type
    record : value in JSON types
    aside : the fields of a dataclass that lie elsewhere

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, OverflowError
        If the value is none of that type.

    Examples
    --------
    >>> read(tuple[float, ...], [1, None]), read(dict[str, int], {"a": 2})
    ((1.0, nan), {'a': 2})
    >>> read(int, True)
    Traceback (most recent call last):
    TypeError: True
    """
    found: T = _dataclass(record, kind, **aside) if aside else _converter().structure(record, kind)
    return found


def keyed(value: object, words: str) -> dict[str, Any]:
    """Return attributes of a value in JSON types, under the keys that `words` names as `Record.JSON` does.

    Examples
    --------
    >>> keyed(1.5 - 2.0j, "real size=imag")
    {'real': 1.5, 'size': -2.0}
    """
    return {key: plain(attrgetter(attribute)(value)) for key, attribute in _named(words).items()}


def columns(items: Sequence[object], words: str) -> dict[str, list[Any]]:
    """Return attributes of many values, a list of each, in JSON types; null where there is no value."""
    rows = [None if item is None else keyed(item, words) for item in items]
    return {key: [None if row is None else row[key] for row in rows] for key in _named(words)}


# -- what a field may be ---------------------------------------------------------------------------------------------------


def one_of(words: Sequence[str] | Mapping[str, str]) -> Callable[[str], str]:
    """Return a check of a word that is read: `Annotated[str, one_of(STATUSES)]`."""

    def known(word: str) -> str:
        if word not in words:
            raise ValueError(word)
        return word

    return known


def positive(value: object) -> float:
    """Return a number > 0 from JSON, as every beta is."""
    beta = _number(value)
    if not beta > 0.0:
        raise ValueError(value)
    return beta


Positive = Annotated[float, positive]
Unbounded = Annotated[float, lambda value: math.inf if math.isnan(value) else value]  # null stands for infinity


# -- hooks -----------------------------------------------------------------------------------------------------------------


@cache
def _converter() -> BaseConverter:
    """Return the converter; cattrs dispatches on types, and takes the optional ones, mappings and `Any` apart."""
    from cattrs import BaseConverter  # not for `--help`

    made = BaseConverter(detailed_validation=False)
    made.register_structure_hook_func(_has_list, _tensor)
    made.register_structure_hook_func(is_dataclass, _dataclass)
    for origin, take in ((tuple, _tuple), (Annotated, _checked)):
        made.register_structure_hook_func(partial(_is_of, origin), take)
    for kind, hook in ((float, _number), (int, _whole), (str, _text), (bool, _flag)):
        made.register_structure_hook(kind, hook)
    made.register_unstructure_hook_func(_has_list, lambda value: plain(value.tolist()))
    made.register_unstructure_hook_func(lambda kind: kind in (tuple, list), lambda values: list(map(plain, values)))
    made.register_unstructure_hook_func(
        lambda kind: isinstance(kind, type) and issubclass(kind, Mapping),
        lambda values: {str(key): plain(value) for key, value in values.items()},
    )
    made.register_unstructure_hook_func(is_dataclass, lambda value: keyed(value, _words(type(value))))
    made.register_unstructure_hook(float, lambda value: value if math.isfinite(value) else None)
    return made


def _is_of(origin: object, kind: Any) -> bool:
    return bool(get_origin(kind) == origin)


def _has_list(kind: Any) -> bool:
    """Tell tensors, arrays and numbers of NumPy, without the packages that they come from."""
    return hasattr(kind, "tolist")


def _words(kind: type) -> str:
    """Return the keys of a dataclass."""
    return getattr(kind, "JSON", "") or " ".join(field.name for field in fields(kind))


@cache
def _named(words: str) -> dict[str, str]:
    """Return keys with their attributes."""
    return {key: attribute or key for key, _, attribute in (word.partition("=") for word in words.split())}


@cache
def _fields(kind: type) -> list[tuple[str, str, Any, bool]]:
    """Return name, key and type of the fields of a dataclass, and whether they may be missing."""
    hints, key_of = get_type_hints(kind, include_extras=True), {name: key for key, name in _named(_words(kind)).items()}
    return [
        (item.name, key_of.get(item.name, item.name), hints[item.name], not item.default is item.default_factory is MISSING)
        for item in fields(kind)
    ]


def _dataclass(record: Any, kind: Any, **aside: Any) -> Any:
    if not isinstance(record, Mapping):
        raise TypeError(record)
    structure = _converter().structure
    wanted = [item for item in _fields(kind) if item[0] not in aside and (item[1] in record or not item[3])]
    return kind(**{name: structure(record[key], hint) for name, key, hint, _ in wanted}, **aside)


def _tuple(values: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(values)
    parts = get_args(kind)
    of = parts[:1] * len(values) if parts[-1] is Ellipsis else parts
    return tuple(_converter().structure(value, part) for value, part in zip(values, of, strict=True))


def _checked(value: Any, kind: Any) -> Any:
    bare, *checks = get_args(kind)
    found = _converter().structure(value, bare)
    for check in checks:
        found = check(found)
    return found


def _tensor(values: Any, _: Any) -> Any:
    """Return nested lists as numbers in double precision."""
    import torch  # a codec of results without tensors needs none

    def numbers(value: Any) -> Any:
        return list(map(numbers, value)) if isinstance(value, list) else _number(value)

    return torch.tensor(numbers(values), dtype=torch.float64)


def _number(value: object, _: object = float) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(value)
    return float(value)


def _whole(value: object, _: object = int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _text(value: object, _: object = str) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return printable(value)


def _flag(value: object, _: object = bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value

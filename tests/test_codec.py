"""Dataclasses as JSON and back: what is written comes back, and what is wrong is refused by its type."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Annotated, Any, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor

import spinodal
from spinodal.codec import Positive, Record, Unbounded, columns, keyed, one_of, plain, read


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Part(Record):
    JSON = "place size=extent twice"

    place: Positive
    extent: Unbounded = math.inf

    @property
    def twice(self) -> float:
        return 2.0 * self.place


@dataclass(frozen=True)
class Everything(Record):
    number: float
    whole: int
    text: str
    flag: bool
    word: Annotated[str, one_of(("yes", "no"))]
    pair: tuple[int, float]
    rows: tuple[tuple[float | None, ...], ...] | None
    parts: tuple[Part, ...]
    named: Mapping[str, tuple[int, ...]]
    anything: Any = None
    later: float = 0.5
    lists: dict[str, tuple[float, ...]] = field(default_factory=dict)


WHOLE = Everything(
    number=math.nan,
    whole=3,
    text="a b",
    flag=True,
    word="yes",
    pair=(1, 2.5),
    rows=((0.5, None), ()),
    parts=(Part(0.25), Part(0.5, 2.0)),
    named={"a": (1, 2)},
    anything=[1, {"b": None}],
)


def test_what_is_written_comes_back_through_json() -> None:
    written = json.loads(json.dumps(WHOLE.to_dict(), allow_nan=False))
    again = Everything.from_dict(written)
    assert repr(again) == repr(WHOLE)
    assert again.to_dict() == written


def test_keys_have_the_order_names_and_properties_that_are_declared() -> None:
    assert list(Part(0.25, 1.0).to_dict().items()) == [("place", 0.25), ("size", 1.0), ("twice", 0.5)]
    assert Part.from_dict({"place": 1, "size": None, "twice": "is not read", "more": 0}) == Part(1.0, math.inf)


def test_fields_that_lie_elsewhere_are_given_and_what_a_record_lacks_is_as_by_default() -> None:
    assert Part.from_dict({}, place=0.5) == Part(0.5)
    with pytest.raises(KeyError, match="place"):
        Part.from_dict({"size": 1.0})


WRONG = {
    "number": ["1", True, [], math.nan, math.inf],
    "whole": [1.0, True, None, "1"],
    "text": [None, 1, ["a"]],
    "flag": [1, None, "true"],
    "word": ["maybe", None],
    "pair": [[1], [1, 2, 3], "12", {"a": 1}, [1.5, 2.0]],
    "rows": [[0.5], "ab", [["a"]]],
    "parts": [[{}], [{"place": 0.0}], [{"place": -1.0}], [{"place": None}], [{"place": 10**400}], [None], [[]], {"place": 1.0}],
    "named": [{"a": "b"}, {"a": [0.5]}, [], "a"],
}
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    record = WHOLE.to_dict()
    with pytest.raises(DAMAGE):
        Everything.from_dict({**record, name: value})


@pytest.mark.parametrize("record", [None, 3, "text", [], [1.0]])
def test_what_is_no_mapping_is_no_record(record: Any) -> None:
    with pytest.raises(TypeError):
        read(Everything, record)
    with pytest.raises(TypeError):
        read(Part, record, place=1.0)


def test_text_is_made_printable_also_where_it_names() -> None:
    found = read(Everything, {**WHOLE.to_dict(), "text": "\x1b[31mred\n", "named": {"\x07": [1]}})
    assert (found.text, list(found.named)) == ("\\x1b[31mred\\n", ["\\x07"])


def test_arrays_tensors_and_enumerations_are_written_as_plain_values() -> None:
    values = {"a": np.float64("nan"), "b": np.int64(3), "c": np.arange(2), "d": np.bool_(True), "e": Colour.RED, "f": -math.inf}
    assert json.dumps(plain(values)) == '{"a": null, "b": 3, "c": [0, 1], "d": true, "e": "red", "f": null}'
    assert plain(torch.tensor([[1.0, math.nan], [2.0, 3.0]])) == [[1.0, None], [2.0, 3.0]]


def test_a_tensor_comes_back_in_double_precision() -> None:
    found = read(Tensor, [[1.0, None], [2, 3.5]])
    assert found.dtype == torch.float64
    assert found.nan_to_num(-1.0).tolist() == [[1.0, -1.0], [2.0, 3.5]]
    assert read(Tensor, []).shape == (0,)
    with pytest.raises(TypeError):
        read(Tensor, [1.0, "2"])


def test_columns_have_null_where_there_is_nothing() -> None:
    assert columns([Part(0.5), None], "place size=extent") == {"place": [0.5, None], "size": [None, None]}
    assert columns([], "place") == {"place": []}
    assert keyed(WHOLE, "whole=pair last=rows") == {"whole": [1, 2.5], "last": [[0.5, None], []]}


# -- all records of the package -------------------------------------------------------------------


def records(of: type[Record] = Record) -> Iterator[type[Record]]:
    for kind in of.__subclasses__():
        yield kind
        yield from records(kind)


def test_every_key_of_every_record_is_an_attribute_and_every_type_is_known() -> None:
    for module in pkgutil.walk_packages(spinodal.__path__, "spinodal."):
        if module.name not in ("spinodal.__main__", "spinodal.cli"):
            importlib.import_module(module.name)
    found = [kind for kind in records() if kind.__module__.startswith("spinodal.")]
    assert len(found) > 30
    for kind in found:
        named = {item.name for item in fields(kind)}  # type: ignore[arg-type]
        words = [word.rpartition("=")[2].partition(".")[0] for word in kind.JSON.split()]
        assert [word for word in words if word not in named and not hasattr(kind, word)] == [], kind
        assert get_type_hints(kind, include_extras=True).keys() >= named

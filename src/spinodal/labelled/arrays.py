"""Labelled arrays in the making: nested lists become arrays of known shape, with what is missing filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spinodal.errors import refusing

if TYPE_CHECKING:
    import xarray

ABSENT = -1  # of whole numbers; missing measurements are NaN
DIMENSIONLESS = "1"

Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, str]]


class Arrays:
    """Named variables over dimensions of known sizes.

    Values are nested lists, one level per dimension. None at any level, and what a row lacks, is missing.

    Parameters
    ----------
    sizes : mapping of dimensions to sizes

    Examples
    --------
    >>> arrays = Arrays({"point": 2, "mode": 2})
    >>> arrays.numbers("values", ["point", "mode"], [[1.0], None], "values", "of modes")
    >>> arrays.variables["values"][1].tolist()
    [[1.0, nan], [nan, nan]]
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.variables: dict[str, Variable] = {}

    def dataset(self, coordinates: Mapping[str, Any], attributes: Mapping[str, Any]) -> xarray.Dataset:
        """Return the variables as a dataset; dimensions of length zero are left out with theirs.

        Raises
        ------
        SpinodalError
            If xarray is not installed.
        """
        got = lambda cause: f"xarray cannot be imported ({cause})"  # noqa: E731
        with refusing(ImportError, got, allowed="labelled results need xarray", do="pip install xarray"):
            import xarray
        found = xarray.Dataset(self.variables, coordinates, attributes)
        return found.drop_dims([name for name, size in found.sizes.items() if size == 0])

    def numbers(self, name: str, dimensions: Iterable[str], values: Iterable[Any], title: str, description: str) -> None:
        """Add measurements; a missing one is NaN."""
        self._add(name, dimensions, values, (np.dtype(np.float64), np.nan), title, description)

    def whole(self, name: str, dimensions: Iterable[str], values: Iterable[Any], title: str, description: str) -> None:
        """Add whole numbers; a missing one is -1."""
        self._add(name, dimensions, values, (np.dtype(np.int32), ABSENT), title, description)

    def flags(self, name: str, dimensions: Iterable[str], values: Iterable[Any], title: str, description: str) -> None:
        """Add switches."""
        self._add(name, dimensions, values, (np.dtype(bool), False), title, description)

    def words(self, name: str, dimensions: Iterable[str], values: Iterable[str], title: str, description: str) -> None:
        """Add words."""
        known = list(values)
        width = max(map(len, known), default=1) or 1
        self._add(name, dimensions, known, (np.dtype(f"<U{width}"), ""), title, description)

    def _add(
        self, name: str, dimensions: Iterable[str], values: Iterable[Any], kind: tuple[Any, Any], title: str, description: str
    ) -> None:
        names = tuple(dimensions)
        array = np.full([self.sizes[dimension] for dimension in names], kind[1], dtype=kind[0])
        _fill(array, values)
        attributes = {"long_name": title, "units": DIMENSIONLESS, "description": description}
        self.variables[name] = (names, array, attributes)


def _fill(array: NDArray[Any], values: Iterable[Any]) -> None:
    for index, value in enumerate(values):
        if value is None:
            continue
        if array.ndim > 1:
            _fill(array[index], value)
        else:
            array[index] = value

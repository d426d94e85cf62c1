"""The followed points of a labelled phase diagram as a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    import xarray


def frame(dataset: xarray.Dataset) -> pandas.DataFrame:
    """Return one row per point (see `PhaseDiagram.to_pandas`)."""
    import pandas  # comes with xarray

    columns: dict[str, object] = {name: dataset[name].values for name in ("beta", "weight_decay")}
    for name, variable in dataset.data_vars.items():
        if variable.dims[:1] == ("point",) and "mode" not in variable.dims:
            columns |= dict(_columns(str(name), variable))
    return pandas.DataFrame(columns, index=pandas.Index(dataset["point"].values, name="point"))


def _columns(name: str, variable: xarray.DataArray) -> Iterator[tuple[str, object]]:
    """Yield a variable along `point`, label by label of its other dimensions, without what is nowhere known."""
    if variable.ndim == 1:
        yield name, variable.values
        return
    others = variable.dims[1:]
    for labels in itertools.product(*(variable[dimension].values for dimension in others)):
        column = variable.sel(dict(zip(others, labels, strict=True)))
        if bool(column.notnull().any()):
            yield "_".join([name, *map(str, labels)]), column.values

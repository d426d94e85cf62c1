"""A dataset as the bytes of a netCDF file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray


def to_bytes(dataset: xarray.Dataset) -> bytes:
    """Return a dataset as netCDF-3 with 64-bit offsets, which every netCDF program opens.

    The bytes depend on the dataset alone: this format holds no time and no version of the writer.
    """
    return bytes(dataset.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))

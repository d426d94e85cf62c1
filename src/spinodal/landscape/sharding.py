"""The data of a landscape cut into shards, where E is a mean over samples."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from spinodal.errors import SpinodalError, told
from spinodal.landscape.batches import Batches
from spinodal.landscape.consistency import parts_are_whole, somewhere
from spinodal.landscape.energy import Energy
from spinodal.landscape.shards import Shards

ALLOWED = "an E that is a mean over samples can be cut into shards"
DO = (
    "look for what meets samples with one another (batch statistics, pairs, class weights, ignored labels, a mean over tokens "
    "or over what is not masked: give its number as samples=...), give the data in as many batches, or leave shards out"
)


def shards_of(landscape: Energy, shards: Shards) -> Batches:
    """Return the data of a landscape in as many batches as there are shards, or more.

    Where batches have to be cut, all of E and its gradient are compared at two thetas, as they are and cut.

    Raises
    ------
    SpinodalError
        If there are fewer samples than shards, no samples, or an E that is no mean over samples.
    """
    parts = shards.cut(landscape.batches).settled()
    if parts.count == landscape.batches.count:
        return parts
    cause = ""
    for candidate in _weighed(landscape, parts):
        try:
            if all(parts_are_whole(landscape, candidate, landscape.batches, theta) for theta in _places(landscape)):
                return candidate
            whole, cut = (landscape.over(landscape.initial, batches)[0] for batches in (landscape.batches, candidate))
            cause = cause or f"is no mean over samples: it is {whole:.8g} over all of them, and {cut:.8g} cut into shards"
        except Exception as raised:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            cause = cause or f"cannot be taken over part of the samples: {told(raised)}"
    raise SpinodalError(got=f"{shards.number} shards of an E that {cause}", allowed=ALLOWED, do=DO)


def _weighed(landscape: Energy, parts: Batches) -> Iterator[Batches]:
    """Yield the parts, weighed as the batches they are of; and by what the user says of them."""
    yield parts
    if landscape.samples is not None:
        yield parts.sized(landscape.samples)


def _places(landscape: Energy) -> Iterator[Tensor]:
    yield landscape.initial
    yield somewhere(landscape)

"""How a path is sought, and what of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from spinodal.arguments import real_number, whole_number
from spinodal.errors import SpinodalError, unknown_name

METHODS = ("l2", "straight", "bezier", "chain", "band")
BUDGET = 2000.0  # gradient-equivalents


class Recorder(Protocol):
    """What keeps the parts of a search: a journal, by the request of each part."""

    def find(self, key: str) -> tuple[Mapping[str, Any], Mapping[str, Tensor]] | None:
        """Return the record and the tensors of a request, None where there are none."""

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Keep the record and the tensors of a request."""


class Forgetful:
    """A recorder that keeps nothing."""

    def find(self, key: str) -> None:
        """Return None."""

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Keep nothing."""


@dataclass(frozen=True)
class Settings:
    """The resolved arguments of `connect`.

    Attributes
    ----------
    method : one of `METHODS`
    start : one of `METHODS`
        What a band begins with.
    budget : float
        Gradient-equivalents.
    tolerance : float or None
        Of E.
    bends : int
        Of a chain; a band has as many points between its ends.
    """

    method: str
    start: str
    budget: float
    tolerance: float | None
    bends: int
    recorder: Recorder
    tell: Callable[[str], None]

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value, known in (("method", self.method, METHODS), ("start", self.start, METHODS)):
            if value not in known:
                raise unknown_name(name, str(value), known)
        if not 0.0 < real_number(self.budget) < float("inf"):
            raise _refused(f"budget = {self.budget!r}", f"try {BUDGET:g}, in gradients")
        if self.tolerance is not None and not 0.0 < real_number(self.tolerance) < float("inf"):
            raise _refused(f"tolerance = {self.tolerance!r}", "give what E may rise by, such as 1e-3")
        whole_number("bends", self.bends, least=1, do="give the number of points between the ends, such as 3")


def _refused(got: str, do: str) -> SpinodalError:
    return SpinodalError(got=got, allowed="a positive number is allowed", do=do)

"""How a path is sought, and what of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from spinodal.arguments import positive_number, whole_number
from spinodal.errors import unknown_name

METHODS = ("l2", "walk", "straight", "bezier", "chain", "band", "phases")
STARTS = tuple(method for method in METHODS if method not in ("band", "phases"))  # what a band may begin with
BUDGET = 3000.0  # gradient-equivalents


class Kept(Protocol):
    """A part of a search that is on record."""

    @property
    def record(self) -> dict[str, Any]:
        """Return it in JSON types."""

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by name."""


class Recorder(Protocol):
    """What keeps the parts of a search by the request of each: a `spinodal.store.Journal`."""

    def find(self, key: str) -> Kept | None:
        """Return what is on record under a request, None if it is not there."""

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> object:
        """Put what was found on record."""


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
    start : one of `STARTS`
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
    recorder: Recorder = field(default_factory=Forgetful)
    tell: Callable[[str], None] = lambda what: None

    @property
    def request(self) -> str:
        """Return in words what a search depends on besides its ends."""
        return f"{self.method}, {self.start}, {self.budget!r}, {self.tolerance!r}, {self.bends}"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value, known in (("method", self.method, METHODS), ("start", self.start, STARTS)):
            if value not in known:
                raise unknown_name(name, str(value), known)
        positive_number("budget", self.budget, do=f"try {BUDGET:g}, in gradients")
        if self.tolerance is not None:
            positive_number("tolerance", self.tolerance, do="give what E may rise by, such as 1e-3")
        whole_number("bends", self.bends, least=1, do="give the number of points between the ends, such as 3")

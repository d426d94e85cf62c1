"""Work beside a map, in the journal of its run: under keys of its own, its points without numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from spinodal.store.entry import Entry
from spinodal.sweeps.point import Point
from spinodal.sweeps.recorder import Recorder
from spinodal.sweeps.request import Request


class Keeper(Recorder, Protocol):
    """A recorder that keeps entries by their keys: a journal."""

    def find(self, key: str) -> Entry | None:
        """Return what was recorded under a key."""
        ...

    def point_of(self, entry: Entry, index: int) -> Point:
        """Return the point of an entry under a number."""
        ...


class Beside:
    """A recorder for work that is not part of the map itself.

    Parameters
    ----------
    journal : Journal, or what keeps entries as one does
    scope : str
        What the work is, apart from any other: "placement 0a1b2c-0.2".

    Examples
    --------
    >>> from pathlib import Path
    >>> from spinodal.store.journal import Journal
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder))
    ...     made = Beside(journal, "placement a").note("model", lambda: {"crc32": 7})
    ...     (made, journal.recorded("placement a: model"), journal.recorded("model"))
    ({'crc32': 7}, {'crc32': 7}, None)
    """

    def __init__(self, journal: Keeper, scope: str) -> None:
        self.journal, self.scope = journal, scope

    def recall(self, request: Request, index: int) -> Point | None:
        """Return the recorded point of a request, or None if it was not computed yet."""
        entry = self.journal.find(self._scoped(request).key)
        return None if entry is None else self.journal.point_of(entry, index)

    def take(self, request: Request, point: Point) -> None:
        """Record a point that is computed, or was ahead, if it is not known."""
        self.journal.take(self._scoped(request), point)

    keep = take

    def knows(self, name: str) -> bool:
        """Tell whether a fact is recorded."""
        return self.journal.knows(f"{self.scope}: {name}")

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        return self.journal.note(f"{self.scope}: {name}", make)

    def beside(self, scope: str) -> Beside:
        """Return a recorder for work beside this."""
        return Beside(self.journal, f"{self.scope}: {scope}")

    def seconds(self, now: float) -> float:
        """Return the seconds of this process."""
        return now

    def _scoped(self, request: Request) -> Request:
        return replace(request, part=f"{self.scope}: {request.part}")

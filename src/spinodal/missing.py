"""What a diagram lacks, with the cause: parts that failed and cost nothing but themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from spinodal.codec import Record
from spinodal.errors import RunFolderError, SpinodalError
from spinodal.tasks.blame import Owner, nobody, why

T = TypeVar("T")
SINGULAR = (np.linalg.LinAlgError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]
OUTCOMES = (SpinodalError, *SINGULAR)  # of a computation that cannot be done


@dataclass(frozen=True)
class Missing(Record):
    """A part that was asked for and is not there.

    Attributes
    ----------
    what : str
    cause : str
    final : bool
        Whether this is how the computation ends, which `--resume` reproduces; otherwise `--resume` tries that part again.
    """

    what: str
    cause: str
    final: bool = False

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.what} ({self.cause})"


def listed(missing: tuple[Missing, ...]) -> str:
    """Return what is missing in one sentence, "" if nothing is.

    Examples
    --------
    >>> listed((Missing("the branch of phase 1", "no convergence"),))
    'Missing: the branch of phase 1 (no convergence).'
    """
    return f"Missing: {'; '.join(map(str, missing))}." if missing else ""


def is_final(result: Mapping[str, Any]) -> bool:
    """Tell whether a result is one that `--resume` reproduces; older versions told nothing of what is missing."""
    return all(item["final"] for item in result.get("missing", ()))


def outcome_of(compute: Callable[[], T], owner: Owner = nobody) -> tuple[T | None, str | None]:
    """Return what is computed, or else why it cannot be; a failure in a task's code, whose place `owner` names, passes."""
    try:
        return compute(), None
    except OUTCOMES as cause:
        if owner(cause) is not None:
            raise
        return None, " ".join(str(cause).split())


class Attempts:
    """Tries parts of a map, each of which may fail without costing the rest, and remembers what is missing.

    Ctrl-C passes, and so does a run folder that cannot be written or gone on with.

    Parameters
    ----------
    owner : callable, optional
        Names the place in a task's code that an exception passed (see `spinodal.tasks.blame.owner_of`).
    on_failure : callable ``(what, cause)``, optional
        Hears of a failure as it happens.

    Examples
    --------
    >>> attempts = Attempts()
    >>> with attempts.part("the branch of phase 2"):
    ...     {}[2]
    >>> attempts.missing[0].cause
    'an error of spinodal itself, not of the task: KeyError: 2'
    """

    def __init__(
        self, owner: Owner = nobody, on_failure: Callable[[str, BaseException], None] = lambda what, cause: None
    ) -> None:
        self.owner, self.on_failure = owner, on_failure
        self._missing: dict[str, Missing] = {}

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Return what is missing, in the order found."""
        return tuple(self._missing.values())

    @property
    def are_final(self) -> bool:
        """Tell whether nothing failed but what `--resume` reproduces."""
        return all(item.final for item in self.missing)

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Try a part; if it raises, it is missing."""
        try:
            yield
        except RunFolderError:
            raise
        except Exception as cause:  # noqa: BLE001 - a finished walk is worth more than any part that builds on it
            self.lack(what, self.failure(what, cause))

    def failure(self, what: str, cause: Exception) -> str:
        """Tell of a failure, and return why it was."""
        self.on_failure(what, cause)
        return why(cause, self.owner)

    def lack(self, what: str, cause: str, *, final: bool = False) -> None:
        """Note what is missing, once."""
        self._missing.setdefault(what, Missing(what, cause, final))

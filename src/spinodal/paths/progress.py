"""States of a training on record, from which one that was killed goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from spinodal.paths.settings import Forgetful, Recorder


@dataclass(frozen=True)
class Progress:
    """The states of one training, each after so many passes.

    Attributes
    ----------
    name : str
        Of the training, as its states are asked for.
    recorder : Recorder
    """

    name: str = ""
    recorder: Recorder = field(default_factory=Forgetful)

    def latest(self, passes: Sequence[int]) -> tuple[int, dict[str, Tensor]]:
        """Return the last of these numbers of passes whose state is on record, and that state; 0 and an empty one if none is.

        Examples
        --------
        >>> Progress().latest([10, 20])
        (0, {})
        """
        for number in sorted(passes, reverse=True):
            known = self.recorder.find(self._key(number))
            if known is not None:
                return number, known.tensors()
        return 0, {}

    def keep(self, passes: int, state: Mapping[str, Tensor]) -> None:
        """Put the state after so many passes on record."""
        self.recorder.add("path", self._key(passes), {"passes": passes}, state)

    def _key(self, passes: int) -> str:
        return f"{self.name}, after {passes} passes"

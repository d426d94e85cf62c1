"""A process that ended before the map did."""

from __future__ import annotations

from collections.abc import Sequence

from spinodal.errors import SpinodalError


class LostProcess(KeyboardInterrupt):
    """Ends a map at once, as Ctrl-C does: what is tried and may fail does not hold it up.

    Parameters
    ----------
    ranks : sequence of int
        Which processes were lost, as far as is known.
    size : int
        How many there were.
    """

    def __init__(self, ranks: Sequence[int], size: int) -> None:
        self.ranks, self.size = tuple(ranks), size
        super().__init__(self.which)

    @property
    def which(self) -> str:
        """Return in words what was lost.

        Examples
        --------
        >>> LostProcess([2], 3).which, LostProcess([1, 2], 4).which, LostProcess([], 4).which
        ('process 2 of 0 to 2 was lost', 'processes 1 and 2 of 0 to 3 were lost', 'one of processes 0 to 3 was lost')
        """
        if not self.ranks:
            return f"one of processes 0 to {self.size - 1} was lost"
        names = " and ".join(map(str, self.ranks))
        many = len(self.ranks) > 1
        return f"process{'es' if many else ''} {names} of 0 to {self.size - 1} {'were' if many else 'was'} lost"

    @property
    def refusal(self) -> SpinodalError:
        """Return what to tell."""
        return SpinodalError(
            got=f"{self.which} (killed, out of memory, or cut off)",
            allowed="every process is needed to the end of a map",
            do="give the command again with --resume, with any number of processes: the numbers are the same",
        )

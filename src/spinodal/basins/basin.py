"""A basin: one phase as the maps of several seeds met it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from spinodal.basins.told_apart import Groups
from spinodal.codec import Record
from spinodal.shown import Shown


@dataclass(frozen=True)
class Member:
    """A phase of one map.

    Attributes
    ----------
    seed : int
        Of the map.
    phase : int
        Its id there.
    beta : (low, high)
        The range in which it was followed.
    end : float or None
        Where it ends as beta rises: its spinodal where a branch was followed through it, else the transition of the walk;
        None where it was not seen to end.
    coexistence : float or None
        Where it is as deep as what it falls into; None where that was not sought or found.
    falls_to : int or None
        The basin that the walk entered there.
    """

    seed: int
    phase: int
    beta: tuple[float, float]
    end: float | None
    coexistence: float | None
    falls_to: int | None


@dataclass(frozen=True, repr=False)
class Basin(Shown, Record):
    """One phase, in every map that met it.

    Attributes
    ----------
    id : int
        Counted from the lowest beta.
    members : tuple of Member
        By seed.
    rank : int
        On most of it, in most of the maps.
    error : (lowest, highest)
        E over all members.
    classes : tuple of int or None
        Those that live in it (see `Phase.classes`); None without classes.
    told_apart : tuple of tuples of int, or None
        The classes in groups, from the confusion matrix in the middle of the phase: those of one group are mostly taken for
        the same class. None without one.
    """

    JSON = (
        "id seeds rank beta error end end_spread coexistence=equal coexistence_spread falls_to falls=_falls classes told_apart "
        "members"
    )

    id: int
    members: tuple[Member, ...]
    rank: int
    error: tuple[float, float]
    classes: tuple[int, ...] | None
    told_apart: Groups | None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds whose maps met it."""
        return tuple(member.seed for member in self.members)

    @property
    def beta(self) -> tuple[float, float]:
        """Return the lowest and the highest beta at which it was followed."""
        return min(member.beta[0] for member in self.members), max(member.beta[1] for member in self.members)

    @property
    def ends(self) -> Mapping[int, float]:
        """Return where it ends as beta rises, by seed, of the maps that saw it end."""
        return {member.seed: member.end for member in self.members if member.end is not None}

    @property
    def end(self) -> float | None:
        """Return the median of its ends; None where it was not seen to end."""
        return median(self.ends.values()) if self.ends else None

    @property
    def coexistence(self) -> Mapping[int, float]:
        """Return where it is as deep as what it falls into, by seed, where that is known."""
        return {member.seed: member.coexistence for member in self.members if member.coexistence is not None}

    @property
    def equal(self) -> float | None:
        """Return the median of these; None where none is known."""
        return median(self.coexistence.values()) if self.coexistence else None

    @property
    def end_spread(self) -> float | None:
        """Return by how much its ends differ among seeds, relatively."""
        return spread(self.ends)

    @property
    def coexistence_spread(self) -> float | None:
        """Return the same of its coexistence points."""
        return spread(self.coexistence)

    @property
    def falls(self) -> Mapping[int, tuple[int, ...]]:
        """Return the basins that it falls into, each with the seeds in whose maps it does, most of them first."""
        found = Counter(member.falls_to for member in self.members if member.falls_to is not None)
        return {
            basin: tuple(member.seed for member in self.members if member.falls_to == basin)
            for basin, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))
        }

    @property
    def falls_to(self) -> int | None:
        """Return the basin that it falls into in most of the maps; None where it was not seen to end."""
        return next(iter(self.falls), None)

    @property
    def _falls(self) -> list[dict[str, Any]]:
        return [{"to": basin, "seeds": seeds} for basin, seeds in self.falls.items()]

    def member(self, seed: int) -> Member:
        """Return the phase of one of its maps."""
        return next(member for member in self.members if member.seed == seed)

    def __str__(self) -> str:
        """Return the basin in one line."""
        low, high = self.beta
        end = "it was not seen to end" if self.end is None else f"it ends at beta = {self.end:.6g} (median)"
        falls = "" if self.falls_to is None else f" and falls to basin {self.falls_to}"
        seeds = " ".join(map(str, self.seeds))
        return f"basin {self.id} of rank {self.rank}, seeds {seeds}, beta {low:.6g} to {high:.6g}; {end}{falls}"


def spread(values: Mapping[int, float]) -> float | None:
    """Return by how much values of several seeds differ, relative to their median; None for fewer than two.

    Examples
    --------
    >>> spread({0: 0.1, 1: 0.102, 2: 0.1}), spread({0: 0.1})
    (0.0199..., None)
    """
    known = values.values()
    return (max(known) - min(known)) / median(known) if len(known) > 1 else None

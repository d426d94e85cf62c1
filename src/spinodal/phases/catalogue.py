"""The one door for minima: copies by symmetry are recognised, whatever order minima come in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spinodal.definitions import (
    MACROSCOPIC,
    SAME_ANSWERS,
    SAME_DISTANCE,
    SAME_NORM,
    SAME_ROUNDING,
    SAME_SLACK,
    SAME_SPECTRUM,
    SHORTEST,
)
from spinodal.phases.answers import answers_apart
from spinodal.sweeps.point import Point


@dataclass(frozen=True)
class Allowance:
    """How much two minima may differ, beyond the errors of their solutions, and still count as one.

    The default tells all minima apart. Phases are coarser: minima that minor transitions connect belong to one.

    Attributes
    ----------
    error, norm_squared : float
        Absolute differences of E and of `||theta - centre||^2`.
    spectrum : float
        Difference of singular values over the largest of the matrix.
    """

    error: float = 0.0
    norm_squared: float = 0.0
    spectrum: float = 0.0

    @classmethod
    def of_phases(cls, error_range: float, norm_range: float) -> Allowance:
        """Return what minima of one phase may differ by, from the ranges of E and of `||theta - centre||^2`."""
        return cls(MACROSCOPIC * error_range, SAME_NORM * norm_range, SAME_SPECTRUM)


@dataclass(frozen=True)
class Fingerprint:
    """What no symmetry of a network changes, of one minimum.

    Permutations of hidden units, sign flips (of units with an odd activation) and rotations (of linear layers)
    leave E, `||theta - centre||^2` and the singular values of every weight matrix as they are.

    Attributes
    ----------
    beta, error, norm_squared : float
    singular_values : mapping of parameter names to values
    radius : float
        How far, in theta, the exact minimum may lie: `residual / margin`, ten times that to be safe.
    pull : float or None
        Half the norm of the force of another control than the L2 penalty, of which it is the distance from the centre.
    answers : rows of numbers, or None
        How many samples of every class are taken for which, where minima are to be told apart by that, too: they may agree in
        everything above where classes can be exchanged.

    Notes
    -----
    *What it is not:* proof of identity. Two minima may agree in all of these and differ.
    """

    beta: float
    error: float
    norm_squared: float
    singular_values: Mapping[str, tuple[float, ...]]
    radius: float
    pull: float | None = None
    answers: tuple[tuple[float, ...], ...] | None = None

    @classmethod
    def of(cls, point: Point) -> Fingerprint:
        """Return the fingerprint of the minimum of a point, without its answers."""
        minimum, observation = point.minimum, point.observation
        stiffness = minimum.margin if minimum.margin > 0.0 else 2.0 * abs(minimum.beta)  # NaN, too
        radius = SAME_SLACK * minimum.residual / stiffness
        return cls(
            beta=minimum.beta,
            error=minimum.error,
            norm_squared=observation.turned,
            singular_values=observation.singular_values,
            pull=None if observation.conjugate is None else observation.distance,
            radius=min(radius, SAME_DISTANCE * observation.norm) if math.isfinite(radius) else SAME_DISTANCE * observation.norm,
        )

    @property
    def length(self) -> float:
        """Return the distance from the centre of the penalty, or half the norm of the force of another control."""
        return math.sqrt(self.norm_squared) if self.pull is None else self.pull

    def is_one_with(self, other: Fingerprint, allowance: Allowance = Allowance()) -> bool:
        """Tell whether two minima at one beta are one."""
        return self.distance(other, allowance) <= 1.0

    def distance(self, other: Fingerprint, allowance: Allowance) -> float:
        """Return how far two minima at one beta are apart, in units of what may separate copies: up to 1 they are one."""
        if self.beta != other.beta:
            return math.inf
        radius, norm = self.radius + other.radius, max(self.length, other.length)
        scale = max(abs(self.error), abs(other.error))
        error = allowance.error + 2.0 * self.beta * norm * radius + SAME_ROUNDING * scale
        squared = (
            allowance.norm_squared
            + 2.0 * norm * radius
            + radius**2
            + SAME_ROUNDING * max(abs(self.norm_squared), abs(other.norm_squared))
        )
        return max(
            _ratio(self.error - other.error, error),
            _ratio(self.norm_squared - other.norm_squared, squared),
            self._spectral_distance(other, allowance, radius),
            self._answer_distance(other),
        )

    def _spectral_distance(self, other: Fingerprint, allowance: Allowance, radius: float) -> float:
        """Return the same of singular values, which move by no more than theta does (Weyl)."""
        if self.singular_values.keys() != other.singular_values.keys():
            return math.inf
        worst = 0.0
        for name, values in self.singular_values.items():
            others = other.singular_values[name]
            tolerance = radius + (allowance.spectrum + SAME_ROUNDING) * max(*values, *others, SHORTEST)
            worst = max(worst, *(_ratio(a - b, tolerance) for a, b in zip(values, others, strict=True)))
        return worst

    def _answer_distance(self, other: Fingerprint) -> float:
        """Return the same of which classes are taken for one; 0 where that is not asked for."""
        if self.answers is None or other.answers is None:
            return 0.0
        return _ratio(answers_apart(self.answers, other.answers), SAME_ANSWERS)


def _ratio(difference: float, tolerance: float) -> float:
    if difference == 0.0:
        return 0.0
    return abs(difference) / tolerance if tolerance > 0.0 else math.inf


class Catalogue:
    """Distinct minima, each known at one or more values of beta.

    Two fingerprints belong to one minimum if a chain of neighbours at their beta connects them, so the order in
    which they are added does not matter. Different values of beta are never compared: what is followed from one
    beta to another is added with `continues`.

    Parameters
    ----------
    allowance : Allowance, optional
        What may separate copies, beyond the errors of their solutions. Default: nothing.

    Examples
    --------
    >>> catalogue = Catalogue()
    >>> def minimum(error, beta=0.1):
    ...     return Fingerprint(beta, error, 2.0, {"0.weight": (1.0, 0.5)}, radius=1e-6)
    >>> catalogue.add(minimum(0.3)), catalogue.add(minimum(0.4)), catalogue.add(minimum(0.3 + 1e-8))
    (0, 1, 0)
    >>> catalogue.add(minimum(0.35, beta=0.2), continues=1), len(catalogue)
    (1, 2)
    >>> catalogue.find(minimum(0.35, beta=0.2))
    1
    """

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.allowance = allowance or Allowance()
        self._entries: list[tuple[Fingerprint, int]] = []
        self._parents: list[int] = []

    def add(self, found: Fingerprint, *, continues: int | None = None) -> int:
        """Add a minimum and return its id: that of the minimum it is a copy of, of the one it continues, or a new one.

        Minima that it turns out to connect become one, under the lowest of their ids.
        """
        known = sorted({identity for _, identity in self._near(found)} if continues is None else {self.id(continues)})
        if not known:
            return self.begin(found)
        for other in known[1:]:
            self._parents[other] = known[0]
        self._entries.append((found, known[0]))
        return known[0]

    def begin(self, found: Fingerprint) -> int:
        """Add a minimum that is known to be none of the others, and return its id."""
        identity = len(self._parents)
        self._parents.append(identity)
        self._entries.append((found, identity))
        return identity

    def find(self, found: Fingerprint) -> int | None:
        """Return the id of the known minimum that this one is the closest copy of, None if there is none."""
        return min(self._near(found), default=(0.0, None))[1]

    def id(self, identity: int) -> int:
        """Return the present id of a minimum that `add` returned."""
        while self._parents[identity] != identity:
            identity = self._parents[identity]
        return identity

    def __len__(self) -> int:
        """Return the number of distinct minima."""
        return sum(parent == identity for identity, parent in enumerate(self._parents))

    def _near(self, found: Fingerprint) -> Iterator[tuple[float, int]]:
        """Yield distance and id of the copies of a minimum."""
        for entry, identity in self._entries:
            if entry.is_one_with(found, self.allowance):
                yield entry.distance(found, self.allowance), self.id(identity)

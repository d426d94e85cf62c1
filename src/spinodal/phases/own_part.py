"""The part of a walk that lies on the phase that it began in.

A jump just below what is called macroscopic, and a kink that hardly bends right behind the start of a walk, do not stop
it. It then runs along another phase, and where it does so is found out by comparing the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spinodal.definitions import CONTINUOUS
from spinodal.sweeps.gap import gap
from spinodal.sweeps.order import Evidence
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition

UNNOTICED = "not noticed by the walk: found by comparing the points on both sides"


@dataclass(frozen=True)
class OwnPart:
    """What a walk along a phase tells of it.

    Attributes
    ----------
    points : tuple of Point
        On the phase, in the order walked, without the first.
    end : Transition or None
        In which the phase ends, None where it was not left.
    """

    points: tuple[Point, ...]
    end: Transition | None

    @classmethod
    def of(
        cls,
        points: Sequence[Point],
        transitions: Sequence[Transition],
        is_elsewhere: Callable[[Point], bool],
        *,
        begun: Transition | None,
        norm_range: float,
    ) -> OwnPart:
        """Return the own part of a walk up to its first macroscopic transition.

        Parameters
        ----------
        points : sequence of Point
            In the order walked, from one that is known to lie on the phase.
        transitions : sequence of Transition
            That the walk met, the first macroscopic one behind the last of the points.
        is_elsewhere : callable Point -> bool
            Tells a point that lies on another phase that is known; no point behind the first such one is taken.
        begun : Transition or None
            In which the phase began, on a walk the other way.
        norm_range : float
            What a jump of `||theta||^2` is relative to.
        """
        own = tuple(points[1:])
        first = next((k for k, point in enumerate(own) if is_elsewhere(point)), None)
        if first is None:
            return cls(own, next((item for item in transitions if not item.minor), None))
        if first == 0 and begun is not None and begun.evidence.jump_norm_squared <= CONTINUOUS * norm_range:
            return cls((), _back_through(begun))
        return cls(own[:first], _met(transitions, own[first]) or _unnoticed(points[first], own[first]))


def _met(transitions: Sequence[Transition], after: Point) -> Transition | None:
    """Return the transition that a point lies behind."""
    return next((item for item in transitions if item.after.index == after.index), None)


def _back_through(begun: Transition) -> Transition:
    """Return a continuous transition as a walk the other way meets it."""
    direction = {"up": "down", "down": "up"}[begun.direction]
    return replace(begun, direction=direction, before=begun.after, after=begun.before)


def _unnoticed(before: Point, after: Point) -> Transition:
    """Return the transition somewhere between two points that no step showed."""
    between = gap(before, after)
    low, high = sorted((before.beta, after.beta))
    return Transition(
        beta=0.5 * (low + high),
        bracket=(low, high),
        direction="up" if after.beta > before.beta else "down",
        order="not classified",
        minor=True,
        status=UNNOTICED,
        before=before,
        after=after,
        evidence=Evidence(
            exponent=None,
            margin=before.minimum.margin,
            reach=None,
            halved_step=False,
            jump_norm_squared=abs(after.norm_squared - before.norm_squared),
            jump_curvature=between.kink,
        ),
    )

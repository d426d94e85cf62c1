"""Which classes are taken for one: what two models have in common in their answers, whatever they call them."""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def answers_apart(first: Rows, second: Rows) -> float:
    """Return the part of the samples whose class is taken for one with others of which the other model tells it apart.

    Two classes are taken for one as often as a sample of each get the same answer. What that answer is does not count:
    among classes that are taken for one it is a matter of chance.

    Parameters
    ----------
    first, second : confusion matrices
        How many samples of every class are taken for which.

    Examples
    --------
    A constant answer is the same whichever it is; to lose the second class is not to lose the third:

    >>> answers_apart([[5, 0], [5, 0]], [[0, 5], [0, 5]])
    0.0
    >>> answers_apart([[5, 0, 0], [5, 0, 0], [0, 0, 5]], [[5, 0, 0], [0, 5, 0], [5, 0, 0]])
    1.0
    """
    sizes = [sum(row) for row in first]
    mine, theirs = _taken_for_one(first), _taken_for_one(second)
    moved = [
        min(sum(abs(a - b) for place, (a, b) in enumerate(zip(row, other, strict=True)) if place != label), 1.0)
        for label, (row, other) in enumerate(zip(mine, theirs, strict=True))
    ]
    return sum(size * part for size, part in zip(sizes, moved, strict=True)) / sum(sizes)


def _taken_for_one(confusion: Rows) -> list[list[float]]:
    """Return how often two classes get the same answer; 0 for classes without samples."""
    shares = [[count / sum(row) if sum(row) > 0 else 0.0 for count in row] for row in confusion]
    return [[sum(a * b for a, b in zip(row, other, strict=True)) for other in shares] for row in shares]

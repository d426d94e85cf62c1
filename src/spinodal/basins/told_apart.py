"""Which classes a model tells apart, and which it takes for one, from its confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

Groups = tuple[tuple[int, ...], ...]


def told_apart(confusion: Sequence[Sequence[float]] | None) -> Groups | None:
    """Return the classes in groups: those of one group are mostly taken for the same class.

    Parameters
    ----------
    confusion : rows of numbers, or None
        How many samples of every class were taken for which. Classes without samples are left out.

    Returns
    -------
    tuple of tuples of int, or None
        None without a confusion matrix.

    Examples
    --------
    >>> told_apart([[9, 1, 0], [0, 8, 2], [1, 7, 2]])
    ((0,), (1, 2))
    """
    if confusion is None:
        return None
    groups: dict[int, list[int]] = {}
    for label, row in enumerate(confusion):
        if sum(row) > 0:
            groups.setdefault(max(range(len(row)), key=row.__getitem__), []).append(label)
    return tuple(sorted(map(tuple, groups.values())))

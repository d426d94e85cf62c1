"""A choice among the classes of labelled data."""

from __future__ import annotations

from collections.abc import Sequence

from spinodal.arguments import sequence, whole_number
from spinodal.errors import SpinodalError

DO = "for example (0, 1, 2, 3, 4)"


def chosen_classes(name: str, classes: Sequence[int] | None, known: Sequence[int], *, least: int) -> list[int] | None:
    """Return labels of classes that are chosen, rising, None for no choice; refuse those that are not there.

    Examples
    --------
    >>> chosen_classes("classes", (2, 0), [0, 1, 2], least=2)
    [0, 2]
    """
    if classes is None:
        return None
    given = sequence(name, classes, of="labels", do=DO)
    labels = sorted({whole_number(name, label, least=0, do=DO) for label in given})
    if len(labels) < least or len(labels) < len(given) or not set(labels) <= set(known):
        many = {1: "one label or more", 2: "at least two different labels"}[least]
        raise SpinodalError(got=f"{name} = {given}", allowed=f"{many} are allowed, of {', '.join(map(str, known))}", do=DO)
    return labels

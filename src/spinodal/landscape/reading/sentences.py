"""What was read from the user's own call, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from spinodal.landscape.batches import FIRST

CLAUSES = {
    "error": "{}",
    "accuracy": "accuracy: {}",
    "no_accuracy": "no accuracy: {}",
    "outputs": "outputs: {}",
    "samples": "batches are weighed by {}",
    "rank": "rank: the smallest over the weight matrices; {}",
    "unused": "E does not depend on {}: the penalty takes this to its centre at once",
}


def sentences(reading: Mapping[str, str | None], which: Collection[str] = tuple(CLAUSES)) -> list[str]:
    """Return what is known of the reading of a task, one sentence for each.

    Examples
    --------
    >>> sentences({"accuracy": None, "unused": "pooler.bias"})
    ['E does not depend on pooler.bias: the penalty takes this to its centre at once']
    """
    known = [(CLAUSES[name], reading.get(name)) for name in which]
    return [clause.format(value) for clause, value in known if value]


def remarkable(reading: Mapping[str, str | None]) -> list[str]:
    """Return the sentences that a short table needs: how accuracy was read, and what is otherwise than expected."""
    by_convention = reading.get("samples") in (None, FIRST)
    which = (
        "error",
        "accuracy",
        *(() if by_convention else ("samples",)),
        "rank",
        *(() if reading.get("rank") else ("unused",)),
    )
    return sentences(reading, which)

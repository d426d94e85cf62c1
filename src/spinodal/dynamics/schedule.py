"""When a run is looked at: at epochs that are even on a logarithmic scale, so that long runs stay small."""

from __future__ import annotations

PER_DECADE = 48  # epochs at which E and the norm are recorded: 5 % apart
SELDOM = 8  # at which what is dear is, such as accuracy and the margin


def logarithmic(epochs: int, per_decade: int) -> list[int]:
    """Return epochs from 0 to the last, at most `per_decade` for every factor of ten.

    A longer run has all the epochs of a shorter one but its last.

    Examples
    --------
    >>> logarithmic(100, 4)
    [0, 1, 2, 3, 6, 10, 18, 32, 56, 100]
    >>> logarithmic(0, 4)
    [0]
    """
    wanted, power = {0, epochs}, 0
    while (epoch := round(10 ** (power / per_decade))) < epochs:
        wanted.add(epoch)
        power += 1
    return sorted(wanted)

"""How long noise takes to leave a metastable minimum: the exact mean in one dimension, and Kramers' law in any number.

Langevin dynamics `dtheta = -grad L dt + sqrt(2 T) dB` at a temperature T; one epoch of `train(..., method="langevin")` lasts
`learning_rate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from spinodal.arguments import positive_number, whole_number
from spinodal.definitions import ZERO_MODE
from spinodal.errors import SpinodalError

SIGN = "check its sign"


def passage_time(
    energy: Callable[[float], float], *, temperature: float, begin: float, end: float, low: float = -math.inf
) -> float:
    """Return the exact mean time until `dw = -V'(w) dt + sqrt(2 T) dB` first arrives at `end` from `begin < end`.

    `(1/T) integral_begin^end dy e^(V(y)/T) integral_low^y dz e^(-V(z)/T)`, with a reflecting wall at `low`.

    Parameters
    ----------
    energy : callable w -> V(w)
    temperature : T > 0
    begin, end, low : float

    Examples
    --------
    Without a force, from a reflecting wall at 0 to 1: `1 / (2 T)`.

    >>> round(passage_time(lambda w: 0.0, temperature=0.5, begin=0.0, end=1.0, low=0.0), 9)
    1.0
    """
    from scipy.integrate import quad  # slow to import: help and other closed forms do without

    t = positive_number("temperature", temperature, do=SIGN)

    def inner(y: float) -> float:
        return float(quad(lambda z: math.exp((energy(y) - energy(z)) / t), low, y, limit=200)[0])

    time, _ = quad(inner, begin, end, limit=200)
    return float(time) / t


def kramers_time(
    barrier: float, temperature: float, *, minimum: Sequence[float], saddle: Sequence[float], saddles: int = 1
) -> float:
    """Return Kramers' mean time to leave a minimum over equivalent saddles, for barriers far above the temperature.

    `2 pi / (saddles |lambda_-|) sqrt(prod |lambda_saddle| / prod lambda_minimum) exp(barrier / T)`.

    Parameters
    ----------
    barrier : float
        L of the saddle less that of the minimum, > 0.
    temperature : float
    minimum, saddle : eigenvalues of Hess L, as many at both
        Zero modes, up to 1e-8 of the largest in magnitude, are left out.
    saddles : int
        How many saddles of this height surround the minimum.

    Raises
    ------
    SpinodalError
        Where minimum and saddle have different numbers of zero modes, the minimum bends down, or the saddle does not have one
        direction down: the law then has other factors.

    Notes
    -----
    *What it is not:* exact: it is off by a part of about `temperature / barrier`. At the saddle itself half of the ways return;
    the time is that of the arrival beyond it.

    Source: Hanggi, Talkner & Borkovec, Rev. Mod. Phys. 62 (1990) 251, eq. 4.56.

    Examples
    --------
    `V = (w^2 - 1)^2 / 4` has the barrier 1/4, V'' = 2 at the bottom and -1 at the top:

    >>> round(kramers_time(0.25, 0.05, minimum=[2.0], saddle=[-1.0]) / math.exp(5.0), 6) == round(math.sqrt(2.0) * math.pi, 6)
    True
    """
    height, t = positive_number("barrier", barrier, do=SIGN), positive_number("temperature", temperature, do=SIGN)
    count = whole_number("saddles", saddles, least=1, do="count the equivalent saddles")
    low, high = _alive(minimum), _alive(saddle)
    if len(low) != len(high) or min(low) < 0.0 or sum(value < 0.0 for value in high) != 1:
        raise SpinodalError(
            got=f"{len(low)} curved directions at the minimum, {len(high)} at the saddle, "
            f"{sum(value < 0.0 for value in low)} and {sum(value < 0.0 for value in high)} of them down",
            allowed="a minimum, and a saddle with one direction down and as many zero modes, are allowed",
            do="simulate with train(..., method='langevin')",
        )
    ratio = sum(math.log(abs(value)) for value in high) - sum(math.log(value) for value in low)
    return 2.0 * math.pi / (count * -min(high)) * math.exp(0.5 * ratio + height / t)


def _alive(values: Sequence[float]) -> list[float]:
    """Return the eigenvalues outside the zero modes."""
    largest = max((abs(value) for value in values), default=0.0)
    return [float(value) for value in values if abs(value) > ZERO_MODE * largest]

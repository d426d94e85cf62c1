"""How long a dead mode of a deep linear network waits under gradient flow: the escape integral.

`N` weight matrices, whitened inputs, `E = mean ||f(x) - y||^2`, `L = E + beta ||theta||^2`. On balanced weights, all with the
singular value `w` along a mode `s`, gradient flow of L is

    dw/dt = 2 w (w^(N-2) (s - w^N) - beta),

so a mode that starts above the saddle `w^(N-2) (s - w^N) = beta` (the smaller root) takes the time

    t = integral dw / (2 w (w^(N-2) (s - w^N) - beta))

to grow, which is `t / learning_rate` epochs of gradient descent for small learning rates; at the saddle and below it never
does. For N >= 3 and small beta it is `1 / (2 (N-2) s w^(N-2))`: the amplitude at the start sets the waiting time.
"""

from __future__ import annotations

import math

from spinodal.arguments import real_number, whole_number
from spinodal.errors import SpinodalError
from spinodal.theory.deep_linear_networks import mode_strength

GROWN = 0.5  # share of the strength of the stable mode at which one counts as grown
PRECISION = 1e-10  # relative, of the integral


def saddle_amplitude(beta: float, singular_value: float, *, matrices: int) -> float:
    """Return the balanced amplitude `w` below which a mode dies, the smaller root of `w^(N-2) (s - w^N) = beta`.

    Parameters
    ----------
    beta : >= 0
    singular_value : `s` > 0
    matrices : N >= 1

    Returns
    -------
    float
        0 for N <= 2 below the critical beta, where a mode grows from any amplitude; infinite where there is no live state.

    Examples
    --------
    >>> w = saddle_amplitude(1e-3, 0.9, matrices=3)
    >>> abs(w * (0.9 - w**3) - 1e-3) < 1e-15, round(w, 9)
    (True, 0.001111111)
    >>> saddle_amplitude(1e-3, 0.9, matrices=2), saddle_amplitude(0.5, 0.9, matrices=3)
    (0.0, inf)
    """
    alive = mode_strength(beta, singular_value, matrices=matrices)
    n, s = whole_number("matrices", matrices, least=1, do="give the depth"), float(singular_value)
    if alive == 0.0:
        return math.inf
    if n <= 2 or beta == 0.0:
        return 0.0
    fold = (s * (n - 2) / (2 * n - 2)) ** (1.0 / n)
    from scipy.optimize import brentq  # slow to import: help and other closed forms do without

    return float(brentq(lambda w: w ** (n - 2) * (s - w**n) - beta, 0.0, fold, xtol=1e-300, rtol=8.9e-16))


def escape_time(start: float, singular_value: float, *, beta: float, matrices: int, grown: float = GROWN) -> float:
    """Return the time of gradient flow that a mode takes from the balanced amplitude `w = start` until it has grown.

    Parameters
    ----------
    start : float
        `w` > 0 of every matrix; the mode's strength is `w^N`.
    singular_value : `s` > 0
    beta : >= 0
    matrices : N >= 1
    grown : share of the strength of the stable mode at which it counts as grown, above 0 and below 1. Default .5.

    Returns
    -------
    float
        In units in which one epoch of gradient descent lasts `learning_rate`. Infinite at the saddle amplitude and below;
        0 for a mode that has grown.

    Raises
    ------
    SpinodalError
        For numbers that are out of range.

    Notes
    -----
    *What it is not:* the time of unbalanced weights, which can grow from a geometric mean below the saddle amplitude; nor of
    descent with learning rates at which a step is not small.

    Examples
    --------
    N = 1 is `dw/dt = 2 (s - (1 + beta) w)`, and N = 3 at beta = 0 from a small amplitude takes about `1 / (2 s w)`:

    >>> exact = math.log((1 - 0.1) / (1 - 0.5)) / 2
    >>> abs(escape_time(0.1, 1.0, beta=0.0, matrices=1) - exact) < 1e-9
    True
    >>> round(escape_time(1e-3, 0.9, beta=0.0, matrices=3) * 2 * 0.9 * 1e-3, 3)
    0.999
    >>> escape_time(1e-3, 0.9, beta=1e-3, matrices=3)
    inf
    """
    if not 0.0 < real_number(start) < math.inf:
        raise SpinodalError(got=f"start = {start!r}", allowed="a finite amplitude > 0 is allowed", do="0 never grows")
    if not 0.0 < real_number(grown) < 1.0:
        raise SpinodalError(got=f"grown = {grown!r}", allowed="a share between 0 and 1 is allowed", do="try 0.5")
    n, s = matrices, float(singular_value)
    if start <= saddle_amplitude(beta, s, matrices=n):
        return math.inf
    end = (grown * mode_strength(beta, s, matrices=n)) ** (1.0 / n)
    if end <= start:
        return 0.0
    from scipy.integrate import quad  # slow to import: help and other closed forms do without

    time, _ = quad(
        lambda x: 1.0 / _growth(math.exp(x), beta, s, n), math.log(start), math.log(end), epsrel=PRECISION, limit=500
    )
    return float(time)


def _growth(w: float, beta: float, s: float, n: int) -> float:
    """Return `d log w / dt`."""
    return 2.0 * (w ** (n - 2) * (s - w**n) - beta)

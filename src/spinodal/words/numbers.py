"""Numbers as text, to the digits that their error justifies: the one formatter of terminal, report and placement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from spinodal.conventions import weight_decay

MOST = 7  # significant digits of a number in a sentence or a table
PLAIN = 3  # of one whose error is not known
FINEST = 1_000_000  # samples; a percentage has no use for more


def to_error(value: float, error: float | None, most: int = MOST) -> str:
    """Return a number down to the place of the first digit of its error, with at most `most` significant digits.

    Zeros at the end are digits that are known. Without an error the number has `PLAIN` digits, or fewer.

    Examples
    --------
    >>> to_error(0.0527825, 2.1e-5), to_error(0.5, 2e-6), to_error(0.5, 2e-6, most=4)
    ('0.05278', '0.500000', '0.5000')
    >>> to_error(3.56e-5, 1e-4), to_error(1234.5, 20.0), to_error(float("nan"), 0.1), to_error(0.25, None)
    ('0', '1230', '-', '0.25')
    """
    if not math.isfinite(value):
        return "-"
    if error is None or not math.isfinite(error):
        return f"{value:.{min(most, PLAIN)}g}"
    if value == 0.0:
        return "0"
    first = math.floor(math.log10(abs(value)))
    place = max(first - most + 1, math.floor(math.log10(error)) if error > 0.0 else -400)
    rounded = round(value, -place)
    if rounded == 0.0:
        return "0"
    digits = math.floor(math.log10(abs(rounded))) - place + 1
    return _fixed(rounded, place) if -5 <= first <= most else f"{rounded:.{max(digits, 1) - 1}e}"


def _fixed(value: float, place: int) -> str:
    return f"{value:.{max(-place, 0)}f}"


def significant(value: float, digits: int = MOST) -> str:
    """Return a number that is known as it stands, such as the beta at which a point was minimised.

    Examples
    --------
    >>> significant(0.25), significant(0.123456789), significant(float("inf"))
    ('0.25', '0.1234568', '-')
    """
    return f"{value:.{digits}g}" if math.isfinite(value) else "-"


def half(bracket: Sequence[float]) -> float:
    """Return half the width of a bracket."""
    return 0.5 * abs(bracket[1] - bracket[0])


def ends(bracket: Sequence[float]) -> tuple[str, str]:
    """Return the ends of a bracket, rounded outwards to the place behind the first digit of half its width.

    Examples
    --------
    >>> ends((0.052761039, 0.052804012))
    ('0.052761', '0.052805')
    >>> ends((0.4999977, 0.5000027))
    ('0.4999977', '0.5000027')
    """
    place = _place_of(bracket)
    low, high = sorted(bracket)
    unit = Fraction(10) ** place
    rounded = math.floor(_decimal(low) / unit) * unit, math.ceil(_decimal(high) / unit) * unit
    return _fixed(float(rounded[0]), place), _fixed(float(rounded[1]), place)


def below(bracket: Sequence[float]) -> float:
    """Return the lower end of a bracket, rounded down as `ends` has it.

    Examples
    --------
    >>> below((0.052761039, 0.052804012))
    0.052761
    """
    return float(ends(bracket)[0])


def _place_of(bracket: Sequence[float]) -> int:
    width = half(bracket) or 1e-9 * abs(bracket[1]) or 1e-300
    return math.floor(math.log10(width)) - 1


def _decimal(value: float) -> Fraction:
    """Return the number that is written, which in binary may lie a little beside it."""
    return Fraction(repr(float(value)))


def width(bracket: Sequence[float]) -> str:
    """Return half the width of a bracket, in one digit.

    Examples
    --------
    >>> width((0.052761039, 0.052804012))
    '2e-05'
    """
    return f"{half(bracket):.0e}"


def at(beta: float, error: float | None, of: str | None = None) -> str:
    """Return a place on the axis of beta, as PyTorch's `weight_decay` and as beta, or on that of another control, `of`.

    Examples
    --------
    >>> at(0.0527825, 2.1e-5)
    'weight_decay = 0.10557 (beta = 0.05278)'
    """
    if of is not None:
        return f"{of} = {to_error(beta, error)}"
    doubled = None if error is None else weight_decay(error)
    return f"weight_decay = {to_error(weight_decay(beta), doubled)} (beta = {to_error(beta, error)})"


def sample_step(values: Iterable[float | None]) -> float | None:
    """Return the largest step of which all accuracies are multiples: 1/n for n samples, or for a divisor of n.

    Examples
    --------
    >>> 1 / sample_step([0.5, 2 / 3, 0.75, None]), sample_step([]), sample_step([1.0])
    (12.0, None, 1.0)
    """
    least, known = 1, False
    for value in {value for value in values if value is not None and math.isfinite(value)}:
        least, known = math.lcm(least, Fraction(value).limit_denominator(FINEST).denominator), True
        if least > FINEST:
            return 1.0 / FINEST
    return 1.0 / least if known else None


def percent(value: float, step: float | None = None, most: int = 2) -> str:
    """Return a part as a percentage, down to the place that one sample moves, at most `most` behind the point.

    Examples
    --------
    >>> percent(0.99944, 1 / 1797), percent(0.5, 1 / 12), percent(1.0, 1 / 1797), percent(0.957, 1e-6), percent(0.25)
    ('99.94 %', '50 %', '100.00 %', '95.70 %', '25 %')
    """
    places = 0 if step is None or step >= 1.0 else min(max(-math.floor(math.log10(100.0 * step)), 0), most)
    return f"{100.0 * value:.{places}f} %"


def rounded(values: Iterable[float], digits: int = MOST) -> Sequence[float | None]:
    """Return rounded numbers for a figure, None for what JSON does not have.

    Examples
    --------
    >>> rounded([0.123456789, float("nan")])
    [0.1234568, None]
    """
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]

"""The axis on which a control is turned: its allowed values, and what a step and a width are relative to."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

from spinodal.arguments import real_number
from spinodal.errors import SpinodalError, positive_beta

UNITS = 6.0  # a range without a unit of its own is so long, as a map is on a log axis: log 300 = 5.7


class Axis(ABC):
    """Values of a control as places on an axis on which steps are of comparable size.

    All follows from `place` and `unit`; a subclass writes out what it has a closed form of.

    Attributes
    ----------
    name : {"log", "linear"}
    """

    name: str

    @abstractmethod
    def checked(self, value: float, called: str = "beta") -> float:
        """Return a value as a float, or refuse it."""

    @abstractmethod
    def allows(self, value: float) -> bool:
        """Tell whether a value is one of this axis."""

    @abstractmethod
    def place(self, value: float) -> float:
        """Return where on the axis a value lies."""

    @abstractmethod
    def value(self, place: float) -> float:
        """Return the value at a place."""

    @abstractmethod
    def unit(self, value: float) -> float:
        """Return `dvalue/dplace`: what a step of 1 is there, and what widths are relative to."""

    @abstractmethod
    def over(self, low: float, high: float) -> Self:
        """Return the axis for a walk between two values."""

    @property
    @abstractmethod
    def reference(self) -> float:
        """Return the value at which L is what jumps are measured in.

        With `E' = E + reference C` and `value - reference >= 0`, L is `E' + (value - reference) C`: along minima E' only
        rises with the value, as E does along those of the L2 penalty.
        """

    # -- steps ----------------------------------------------------------------------------------

    def step(self, start: float, end: float) -> float:
        """Return the step on the axis from one value to another."""
        return self.place(end) - self.place(start)

    def apart(self, a: float, b: float) -> float:
        """Return the distance of two values on the axis."""
        return abs(self.step(a, b))

    def moved(self, value: float, step: float) -> float:
        """Return the value a step further on the axis."""
        return self.value(self.place(value) + step)

    def nudged(self, value: float, part: float) -> float:
        """Return the value plus a part of the unit."""
        return value + part * self.unit(value)

    def reduced(self, value: float, factor: float) -> float:
        """Return a value far below another one: so many units lower."""
        return value - factor * self.unit(value)

    def enlarged(self, value: float, factor: float) -> float:
        """Return a value far above another one: so many units higher."""
        return value + factor * self.unit(value)

    def power(self, start: float, end: float, exponent: float) -> float:
        """Return `exp(exponent * step)`: a power of the factor between two positive values."""
        return math.exp(exponent * self.step(start, end))

    # -- between two values ---------------------------------------------------------------------

    def along(self, start: float, end: float, part: float) -> float:
        """Return the value after a part of the step from one value to another."""
        return self.moved(start, part * self.step(start, end))

    def between(self, a: float, b: float, weight: float) -> float:
        """Return the mean of two values on the axis, the second one's weight given."""
        return self.along(a, b, weight)

    def middle(self, a: float, b: float) -> float:
        """Return the value in the middle of two."""
        return self.along(a, b, 0.5)

    def halfway(self, a: float, b: float) -> float:
        """Return the place in the middle of two values."""
        return 0.5 * (self.place(a) + self.place(b))


@dataclass(frozen=True)
class Logarithmic(Axis):
    """Positive values, and steps that are factors.

    Examples
    --------
    >>> Logarithmic().unit(0.2), round(Logarithmic().moved(0.2, math.log(2.0)), 12)
    (0.2, 0.4)
    """

    name = "log"

    def checked(self, value: float, called: str = "beta") -> float:
        """Return a finite value > 0, or refuse it."""
        return positive_beta(value, called)

    def allows(self, value: float) -> bool:
        """Tell whether a value is positive."""
        return value > 0

    def place(self, value: float) -> float:
        """Return the logarithm."""
        return math.log(value)

    def value(self, place: float) -> float:
        """Return the exponential."""
        return math.exp(place)

    def unit(self, value: float) -> float:
        """Return the value itself."""
        return value

    def over(self, low: float, high: float) -> Self:
        """Return the axis itself: a factor is a factor in any range."""
        return self

    @property
    def reference(self) -> float:
        """Return 0, at which L is E."""
        return 0.0

    def step(self, start: float, end: float) -> float:
        """Return `log(end / start)`."""
        return math.log(end / start)

    def moved(self, value: float, step: float) -> float:
        """Return `value * exp(step)`."""
        return value * math.exp(step)

    def nudged(self, value: float, part: float) -> float:
        """Return `value * (1 + part)`."""
        return value * (1.0 + part)

    def reduced(self, value: float, factor: float) -> float:
        """Return `value / factor`."""
        return value / factor

    def enlarged(self, value: float, factor: float) -> float:
        """Return `value * factor`."""
        return value * factor

    def power(self, start: float, end: float, exponent: float) -> float:
        """Return `(end / start)^exponent`."""
        return math.pow(end / start, exponent)

    def along(self, start: float, end: float, part: float) -> float:
        """Return `start (end / start)^part`."""
        value: float = start * (end / start) ** part
        return value

    def between(self, a: float, b: float, weight: float) -> float:
        """Return `a^(1 - weight) b^weight`."""
        value: float = a ** (1.0 - weight) * b**weight
        return value

    def middle(self, a: float, b: float) -> float:
        """Return the geometric mean."""
        return math.sqrt(max(a, 1e-300) * b)

    def halfway(self, a: float, b: float) -> float:
        """Return the logarithm of the geometric mean."""
        return 0.5 * math.log(a * b)


@dataclass(frozen=True)
class Linear(Axis):
    """Values of either sign, and steps that are differences.

    Attributes
    ----------
    length : float or None
        What a step of 1 is. None: a sixth of the range that is walked, and 1 where none is.
    lowest : float
        The lowest value that is walked.

    Examples
    --------
    >>> axis = Linear().over(-0.6, 0.6)
    >>> round(axis.unit(0.0), 12), round(axis.moved(-0.1, 1.0), 12)
    (0.2, 0.1)
    """

    length: float | None = None
    lowest: float = 0.0
    name = "linear"

    def __post_init__(self) -> None:
        """Refuse a length that is none."""
        if self.length is not None and not 0.0 < real_number(self.length) < math.inf:
            raise SpinodalError(
                got=f"a linear axis with length = {self.length!r}",
                allowed="a finite number > 0 is allowed",
                do="give how far the control is turned in a step of 1, or nothing: a sixth of the range",
            )

    def checked(self, value: float, called: str = "beta") -> float:
        """Return a finite value, or refuse it."""
        number = real_number(value)
        if not math.isfinite(number):
            raise SpinodalError(got=f"{called} = {value!r}", allowed="a finite number is allowed", do="give a number")
        return number

    def allows(self, value: float) -> bool:
        """Tell whether a value is finite."""
        return math.isfinite(value)

    def place(self, value: float) -> float:
        """Return the value in units."""
        return value / self.unit(value)

    def value(self, place: float) -> float:
        """Return the value at so many units."""
        return place * self.unit(place)

    def unit(self, value: float) -> float:
        """Return the length of a unit, which is the same everywhere."""
        return 1.0 if self.length is None else self.length

    def over(self, low: float, high: float) -> Self:
        """Return the axis that begins at the lower value, with a sixth of the range as its unit if it has none of its own."""
        sixth = abs(high - low) / UNITS or None
        return replace(self, length=self.length or sixth, lowest=min(low, high))

    @property
    def reference(self) -> float:
        """Return the lowest value that is walked."""
        return self.lowest

    def moved(self, value: float, step: float) -> float:
        """Return `value + step * unit`, exactly 0 where that is 0."""
        return value + step * self.unit(value)


LOG = Logarithmic()

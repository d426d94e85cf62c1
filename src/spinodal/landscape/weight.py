"""Controls that a user makes of a function: the weight of a term of the loss, and a field along an order parameter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from spinodal.errors import SpinodalError, about
from spinodal.landscape.axis import LOG, Axis, Linear
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.energy import LossFunction
from spinodal.landscape.landscape import Landscape


class Weight(Control):
    """The weight of a second term of the loss: `L = E + value * C`, with C the mean over samples of the term.

    Parameters
    ----------
    term : callable (model, batch) -> scalar
        The mean over the batch's samples, as the loss is (see `Landscape`): the Kullback-Leibler divergence of a
        variational autoencoder, for example. A term that looks at the parameters alone may ignore the batch.
    name : str
        Of the value, for texts. Default "weight".

    Raises
    ------
    SpinodalError
        If the term is not callable, and where it first meets a landscape on which it is no function of theta.

    Notes
    -----
    Values are positive, and walked by factors. C may be any smooth function: its gradient, its products and its Hessian are
    those of a `Landscape` of its own, and cost as much (see `Counts`).

    *What it is not:* a way to turn something in which L is not linear, such as a temperature inside of the loss.

    Examples
    --------
    `E = (1 - w)^2`, `C = w^4`: at weight 1/4 the minimum solves `2 (1 - w) = w^3`.

    >>> import torch
    >>> import spinodal as sp
    >>> class One(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.tensor(1.0))
    >>> E = Landscape(One(), lambda model, batch: (1 - model.w) ** 2, None)
    >>> found = sp.minimise(E, beta=0.25, start=E.initial, control=Weight(lambda model, batch: model.w**4))
    >>> w = float(found.theta)
    >>> round(2 * (1 - w) - w**3, 12) + 0.0
    0.0
    """

    axis: Axis = LOG
    sign = 1.0

    def __init__(self, term: LossFunction, *, name: str = "weight") -> None:
        if not callable(term):
            raise SpinodalError(
                got=f"term is a {type(term).__name__}",
                allowed="a function (model, batch) -> scalar is allowed",
                do="give the mean of the term over the samples of a batch",
            )
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise SpinodalError(
                got=f"name = {name!r}", allowed="a word is allowed", do="name the value as texts should, such as 'kl'"
            )
        self.term, self.name = term, name
        self._known: WeakKeyDictionary[Landscape, Landscape] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: not what is known of the landscapes of this one."""
        return {**vars(self), "_known": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._known = WeakKeyDictionary()

    @property
    def convention(self) -> str:
        """Return L in one line."""
        return f"E + {self.name}*{self._called}"

    @property
    def _called(self) -> str:
        """Return the name of the term."""
        name: str = getattr(self.term, "__name__", "term")
        return name if name.isidentifier() else "term"

    def on(self, landscape: Landscape) -> Turned:
        """Return the control with its term as a function of this landscape's theta, or refuse a term that is none."""
        if landscape not in self._known:
            self._known[landscape] = self._energy(landscape)
        return Term(self, landscape, self._known[landscape], self.sign)

    def _energy(self, landscape: Landscape) -> Landscape:
        with about(f"the term of {self.name}"):
            return landscape.with_loss(self.term)


class Field(Weight):
    """A field h along an order parameter: `L = E - h * m`, so that m grows with h.

    Parameters
    ----------
    order_parameter : callable (model, batch) -> scalar
        m; it may ignore the batch.
    name : str
        Of the value, for texts. Default "h".
    unit : float > 0, optional
        What a step of 1 is, and widths of brackets are relative to. Default: a sixth of the range that is walked.

    Notes
    -----
    Values may have either sign, 0 included. A jump is macroscopic where it is of at least 1 % of the range of L at the lowest
    value that is walked, as E alone may be the same on both sides.

    Examples
    --------
    `E = m^4/4 - m^2/2` has its spinodals at `h = -/+ 2/(3 sqrt 3) = -/+ .3849002`, up and down, a loop of hysteresis:

    >>> import torch
    >>> import spinodal as sp
    >>> class Spin(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.m = torch.nn.Parameter(torch.tensor(-1.0))
    >>> E = Landscape(Spin(), lambda model, batch: model.m**4 / 4 - model.m**2 / 2, None)
    >>> field = Field(lambda model, batch: model.m)
    >>> start = sp.minimise(E, beta=-1.0, start=E.initial, control=field)
    >>> loop = sp.sweep(E, start=start, to=1.0, direction="loop", control=field)
    >>> [[round(t.beta, 4) for t in way.transitions] for way in (loop.up, loop.down)]
    [[0.3849], [-0.3849]]
    """

    sign = -1.0

    def __init__(self, order_parameter: LossFunction, *, name: str = "h", unit: float | None = None) -> None:
        super().__init__(order_parameter, name=name)
        self.axis = Linear(unit)

    @property
    def convention(self) -> str:
        """Return L in one line."""
        return f"E - {self.name}*{self._called}"

    def over(self, low: float, high: float) -> Field:
        """Return the field with a unit for a walk between two values."""
        twin = copy.copy(self)
        twin.axis, twin._known = self.axis.over(low, high), self._known
        return twin


class Term(Turned):
    """C of a `Weight` or a `Field` on one landscape: plus or minus the mean of its term over the data.

    What it costs is counted with what E costs.
    """

    def __init__(self, control: Weight, landscape: Landscape, energy: Landscape, sign: float) -> None:
        self.control, self.landscape, self.sign, self._energy = control, landscape, sign, energy
        self.name, self.axis = control.name, control.axis

    @property
    def given(self) -> Control:
        """Return the weight or the field."""
        return self.control

    @property
    def energy(self) -> Landscape:
        """Return the term as a landscape that spends on the counts of E."""
        self._energy.ledger = self.landscape.ledger
        return self._energy

    @property
    def convention(self) -> str:
        """Return L in one line."""
        return self.control.convention

    def on(self, landscape: Landscape) -> Turned:
        """Return the control on another landscape, such as that in single precision."""
        return self if landscape is self.landscape else self.control.on(landscape)

    def over(self, low: float, high: float) -> Control:
        """Return the control with its axis for a walk between two values."""
        return self.control.over(low, high)

    def conjugate(self, theta: Tensor) -> float:
        """Return C."""
        return self.sign * self.energy.value(theta)

    def conjugate_and_force(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return C and its gradient."""
        value, gradient = self.energy.value_and_gradient(theta)
        return self.sign * value, self.sign * gradient

    def operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> Hess C v`."""
        product = self.energy.hessian_operator(theta)
        return lambda vectors: self.sign * product(vectors)

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the dense Hessian of C."""
        return self.sign * self.energy.hessian(theta)

    def third_product(self, theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return `D^3 C[u, v, .]`."""
        return self.sign * self.energy.third_product(theta, u, v)

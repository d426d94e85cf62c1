"""Lends a module whose parameters are set to theta, one borrower inside another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from spinodal.landscape.attention import plain_attention
from spinodal.landscape.copying import copied
from spinodal.landscape.parameters import Parameters


class Lender:
    """A module whose parameters are views into one flat vector.

    Whoever borrows it evaluates with gradients on, whatever the mode outside: modules may compute another function under
    `torch.no_grad` (the fast path of `nn.TransformerEncoder` does), and E is one. Attention is computed in the form that can
    be differentiated twice.

    Examples
    --------
    >>> line = nn.Linear(1, 1, bias=False)
    >>> lender = Lender(line, Parameters(line), torch.empty(1))
    >>> with lender.at(torch.tensor([2.0])) as outer:
    ...     with lender.at(torch.tensor([3.0])) as inner:
    ...         three = inner(torch.ones(1)).item()
    ...     (outer(torch.ones(1)).item(), three)
    (2.0, 3.0)
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Parameters,
        flat: Tensor,
        softening: AbstractContextManager[object] | None = None,
    ) -> None:
        self.model, self.flat, self.parameters = model, flat, parameters
        self.softening = nullcontext() if softening is None else softening
        self.leaves = parameters.bind(model, flat)
        self._borrowers = 0
        self._held: list[Tensor] = []  # theta of those who may still look at the module

    @contextmanager
    def at(self, theta: Tensor) -> Iterator[nn.Module]:
        """Lend the module at theta, shape (n,); a borrower outside has its own theta back afterwards."""
        outer = self.flat.clone() if self._borrowers else None
        self._borrowers += 1
        try:
            self.flat.copy_(theta.detach())
            with torch.enable_grad(), plain_attention(), self.softening:
                yield self.model
        finally:
            self._borrowers -= 1
            if outer is not None:
                self.flat.copy_(outer)

    @contextmanager
    def lend(self, theta: Tensor) -> Iterator[nn.Module]:
        """Lend a module at theta, shape (n,), that stays there: inside another loan, at another theta, a copy of the module.

        Examples
        --------
        >>> line = nn.Linear(1, 1, bias=False)
        >>> lender, one = Lender(line, Parameters(line), torch.empty(1)), torch.ones(1)
        >>> with lender.lend(2.0 * one) as outer, lender.lend(3.0 * one) as inner:
        ...     (outer(one).item(), inner(one).item())
        (2.0, 3.0)
        """
        if any(not torch.equal(theta.to(held), held) for held in self._held):
            twin = Lender(copied(self.model), self.parameters, self.flat.clone(), self.softening)
            with twin.at(theta) as model:
                yield model
            return
        self._held.append(theta.detach().clone())
        try:
            with self.at(theta) as model:
                yield model
        finally:
            self._held.pop()

    def holds(self, theta: Tensor) -> bool:
        """Tell whether the parameters are what they were set to: a model may change them when it is called."""
        return bool(torch.equal(self.flat, theta.to(self.flat)))

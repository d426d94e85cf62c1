"""The Hessian of E or of L at one point, as an operator that refuses what is not finite, and as a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from spinodal.arguments import real_number
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.axis import LOG
from spinodal.landscape.control import Control
from spinodal.landscape.hessian import Factorised
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.spectrum.eigenbasis import Eigenbasis, eigenbasis

METHODS = ("auto", "dense", "lanczos")
SMALL, FACTORISED = 500, 800  # parameters up to which all eigenpairs are affordable everywhere; where H factorises over samples


@dataclass(frozen=True)
class HessianOperator:
    """`v -> H v` at theta, for one vector (n,) or rows (k, n): of E at beta = 0, of `L = E + beta ||theta - centre||^2` else.

    Examples
    --------
    >>> one = torch.nn.Linear(1, 1, bias=False)
    >>> landscape = Landscape(one, lambda model, batch: (1 - model.weight.sum()) ** 2, None)
    >>> HessianOperator.at(landscape, torch.zeros(1), beta=1.0, penalty=None)(torch.ones(1).double()).item()
    4.0
    """

    loss: Regularised
    theta: Tensor

    @classmethod
    def at(cls, landscape: Landscape, theta: object, *, beta: float, penalty: Control | None) -> HessianOperator:
        """Return the operator, or refuse a beta that is negative or not finite, and a theta or penalty that do not fit."""
        control = penalty or Penalty()
        value = strength(beta) if control.axis is LOG else control.axis.checked(beta)
        return cls(Regularised(landscape, value, control), landscape.vector(theta))

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the product or refuse it if it is not finite."""
        return self._product(vectors)

    def dense(self) -> Tensor:
        """Return the matrix, shape (n, n), float64, or refuse it if it is not finite."""
        return self.shifted(self.loss.landscape.hessian(self.theta))

    def shifted(self, hessian: Tensor) -> Tensor:
        """Return the matrix from the Hessian of E, shape (n, n), float64, or refuse it if it is not finite."""
        return self.loss.shifted(finite(self.loss.bent(hessian, self.theta)).double())

    def eigenbasis(self, hessian: Tensor | None = None, *, gradient: Tensor | None = None, vectors: bool = True) -> Eigenbasis:
        """Return the dense analysis, from Hessian, shape (n, n), and gradient, shape (n,), of E, where these are known."""
        matrix = self.dense() if hessian is None else self.shifted(hessian)
        return eigenbasis(matrix, precision=self.loss.landscape.dtype, bend=self.bend(gradient), vectors=vectors)

    def bend(self, gradient: Tensor | None = None) -> float:
        """Return about the curvature that zero modes have as the gradient here is not zero (see `zero_limit`)."""
        error = self.loss.landscape.gradient(self.theta) if gradient is None else gradient
        return self.loss.bend(self.theta, float((error.to(self.theta) + self.loss.pull(self.theta)).norm()))

    def of_error(self) -> HessianOperator:
        """Return the operator of E at the same theta."""
        return replace(self, loss=replace(self.loss, beta=0.0))

    @cached_property
    def _product(self) -> Callable[[Tensor], Tensor]:
        return refusing(self.loss.hessian_operator(self.theta))


def eigenbases(
    operators: Sequence[HessianOperator], hessian: Tensor, gradient: Tensor, *, vectors: bool = True
) -> tuple[Eigenbasis, ...]:
    """Return the dense analyses of operators at one theta, from Hessian, shape (n, n), and gradient, shape (n,), of E.

    It is one, where their controls are penalties that hold all parameters and so only shift the eigenvalues.
    """
    if not all(operator.loss.control.only_shifts for operator in operators):
        return tuple(operator.eigenbasis(hessian, gradient=gradient, vectors=vectors) for operator in operators)
    error = operators[0].of_error().eigenbasis(hessian, gradient=gradient, vectors=vectors)
    return tuple(
        replace(error.shifted(operator.loss.control.shift(operator.loss.beta)), bend=operator.bend(gradient))
        for operator in operators
    )


def affords_dense(landscape: Landscape) -> bool:
    """Tell whether a dense Hessian and all its eigenpairs are affordable at every step of a branch.

    In float64 up to 800 parameters where the Hessian factorises over samples, 500 otherwise.
    """
    if landscape.dtype != torch.float64 or landscape.size > FACTORISED:
        return False
    return landscape.size <= SMALL or isinstance(landscape.hessian_method, Factorised)


def strength(beta: float) -> float:
    """Return `beta` of a surface, 0 of that of E, as a float, or refuse it unless it is finite and not negative."""
    value = real_number(beta)
    if not 0.0 <= value < math.inf:
        raise SpinodalError(
            got=f"beta = {beta!r}", allowed="a finite beta >= 0 is allowed", do="give 0 for E, or a positive number for L"
        )
    return value


def method_for(method: str, is_affordable: bool) -> str:
    """Return "dense" or "lanczos"; "auto" is dense where that is affordable."""
    if method not in METHODS:
        raise unknown_name("method", str(method), METHODS)
    return method if method != "auto" else "dense" if is_affordable else "lanczos"


def refusing(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the same product, which refuses what is not finite."""
    return lambda vectors: finite(product(vectors))


def finite(image: Tensor) -> Tensor:
    """Return second derivatives, or refuse them if they are not finite."""
    if not bool(torch.isfinite(image).all()):
        raise SpinodalError(
            got="second derivatives of E are not finite here",
            allowed="a point at which E has finite second derivatives is allowed",
            do="look for a square root, a norm or a logarithm at zero, or take another theta",
        )
    return image

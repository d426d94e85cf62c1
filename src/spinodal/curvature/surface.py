"""The error surface or the loss surface at one point: gradient and Hessian, and the curvatures that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.curvature import gauss
from spinodal.curvature.gauss import LogValue
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty, l2
from spinodal.shown import Shown
from spinodal.spectrum.operator import strength


@dataclass(frozen=True, eq=False, repr=False)
class Surface(Shown):
    """The graph `z = E(theta)`, or `z = L(theta; beta)`, at one point, to second order.

    For networks whose dense Hessian fits: it is n^2 numbers of 8 bytes, and a curvature takes about four such matrices more.

    Attributes
    ----------
    gradient : Tensor, shape (n,), float64
    hessian : Tensor, shape (n, n), float64
    beta : float
        0 for the error surface.

    Notes
    -----
    The curvatures depend on how E is normalised. ReLU networks are piecewise smooth: what bends them is in their kinks, and
    no second derivative sees it.

    Examples
    --------
    One weight per layer, `E = (1 - w1 w2)^2 / 2`, at its minimum (1, 1): a valley, flat along its floor.

    >>> import torch
    >>> class Pair(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    >>> landscape = Landscape(Pair(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> valley = Surface.at(landscape, torch.ones(2))
    >>> valley.ricci(), valley.mean(), round(float(valley.principal()[-1]), 12)
    (0.0, 1.0, 2.0)
    >>> print(valley.gauss_kronecker())
    0
    """

    gradient: Tensor
    hessian: Tensor
    beta: float = 0.0

    @classmethod
    def at(cls, landscape: Landscape, theta: object, *, beta: float = 0.0, penalty: Penalty | None = None) -> Surface:
        """Return the surface of E (beta = 0) or of `L = E + beta ||theta - centre||^2` at theta.

        One gradient and one dense Hessian, counted by the landscape. With a float32 landscape both are computed in float32
        and only what follows is in float64.

        Parameters
        ----------
        landscape : Landscape
        theta : Tensor, shape (n,), or a module of the landscape's kind
        beta : float
            Default 0: the error surface.
        penalty : Penalty, optional
            Centre and mask. Default: all parameters are pulled to the origin.

        Raises
        ------
        SpinodalError
            If beta is negative or not finite, if theta or the penalty do not fit, or if E has no second derivatives.

        Examples
        --------
        `E = (1 - w)^2` has second derivative 2, and `L` at beta = 1 has 4:

        >>> import torch
        >>> one = torch.nn.Linear(1, 1, bias=False)
        >>> landscape = Landscape(one, lambda model, batch: (1 - model.weight.sum()) ** 2, None)
        >>> Surface.at(landscape, torch.zeros(1), beta=1.0).hessian.item()
        4.0
        """
        loss = Regularised(landscape, strength(beta), Penalty() if penalty is None else l2(penalty, "the curvature of L"))
        point = landscape.vector(theta)
        error = cls(landscape.gradient(point).double(), landscape.hessian(point).double())
        return error.lifted(loss, point)

    def lifted(self, loss: Regularised, theta: Tensor) -> Surface:
        """Return the surface of L from that of E, at theta."""
        return Surface(self.gradient + loss.pull(theta.double()), loss.shifted(self.hessian), loss.beta)

    def ricci(self) -> float:
        """Return the scalar curvature R, see `gauss.ricci`."""
        return gauss.ricci(self.gradient, self.hessian)

    def gauss_kronecker(self) -> LogValue:
        """Return the Gauss-Kronecker curvature K, see `gauss.gauss_kronecker`."""
        return gauss.gauss_kronecker(self.gradient, self.hessian)

    def mean(self) -> float:
        """Return the mean of the n principal curvatures, see `gauss.mean_curvature`."""
        return gauss.mean_curvature(self.gradient, self.hessian)

    def principal(self) -> Tensor:
        """Return the principal curvatures, rising, shape (n,), see `gauss.principal_curvatures`."""
        return gauss.principal_curvatures(self.gradient, self.hessian)

    def sectional(self, u: Tensor, v: Tensor) -> float:
        """Return the sectional curvature of the plane of two vectors (n,), see `gauss.sectional_curvature`."""
        return gauss.sectional_curvature(self.gradient, lambda vector: self.hessian @ vector, u, v)

    def __str__(self) -> str:
        """Return what it is and its scalar curvature, in one line."""
        name = f"loss surface at beta = {self.beta:g}" if self.beta else "error surface"
        return f"{name}, n = {len(self.gradient)}: R = {self.ricci():.6g}"

"""Exact curvature of the graph `z = E(theta)` from the gradient and the dense Hessian.

The graph is a hypersurface of `R^(n+1)` with the induced metric `G = I + g g^T`; its second fundamental form is `H / W`,
`W = sqrt(1 + ||g||^2)`, for the normal `(-g, 1) / W`, so that a convex E has positive curvatures. In an orthonormal frame of
the tangent space both are one symmetric matrix, the shape operator

    A = D Q H Q D / W,      Q g = -+ ||g|| e_k,      D = I but for D_kk = 1 / W,

with the reflection Q that turns g into an axis k. Its eigenvalues are the principal curvatures, those of
`G^(-1/2) H G^(-1/2) / W`, and all else follows from it by Gauss's equation. (M. do Carmo, *Riemannian
Geometry*, ch. 6; S. Kobayashi & K. Nomizu, *Foundations of Differential Geometry* II, ch. VII.)

Everything is computed in float64. A Hessian is n^2 numbers, and about four such matrices are held at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

import torch
from torch import Tensor

from spinodal.errors import SpinodalError

ASYMMETRY = 1e-5  # of the largest entry, up to which H is symmetric but for rounding (float32 included)
PARALLEL = 1e-12  # relative length of what two vectors differ by in direction, below which they span no plane


@dataclass(frozen=True)
class LogValue:
    """A number kept as its sign and the logarithm of its magnitude, which neither under- nor overflows.

    Attributes
    ----------
    sign : int
        -1, 0 or 1.
    log_magnitude : float
        Natural logarithm of the magnitude; minus infinity where the number is 0.

    Examples
    --------
    >>> print(LogValue(-1, math.log(0.5)), LogValue(1, -3000.0), LogValue(0, -math.inf))
    -0.5 1.30784e-1303 0
    >>> LogValue(1, -3000.0).value
    0.0
    """

    sign: int
    log_magnitude: float

    @property
    def value(self) -> float:
        """Return the number as a float, which may be 0 or infinite where the magnitude fits none."""
        try:
            return self.sign * math.exp(self.log_magnitude)
        except OverflowError:
            return self.sign * math.inf

    def __float__(self) -> float:
        """Return the number as a float, as `value` does."""
        return self.value

    def __str__(self) -> str:
        """Return the number with six digits, whatever its magnitude."""
        if self.sign == 0 or abs(self.log_magnitude) < 600:
            return f"{self.value:.6g}"
        magnitude = Context(prec=6, Emin=MIN_EMIN, Emax=MAX_EMAX).exp(Decimal(self.log_magnitude))
        return f"{'-' if self.sign < 0 else ''}{magnitude:.5e}"


def shape_operator(gradient: Tensor, hessian: Tensor) -> Tensor:
    """Return the shape operator A of the graph in an orthonormal frame, shape (n, n), symmetric, float64.

    The frame has the direction of steepest ascent as one of its axes, the one where g is largest. What H is along it, W or
    W^2 times smaller than elsewhere in A, is then not lost to the rounding of the rest, however steep the surface.

    Parameters
    ----------
    gradient : Tensor, shape (n,)
    hessian : Tensor, shape (n, n)

    Raises
    ------
    SpinodalError
        If the shapes do not fit, if a number is not finite, or if H is not symmetric.

    Examples
    --------
    >>> shape_operator(torch.tensor([0.0, 0.0]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    g, matrix = _checked(gradient, hessian)
    steepness, axis = _steepness(g), int(g.abs().argmax())
    turned = _reflected(matrix, g, axis)
    turned[axis] /= steepness
    turned[:, axis] /= steepness
    return turned / steepness


def ricci(gradient: Tensor, hessian: Tensor) -> float:
    """Return the scalar (Ricci) curvature R of the graph.

        R = [(tr H)^2 - ||H||_F^2] / W2 + 2 [||H g||^2 - (tr H)(g^T H g)] / W2^2,      W2 = 1 + ||g||^2
          = (tr A)^2 - ||A||_F^2 = 2 sum_(i<j) kappa_i kappa_j

    of the principal curvatures kappa. In two dimensions R = 2 K; a sphere of radius r has `n (n - 1) / r^2`; for n = 1, and
    for `E = phi(w . theta)`, R = 0.

    Parameters
    ----------
    gradient : Tensor, shape (n,)
    hessian : Tensor, shape (n, n)

    Raises
    ------
    SpinodalError
        As `shape_operator`.

    Notes
    -----
    It is summed over the 2 x 2 minors of A, `A_ii A_jj - A_ij^2`: the diagonal ones are exactly 0, so R is exactly 0 for
    n = 1, and near rank one the large numbers cancel pair by pair. What remains is the rounding of H itself, about 1e-16 of
    `(tr A)^2`: for a rank-one H that is what R comes to.

    *What it is not:* a property of the network's function. It changes with how E is normalised and how the weights are
    parametrised, and its sign tells neither a minimum from a saddle nor one phase from another.

    Examples
    --------
    The saddle `z = x y` at the origin, and at (1, 0):

    >>> saddle = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> ricci(torch.tensor([0.0, 0.0]), saddle), round(ricci(torch.tensor([0.0, 1.0]), saddle), 12)
    (-2.0, -0.5)
    """
    operator = shape_operator(gradient, hessian)
    largest = float(operator.abs().max())
    if largest == 0.0:
        return 0.0
    scale = math.ldexp(1.0, math.frexp(largest)[1] - 1)  # a power of two: squares stay in range, and nothing is rounded
    operator /= scale
    diagonal = operator.diagonal()
    minors = torch.outer(diagonal, diagonal) - operator.square()
    return float(minors.sum()) * scale * scale


def gauss_kronecker(gradient: Tensor, hessian: Tensor) -> LogValue:
    """Return the Gauss-Kronecker curvature `K = det H / W2^((n+2)/2)`, the product of the principal curvatures.

    Parameters
    ----------
    gradient : Tensor, shape (n,)
    hessian : Tensor, shape (n, n)

    Returns
    -------
    LogValue
        Sign and log-magnitude. The sign is 0 where H is singular: where, its rows and columns scaled to one size, an
        eigenvalue is zero to rounding, n times 2e-16 of the largest.

    Raises
    ------
    SpinodalError
        As `shape_operator`.

    Notes
    -----
    *What it is not:* robust to the parametrisation. One unused parameter, or one symmetry of the network at a stationary
    point, makes it 0; R stays.

    Examples
    --------
    >>> print(gauss_kronecker(torch.tensor([0.0, 0.0]), torch.tensor([[2.0, 1.0], [1.0, -3.0]])))
    -7
    >>> print(gauss_kronecker(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 2.0], [2.0, 4.0]])))
    0
    >>> print(gauss_kronecker(torch.zeros(400), 2.0**-10 * torch.eye(400)))
    7.58608e-1205
    """
    g, matrix = _checked(gradient, hessian)
    sizes = matrix.abs().amax(1)
    if not bool((sizes > 0).all()):
        return LogValue(0, -math.inf)
    roots = sizes.sqrt()
    eigenvalues = torch.linalg.eigvalsh(matrix / roots / roots[:, None])
    magnitudes = eigenvalues.abs()
    if float(magnitudes.min()) <= len(g) * torch.finfo(torch.float64).eps * float(magnitudes.max()):
        return LogValue(0, -math.inf)
    log_determinant = float(magnitudes.log().sum() + sizes.log().sum())
    sign = -1 if int((eigenvalues < 0).sum()) % 2 else 1
    return LogValue(sign, log_determinant - (len(g) + 2) * math.log(_steepness(g)))


def mean_curvature(gradient: Tensor, hessian: Tensor) -> float:
    """Return the mean curvature, here the **mean** of the n principal curvatures.

        (1/n) tr A = [tr H - g^T H g / W2] / (n W)

    Much of the literature calls the sum, n times this, the mean curvature.

    Parameters
    ----------
    gradient : Tensor, shape (n,)
    hessian : Tensor, shape (n, n)

    Raises
    ------
    SpinodalError
        As `shape_operator`.

    Examples
    --------
    >>> mean_curvature(torch.tensor([0.0, 0.0]), torch.tensor([[2.0, 1.0], [1.0, 4.0]]))
    3.0
    """
    return float(shape_operator(gradient, hessian).diagonal().mean())


def principal_curvatures(gradient: Tensor, hessian: Tensor) -> Tensor:
    """Return the principal curvatures, rising, shape (n,), float64.

    The eigenvalues of the pencil `(H / W, I + g g^T)`, which are those of A. At a stationary point they are the eigenvalues
    of H.

    Parameters
    ----------
    gradient : Tensor, shape (n,)
    hessian : Tensor, shape (n, n)

    Raises
    ------
    SpinodalError
        As `shape_operator`.

    Examples
    --------
    A cylinder bends one way only:

    >>> principal_curvatures(torch.tensor([0.0, 0.0]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [0.0, 2.0]
    """
    curvatures: Tensor = torch.linalg.eigvalsh(shape_operator(gradient, hessian))
    return curvatures


def sectional_curvature(gradient: Tensor, product: Callable[[Tensor], Tensor], u: Tensor, v: Tensor) -> float:
    """Return the sectional curvature of the plane that two directions span, from two Hessian products.

        [(u . H u)(v . H v) - (u . H v)^2] / [W2 (1 + (g . u)^2 + (g . v)^2)]

    for orthonormal u, v in `R^n`, lifted to the tangent vectors `(u, g . u)` and `(v, g . v)`; any two vectors are made
    orthonormal first. In two dimensions it is the Gauss curvature K = R / 2.

    Parameters
    ----------
    gradient : Tensor, shape (n,)
    product : callable ``v (n,) -> H v (n,)``
        Such as `landscape.hessian_operator(theta)`; it is given vectors of the gradient's dtype.
    u, v : Tensor, shape (n,)
        They need be neither of length one nor orthogonal.

    Raises
    ------
    SpinodalError
        If u and v are parallel, zero or not finite, if shapes do not fit, or if a product is not finite.

    Examples
    --------
    >>> stretch = torch.tensor([2.0, 3.0, 5.0])
    >>> sectional_curvature(torch.zeros(3), lambda v: stretch * v, torch.tensor([1.0, 0, 0]), torch.tensor([1.0, 1.0, 0]))
    6.0
    """
    g = _gradient(gradient)
    u, v = _frame(_double(u, "vector u", g.shape), _double(v, "vector v", g.shape))
    image_u = _double(product(u.to(gradient.dtype)), "Hessian product", g.shape)
    image_v = _double(product(v.to(gradient.dtype)), "Hessian product", g.shape)
    bend = float(u @ image_u) * float(v @ image_v) - float(u @ image_v) * float(v @ image_u)
    slope, spread = _steepness(g), math.hypot(1.0, float(g @ u), float(g @ v))
    return bend / slope / slope / spread / spread


def _steepness(g: Tensor) -> float:
    """Return `W = sqrt(1 + ||g||^2)`."""
    return math.hypot(1.0, _length(g))


def _length(g: Tensor) -> float:
    """Return `||g||`, also where its square is beyond all floats."""
    length = float(torch.linalg.vector_norm(g))
    if math.isfinite(length):
        return length
    largest = g.abs().max()
    return float(largest * torch.linalg.vector_norm(g / largest))


def _reflected(matrix: Tensor, g: Tensor, axis: int) -> Tensor:
    """Return `Q H Q` (a copy) for Householder's reflection Q of g into an axis; Q = I where g = 0.

    Into the axis on which g is largest, a g that lies on an axis is turned without rounding.
    """
    length = _length(g)
    if length == 0.0:
        return matrix.clone()
    normal = g / length
    normal[axis] += math.copysign(1.0, float(normal[axis]))
    normal /= normal.norm()
    image = matrix @ normal
    outer = torch.outer(normal, 2 * (image - (normal @ image) * normal))
    return matrix - (outer + outer.T)


def _frame(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis of the plane of two vectors, or refuse them."""
    lengths = float(u.norm()), float(v.norm())
    if min(lengths) > 0:
        u, v = u / lengths[0], v / lengths[1]
        rest = v - (u @ v) * u
        if float(rest.norm()) > PARALLEL:
            return u, rest / rest.norm()
    raise SpinodalError(
        got="u and v are parallel, or one of them is zero",
        allowed="two directions that span a plane are allowed",
        do="give two different directions; with one parameter there is no plane",
    )


def _checked(gradient: Tensor, hessian: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient and the symmetric part of the Hessian in float64, or refuse them."""
    g = _gradient(gradient)
    matrix = _double(hessian, "Hessian", (len(g), len(g)))
    if float((matrix - matrix.T).abs().max()) > ASYMMETRY * float(matrix.abs().max()):
        raise SpinodalError(
            got="the Hessian is not symmetric",
            allowed="a symmetric matrix is allowed",
            do="check how it was computed; landscape.hessian(theta) is symmetric",
        )
    return g, (matrix + matrix.T) / 2


def _gradient(value: Tensor) -> Tensor:
    """Return a gradient in float64, or refuse it unless it is a vector of one number or more."""
    size = value.numel() if isinstance(value, Tensor) else 1
    return _double(value, "gradient", (max(size, 1),))


def _double(value: Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor in float64, or refuse it unless it is real, finite and of this shape."""
    if not isinstance(value, Tensor) or value.is_complex():
        raise SpinodalError(
            got=f"the {name} is {'complex' if isinstance(value, Tensor) else f'a {type(value).__name__}'}",
            allowed="a tensor of real numbers is allowed",
            do="for example torch.as_tensor(array)",
        )
    if tuple(value.shape) != tuple(shape):
        raise SpinodalError(
            got=f"the {name} is of shape {tuple(value.shape)}",
            allowed=f"shape {tuple(shape)} is allowed",
            do="give the gradient as a vector (n,) and the Hessian as a matrix (n, n) of the same n",
        )
    if not bool(torch.isfinite(value).all()):
        raise SpinodalError(
            got=f"the {name} is not finite, so the surface has no curvature here",
            allowed="finite first and second derivatives are needed",
            do="look for a square root, a logarithm or a power at zero, or for numbers that overflow",
        )
    return value.detach().to(torch.float64)

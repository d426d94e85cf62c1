"""The density of the Hessian's eigenvalues, exact or by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from spinodal.arguments import real_number, seed_number, whole_number
from spinodal.counts import Counts
from spinodal.definitions import NARROW_SPECTRUM
from spinodal.errors import SpinodalError, blaming
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.shown import Drawn
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.spectrum.estimate import Estimate
from spinodal.spectrum.extremes import MEMORY
from spinodal.spectrum.krylov import Krylov
from spinodal.spectrum.lanczos import grow_together
from spinodal.spectrum.operator import HessianOperator, method_for, refusing

PROBES = 8
STEPS = 64
WIDTH = 0.01  # of the curve's Gaussian, relative to the width of the spectrum
AROUND = 5.0  # widths that a curve goes on beyond the outermost nodes
POINTS = 501
ONE_BY_ONE = "a function that works on tensors, number by number, is allowed"


@dataclass(frozen=True, eq=False)
class DensityCurve:
    """A spectral density smoothed by a Gaussian, on a grid.

    Attributes
    ----------
    grid : Tensor, shape (g,)
    mean : Tensor, shape (g,)
        `phi(x) = (1/n) sum_i exp(-(x - lambda_i)^2 / (2 width^2)) / (width sqrt(2 pi))`, whose integral is 1.
    stderr : Tensor, shape (g,)
        One standard error over the probes at each point; 0 where exact, infinite with one probe.
    width : float
        Standard deviation of the Gaussian.
    """

    grid: Tensor
    mean: Tensor
    stderr: Tensor
    width: float


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDensity(Drawn):
    """The distribution `(1/n) sum_i delta(x - lambda_i)` of eigenvalues, as nodes with weights.

    Every probe v gives a Gauss quadrature of its own distribution `sum_i (u_i . v)^2 delta(x - lambda_i) / ||v||^2`; their mean
    is the estimate. Weights sum to one for every probe.

    Attributes
    ----------
    nodes : Tensor, shape (p, k), float64
        For each of p probes, rising; the n eigenvalues (p = 1) where exact. A shorter quadrature repeats its last node with
        weight 0.
    weights : Tensor, shape (p, k), float64
        Each row sums to 1.
    size : int
        n.
    products : int
        Hessian products used; a dense Hessian counts as n of them.
    method : str
        "dense" or "lanczos".
    seed : int
    spent : Counts
    """

    nodes: Tensor
    weights: Tensor
    size: int
    products: int
    method: str
    seed: int = 0
    spent: Counts = field(default_factory=Counts)

    @property
    def is_exact(self) -> bool:
        """Tell eigenvalues from an estimate."""
        return self.method == "dense"

    @property
    def range(self) -> tuple[float, float]:
        """Return the outermost nodes, which lie between the outermost eigenvalues."""
        return float(self.nodes.min()), float(self.nodes.max())

    def moment(self, power: int) -> Estimate:
        """Return `tr H^power / n`, the mean of `lambda^power`.

        Each probe's is exact for powers below twice the steps, so the standard error over the probes is all there is.
        """
        whole_number("power", power, least=0, do="give 1 for the mean eigenvalue")
        return self.mean(lambda nodes: nodes**power)

    def mean(self, function: Callable[[Tensor], Tensor]) -> Estimate:
        """Return `tr f(H) / n` for a function of an eigenvalue that works on tensors, such as `torch.abs`."""
        with blaming("the function of an eigenvalue", allowed=ONE_BY_ONE, do="try it on a tensor of two axes"):
            values = function(self.nodes)
        if not isinstance(values, Tensor) or values.shape != self.nodes.shape or values.is_complex():
            raise SpinodalError(
                got="the function of an eigenvalue gives no real number for each",
                allowed=ONE_BY_ONE,
                do="for example torch.abs",
            )
        return self._estimate((self.weights * values).sum(1))

    def fraction_below(self, x: float) -> Estimate:
        """Return which part of the eigenvalues lies below x.

        The standard error is that of the probes; what the quadrature itself may be off by is a caveat, see `fraction_bounds`.
        """
        values = self._weight_of(self._below(x))
        if self.is_exact:
            return self._estimate(values)
        low, high = self.fraction_bounds(x)
        return self._estimate(values, (f"of what the probes see, between {low:.3g} and {high:.3g} lies below {x:g}",))

    def fraction_bounds(self, x: float) -> tuple[float, float]:
        """Return between which bounds the part below x of the probes' own distributions lies, on average over them.

        A quadrature knows it but for the nodes beside x: the part lies between the weight of all nodes below x but the last,
        and that of all and the next one (Chebyshev, Markov and Stieltjes).
        """
        below = self._below(x)
        if self.is_exact:
            exact = float(self._weight_of(below).mean())
            return exact, exact
        return float(self._weight_of(below - 1).mean()), float(self._weight_of(below + 1).mean())

    def curve(self, grid: Tensor | None = None, *, width: float | None = None) -> DensityCurve:
        """Return the density smoothed by a Gaussian.

        Parameters
        ----------
        grid : Tensor, shape (g,), optional
            Default: `POINTS` points from below the lowest node to above the highest.
        width : float, optional
            Standard deviation of the Gaussian. Default: `WIDTH` of the distance between the outermost nodes.
        """
        low, high = self.range
        if width is None:
            width = WIDTH * (max(high - low, NARROW_SPECTRUM * max(abs(low), abs(high))) or 1.0)
        if not 0 < real_number(width) < math.inf:
            raise SpinodalError(got=f"width = {width!r}", allowed="a positive number is allowed", do="leave it out")
        if grid is None:
            grid = torch.linspace(low - AROUND * width, high + AROUND * width, POINTS, dtype=torch.float64)
        if not isinstance(grid, Tensor) or grid.dim() != 1 or grid.is_complex():
            got = f"of shape {tuple(grid.shape)}" if isinstance(grid, Tensor) else f"a {type(grid).__name__}"
            raise SpinodalError(
                got=f"the grid is {got}", allowed="a tensor of real numbers, shape (g,), is allowed", do="leave it out"
            )
        grid = grid.double().to(self.nodes.device)
        rows = torch.stack([_smooth(grid, *probe, width) for probe in zip(self.nodes, self.weights, strict=True)])
        return DensityCurve(grid, rows.mean(0), self._stderr(rows), width)

    def _estimate(self, values: Tensor, caveats: tuple[str, ...] = ()) -> Estimate:
        status, stderr = "exact" if self.is_exact else "estimated", float(self._stderr(values))
        return Estimate(float(values.mean()), stderr, self.products, self.method, self.seed, status, caveats, self.spent)

    def _below(self, x: float) -> Tensor:
        """Return how many nodes of each probe lie below x, shape (p,)."""
        if not math.isfinite(real_number(x)):
            raise SpinodalError(got=f"x = {x!r}", allowed="a finite number is allowed", do="give 0 for the negative ones")
        return (self.nodes < x).sum(1)

    def _weight_of(self, first: Tensor) -> Tensor:
        """Return the weight of so many first nodes of each probe, shape (p,)."""
        sums = torch.nn.functional.pad(self.weights.cumsum(1), (1, 0))
        return sums.gather(1, first.clamp(0, sums.shape[1] - 1)[:, None])[:, 0]

    def _stderr(self, values: Tensor) -> Tensor:
        """Return the standard error of the mean over the first axis."""
        if self.is_exact:
            return torch.zeros_like(values[0])
        if len(values) == 1:
            return torch.full_like(values[0], math.inf)
        return values.std(0) / math.sqrt(len(values))

    def __str__(self) -> str:
        """Return the size, the range and how they were found."""
        low, high = self.range
        return f"{self.size} eigenvalues, nodes from {low:.6g} to {high:.6g} ({self.method}, {self.products} products)"


def spectral_density(
    landscape: Landscape,
    theta: object,
    *,
    beta: float = 0.0,
    penalty: Penalty | None = None,
    probes: int = PROBES,
    steps: int = STEPS,
    method: str = "auto",
    seed: int = 0,
) -> SpectralDensity:
    """Return the density of eigenvalues of the Hessian of E (beta = 0), or of `L = E + beta ||theta - centre||^2`.

    Stochastic Lanczos quadrature with full reorthogonalisation, from `probes` random vectors of signs; where n products cost no
    more, the eigenvalues of the dense Hessian.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), or a module
    beta : float
        Default 0: of E.
    penalty : Penalty, optional
        Centre and mask. Default: all parameters, the origin.
    probes : int
        Random vectors, each with its own error; two or more for a standard error. Default `PROBES`.
    steps : int
        Nodes of each, at most n: one Hessian product each. Default `STEPS`.
    method : {"auto", "dense", "lanczos"}
    seed : int
        Of the probes. Default 0.

    Returns
    -------
    SpectralDensity

    Raises
    ------
    SpinodalError
        For arguments that do not fit, and second derivatives that do not exist or are not finite.

    Notes
    -----
    *What it is not:* the standard error is that of the probes alone. With few steps the quadrature itself is coarse in the
    bulk, where its nodes lie apart by about the spectrum's width over `steps`: a narrower Gaussian shows nodes, no spectrum.

    Memory: as many probes at a time as fit into `landscape.memory` bytes, at least one, of `1.5 steps` vectors each.

    Source: S. Ubaru, J. Chen & Y. Saad, SIAM J. Matrix Anal. Appl. 38 (2017) 1075; G. Golub & G. Meurant, *Matrices, Moments
    and Quadrature*, ch. 6.

    Examples
    --------
    >>> class Bowl(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.zeros(4))
    >>> factors = torch.tensor([-1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    >>> E = Landscape(Bowl(), lambda model, batch: factors @ model.w**2 / 2, None)
    >>> density = spectral_density(E, E.initial)
    >>> print(density)
    4 eigenvalues, nodes from -1 to 2 (dense, 4 products)
    >>> density.moment(1).value, density.fraction_below(0.0).value
    (0.5, 0.25)
    """
    _check(probes, steps, seed)
    operator = HessianOperator.at(landscape, theta, beta=beta, penalty=penalty)
    before = landscape.counts.copy()
    if method_for(method, landscape.size <= probes * steps) == "dense":
        found = dense_density(operator.dense())
    else:
        found = lanczos_density(operator, operator.theta, probes=probes, steps=steps, seed=seed, memory=landscape.memory)
    return SpectralDensity(
        found.nodes, found.weights, found.size, found.products, found.method, seed, spent=landscape.counts - before
    )


def dense_density(hessian: Tensor) -> SpectralDensity:
    """Return the eigenvalues of a symmetric matrix, shape (n, n), with equal weights."""
    nodes = eigenbasis(hessian, vectors=False).values.cpu()[None]
    return SpectralDensity(nodes, torch.full_like(nodes, 1.0 / nodes.numel()), len(hessian), len(hessian), "dense")


def lanczos_density(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    *,
    probes: int = PROBES,
    steps: int = STEPS,
    seed: int = 0,
    memory: int = MEMORY,
) -> SpectralDensity:
    """Return the density of a symmetric operator on rows `(k, n) -> (k, n)`; `like`, shape (n,), gives n and the dtype.

    See `spectral_density`. `memory` is what the bases may take, in bytes.

    Examples
    --------
    Signs see every entry of a diagonal matrix alike:

    >>> spectrum = torch.arange(4.0, dtype=torch.float64)
    >>> density = lanczos_density(lambda rows: spectrum * rows, spectrum, probes=2)
    >>> density.nodes[0].round(decimals=9).abs().tolist(), density.weights[1].round(decimals=9).tolist()
    ([0.0, 1.0, 2.0, 3.0], [0.25, 0.25, 0.25, 0.25])
    """
    steps = min(steps, len(like))
    together = max(1, memory * 2 // (3 * steps * len(like) * like.element_size()))
    starts, rules, products = _signs(like, seed), [], 0
    for first in range(0, probes, together):
        some = islice(starts, min(together, probes - first))
        spaces = [Krylov(start, like.dtype, most=steps, sums=torch.float64) for start in some]
        products += grow_together(spaces, refusing(product), steps)
        rules += [_quadrature(space, steps) for space in spaces]
    nodes, weights = (torch.from_numpy(np.stack(parts)) for parts in zip(*rules, strict=True))
    return SpectralDensity(nodes, weights, len(like), products, "lanczos", seed)


def _signs(like: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield vectors of independent random signs."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield (2 * torch.randint(2, (len(like),), generator=generator) - 1).to(like)


def _quadrature(space: Krylov, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights, shape (steps,) each: Ritz values and the squared parts of their vectors in the start."""
    values, vectors = space.ritz()
    weights, missing = vectors[0] ** 2, steps - len(values)
    return np.pad(values, (0, missing), mode="edge"), np.pad(weights / weights.sum(), (0, missing))


def _smooth(grid: Tensor, nodes: Tensor, weights: Tensor, width: float) -> Tensor:
    """Return a sum of Gaussians on a grid, shape (g,), one node after the other where they are many."""
    total = torch.zeros_like(grid)
    for some, part in zip(torch.split(nodes, 512), torch.split(weights, 512), strict=True):
        total += torch.exp(-0.5 * ((grid[:, None] - some) / width) ** 2) @ part
    return total / (width * math.sqrt(2.0 * math.pi))


def _check(probes: int, steps: int, seed: int) -> None:
    """Refuse what is no number of probes or steps, or no seed."""
    whole_number("probes", probes, least=1, do="give the number of random vectors")
    whole_number("steps", steps, least=1, do="give the Hessian products that each of them may use")
    seed_number(seed)

"""The generalised Gauss-Newton matrix of E beside its Hessian: `H = GGN + residual`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property

import torch
from torch import Tensor

from spinodal.arguments import seed_number, whole_number
from spinodal.curvature.by_sample.outputs import Outputs, capture
from spinodal.curvature.by_sample.samples import SampleError
from spinodal.curvature.gauss_newton_trace import exact_trace
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch
from spinodal.spectrum.estimate import Estimate, student

AT_ONCE = 16  # rows in one vectorised pass, as for Hessian products
PROBES = 32
METHODS = ("auto", "exact", "probes")


class GaussNewton:
    """`GGN = sum_b (n_b / n) J_b^T S_b J_b` at one theta, with `J = df/dtheta` and `S = d2l/df2`.

    f are the outputs of all calls of the model in `loss(model, batch) = l(f)`, whatever the loss is. Then

        H = GGN + residual,    residual = sum_b (n_b / n) sum_k (dl/df_k) d2f_k/dtheta2.

    For the mean over samples of the **sum** over outputs of squared errors GGN is twice the Fisher
    information of a Gaussian likelihood of unit variance; for the mean cross-entropy it is the Fisher
    information of the softmax model, per sample. Where `dl/df = 0`, as at a minimum of squared error that
    interpolates, `H = GGN`. GGN is positive semidefinite where l is convex in f, and where it is not, it need not be.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), or a module of the same layout

    Raises
    ------
    SpinodalError
        At first use: if the loss is not a function of the model's outputs alone, or has no second
        derivatives. The products need those of the model, too; the exact trace does not.

    Notes
    -----
    *What it is not:* a property of E alone. Which part of H is GGN depends on what the model returns and
    what the loss does with it (logits or probabilities). The penalty `beta ||theta||^2` is not in it.

    With one batch its graph is kept as long as this object. Source: N. N. Schraudolph, Neural
    Computation 14 (2002) 1723; J. Martens, JMLR 21 (2020) 146, sections 8 and 9.2.

    Examples
    --------
    >>> from torch import nn
    >>> class Product(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = nn.Parameter(torch.tensor([1.0, 2.0]))
    ...     def forward(self, x):
    ...         return self.w[0] * self.w[1] * x
    >>> E = Landscape(Product(), lambda model, x: (model(x) - 1).square().mean(), torch.ones(1))
    >>> matrix = GaussNewton(E, E.initial)
    >>> matrix.dense().tolist()
    [[8.0, 4.0], [4.0, 2.0]]
    >>> print(matrix.trace())
    10 (exact, 0 products)
    """

    def __init__(self, landscape: Landscape, theta: Tensor) -> None:
        self.landscape = landscape
        self.theta = landscape.vector(theta)

    def product(self, rows: Tensor) -> Tensor:
        """Return `GGN v` for one vector (n,) or k of them (k, n), in the same shape; counted as Hessian products."""
        size = self.landscape.size
        is_real = isinstance(rows, Tensor) and not rows.is_complex()
        if not is_real or rows.dim() not in (1, 2) or rows.shape[-1] != size:
            raise SpinodalError(
                got=f"vectors of shape {tuple(rows.shape)}" if is_real else "vectors that are no tensor of real numbers",
                allowed=f"shapes ({size},) and (k, {size}) are allowed",
                do="give one vector, or one in each row",
            )
        self.landscape.require_second_derivatives()
        vectors = rows.reshape(-1, size).to(self.theta)
        self.landscape.ledger.charge(hessian_products=len(vectors))
        total = torch.zeros_like(vectors)
        for weight, factors in self._factors():
            total.add_(factors.products(vectors), alpha=weight)
        return total.reshape(rows.shape)

    def dense(self) -> Tensor:
        """Return the matrix, shape (n, n), symmetric, from n products."""
        matrix = self.product(torch.eye(self.landscape.size, dtype=self.landscape.dtype, device=self.landscape.device))
        return (matrix + matrix.T) / 2

    def trace(self, *, method: str = "auto", probes: int = PROBES, seed: int = 0) -> Estimate:
        """Return the trace of GGN.

        Parameters
        ----------
        method : "auto", "exact" or "probes"
            Exact: `sum_i tr(S_i J_i J_i^T)` over samples, see `exact_trace`, for about one gradient per
            output. Probes: the mean of `v^T GGN v` over random signs v. Auto, the default, is exact unless
            samples meet, or outputs are many; then it takes probes, and a caveat says why.
        probes : int
            Number of probes; n or more give the exact trace of the dense matrix. Default `PROBES`.
        seed : int
            Of the probes. Default 0.

        Raises
        ------
        SpinodalError
            For arguments that are not allowed, where GGN is not defined (see the class), and with method
            "exact" where samples meet.
        """
        if method not in METHODS:
            raise unknown_name("method", str(method), METHODS)
        probes = whole_number("probes", probes, least=1, do=f"give the number of probes, such as {PROBES}")
        seed = seed_number(seed)
        if method == "probes":
            return self._probed(probes, seed, ())
        try:
            return exact_trace(self.landscape, self.theta, is_limited=method == "auto")
        except SampleError as cause:
            if method == "exact":
                raise SpinodalError(
                    got=f"no exact trace: {cause.because}",
                    allowed="a loss that is a mean over samples, which meet nowhere else, is needed",
                    do="use method='probes', which needs nothing of the kind",
                ) from cause
            return self._probed(probes, seed, (f"estimated from probes: {cause.because}",))

    # -- plumbing ---------------------------------------------------------------------------

    def _probed(self, probes: int, seed: int, caveats: tuple[str, ...]) -> Estimate:
        """Return the trace from random signs; unit vectors where they are no more."""
        size, before = self.landscape.size, self.landscape.counts.copy()
        if probes >= size:
            value, error, status, probes = float(self.dense().diagonal().sum(dtype=torch.float64)), 0.0, "exact", size
            caveats = ()
        else:
            forms = torch.cat([self._forms(rows) for rows in self._signs(probes, seed)])
            value, status = float(forms.mean()), "estimated"
            error = student(probes) * float(forms.std()) / math.sqrt(probes) if probes > 3 else math.inf
        if not math.isfinite(value):
            raise SpinodalError(got=f"the trace is {value}", allowed="finite products are needed", do="take another theta")
        spent = self.landscape.counts - before
        method = "dense" if status == "exact" else "probes"
        return Estimate(value, error, products=probes, method=method, seed=seed, status=status, caveats=caveats, spent=spent)

    def _signs(self, probes: int, seed: int) -> Iterator[Tensor]:
        """Yield random signs, the same for a seed on every device, in shapes (up to `AT_ONCE`, n)."""
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, probes, AT_ONCE):
            shape = (min(AT_ONCE, probes - start), self.landscape.size)
            yield (2 * torch.randint(0, 2, shape, generator=generator) - 1).to(self.theta)

    def _forms(self, rows: Tensor) -> Tensor:
        """Return `v^T GGN v`, shape (k,)."""
        return (rows * self.product(rows)).sum(1, dtype=torch.float64)

    def _factors(self) -> Iterator[tuple[float, _Factors]]:
        if self.landscape.batches.count == 1:
            yield 1.0, self._only
        else:
            for weight, batch in self.landscape.batches.weighted():
                yield weight, self._factors_of(batch)

    @cached_property
    def _only(self) -> _Factors:
        return self._factors_of(next(iter(self.landscape.batches)))

    def _factors_of(self, batch: Batch) -> _Factors:
        return _Factors(capture(self.landscape, self.theta, batch))


class _Factors:
    """J and S of one batch, as products; their graph is built at first use."""

    def __init__(self, outputs: Outputs) -> None:
        self.theta, self.values, self.hessian = outputs.theta, outputs.values, outputs.hessian

    def products(self, rows: Tensor) -> Tensor:
        """Return `J^T S J v` for every row, shape (k, n), vectorised where the model and the loss allow it."""
        if not self.values or not self.pulled.requires_grad:  # the loss of this batch does not depend on theta
            return torch.zeros_like(rows)
        if len(rows) > 1:
            with suppress(RuntimeError):  # of an operation of the user's model that vmap cannot batch
                return torch.cat([self._of_several(chunk) for chunk in torch.split(rows, AT_ONCE)])
        return torch.stack([self._of_one(row) for row in rows]) if len(rows) else rows

    @cached_property
    def seeds(self) -> list[Tensor]:
        """Return u, of which only the derivative of `J^T u` is taken; it holds J, whatever u is."""
        return [torch.zeros_like(value, requires_grad=True) for value in self.values]

    @cached_property
    def pulled(self) -> Tensor:
        """Return `J^T u` as a differentiable function of u, shape (n,): its transpose is J (double backward)."""
        (pulled,) = torch.autograd.grad(self.values, self.theta, self.seeds, create_graph=True, materialize_grads=True)
        return pulled

    def _of_one(self, row: Tensor) -> Tensor:
        moved = torch.autograd.grad(self.pulled, self.seeds, row, retain_graph=True, materialize_grads=True)
        (image,) = torch.autograd.grad(self.values, self.theta, self.hessian.product(moved), retain_graph=True)
        return image

    def _of_several(self, rows: Tensor) -> Tensor:
        parts = torch.autograd.grad(self.pulled, self.seeds, rows, retain_graph=True, is_grads_batched=True, allow_unused=True)
        pairs = zip(parts, self.seeds, strict=True)
        moved = [seed.new_zeros(len(rows), *seed.shape) if part is None else part for part, seed in pairs]
        bent = self.hessian.products(moved)
        (images,) = torch.autograd.grad(self.values, self.theta, bent, retain_graph=True, is_grads_batched=True)
        return images

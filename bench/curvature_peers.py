"""What other packages offer on Hessians, each in its best documented way. Used by `curvature.py`.

Every package gets the same model, loss and data. An estimate goes from these to a number, so that its time has everything
in it. `missing()` names the packages that are not installed; their rows are left out.
"""

from __future__ import annotations

import copy
import importlib.util
import math
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from curvature_problems import HIDDEN, LARGEST, Problem
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, lobpcg
from torch import Tensor

PACKAGES = {"curvlinops": "curvlinops", "hessian-eigenthings": "hessian_eigenthings", "PyHessian": "pyhessian"}
WITHIN = 1e-4  # what the smallest eigenvalue is wanted to
MOST = 2000  # iterations
AT_ONCE = 32  # columns, so that memory holds what they need

Estimator = Callable[[Problem, int, int], float]
Product = Callable[[Tensor], Tensor]


def missing() -> list[str]:
    """Return the packages that are not installed."""
    return [name for name, module in PACKAGES.items() if importlib.util.find_spec(module) is None]


def installed(rows: dict[str, Any]) -> dict[str, Any]:
    """Return the rows, keyed by "package" or "package, how", without those of missing packages."""
    return {name: row for name, row in rows.items() if name.partition(",")[0] not in missing()}


# -- products ---------------------------------------------------------------------------------


def curvlinops_operator(problem: Problem) -> Any:
    """Return the Hessian as curvlinops has it: `operator @ v`, for a vector or columns; forward over reverse mode."""
    from curvlinops import HessianLinearOperator

    return HessianLinearOperator(
        problem.model, problem.criterion, problem.parameters, [problem.data], check_deterministic=False
    )  # fmt: skip


def eigenthings_operator(problem: Problem) -> Any:
    """Return the Hessian as hessian-eigenthings has it; reverse over reverse mode, the gradient anew each time."""
    from hessian_eigenthings import HessianOperator, supervised_loss

    return HessianOperator(problem.model, [problem.data], supervised_loss(problem.criterion))


def pyhessian_object(problem: Problem) -> Any:
    """Return the Hessian as PyHessian has it: it keeps the graph of the gradient. It writes to the model, so it gets a copy."""
    from pyhessian import hessian

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a reference cycle, which the copy takes with it
        return hessian(copy.deepcopy(problem.model), problem.criterion, data=problem.data, cuda=False)


def pyhessian_product(problem: Problem) -> Product:
    """Return its function for products, which takes and gives lists."""
    from pyhessian.utils import hessian_vector_product

    kept = pyhessian_object(problem)
    sizes = [parameter.numel() for parameter in kept.params]

    def product(vector: Tensor) -> Tensor:
        parts = [part.view_as(like) for part, like in zip(vector.split(sizes), kept.params, strict=True)]
        return torch.cat([part.reshape(-1) for part in hessian_vector_product(kept.gradsH, kept.params, parts)])

    return product


# -- traces -----------------------------------------------------------------------------------


def curvlinops_trace(name: str) -> Estimator:
    """Return one of its estimators by name; the number of products has to be divisible by 6 to suit all."""

    def estimate(problem: Problem, products: int, seed: int) -> float:
        import curvlinops

        torch.manual_seed(seed)
        return float(getattr(curvlinops, name)(curvlinops_operator(problem), products))

    return estimate


def eigenthings_trace(method: str) -> Estimator:
    """Return one of its estimators by name."""

    def estimate(problem: Problem, products: int, seed: int) -> float:
        from hessian_eigenthings import trace

        return float(trace(eigenthings_operator(problem), num_matvecs=products, method=method, seed=seed).estimate)

    return estimate


def pyhessian_trace(problem: Problem, products: int, seed: int) -> float:
    """Return its only estimate; a tolerance of 0 spends all products."""
    torch.manual_seed(seed)
    return float(np.mean(pyhessian_object(problem).trace(maxIter=products, tol=0)))


TRACES: dict[str, Estimator] = {
    "curvlinops, Hutchinson": curvlinops_trace("hutchinson_trace"),
    "curvlinops, Hutch++": curvlinops_trace("hutchpp_trace"),
    "curvlinops, XTrace": curvlinops_trace("xtrace"),
    "hessian-eigenthings, Hutchinson": eigenthings_trace("hutchinson"),
    "hessian-eigenthings, Hutch++": eigenthings_trace("hutch++"),
    "PyHessian, Hutchinson": pyhessian_trace,
}


def curvlinops_curvature(problem: Problem, products: int, seed: int) -> float:
    """Return R of E by hand, as no package offers it: one product with g, the others with signs for `v^T H v`, `||H v||^2`."""
    torch.manual_seed(seed)
    operator = curvlinops_operator(problem)
    gradient = torch.cat([part.reshape(-1) for part in gradients(problem)])
    signs = torch.randint(0, 2, (len(gradient), products - 1)).to(gradient) * 2 - 1
    images, image = torch.cat([operator @ few for few in signs.split(AT_ONCE, 1)], 1), operator @ gradient
    trace, square = float((signs * images).sum(0).mean()), float(images.square().sum(0).mean())
    w2 = 1 + float(gradient @ gradient)
    return (trace**2 - square) / w2 + 2 * (float(image @ image) - trace * float(gradient @ image)) / w2**2


def gradients(problem: Problem) -> tuple[Tensor, ...]:
    """Return the gradient as PyTorch gives it: what all times are compared with."""
    x, y = problem.data
    return torch.autograd.grad(problem.criterion(problem.model(x), y), problem.parameters)


# -- the smallest eigenvalue ------------------------------------------------------------------


class Counted:
    """A Hessian product that counts the vectors it is applied to."""

    def __init__(self, problem: Problem) -> None:
        self.size, self.matrix, self.products = len(problem.theta), problem.model.matrix, 0
        self.landscape = problem.landscape
        self.of_rows = self.landscape.hessian_operator(problem.theta)

    def __call__(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.of_rows(vector)

    def columns(self, columns: Tensor) -> Tensor:
        """Return the products with columns."""
        self.products += columns.numel() // self.size
        return self.of_rows(columns.T.contiguous()).T if columns.dim() > 1 else self.of_rows(columns)

    def for_scipy(self) -> LinearOperator:
        """Return it as SciPy wants it."""

        def apply(columns: np.ndarray) -> np.ndarray:
            return self.columns(torch.from_numpy(np.ascontiguousarray(columns))).numpy()

        return LinearOperator((self.size, self.size), matvec=apply, matmat=apply, dtype=np.float64)


def arpack(counted: Counted, seed: int, kept: int | None = None) -> float:
    """Implicitly restarted Lanczos of ARPACK, by default with 20 vectors; its tolerance is relative to the value."""
    start = np.random.default_rng(seed).standard_normal(counted.size)
    settings = {"k": 1, "which": "SA", "v0": start, "tol": WITHIN / abs(HIDDEN), "ncv": kept, "maxiter": MOST}
    try:
        return float(eigsh(counted.for_scipy(), return_eigenvectors=False, **settings)[0])
    except ArpackNoConvergence:
        return math.nan


def scipy_lobpcg(counted: Counted, seed: int) -> float:
    """LOBPCG of SciPy without a preconditioner; with larger blocks it takes more products."""
    start = np.random.default_rng(seed).standard_normal((counted.size, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about residuals not reached: the error is in the table
        values, _ = lobpcg(counted.for_scipy(), start, largest=False, tol=WITHIN, maxiter=MOST)
    return float(np.min(values))


def torch_lobpcg(counted: Counted, seed: int) -> float:
    """LOBPCG of PyTorch, which takes the matrix itself: its multiplications are counted in the function that makes them."""
    from torch import _linalg_utils

    plain, size = _linalg_utils.matmul, float(counted.matrix.norm()) / counted.size**0.5  # of H x for a random x
    start = torch.randn(counted.size, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def multiply(left: Tensor, right: Tensor) -> Tensor:
        counted.products += right.shape[-1] if left is counted.matrix else 0
        return plain(left, right)

    with patch.object(_linalg_utils, "matmul", multiply):
        values, _ = torch.lobpcg(counted.matrix, X=start, largest=False, tol=WITHIN / (size + abs(HIDDEN)), niter=MOST)
    return float(values.min())


def eigenthings_lanczos(counted: Counted, seed: int, products: int | None = None) -> float:
    """Lanczos of hessian-eigenthings; it takes a number of products, not an accuracy, by default 2 for one eigenvalue."""
    from hessian_eigenthings import LambdaOperator, lanczos

    operator = LambdaOperator(counted, counted.size, dtype=torch.float64)
    found = lanczos(operator, k=1, max_iter=products, reorthogonalize=True, which="SA", seed=seed, tol=WITHIN / LARGEST)
    return float(found.eigenvalues[0])


LOWEST: dict[str, Callable[[Counted, int], float]] = {
    "scipy eigsh, SA": arpack,
    "scipy eigsh, SA, ncv = 60": lambda counted, seed: arpack(counted, seed, 60),
    "scipy lobpcg": scipy_lobpcg,
    "torch.lobpcg": torch_lobpcg,
    "hessian-eigenthings, default": eigenthings_lanczos,
    "hessian-eigenthings, 100 products": lambda counted, seed: eigenthings_lanczos(counted, seed, 100),
}

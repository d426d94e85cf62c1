"""Square roots of the Hessian of a loss in the outputs of a model, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

MOST_OUTPUTS = 16  # outputs up to which their Hessian is taken exactly; beyond, that of its diagonal at random signs


def output_roots(error: Tensor, outputs: Tensor) -> Iterator[Tensor]:
    """Yield directions `s_k` in the outputs, in their shape, with `sum_k s_k s_k^T` the Hessian of the error, row by row.

    Samples (and positions) must not meet in the error. Negative curvature is left out. With many outputs the sum holds on
    average over random signs, which are fixed, for an error whose Hessian is diagonal.

    Examples
    --------
    >>> outputs = torch.tensor([[1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    >>> roots = list(output_roots((outputs**2).sum(), outputs))
    >>> sum(root.T @ root for root in roots).round(decimals=9).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    (slopes,) = torch.autograd.grad(error, outputs, create_graph=True)
    if not slopes.requires_grad:
        return
    width = outputs.shape[-1] if outputs.dim() > 1 else 1
    flat = slopes.reshape(-1, width)
    if width > MOST_OUTPUTS:
        yield from _random_roots(flat, outputs, width)
        return
    rows = [torch.autograd.grad(flat[:, place].sum(), outputs, retain_graph=True)[0] for place in range(width)]
    hessians = torch.stack([row.reshape(-1, width) for row in rows], 1)
    values, vectors = torch.linalg.eigh(0.5 * (hessians + hessians.mT))
    roots = vectors * values.clamp_min(0.0).sqrt()[:, None, :]
    yield from (roots[:, :, place].reshape(outputs.shape) for place in range(width))


def _random_roots(flat: Tensor, outputs: Tensor, width: int) -> Iterator[Tensor]:
    """Yield random signs times the root of the diagonal."""
    generator = torch.Generator().manual_seed(0)

    def signs() -> Tensor:
        drawn = torch.randint(0, 2, flat.shape, generator=generator)
        return (2 * drawn - 1).to(flat)

    probe = signs()
    (image,) = torch.autograd.grad(flat, outputs, probe)
    root = (probe * image.reshape(-1, width)).clamp_min(0.0).sqrt()
    yield from ((signs() * root / MOST_OUTPUTS**0.5).reshape(outputs.shape) for _ in range(MOST_OUTPUTS))

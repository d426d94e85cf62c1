"""The second derivative of a loss in the outputs of the model, matrix-free."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spinodal.errors import blaming
from spinodal.landscape.checks import ONCE, is_cut

LEAVES = "a loss whose operations PyTorch differentiates twice is allowed"
INSTEAD = "write the loss with operations that have second derivatives"


class OutputHessian:
    """`S = d2l/df2` of a loss `l(f)`, where f is a list of tensors that are leaves of its graph.

    Attributes
    ----------
    outputs : list of Tensor
        f.
    slopes : list of Tensor
        `dl/df`, in the shapes of f.

    Examples
    --------
    >>> f = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> hessian = OutputHessian((f**3).sum(), [f])
    >>> hessian.slopes[0].tolist(), hessian.product([torch.ones(2)])[0].tolist()
    ([27.0, 3.0], [18.0, -6.0])
    """

    def __init__(self, error: Tensor, outputs: Sequence[Tensor]) -> None:
        self.outputs = list(outputs)
        slopes: Sequence[Tensor] = [torch.zeros_like(output) for output in outputs]
        if error.requires_grad and self.outputs:
            slopes = torch.autograd.grad(error, self.outputs, create_graph=True, materialize_grads=True)
        self.slopes = [slope.detach() for slope in slopes]
        if any(is_cut(slope.grad_fn) for slope in slopes):
            raise TypeError(ONCE)
        self._bent = [(index, slope) for index, slope in enumerate(slopes) if slope.requires_grad]

    @property
    def is_linear(self) -> bool:
        """Tell whether the loss depends on the outputs and S is zero, at least along one random direction."""
        if not any(bool((slope != 0).any()) for slope in self.slopes):
            return False
        generator = torch.Generator().manual_seed(0)
        probes = [torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value) for value in self.outputs]
        return not any(bool((part != 0).any()) for part in self.product(probes))

    @property
    def uses_numbers(self) -> bool:
        """Tell whether the loss depends on an output that is a number."""
        return any(not slope.dim() and bool(slope != 0) for slope in self.slopes)

    def product(self, directions: Sequence[Tensor]) -> list[Tensor]:
        """Return `S u` for one direction, a list of tensors in the shapes of f."""
        return self._product(directions, several=False)

    def products(self, directions: Sequence[Tensor]) -> list[Tensor]:
        """Return `S u` for k directions at once, tensors of shape (k, *f); RuntimeError where `vmap` cannot."""
        return self._product(directions, several=True)

    def _product(self, directions: Sequence[Tensor], *, several: bool) -> list[Tensor]:
        if not self._bent:  # the loss is linear in the outputs
            return [torch.zeros_like(direction) for direction in directions]
        slopes = [slope for _, slope in self._bent]
        chosen = [directions[index] for index, _ in self._bent]
        parts = torch.autograd.grad(
            slopes, self.outputs, chosen, retain_graph=True, is_grads_batched=several, allow_unused=True
        )
        return [torch.zeros_like(u) if part is None else part for part, u in zip(parts, directions, strict=True)]


def output_hessian(error: Tensor, outputs: Sequence[Tensor]) -> OutputHessian:
    """Return S, or refuse a loss that has none."""
    with blaming("the second derivative of the loss in the outputs of the model", allowed=LEAVES, do=INSTEAD):
        hessian = OutputHessian(error, outputs)
        hessian.product([torch.ones_like(output) for output in outputs])
    return hessian

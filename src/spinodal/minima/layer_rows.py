"""Layers as matrices: every use of a weight is one row of inputs and one row of outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

KINDS = (nn.Linear, nn.Conv2d, nn.Embedding)


def is_supported(module: nn.Module) -> bool:
    """Tell whether a layer multiplies rows with its weight, as far as is known here."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) in KINDS


@dataclass(frozen=True)
class Input:
    """The inputs of a layer, one row for every use of its weight, or the numbers of the rows of an embedding that were used."""

    rows: Tensor
    size: int | None = None  # of an embedding

    def square_mean(self, weight: float) -> Tensor:
        """Return `weight` times the mean of `a a^T` over rows, shape (inputs, inputs), or its diagonal (of an embedding)."""
        if self.size is not None:
            counted = torch.bincount(self.rows, minlength=self.size).double()
            return weight * counted / len(self.rows)
        return (weight / len(self.rows)) * self.rows.T @ self.rows

    def summed(self, squares: Tensor, basis: Tensor | None) -> Tensor:
        """Return `sum over rows of s_i (Q^T a)_j^2`, shape (outputs, inputs), for squares s of shape (rows, outputs)."""
        if self.size is not None:
            total = squares.new_zeros(self.size, squares.shape[1])
            return total.index_add_(0, self.rows, squares).T
        turned = self.rows if basis is None else self.rows @ basis
        return squares.T @ turned.square()


def input_rows(module: nn.Module, given: Tensor) -> Input:
    """Return what a layer was given, with a column of ones where it has a bias that is trained."""
    if isinstance(module, nn.Embedding):
        return Input(given.reshape(-1), module.num_embeddings)
    rows = _unfolded(module, given) if isinstance(module, nn.Conv2d) else given.reshape(-1, given.shape[-1])
    bias = getattr(module, "bias", None)
    has_bias = bias is not None and bias.requires_grad
    return Input(torch.cat([rows, rows.new_ones(len(rows), 1)], 1) if has_bias else rows)


def output_rows(module: nn.Module, slope: Tensor) -> Tensor:
    """Return a gradient in a layer's output, one row for every use of its weight."""
    if isinstance(module, nn.Conv2d):
        slope = slope.movedim(-3, -1)
    return slope.reshape(-1, slope.shape[-1])


def weight_matrix(kind: str, weight: Tensor, *, back: torch.Size | None = None) -> Tensor:
    """Return a weight as a matrix of shape (outputs, inputs), or such a matrix as a weight of shape `back`."""
    if back is not None:
        return (weight.T if kind == "Embedding" else weight).reshape(back)
    return weight.T if kind == "Embedding" else weight.reshape(len(weight), -1)


def _unfolded(module: nn.Conv2d, given: Tensor) -> Tensor:
    """Return the patches that a convolution sees, one in each row."""
    given = given if given.dim() == 4 else given[None]
    padding = module.padding if isinstance(module.padding, tuple) else 0  # of no layer that is supported
    patches = functional.unfold(given, module.kernel_size, dilation=module.dilation, padding=padding, stride=module.stride)
    return patches.movedim(1, -1).reshape(-1, patches.shape[1])

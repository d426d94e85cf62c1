"""Embeddings as functions of their weights: dense gradients, those of the values, that can be differentiated again."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.errors import SpinodalError

PADDING = "constant_padding"  # the name under which an embedding keeps its row of padding
REFUSED = {
    "max_norm": (None, "so each call changes its weights", "as the penalty bounds norms, or normalise what it returns"),
    "scale_grad_by_freq": (False, "so its gradient is not that of its value", "so that training goes down E"),
}


def refuse_scaled_rows(model: nn.Module) -> None:
    """Refuse embeddings that rescale their own rows, or gradients, when they are called."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            for option, (plain, why, remedy) in REFUSED.items():
                if getattr(module, option) != plain:
                    raise SpinodalError(
                        got=f"{name or 'the model'} ({type(module).__name__}) has {option}, {why}",
                        allowed="a model that leaves its parameters and their gradients as they are is allowed",
                        do=f"set {option}={plain}, {remedy}",
                    )


def make_smooth(module: nn.Embedding | nn.EmbeddingBag) -> None:
    """Make an embedding dense; its row of padding a constant; sums over bags of operations that are differentiated twice.

    `torch.optim` knows sparse gradients, theta does not. The row that is named by `padding_idx` has no gradient, though the
    value depends on it: it is a constant in training.
    """
    module.sparse = False
    if type(module).forward is nn.EmbeddingBag.forward:
        module.forward = MethodType(bags, module)  # type: ignore[method-assign]
    elif isinstance(module, nn.Embedding) and module.padding_idx is not None and PADDING not in dict(module.named_buffers()):
        module.register_buffer(PADDING, module.weight.detach()[module.padding_idx].clone(), persistent=False)
        kind = type(module)
        module.__class__ = type(kind.__name__, (kind,), {"weight": property(_padded), "__module__": kind.__module__})


def _padded(module: Any) -> Tensor:
    """Return the weight of an embedding with a constant row of padding."""
    weight: Tensor = module._parameters["weight"]
    is_padding = torch.arange(len(weight), device=weight.device) == module.padding_idx
    return torch.where(is_padding[:, None], module.get_buffer(PADDING), weight)


def bags(
    module: nn.EmbeddingBag, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
) -> Tensor:
    """Return the sum, mean or maximum of the rows of every bag, shape (bags, width), as `nn.EmbeddingBag` does.

    Parameters
    ----------
    input : Tensor of int, shape (bags, rows of each) or (rows of all,)
    offsets : Tensor of int, shape (bags,), optional
        Where bags begin, of one axis; the last entry is their end where `include_last_offset`.
    per_sample_weights : Tensor, in the shape of the input, optional

    Examples
    --------
    >>> module = nn.EmbeddingBag.from_pretrained(torch.tensor([[1.0], [2.0], [4.0]]), mode="sum")
    >>> bags(module, torch.tensor([0, 1, 2, 2]), torch.tensor([0, 3])).tolist()
    [[7.0], [4.0]]
    """
    owner, count = _owners(module, input, offsets)
    words = input.reshape(-1)
    rows = nn.functional.embedding(words, module.weight)
    counts = torch.ones_like(rows[:, 0]) if module.padding_idx is None else (words != module.padding_idx).to(rows)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    if module.mode == "max":
        rows = rows.masked_fill(counts[:, None] == 0, -torch.inf)
        largest = rows.new_full((count, rows.shape[1]), -torch.inf)
        largest = largest.scatter_reduce(0, owner[:, None].expand_as(rows), rows, "amax")
        return torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    sums = rows.new_zeros(count, rows.shape[1]).index_add(0, owner, rows * counts[:, None])
    sizes = rows.new_zeros(count).index_add(0, owner, counts)
    return sums / sizes.clamp(min=1)[:, None] if module.mode == "mean" else sums


def _owners(module: nn.EmbeddingBag, input: Tensor, offsets: Tensor | None) -> tuple[Tensor, int]:
    """Return the bag of every row, and the number of bags."""
    if input.dim() == 2:
        each = torch.arange(len(input), device=input.device)
        return each.repeat_interleave(input.shape[1]), len(input)
    if offsets is None:
        raise SpinodalError(
            got="words of one axis and no offsets for nn.EmbeddingBag",
            allowed="words of shape (bags, words), or of one axis with offsets, are allowed",
            do="give the places at which bags begin",
        )
    begins = offsets[:-1] if module.include_last_offset else offsets
    places = torch.arange(len(input), device=input.device, dtype=offsets.dtype)
    return torch.searchsorted(begins.contiguous(), places, right=True) - 1, len(begins)

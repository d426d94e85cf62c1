"""A copy of the user's module that can be evaluated: wrappers taken off, gradients dense, nothing kept from calls before."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spinodal.errors import SpinodalError, blaming

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
PADDING = "constant_padding"  # the name under which an embedding keeps its row of padding
COMPILED = "OptimizedModule"  # the class of torch.compile, whose import takes seconds


def plain_module(model: nn.Module) -> nn.Module:
    """Return a module without the wrappers of `torch.compile` and of data parallelism, which compute the same function.

    Compiled functions cannot be differentiated twice. The module itself where it has none; a copy where one of its own
    modules is wrapped.

    Examples
    --------
    >>> line = nn.Linear(1, 1)
    >>> plain_module(nn.DataParallel(line)) is line
    True
    """
    while (inner := _wrapped(model)) is not None:
        model = inner
    if not any(_wrapped(module) is not None for module in model.modules()):
        return model
    model = copied(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            setattr(module, name, plain_module(child))
    return model


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy; of results that the module kept from calls before, their values.

    Raises
    ------
    SpinodalError
        If the module cannot be copied, or has parameters without a shape.
    """
    refuse_lazy(model)
    allowed, do = "a module that copy.deepcopy copies is allowed", "build it anew, without locks, files or generators in it"
    with blaming("copying the model", allowed=allowed, do=do):
        return copy.deepcopy(model, {id(value): value.detach().clone() for value in _results(model)})


def evaluable(model: nn.Module) -> nn.Module:
    """Return a copy whose gradients are dense, and those of its values.

    `torch.optim` knows sparse gradients of embeddings, theta does not. The row of an embedding that is named by `padding_idx`
    has no gradient, though the value depends on it: it is a constant in training, and is made one.
    """
    refuse_renormalisation(model)
    own = copied(model)
    for module in own.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False
        if type(module) is nn.Embedding and module.padding_idx is not None and PADDING not in dict(module.named_buffers()):
            module.register_buffer(PADDING, module.weight.detach()[module.padding_idx].clone(), persistent=False)
            module.forward = MethodType(_embedded, module)  # type: ignore[method-assign]
    return own


def _embedded(module: nn.Embedding, tokens: Tensor) -> Tensor:
    """Return the rows of tokens, that of `padding_idx` a constant."""
    padded = torch.zeros(module.num_embeddings, 1, dtype=torch.bool, device=tokens.device)
    padded[module.padding_idx] = True
    weight = torch.where(padded, module.get_buffer(PADDING), module.weight)
    return nn.functional.embedding(tokens, weight, scale_grad_by_freq=module.scale_grad_by_freq)


def refuse_lazy(model: nn.Module) -> None:
    """Refuse parameters whose shapes the first call of the model decides."""
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(value):
            raise SpinodalError(
                got=f"{name} of the model has no shape yet (a lazy module)",
                allowed="a model whose parameters exist is allowed",
                do="call the model once on a batch before",
            )


def refuse_renormalisation(model: nn.Module) -> None:
    """Refuse embeddings that rescale their own rows when they are called: E would move theta."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None:
            raise SpinodalError(
                got=f"{name or 'the model'} ({type(module).__name__}) has max_norm, so each call changes its weights",
                allowed="a model that leaves its parameters as they are is allowed",
                do="set max_norm=None, as the penalty bounds norms, or normalise what the embedding returns",
            )


def _wrapped(model: nn.Module) -> nn.Module | None:
    if isinstance(model, PARALLEL):
        inner: nn.Module = model.module
        return inner
    original = getattr(model, "_orig_mod", None) if type(model).__name__ == COMPILED else None
    return original if isinstance(original, nn.Module) else None


def _results(model: nn.Module) -> Iterator[Tensor]:
    """Walk the tensors with a history among the attributes of all modules; `deepcopy` refuses them."""
    for module in model.modules():
        for value in vars(module).values():
            yield from (tensor for tensor in _tensors(value) if not tensor.is_leaf)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)

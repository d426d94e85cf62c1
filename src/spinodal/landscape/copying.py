"""A copy of the user's module that can be evaluated: wrappers taken off, gradients dense, nothing kept from calls before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spinodal.errors import SpinodalError, blaming
from spinodal.landscape.embedding import make_smooth, refuse_scaled_rows
from spinodal.landscape.rebinding import rebind

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
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
    """Return a deep copy, whose own functions work on it; of results that the module kept from calls before, their values.

    Raises
    ------
    SpinodalError
        If the module cannot be copied, or has parameters without a shape.
    """
    refuse_lazy(model)
    allowed, do = "a module that copy.deepcopy copies is allowed", "build it anew, without locks, files or generators in it"
    with blaming("copying the model", allowed=allowed, do=do):
        copies: dict[int, Any] = {id(value): value.detach().clone() for value in _results(model)}
        twin = copy.deepcopy(model, copies)
        rebind(twin, copies)
    for value in twin.parameters():
        if not value.is_leaf:  # a scripted model is copied with a graph that leads to the original
            value.detach_().requires_grad_(True)
    return twin


def evaluable(model: nn.Module) -> nn.Module:
    """Return a copy whose gradients are dense, those of its values, and can be differentiated."""
    refuse_scaled_rows(model)
    own = copied(model)
    for module in own.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            make_smooth(module)
    return own


def hooks_left_out(model: nn.Module) -> tuple[str, ...]:
    """Return a clause about the hooks on gradients of parameters, such as masks: the gradient of E is that of its value."""
    names = [name for name, value in model.named_parameters() if getattr(value, "_backward_hooks", None)]
    if not names:
        return ()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (f"the hooks on the gradients of {', '.join(names[:3])}{more} are left out: the gradient of E is that of its value",)


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[..., Any], *, with_kwargs: bool = False) -> Iterator[None]:
    """Keep a hook on the forward pass of modules while the context lasts."""
    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_hook(hook, with_kwargs=with_kwargs))
        yield


def refuse_lazy(model: nn.Module) -> None:
    """Refuse parameters whose shapes the first call of the model decides."""
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(value):
            raise SpinodalError(
                got=f"{name} of the model has no shape yet (a lazy module)",
                allowed="a model whose parameters exist is allowed",
                do="call the model once on a batch before",
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

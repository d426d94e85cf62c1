"""Where a model computes in a lower precision than it is given: E is then a staircase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LOW = (torch.float32, torch.float16, torch.bfloat16)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the first operation that takes numbers of a precision and gives numbers of a lower one.

    Only numbers that depend on parameters count: constants that are rounded make no staircase.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bits = torch.finfo(dtype).bits
        self.modules: list[str] = []
        self.found: tuple[str, torch.dtype] | None = None
        self._bent: dict[
            int, Tensor
        ] = {}  # what depends on parameters, without a graph as well; held, so that none is mistaken

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor) and self._depends(value)]
        if given:
            made = [value for value in tree_leaves(out) if isinstance(value, Tensor)]
            self._bent |= {id(value): value for value in made}
            self._note(given, made)
        return out

    def _depends(self, value: Tensor) -> bool:
        return value.requires_grad or id(value) in self._bent

    def _note(self, given: list[Tensor], made: list[Tensor]) -> None:
        low = next((value.dtype for value in made if value.dtype in LOW and torch.finfo(value.dtype).bits < self.bits), None)
        if self.found is None and low is not None and any(_is_above(value, low) for value in given):
            self.found = (self.modules[-1] if self.modules else "the loss", low)


def _is_above(value: Tensor, low: torch.dtype) -> bool:
    return value.is_floating_point() and torch.finfo(value.dtype).bits > torch.finfo(low).bits


def where_lower(model: nn.Module, evaluate: Callable[[], object], dtype: torch.dtype) -> tuple[str, torch.dtype] | None:
    """Return the module, or "the loss", in which `evaluate()` first casts what depends on parameters to less than `dtype`.

    Examples
    --------
    >>> class Rounded(nn.Module):
    ...     def forward(self, x):
    ...         return x.float().tanh().double()
    >>> net = nn.Sequential(nn.Linear(2, 2), Rounded()).double()
    >>> where_lower(net, lambda: net(torch.ones(2, dtype=torch.float64)), torch.float64)
    ('1 (Rounded)', torch.float32)
    """
    watch = _Watch(dtype)
    with naming(model, watch.modules), watch:
        evaluate()
    return watch.found


@contextmanager
def naming(model: nn.Module, stack: list[str] | None = None) -> Iterator[list[str]]:
    """Keep the names of the modules that are being called on a stack while the context lasts."""
    stack = [] if stack is None else stack
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                title = f"{name or 'the model'} ({type(module).__name__})"
                hooks.enter_context(module.register_forward_pre_hook(lambda *_, title=title: stack.append(title)))
                hooks.enter_context(module.register_forward_hook(lambda *_: stack.pop() and None))
        yield stack

"""Where a model computes in a lower precision than it is given: E is then a staircase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

LOW = (torch.float32, torch.float16, torch.bfloat16)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the first operation that takes numbers of a precision and gives numbers of a lower one."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bits = torch.finfo(dtype).bits
        self.modules: list[str] = []
        self.found: tuple[str, torch.dtype] | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.found is None and isinstance(out, Tensor) and out.dtype in LOW and torch.finfo(out.dtype).bits < self.bits:
            given = args[0] if args and isinstance(args[0], Tensor) else None
            if given is not None and given.is_floating_point() and torch.finfo(given.dtype).bits > torch.finfo(out.dtype).bits:
                self.found = (self.modules[-1] if self.modules else "the loss", out.dtype)
        return out


def where_lower(model: nn.Module, evaluate: Callable[[], object], dtype: torch.dtype) -> tuple[str, torch.dtype] | None:
    """Return the module, or "the loss", in which `evaluate()` first casts numbers to less than `dtype`, and what to.

    Examples
    --------
    >>> class Rounded(nn.Module):
    ...     def forward(self, x):
    ...         return x.float().tanh().double()
    >>> net = nn.Sequential(nn.Identity(), Rounded())
    >>> where_lower(net, lambda: net(torch.ones(2, dtype=torch.float64)), torch.float64)
    ('1 (Rounded)', torch.float32)
    """
    watch = _Watch(dtype)
    with _naming(model, watch.modules), watch:
        evaluate()
    return watch.found


@contextmanager
def _naming(model: nn.Module, stack: list[str]) -> Iterator[None]:
    """Keep the names of the modules that are being called on a stack while the context lasts."""
    hooks: list[Any] = []
    for name, module in model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            title = f"{name or 'the model'} ({type(module).__name__})"
            hooks.append(module.register_forward_pre_hook(lambda *_, title=title: stack.append(title)))
            hooks.append(module.register_forward_hook(lambda *_: stack.pop() and None))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

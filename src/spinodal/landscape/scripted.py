"""Operations inside scripted modules (`torch.jit`), which no graph of gradients shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


def scripted_names(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield every operation of a scripted module with the module's name: `("relu", "1 (scripted)")`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 2), torch.jit.script(nn.ReLU()))
    >>> ("relu", "1 (scripted)") in list(scripted_names(net))
    True
    """
    scripts = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    for name, module in scripts:
        if not any(name.startswith(f"{other}." if other else "") and other != name for other, _ in scripts):
            kinds = dict.fromkeys(_kinds(module.inlined_graph))
            place = f"{name or 'the model'} (scripted)"
            yield from ((kind.removeprefix("aten::"), place) for kind in kinds if kind.startswith("aten::"))


def _kinds(block: Any) -> Iterator[str]:
    """Yield the kinds of the nodes of a block and of the blocks in it."""
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _kinds(inner)

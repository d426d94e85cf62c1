"""Whether a surface has kinks, which bend it and have no second derivative."""

from __future__ import annotations

import torch
from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.batches import is_of_samples, part_of

KINKS = "E is only piecewise smooth (ReLU or the like): its kinks, which bend it as well, are not in this number"
PIECEWISE = (
    "Relu LeakyRelu PreluKernel Threshold Hardtanh Hardswish Hardsigmoid Hardshrink Softshrink Abs Clamp "
    "Max Min Amax Amin Cummax Cummin AdaptiveMaxPool FractionalMaxPool Sort Topk Kthvalue Median"
)  # beginnings of names in the graph
NAMES = tuple(PIECEWISE.split())
ROUNDING = 1e-9  # of products of constants


def has_kinks(landscape: Landscape, theta: Tensor) -> bool:
    """Tell whether the graph of E holds an operation that is only piecewise smooth.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> E = Landscape(net, lambda model, x: model(x).square().mean(), torch.ones(3, 1))
    >>> has_kinks(E, E.initial)
    True
    """
    waiting, seen = [_graph(landscape, theta)], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().startswith(NAMES) or _is_bent_elu(node):
            return True
        waiting.extend(following for following, _ in node.next_functions)
    return False


def _is_bent_elu(node: torch.autograd.graph.Node) -> bool:
    """Tell whether this is ELU with slopes on either side of zero that differ, as in SELU."""
    if not node.name().startswith("Elu"):
        return False
    ratio = float(getattr(node, "_saved_alpha", 1.0)) * float(getattr(node, "_saved_input_scale", 1.0))
    return abs(ratio - 1.0) > ROUNDING


def _graph(landscape: Landscape, theta: Tensor) -> torch.autograd.graph.Node | None:
    """Return the graph of the error of a few samples; of all of the first batch where the loss does not take fewer."""
    batch, leaf = next(iter(landscape.batches)), theta.detach().clone().requires_grad_(True)
    if is_of_samples(batch):
        try:
            return landscape.call(leaf, part_of(batch, slice(2))).grad_fn
        except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            pass
    return landscape.call(leaf, batch).grad_fn

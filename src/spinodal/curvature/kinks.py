"""Whether a surface has kinks, which bend it and have no second derivative."""

from __future__ import annotations

from torch import Tensor

from spinodal.landscape import Landscape

KINKS = "E is only piecewise smooth (ReLU or the like): its kinks, which bend it as well, are not in this number"
PIECEWISE = "Relu LeakyRelu Threshold Hardtanh Hardswish Hardsigmoid Abs MaxPool Clamp Maximum Minimum"
NAMES = tuple(PIECEWISE.split())


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
    waiting, seen = [landscape.graph(theta)], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().startswith(NAMES):
            return True
        waiting.extend(following for following, _ in node.next_functions)
    return False

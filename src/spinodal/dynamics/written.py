"""A vectorised function as the list of its operations: what vectorising and differentiating cost is paid once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

SHAPING = {torch.ops.aten.view.default, torch.ops.aten.expand.default, torch.ops.aten._unsafe_view.default}
TRANSPOSE = torch.ops.aten.transpose.int
NEUTRAL = {torch.ops.aten.mul.Scalar: 1, torch.ops.aten.pow.Tensor_Scalar: 1}  # operations that do nothing with this number


def written_down(function: Callable[..., Any], arguments: Sequence[Tensor]) -> Callable[..., Any]:
    """Return the function for arguments of the same shapes as a list of operations, itself where there is no such list.

    What does not depend on the arguments is computed now, and operations that do nothing are left out; results are the same
    to the last bit.

    Examples
    --------
    >>> def function(x):
    ...     return (x.view(2).pow(1.0) + torch.ones(2).exp().log()).expand(2)
    >>> short = written_down(function, [torch.zeros(2)])
    >>> short(torch.tensor([1.0, 2.0])), [node.name for node in short.graph.nodes if node.op == "call_function"]
    (tensor([2., 3.]), ['add'])
    """
    try:
        written = make_fx(function)(*arguments)
    except Exception:  # noqa: BLE001 - operations that are not seen, or differ from call to call
        return function
    _compute_constants(written)
    for node in list(written.graph.nodes):
        _leave_out(node)
    written.graph.eliminate_dead_code()
    for node in written.graph.nodes:
        node.meta.clear()  # shapes of what was traced
    written.recompile()
    return written


def _leave_out(node: Node) -> None:
    """Let what uses an operation that changes nothing use its argument."""
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], Node):
        return
    inner: Node | None = node.args[0]
    if node.target == TRANSPOSE:
        inner = _before_both(node)
    elif node.target in SHAPING:
        inner = inner if inner is not None and _layout(inner) == _layout(node) else None
    elif node.target not in NEUTRAL or node.args[1] != NEUTRAL[node.target]:
        return
    if inner is not None:
        node.replace_all_uses_with(inner)


def _before_both(node: Node) -> Node | None:
    """Return what is transposed twice along the same axes, None where this is the first time."""
    first = node.args[0]
    twice = isinstance(first, Node) and first.target == TRANSPOSE and set(first.args[1:]) == set(node.args[1:])
    before = first.args[0] if twice and isinstance(first, Node) else None
    return before if isinstance(before, Node) else None


def _layout(node: Node) -> tuple[Any, ...] | None:
    """Return shape and strides of a result; something unique where they are not known."""
    value = node.meta.get("val")
    return (tuple(value.shape), tuple(value.stride())) if isinstance(value, Tensor) else (node,)


def _compute_constants(written: GraphModule) -> None:
    """Replace operations that depend on no argument by their results."""
    values: dict[Node, Any] = {}
    with torch.no_grad():
        for node in list(written.graph.nodes):
            if node.op == "get_attr":
                values[node] = getattr(written, str(node.target))
            elif node.op == "call_function" and all(argument in values for argument in node.all_input_nodes):
                given, named = torch.fx.map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = node.target(*given, **named)
    for place, (node, value) in enumerate(values.items()):
        if node.op == "call_function" and isinstance(value, Tensor):
            name = f"_computed{place}"
            written.register_buffer(name, value)
            with written.graph.inserting_before(node):
                constant = written.graph.get_attr(name)
            constant.meta["val"] = value
            node.replace_all_uses_with(constant)

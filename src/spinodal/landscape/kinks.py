"""Whether a surface has kinks, which bend it and have no second derivative, and which operations make them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from spinodal.errors import SpinodalError
from spinodal.landscape.branching import felt_decisions
from spinodal.landscape.checks import nodes
from spinodal.landscape.consistency import somewhere
from spinodal.landscape.energy import Energy
from spinodal.landscape.precision import naming
from spinodal.landscape.scripted import scripted_names
from spinodal.landscape.soft_operations import is_guard
from spinodal.landscape.soften import Softening

KINKS = "E is only piecewise smooth (ReLU or the like): its kinks, which bend it as well, are not in this number"
PIECEWISE = (
    "Relu LeakyRelu RreluWithNoise PreluKernel Threshold Hardtanh Hardswish Hardsigmoid Hardshrink Softshrink Abs Clamp "
    "Max Min Amax Amin Aminmax Cummax Cummin AdaptiveMaxPool FractionalMaxPool Sort Topk Kthvalue Median Nanmedian Mode "
    "MultiMarginLoss MultilabelMarginLoss Floor Ceil Round Trunc Frac Fmod Remainder Sign Sgn"
)  # beginnings of names in the graph
NAMES = tuple(PIECEWISE.split())
NORMS = ("LinalgVectorNorm", "Norm", "Cdist", "Pdist")  # of these, the ones of order 1 and of the largest
SMOOTH_SLOPES = {functional.softsign}  # the slopes of their pieces meet: x / (1 + |x|)
ROUNDING = 1e-9  # of products of constants
LINEAR = 1e-6  # step of softplus, where it is taken to be linear, that is none: 2e-9 at PyTorch's default threshold
COST = "Searches stall where it bends: most points of a map then neither converge nor have a margin, at many times the cost"
REMEDY = "soften it (--soften 20; --soften 20:160 for transitions of the network as given, with their errors)"
SOFTENED = "ReLU and its kin, max pooling, maxima, abs and clamp, called as operations of PyTorch, are softened"
SAMPLES = 8  # that show which operations E is made of
MOST_NAMED = 4  # places named one after the other
SOFT = 5.0  # sharpness that shows whether a kink is felt
EQUAL = 1e-12  # of E, by which a smooth counterpart may change what has no kink


@dataclass(frozen=True)
class Kink:
    """An operation that is only piecewise smooth.

    Attributes
    ----------
    operation : str
        As the graph names it, without its ending: `Relu`, `MaxPool2DWithIndices`.
    places : tuple of str
        Modules in which it was called, or "the loss"; empty where it is a part of another operation.
    """

    operation: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        """Return the operation with its places."""
        more = len(self.places) - MOST_NAMED
        shown = [*self.places[:MOST_NAMED], *([f"{more} more"] if more > 0 else [])]
        return f"{self.operation} in {', '.join(shown)}" if shown else self.operation


def has_kinks(landscape: Energy, theta: Tensor) -> bool:
    """Tell whether the graph of E holds an operation that is only piecewise smooth.

    Examples
    --------
    >>> from spinodal.landscape import Landscape
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> E = Landscape(net, lambda model, x: model(x).square().mean(), torch.ones(3, 1))
    >>> has_kinks(E, E.initial), [str(kink) for kink in kinks(E)]
    (True, ['Relu in 1 (ReLU)'])
    """
    return _is_bent(_error(landscape.of_few(SAMPLES), theta))


def kinks(landscape: Energy) -> tuple[Kink, ...]:
    """Return the operations that bend E, by few samples; none where E does not feel whether they are smooth.

    A maximum that is subtracted before exponentials are taken, for example, is no kink of E.
    """
    few = landscape.of_few(SAMPLES)
    decided: dict[str, list[str]] = {}
    for sign, place in felt_decisions(few):
        decided.setdefault(f"a branch by {sign}", []).append(place)
    found = [*_operations(few), *_scripted(few), *(Kink(title, tuple(places)) for title, places in decided.items())]
    return tuple(found)


def _operations(few: Energy) -> tuple[Kink, ...]:
    """Return the operations in the graph of E that are only piecewise smooth."""
    with naming(few.model) as stack, _Listening(stack) as listening:
        error = _error(few, few.initial)
    inside = {node.name() for node in nodes(error.grad_fn) if _is_kink(node) and node not in listening.excused}
    if not inside or not _is_felt(few):
        return ()
    return tuple(Kink(_title(name), tuple(dict.fromkeys(listening.places.get(name, ())))) for name in sorted(inside))


def _scripted(few: Energy) -> Iterator[Kink]:
    """Yield the operations in scripted modules, whose graphs PyTorch keeps to itself."""
    found: dict[str, list[str]] = {}
    if any("DifferentiableGraph" in node.name() for node in nodes(_error(few, few.initial).grad_fn)):
        for operation, place in scripted_names(few.model):
            title = operation.replace("_", " ").title().replace(" ", "")
            if title.startswith(NAMES):
                found.setdefault(title, []).append(place)
    yield from (Kink(title, tuple(places)) for title, places in found.items())


def smoothness(landscape: Energy) -> tuple[str, ...]:
    """Return what to remark on kinks of E and on their softening; refuse kinks that softening has left.

    Raises
    ------
    SpinodalError
        If softening was asked for, and leaves a kink.
    """
    found, softening = kinks(landscape), landscape.softening
    named = "; ".join(map(str, found))
    if softening is None:
        return (f"E is only piecewise smooth: {named}. {COST}; {_remedy(landscape)}",) if found else ()
    if found:
        raise SpinodalError(
            got=f"E has kinks that softening leaves: {named}",
            allowed=SOFTENED,
            do="replace the operation by one of these (torch.relu(x) for torch.where(x > 0, x, 0)) or by a smooth one, in a "
            "scripted module take the plain one, or do without softening",
        )
    with landscape.as_given():
        given = "; ".join(map(str, kinks(landscape)))
    if not given:
        return ("E has no kinks, and softening changes nothing",)
    return (f"E is that of smooth counterparts of sharpness {softening.sharpness:g} of what has kinks: {given}",)


def _remedy(landscape: Energy) -> str:
    """Say what can be done: to soften, where that leaves no kink."""
    with landscape.softened(SOFT):
        left = kinks(landscape)
    if not left:
        return REMEDY
    names = "; ".join(map(str, left))
    return f"{SOFTENED} by --soften, but not {names}: replace it by one of these or by a smooth operation"


class _Listening(TorchFunctionMode):
    """Notes in which modules operations are called that are only piecewise smooth."""

    def __init__(self, stack: list[str]) -> None:
        super().__init__()
        self.stack = stack
        self.places: dict[str, list[str]] = {}
        self.excused: set[Node] = set()
        self._seen: set[Node] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunction():
            self._seen |= set(_graphs((args, kwargs)))
            for node in _made(_graphs(out), self._seen):
                if _is_kink(node):
                    self._note(node, func)
        return out

    def _note(self, node: Node, func: Any) -> None:
        if func in SMOOTH_SLOPES:
            self.excused.add(node)
        else:
            self.places.setdefault(node.name(), []).append(self.stack[-1] if self.stack else "the loss")


def _graphs(values: Any) -> list[Node]:
    """Return the last nodes of the graphs of tensors."""
    found = (value.grad_fn for value in tree_leaves(values) if isinstance(value, Tensor))
    return [node for node in found if node is not None]


def _made(ends: Collection[Node], seen: set[Node]) -> Iterator[Node]:
    """Yield the nodes behind some ends that were not seen yet; they are seen then."""
    waiting = [node for node in ends if node not in seen]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions if following is not None]


def _is_kink(node: Node) -> bool:
    if node.name().startswith("Elu"):
        return _is_bent_elu(node)
    if node.name().startswith("Clamp"):
        bounds = [getattr(node, f"_saved_{side}", None) for side in ("min", "max")]
        return not all(bound is None or is_guard(bound) for bound in bounds) or bounds == [None, None]
    if node.name().startswith("Softplus"):
        return _jumps(node)
    if node.name().startswith(NORMS):
        return getattr(node, "_saved_ord", getattr(node, "_saved_p", 2)) in (1, math.inf, -math.inf)
    if node.name().startswith("Abs") and node._saved_self.is_complex():  # type: ignore[attr-defined]
        return False  # it bends at zero alone
    return node.name().startswith(NAMES)


def _jumps(node: Node) -> bool:
    """Tell a softplus that is taken to be linear from where it is not yet."""
    return math.log1p(math.exp(-float(getattr(node, "_saved_threshold", math.inf)))) > LINEAR


def _is_bent_elu(node: Node) -> bool:
    """Tell whether this is ELU with slopes on either side of zero that differ, as in SELU."""
    ratio = float(getattr(node, "_saved_alpha", 1.0)) * float(getattr(node, "_saved_input_scale", 1.0))
    return abs(ratio - 1.0) > ROUNDING


def _title(name: str) -> str:
    return name.rstrip("0123456789").removesuffix("Backward").removesuffix("Kernel")


def _is_felt(few: Energy) -> bool:
    """Tell whether E changes when its kinks are softened, at a random point; where they cannot be, they are felt."""
    theta = somewhere(few)
    with Softening(SOFT):
        soft = _error(few, theta)
    difference = abs(float((soft - _error(few, theta)).detach()))
    return _is_bent(soft) or not difference <= EQUAL * (1.0 + abs(float(soft.detach())))


def _error(few: Energy, theta: Tensor) -> Tensor:
    """Return the error of the first batch with its graph."""
    with torch.enable_grad():
        return few.call(theta.detach().clone().requires_grad_(True), next(iter(few.batches)))


def _is_bent(error: Tensor) -> bool:
    return any(map(_is_kink, nodes(error.grad_fn)))

"""Hidden units that can change places: read from the graph of a module, and verified on its error."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from spinodal.errors import SpinodalError, told
from spinodal.landscape import Landscape

ODD = (
    nn.Tanh,
    nn.Identity,
    nn.Softsign,
    nn.Tanhshrink,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.Flatten,
    torch.tanh,
    functional.tanh,
    functional.softsign,
    functional.tanhshrink,
    functional.dropout,
    torch.sin,
    functional.avg_pool1d,
    functional.avg_pool2d,
    functional.adaptive_avg_pool1d,
    functional.adaptive_avg_pool2d,
    torch.flatten,
    torch.mean,
    "tanh",
    "sin",
    "flatten",
    "view",
    "reshape",
    "mean",
    "contiguous",
    "squeeze",
)  # fmt: skip - functions of a unit alone for which f(-x) = -f(x)
PLAIN = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.Mish,
    nn.Sigmoid,
    nn.LogSigmoid,
    nn.Softplus,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    torch.relu,
    torch.sigmoid,
    functional.relu,
    functional.gelu,
    functional.silu,
    functional.elu,
    functional.leaky_relu,
    functional.sigmoid,
    functional.softplus,
    functional.mish,
    functional.selu,
    functional.max_pool1d,
    functional.max_pool2d,
    functional.adaptive_max_pool2d,
    "relu",
    "sigmoid",
)  # fmt: skip - functions of a unit alone
OUTPUT = (nn.Softmax, nn.LogSoftmax, torch.softmax, torch.log_softmax, functional.softmax, functional.log_softmax)
SUMS = (operator.add, operator.iadd, operator.sub, torch.add, torch.sub, "add", "add_", "sub")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SCALED = (operator.mul, operator.truediv, operator.neg, torch.mul, "mul")  # by numbers
NUMBERS = ("size", "dim", getattr)  # of shapes: no units
SAME = {torch.float64: 1e-9, torch.float32: 1e-4}  # relative difference of E that permuted units may make


@dataclass
class Units:
    """The units of one or more layers, which are permuted together.

    Attributes
    ----------
    name : str
        The layer whose outputs they are.
    count : int or None
    uses : set of (parameter, axis, repeat)
        Axes of parameters that they index, `repeat` entries in a row for each unit.
    odd : bool
        Whether their signs may be flipped.
    fixed : str
        Why they may not be permuted, empty if they may.
    """

    name: str
    count: int | None
    uses: dict[tuple[str, int, int], None] = field(default_factory=dict)
    odd: bool = True
    fixed: str = ""
    into: Units | None = None  # the units that these were found to be

    def found(self) -> Units:
        """Return the units that these are."""
        return self if self.into is None else self.into.found()


def hidden_units(landscape: Landscape) -> list[Units]:
    """Return the units of a landscape's module that may be permuted, in the order of its graph.

    Raises
    ------
    SpinodalError
        If the module's graph cannot be read, holds what is not known here, or if E turns out to depend on the order of units.
    """
    try:
        graph = fx.symbolic_trace(landscape.model).graph
    except Exception as cause:
        raise _refused(got=f"the graph of {type(landscape.model).__name__} cannot be read ({told(cause)})") from cause
    units = _Reading(landscape).read(graph)
    _verify(landscape, units)
    return units


class _Reading:
    """A walk through a graph that follows which units every value is made of."""

    def __init__(self, landscape: Landscape) -> None:
        self.modules = dict(landscape.model.named_modules())
        named = dict(landscape.model.named_parameters())
        self.slots = {id(named[slot.name]): slot.name for slot in landscape.parameters.slots}
        self.values: dict[fx.Node, Units | None] = {}
        self.all: list[Units] = []
        self.indexed: dict[tuple[str, int], Units] = {}

    def read(self, graph: fx.Graph) -> list[Units]:
        for node in graph.nodes:
            self.values[node] = self._value(node)
        free = [units for units in self.all if units.into is None and not units.fixed and (units.count or 0) > 1]
        return [units for units in free if units.uses]

    def _value(self, node: fx.Node) -> Units | None:
        given = [found for item in node.all_input_nodes if (found := self._of(item)) is not None]
        if node.op == "placeholder":
            return self._new(str(node.target), None, fixed="an input")
        if node.op == "output":
            for units in given:
                units.fixed = "outputs"
            return None
        if node.op == "call_module":
            return self._of_module(self.modules[str(node.target)], str(node.target), given)
        if node.op in ("call_function", "call_method"):
            return self._of_function(node, given)
        raise _refused(got=f"{node.target} is used outside of a layer")

    def _of(self, node: fx.Node) -> Units | None:
        found = self.values[node]
        return None if found is None else found.found()

    def _of_function(self, node: fx.Node, given: list[Units]) -> Units | None:
        target: Any = node.target
        if not given or target in NUMBERS:
            return None
        if target in SUMS:
            return self._joined(given)
        if target in SCALED and len(given) == 1 == len(node.all_input_nodes):
            return given[0]
        return self._alone(target, str(node.name), given)

    def _of_module(self, module: nn.Module, name: str, given: list[Units]) -> Units | None:
        if len(given) != 1:
            raise _refused(got=f"{name} takes {len(given)} tensors")
        units = given[0]
        if type(module) is nn.Linear or type(module) in CONVOLUTIONS:
            return self._of_layer(module, name, units)
        if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
            return self._scaled(module, units)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            units.fixed = units.fixed or f"{name} keeps statistics of each"
            return units
        return self._alone(type(module), name, given)

    def _alone(self, kind: Any, name: str, given: list[Units]) -> Units:
        """Return the units of what acts on every unit alone."""
        known = kind in ODD or kind in PLAIN or kind in OUTPUT
        if not known or len(given) != 1:
            raise _refused(got=f"{name} ({getattr(kind, '__name__', kind)}) is not known to act on every unit alone")
        given[0].odd = given[0].odd and kind in ODD
        return given[0]

    def _scaled(self, module: nn.Module, units: Units) -> Units:
        units.odd = False
        for value in (module.weight, module.bias):
            self._index(value, 0, units, 1)
        return units.found()

    def _of_layer(self, module: Any, name: str, units: Units) -> Units:
        rows, columns = module.weight.shape[:2]
        if getattr(module, "groups", 1) != 1:
            raise _refused(got=f"{name} has groups")
        repeat = 1
        if units.count is not None:
            repeat, rest = divmod(columns, units.count)
            if rest or repeat < 1:
                raise _refused(got=f"{name} takes {columns} numbers from {units.count} units")
        self._index(module.weight, 1, units, repeat)
        made = self._new(name, rows)
        self._index(module.weight, 0, made, 1)
        if module.bias is not None:
            self._index(module.bias, 0, made, 1)
        return made.found()

    def _index(self, value: Any, axis: int, units: Units, repeat: int) -> None:
        """Note that units index an axis of a parameter; a parameter that is used twice makes them one."""
        if not isinstance(value, Tensor):
            return
        units = units.found()
        if id(value) not in self.slots:
            units.fixed = units.fixed or "parameters of theirs are frozen"
            return
        slot = self.slots[id(value)]
        before = self.indexed.setdefault((slot, axis), units).found()
        units.uses[slot, axis, repeat] = None
        if before is not units:
            self._joined([before, units])

    def _joined(self, given: list[Units]) -> Units:
        """Return what is added as one group of units."""
        first, *rest = (units.found() for units in given)
        for other in (units.found() for units in rest):
            if other is first:
                continue
            if None not in (first.count, other.count) and first.count != other.count:
                raise _refused(got=f"{first.name} and {other.name} are added, {first.count} units and {other.count}")
            first.count = first.count or other.count
            first.uses |= other.uses
            first.odd, first.fixed = first.odd and other.odd, first.fixed or other.fixed
            other.into = first
        return first

    def _new(self, name: str, count: int | None, *, fixed: str = "") -> Units:
        units = Units(name, count, fixed=fixed)
        self.all.append(units)
        return units


def rearranged(landscape: Landscape, theta: Tensor, units: Units, order: Tensor, signs: Tensor) -> Tensor:
    """Return theta, shape (n,), whose unit i is `signs[i]` times the unit `order[i]` of the given one."""
    named = {name: value.clone() for name, value in landscape.parameters.unflatten(theta).items()}
    for slot, axis, repeat in units.uses:
        places = (order[:, None] * repeat + torch.arange(repeat)).reshape(-1).to(theta.device)
        factors = signs.repeat_interleave(repeat).to(theta)
        value = named[slot].index_select(axis, places)
        named[slot] = value * factors.reshape([-1 if place == axis else 1 for place in range(value.dim())])
    return torch.cat([named[slot.name].reshape(-1) for slot in landscape.parameters.slots])


def _verify(landscape: Landscape, units: list[Units]) -> None:
    """Refuse units whose order or sign E depends on, at a random point."""
    generator = torch.Generator().manual_seed(0)
    theta = landscape.initial
    theta = theta + 0.1 * float(theta.abs().mean()) * torch.randn(len(theta), generator=generator).to(theta)
    error = landscape.uncounted_value(theta)
    for group in units:
        count = group.count or 0
        order = torch.randperm(count, generator=generator)
        signs = 2.0 * torch.randint(2, (count,), generator=generator) - 1.0 if group.odd else torch.ones(count)
        other = landscape.uncounted_value(rearranged(landscape, theta, group, order, signs))
        if not abs(other - error) <= SAME.get(landscape.dtype, SAME[torch.float32]) * (1.0 + abs(error)):
            raise _refused(got=f"E changes when the units of {group.name} change places")


def _refused(got: str) -> SpinodalError:
    return SpinodalError(
        got=f"{got}, so it is not understood which units can change places",
        allowed="linear layers, convolutions, functions of single units, pooling, flattening and sums are allowed",
        do="connect without alignment",
    )

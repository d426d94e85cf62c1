"""A loss as it runs on one batch: the calls of the model, and what is compared with what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spinodal.landscape.batches import Batch
from spinodal.landscape.checks import nodes
from spinodal.landscape.reading.comparison import FUNCTIONS, Comparison, depends, of_function, of_operation
from spinodal.landscape.structure import named_leaves

if TYPE_CHECKING:
    from spinodal.landscape.energy import Energy

LOGARITHMS: set[Any] = {nn.functional.log_softmax, torch.log_softmax, Tensor.log_softmax}
FUNCTIONALS = {getattr(nn.functional, name): name for name in FUNCTIONS}
OPERATIONS = {"sub", "subtract", "rsub", "isub", "mul", "multiply", "rmul", "gather", "take_along_dim", "getitem"}


@dataclass(frozen=True)
class Record:
    """What one run of the loss of a batch showed.

    Attributes
    ----------
    error : Tensor, shape ()
    comparisons : tuple of Comparison
        That E depends on, in the order in which they were made. Numbers that were compared before are left out.
    outputs : tuple of (str, Tensor)
        The outputs of all calls of the model that E depends on, by their place; numbers aside.
    has_numbers : bool
        Whether E depends on an output that is a number.
    takes_logarithms : bool
        Whether the model takes logarithms of probabilities.
    """

    error: Tensor
    comparisons: tuple[Comparison, ...] = ()
    outputs: tuple[tuple[str, Tensor], ...] = ()
    has_numbers: bool = False
    takes_logarithms: bool = False


def record(landscape: Energy, theta: Tensor, batch: Batch) -> Record:
    """Return what the loss of a batch does with the outputs of the model at theta: one forward pass and no gradient.

    The graph is kept while the loss runs, so that this is the function that is differentiated; of it only what
    lies between the outputs and E is walked back.
    """
    with landscape.at(theta) as model, torch.enable_grad():
        watch = Watch(model)
        with watch.noticed():
            error = landscape.loss(model, batch)
        return _used(error, watch)


def _used(error: Tensor, watch: Watch) -> Record:
    """Return what E depends on among what was seen."""
    places = [*(found.result for found in watch.comparisons), *(value for _, value in watch.outputs)]
    if not places or not error.requires_grad:
        return Record(error.detach())
    slopes = torch.autograd.grad(error, places, allow_unused=True)
    count = len(watch.comparisons)
    pairs = zip(watch.comparisons, slopes[:count], strict=True)
    comparisons = tuple(_of_entries(found, slope) for found, slope in pairs if slope is not None)
    used = [pair for pair, slope in zip(watch.outputs, slopes[count:], strict=True) if slope is not None]
    outputs = [(name, value) for name, value in used if value.dim()]
    return Record(
        error.detach(),
        comparisons,
        tuple(_last(outputs)) if watch.calls == 1 else tuple(outputs),
        has_numbers=len(outputs) < len(used),
        takes_logarithms=watch.takes_logarithms,
    )


def _last(outputs: list[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Yield the outputs of a call without those of which another one is made, as the keys and values of attention are."""
    for name, value in outputs:
        if not any(_is_before(value, other) for _, other in outputs if other is not value):
            yield name, value


def _is_before(first: Tensor, second: Tensor) -> bool:
    """Tell whether the graph of a tensor holds the operation that made another."""
    return first.grad_fn is not second.grad_fn and any(node is first.grad_fn for node in nodes(second.grad_fn))


def _of_entries(found: Comparison, slope: Tensor) -> Comparison:
    """Return a comparison with the weights of its entries, where its result has one for each."""
    is_by_entries = found.by in FUNCTIONS and not found.compares_numbers and found.result.dim() > 0
    return replace(found, weights=slope if is_by_entries else None)


class Calls(TorchFunctionMode):
    """A mode that knows whether the model is being called: `inside` counts its calls that are not finished."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.inside = model, 0

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Notice the calls of the model while the context lasts; those of one that takes no hooks go unseen."""
        with ExitStack() as hooks:
            with suppress(RuntimeError):  # of a scripted model
                hooks.enter_context(self.model.register_forward_pre_hook(self._enter))
                hooks.enter_context(self.model.register_forward_hook(self._leave))
            with self:
                yield

    def returned(self, output: Any) -> None:
        """Hear what the model returns."""

    def _enter(self, model: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.inside += 1

    def _leave(self, model: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        self.inside -= 1
        if not self.inside:
            self.returned(output)


class Watch(Calls):
    """Sees the operations of a loss while it runs.

    Attributes
    ----------
    comparisons : list of Comparison
    outputs : list of (str, Tensor)
        Of the model, with a graph.
    takes_logarithms : bool
        Inside the model, of probabilities.
    calls : int
        Of the model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.comparisons, self.outputs = list[Comparison](), list[tuple[str, Tensor]]()
        self.takes_logarithms, self.calls = False, 0
        self._compared: dict[int, Tensor] = {}  # what comes after a comparison

    def returned(self, output: Any) -> None:
        """Keep the outputs that depend on theta."""
        self.calls += 1
        leaves = [(name, leaf) for name, leaf in named_leaves(output) if isinstance(leaf, Tensor)]
        self.outputs += [(name, leaf) for name, leaf in leaves if depends(leaf)]

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and look at what it compares."""
        keywords = kwargs or {}
        result = func(*args, **keywords)
        is_after = any(id(value) in self._compared for value in (*args, *keywords.values()))
        self.takes_logarithms = self.takes_logarithms or (func in LOGARITHMS and self.inside > 0)
        found = self._comparison(func, args, keywords, result)
        if found is not None and depends(found.result) and not (is_after and found.compares_numbers):
            self.comparisons.append(replace(found, inside=self.inside > 0))
            is_after = True
        if is_after and isinstance(result, Tensor):
            self._compared[id(result)] = result  # held, so that its identity stays its own
        return result

    def _comparison(self, func: Any, args: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> Comparison | None:
        name = FUNCTIONALS.get(func)
        if name is not None:
            return of_function(name, args, keywords, result)
        name = getattr(func, "__name__", "")
        if name.strip("_") not in OPERATIONS or self.inside:
            return None
        return of_operation(name, args, keywords, result)

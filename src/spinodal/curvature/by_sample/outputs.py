"""The outputs of a model inside a loss that nobody can look into: `loss(model, batch) = l(f(theta))`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from spinodal.curvature.by_sample.output_hessian import OutputHessian, output_hessian
from spinodal.errors import SpinodalError, blaming
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch, is_of_samples, part_of, size_of
from spinodal.landscape.reading.record import FUNCTIONALS, LOGARITHMS, Calls, record
from spinodal.landscape.structure import flatten

Functions: TypeAlias = frozenset[Callable[..., Any]]
COMPARING: Functions = frozenset(FUNCTIONALS)
TAKING_LOGARITHMS: Functions = frozenset(LOGARITHMS)
FEW = 16  # samples that show what a loss depends on
ALLOWED = "a loss that is a function of the outputs of model(...), and of the parameters through them alone, is allowed"


@dataclass(frozen=True)
class Outputs:
    """One batch: theta, the outputs as functions of it, and the loss as a function of the outputs.

    Attributes
    ----------
    theta : Tensor, shape (n,)
        A leaf of the graph of `values`.
    values : list of Tensor
        The differentiable outputs f of all calls of the model.
    hessian : OutputHessian
        Of the loss in f.
    """

    theta: Tensor
    values: list[Tensor]
    hessian: OutputHessian


def capture(landscape: Landscape, theta: Tensor, batch: Batch) -> Outputs:
    """Return the outputs of the model in the loss of a batch.

    A hook on the model takes its outputs and hands detached copies to the loss, so the graph of the
    loss begins where that of the model ends.

    Raises
    ------
    SpinodalError
        If the loss does not call the model as a whole, depends on parameters beside its outputs, or
        feeds an output to the model again.

    Examples
    --------
    >>> line = nn.Linear(1, 1, bias=False)
    >>> E = Landscape(line, lambda model, x: model(x).pow(3).mean(), torch.tensor([[1.0], [2.0]]))
    >>> outputs = capture(E, torch.tensor([2.0], dtype=torch.float64), next(iter(E.batches)))
    >>> outputs.values[0].flatten().tolist(), outputs.hessian.slopes[0].flatten().tolist()
    ([2.0, 4.0], [6.0, 24.0])
    """
    leaf = theta.detach().clone().requires_grad_(True)
    cut = Cut()
    with cut.of(landscape.model):
        error = landscape.call(leaf, batch)
    if error.requires_grad:
        cut.check(error, [leaf])
    hessian = output_hessian(error, cut.copies)
    functions = hidden_in(landscape, theta, batch, hessian)
    return Outputs(leaf, cut.values, hessian) if functions is None else inside_outputs(landscape, theta, batch, functions)


def hidden_in(landscape: Landscape, theta: Tensor, batch: Batch, hessian: OutputHessian) -> Functions | None:
    """Return the functions inside the model whose arguments are its outputs where what it returns is the error itself.

    The loss is linear in what such a model returns, or uses an output that is a number: the model compares with a target, or
    takes the logarithms of probabilities, of which cross-entropy is linear. None where outputs are what the model returns.
    """
    if not hessian.is_linear and not hessian.uses_numbers:
        return None
    seen = record(landscape, theta, batch)
    if any(found.inside for found in seen.comparisons) or (hessian.is_linear and seen.has_numbers):
        return COMPARING
    return TAKING_LOGARITHMS if hessian.is_linear and seen.takes_logarithms else None


def check_outputs(landscape: Landscape, theta: Tensor, batch: Batch) -> None:
    """Refuse a loss that depends on theta beside the outputs of the model, as by what the model keeps of its last call.

    Few samples show it, where the loss takes few.
    """
    for part in (part_of(batch, slice(FEW)), batch) if is_of_samples(batch) and size_of(batch) > FEW else (batch,):
        cut, leaf = Cut(), theta.detach().clone().requires_grad_(True)
        try:
            with cut.of(landscape.model):
                error = landscape.call(leaf, part)
        except SpinodalError:
            raise
        except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            continue
        if error.requires_grad:
            cut.check(error, [leaf])
        return


def compares_inside(landscape: Landscape, theta: Tensor, batch: Batch) -> bool:
    """Tell whether E depends on what the model itself compares with a target, by way of an output that is a number."""
    seen = record(landscape, theta, batch)
    return seen.has_numbers and any(found.inside for found in seen.comparisons)


def inside_outputs(landscape: Landscape, theta: Tensor, batch: Batch, functions: Functions) -> Outputs:
    """Return what a model hands to functions inside it, in the place of its outputs; refuse a loss that depends on more."""
    leaf = theta.detach().clone().requires_grad_(True)
    cut = InsideCut(functions)
    with cut.of(landscape.model):
        error = landscape.call(leaf, batch)
    try:
        cut.check(error, [leaf])
        is_whole = bool(cut.values)
    except SpinodalError:
        is_whole = False
    if not is_whole:
        raise SpinodalError(
            got="the model returns the error itself, of which no function of torch.nn.functional shows all outputs and their "
            "target, so its Gauss-Newton matrix is not defined",
            allowed=ALLOWED,
            do="let the model return its logits or predictions, and compute the error of them in the loss",
        )
    return Outputs(leaf, cut.values, output_hessian(error, cut.copies))


class Cut:
    """The place where a loss is cut off from the model: the outputs, and the copies the loss was given."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.copies: list[Tensor] = []
        self.calls = 0
        self.kind = ""  # of what the model returned

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """Cut every call of the model while the context lasts."""
        with blaming(
            "a hook on the model", allowed="a model that takes forward hooks is allowed", do="give it before it is scripted"
        ):
            hook = model.register_forward_hook(self._replace)
        with hook:
            yield

    def _replace(self, model: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
        leaves, structure = flatten(output)
        self.calls += 1
        self.kind = type(output).__name__
        return structure.filled([self._copied(leaf) for leaf in leaves])

    def _copied(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.requires_grad:
            return leaf
        self.values.append(leaf)
        self.copies.append(leaf.detach().clone().requires_grad_(True))
        return self.copies[-1].clone()  # a loss may change the outputs in place, which a leaf forbids

    def check(self, error: Tensor, parameters: Sequence[Tensor]) -> None:
        """Refuse a loss that is not a function of the outputs alone."""
        direct = torch.autograd.grad(error, parameters, retain_graph=True, allow_unused=True)
        if any(part is not None for part in direct):
            raise self._beside()
        if any(value.is_complex() for value in self.values):
            raise SpinodalError(
                got="the outputs of the model are complex", allowed="real outputs are allowed", do="use torch.view_as_real"
            )
        if self.calls > 1 and self.values and self._feeds_back():
            raise SpinodalError(
                got="the loss feeds an output of the model to the model again, so its Gauss-Newton matrix is not defined",
                allowed=ALLOWED,
                do="put the loop into the model's forward",
            )

    def _feeds_back(self) -> bool:
        ones = [torch.ones_like(value) for value in self.values]
        parts = torch.autograd.grad(self.values, self.copies, ones, retain_graph=True, allow_unused=True)
        return any(part is not None for part in parts)

    def _beside(self) -> SpinodalError:
        """Return the refusal of a loss that has parameters in it; they are no outputs."""
        got = "the loss uses parameters beside the outputs of the model"
        do = "leave penalties to beta, and let the model return whatever else the loss needs"
        if not self.calls:
            got = "the loss never calls the model as a whole, so it has no outputs"
            do = "call model(...) in the loss instead of its layers or its parameters"
        elif not self.values:
            got = f"the model returns a {self.kind}, in which no tensor that depends on its parameters was found"
            do = "let it return tensors, alone or in tuples, lists, mappings, data classes or attributes of an object"
        return SpinodalError(got=f"{got}, so its Gauss-Newton matrix is not defined", allowed=ALLOWED, do=do)


class InsideCut(Cut):
    """The place where a model is cut inside: what it hands to some functions."""

    def __init__(self, functions: Functions) -> None:
        super().__init__()
        self.functions = functions

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """Cut the arguments of the functions inside the model while the context lasts."""
        with Handing(model, self.functions, self._given).noticed():
            yield

    def _given(self, value: Any) -> Any:
        self.calls += 1
        return self._copied(value)


class Handing(Calls):
    """Hands the first argument of some functions inside a model to another, and gives them what that returns."""

    def __init__(self, model: nn.Module, functions: Functions, given: Callable[[Any], Any]) -> None:
        super().__init__(model)
        self.functions, self.given = functions, given

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation."""
        keywords = dict(kwargs or {})
        if func in self.functions and self.inside:
            if args:
                args = (self.given(args[0]), *args[1:])
            else:
                keywords["input"] = self.given(keywords["input"])
        return func(*args, **keywords)

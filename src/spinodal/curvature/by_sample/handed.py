"""Models that compute the error themselves: what they hand to the function that compares it with a target, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.batches import Batch, is_of_samples, part_of
from spinodal.curvature.by_sample.outputs import inside_outputs
from spinodal.curvature.by_sample.samples import SampledLoss, SampleError, Samples, agree
from spinodal.landscape import Landscape
from spinodal.reading.record import FUNCTIONALS, Calls
from spinodal.structure import flatten

FEW = 16  # samples on which the error is verified to depend on nothing beside


class Handed(nn.Module):
    """A model that returns what it hands to the one function that compares it with a target, one row for each sample."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the outputs that are compared, shape (samples, D)."""
        first = next(leaf for leaf in flatten((arguments, keywords))[0] if isinstance(leaf, Tensor))
        handed: list[Tensor] = []

        def keep(value: Tensor) -> Tensor:
            handed.append(value)
            return value

        with _Comparing(self.model, keep).noticed():
            self.model(*arguments, **keywords)
        if len(handed) != 1:
            raise SampleError(because=f"the model compares {len(handed)} times with a target")
        if len(first) == 0 or handed[0].numel() % len(first):
            raise SampleError(because="what the model compares is not one row for each sample")
        return handed[0].reshape(len(first), -1)


class _Comparing(Calls):
    """Hands the first argument of a comparison inside the model to a function, and what that returns to the comparison."""

    def __init__(self, model: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(model)
        self.function = function

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, of what the function makes of its first argument where it compares."""
        keywords = dict(kwargs or {})
        if func in FUNCTIONALS and self.inside:
            if args:
                args = (self.function(args[0]), *args[1:])
            else:
                keywords["input"] = self.function(keywords["input"])
        return func(*args, **keywords)


def sampled_inside(landscape: Landscape, model: nn.Module, theta: Tensor, batch: Batch) -> tuple[SampledLoss, Handed]:
    """Return the loss of a batch as a function of what the lent model compares, and the model of which these are the outputs.

    Raises
    ------
    SampleError
        Where samples meet, or the model compares more than once.
    SpinodalError
        Where the error depends on theta beside what is compared.
    """
    inside_outputs(landscape, theta, part_of(batch, slice(FEW)) if is_of_samples(batch) else batch)
    call = _Call(Handed(model), landscape.memory // 4)
    with landscape.at(theta), call.replacing(model):
        error = landscape.loss(model, batch)
    if call.samples is None or call.copy is None:
        raise SampleError(because="the model is called without a tensor of samples")
    return SampledLoss(call.samples, error, [call.copy]), call.handed


class _Call:
    """The one call of a model in a loss: its comparison is made of outputs that were computed part by part."""

    def __init__(self, handed: Handed, memory: int) -> None:
        self.handed, self.memory = handed, memory
        self.samples: Samples | None = None
        self.copy: Tensor | None = None

    @contextmanager
    def replacing(self, model: nn.Module) -> Iterator[None]:
        """Let the model compute its rows part by part, and its error of these, while the context lasts."""
        plain, own = model.forward, vars(model).get("forward")

        def forward(*arguments: Any, **keywords: Any) -> Any:
            if self.samples is not None:
                raise SampleError(because="the loss calls the model more than once")
            model.forward = plain
            self.samples = Samples.of(self.handed, arguments, keywords, self.memory)
            self.copy = self.samples.evaluated()
            with _frozen(model), _Comparing(model, self._compared).noticed():
                return model(*arguments, **keywords)

        model.forward = forward
        try:
            yield
        finally:
            vars(model).pop("forward", None)
            if own is not None:
                model.forward = own

    def _compared(self, whole: Tensor) -> Tensor:
        """Return the outputs of the parts in the place of those of the whole, which they must equal."""
        assert self.copy is not None  # noqa: S101 - for the type checker
        if not agree(self.copy.detach().reshape(whole.shape), whole.detach()):
            raise SampleError(because="samples meet in the model")
        return self.copy.reshape(whole.shape)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Let no graph of a model be kept while the context lasts."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)

"""Models that return the error, or what it is linear in: what they hand to a function inside them, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from spinodal.curvature.by_sample.outputs import FEW, Functions, Handing, inside_outputs
from spinodal.curvature.by_sample.samples import SampledLoss, SampleError, Samples, agree
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch, is_of_samples, part_of
from spinodal.landscape.structure import flatten


class Handed(nn.Module):
    """A model that returns what it hands to the one function of some that it calls, one row for each sample."""

    def __init__(self, model: nn.Module, functions: Functions) -> None:
        super().__init__()
        self.model, self.functions = model, functions

    def forward(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return what is handed over, shape (samples, D)."""
        first = next(leaf for leaf in flatten((arguments, keywords))[0] if isinstance(leaf, Tensor))
        handed: list[Tensor] = []

        def keep(value: Tensor) -> Tensor:
            handed.append(value)
            return value

        with Handing(self.model, self.functions, keep).noticed():
            self.model(*arguments, **keywords)
        if len(handed) != 1:
            raise SampleError(because=f"the model computes its error in {len(handed)} places")
        if len(first) == 0 or handed[0].numel() % len(first):
            raise SampleError(because="what the model computes its error of is not one row for each sample")
        return handed[0].reshape(len(first), -1)


def sampled_inside(
    landscape: Landscape, model: nn.Module, theta: Tensor, batch: Batch, functions: Functions
) -> tuple[SampledLoss, Handed]:
    """Return the loss of a batch by what the lent model hands to functions, and the model of which this is the output.

    Raises
    ------
    SampleError
        Where samples meet, or the model calls these functions more than once.
    SpinodalError
        Where the error depends on theta beside what is handed over.
    """
    inside_outputs(landscape, theta, part_of(batch, slice(FEW)) if is_of_samples(batch) else batch, functions)
    call = _Call(Handed(model, functions), landscape.memory // 4)
    with landscape.at(theta), call.replacing(model):
        error = landscape.loss(model, batch)
    if call.samples is None or call.copy is None:
        raise SampleError(because="the model is called without a tensor of samples")
    return SampledLoss(call.samples, error, [call.copy]), call.handed


class _Call:
    """The one call of a model in a loss: its error is made of what was computed part by part."""

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
            with _frozen(model), Handing(model, self.handed.functions, self._whole).noticed():
                return model(*arguments, **keywords)

        model.forward = forward
        try:
            yield
        finally:
            vars(model).pop("forward", None)
            if own is not None:
                model.forward = own

    def _whole(self, whole: Tensor) -> Tensor:
        """Return the outputs of the parts in the place of those of the whole, which they must equal."""
        if self.copy is None or not agree(self.copy.detach().reshape(whole.shape), whole.detach()):
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

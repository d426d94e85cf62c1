"""A criterion of PyTorch, a loss of (outputs, labels), as a loss of (model, batch)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.errors import SpinodalError
from spinodal.landscape.batches import Batch
from spinodal.landscape.structure import named_tensors

LABELS = ("labels", "label", "targets", "target", "y")  # keys of a dict batch under which labels are looked for
FUNCTIONAL = "torch.nn.functional"
MODELS, BATCHES = {"model", "net", "network", "module"}, {"batch", "data"}  # names of what a loss of (model, batch) takes


class Criterion:
    """`criterion(model(first tensor), labels)` of a batch.

    A tuple of two tensors is inputs and labels; of more, nothing tells which is which. Of a dict, labels are the first entry
    named by `LABELS`, and entries whose keys are arguments of the model are passed to it by name.

    Parameters
    ----------
    measure : nn.Module or function of torch.nn.functional
        `nn.CrossEntropyLoss()`, `nn.functional.mse_loss`: the **mean** over samples.

    Raises
    ------
    SpinodalError
        For a criterion that does not take a mean, or that has parameters of its own.

    Examples
    --------
    >>> line = nn.Linear(1, 1, bias=False)
    >>> nn.init.ones_(line.weight).item()
    1.0
    >>> loss = Criterion(nn.MSELoss())
    >>> loss(line, (torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]]))).item()
    2.5
    """

    def __init__(self, measure: Callable[..., Tensor]) -> None:
        self.measure = measure
        self._cast: dict[tuple[torch.dtype, torch.device], Callable[..., Tensor]] = {}
        reduction = getattr(measure, "reduction", "mean")
        if reduction not in ("mean", "batchmean"):
            raise SpinodalError(
                got=f"{self.name} with reduction {reduction!r}",
                allowed="the mean over the batch's samples is allowed",
                do="use reduction='mean', or give a function (model, batch) -> scalar",
            )
        if isinstance(measure, nn.Module) and any(value.requires_grad for value in measure.parameters()):
            raise SpinodalError(
                got=f"{self.name} has trainable parameters, which are none of the model's",
                allowed="a criterion without parameters is allowed",
                do="make it a part of the model, and give a function (model, batch) -> scalar",
            )

    @staticmethod
    def of(loss: Any) -> Any:
        """Return a loss of (model, batch) as it is, a criterion in a shell."""
        return Criterion(loss) if is_criterion(loss) else loss

    @property
    def name(self) -> str:
        """Return the class or the function."""
        return getattr(self.measure, "__name__", type(self.measure).__name__)

    @property
    def reading(self) -> str:
        """Return what is compared with what."""
        return (
            f"the loss is {self.name}(model(inputs), labels), where inputs are the first tensor of a batch and labels its last"
        )

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the error of a batch, shape ()."""
        labels, outputs = self._labels(batch), self._outputs(model, batch)
        outputs = getattr(outputs, "logits", outputs)
        if not isinstance(outputs, Tensor):
            raise self._refusal(got=f"a model that returns a {type(outputs).__name__}")
        return self._in(outputs)(outputs, labels)

    def _outputs(self, model: nn.Module, batch: Batch) -> Any:
        if isinstance(batch, Mapping):
            known = inspect.signature(model.forward).parameters
            named = {key: value for key, value in batch.items() if key in known and key not in LABELS}
            if named:
                return model(**named)
            batch = {key: value for key, value in batch.items() if key not in LABELS}
        tensors = [value for _, value in named_tensors(batch)]
        if not tensors:
            raise self._refusal(got="a batch without tensors")
        if len(tensors) > (1 if isinstance(batch, Mapping) else 2):
            raise self._refusal(got=f"a batch of {len(tensors)} tensors, of which nothing tells the inputs")
        return model(tensors[0])

    def _labels(self, batch: Batch) -> Tensor:
        if isinstance(batch, Mapping):
            key = next((key for key in LABELS if key in batch), None)
            if key is None:
                raise self._refusal(got=f"a dict batch with the entries {', '.join(map(str, batch))}")
            labels: Tensor = batch[key]
            return labels
        tensors = [value for _, value in named_tensors(batch)]
        if len(tensors) < 2:
            raise self._refusal(got="a batch of one tensor")
        last: Tensor = tensors[-1]
        return last

    def _in(self, outputs: Tensor) -> Callable[..., Tensor]:
        """Return the criterion with its buffers, class weights among them, in the dtype and on the device of the outputs."""
        if not isinstance(self.measure, nn.Module):
            return self.measure
        key = outputs.dtype, outputs.device
        if key not in self._cast:
            self._cast[key] = copy.deepcopy(self.measure).to(dtype=outputs.dtype, device=outputs.device)
        return self._cast[key]

    def _refusal(self, got: str) -> SpinodalError:
        return SpinodalError(
            got=f"the criterion {self.name} and {got}",
            allowed="(inputs, labels), or a dict with an entry named " + ", ".join(LABELS) + ", is allowed with a criterion",
            do="give a function (model, batch) -> scalar instead",
        )


def is_criterion(loss: object) -> bool:
    """Tell whether a loss is one of (outputs, labels).

    Examples
    --------
    >>> is_criterion(nn.CrossEntropyLoss()), is_criterion(nn.functional.mse_loss), is_criterion(lambda model, batch: 0)
    (True, True, False)
    """
    if isinstance(loss, nn.Module):
        names = list(inspect.signature(loss.forward).parameters)
        return not (set(names[:1]) & MODELS or set(names[1:2]) & BATCHES)
    return callable(loss) and getattr(loss, "__module__", None) == FUNCTIONAL

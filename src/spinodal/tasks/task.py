"""A task: a model, a loss, data, and how to read its predictions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.batches import Batch, first_tensor, named_tensors
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape, LossFunction
from spinodal.penalty import Penalty
from spinodal.tasks.settings import plain
from spinodal.theory import ExactTransition


class Task:
    """What to map: a network, its error, its data.

    Parameters
    ----------
    model : nn.Module
        Copied, never changed.
    loss : callable ``(model, batch) -> scalar``
        The mean over the batch's samples.
    data : one batch, or a re-iterable of batches
        A batch is a tensor, a tuple or a dict of tensors.
    held_out : like `data`, optional
        Data never trained on, for held-out accuracy. Default: none.
    predict : callable ``(model, batch) -> outputs (samples, k)``, optional
        Default: ``model(first tensor of the batch)``.
    labels : callable ``batch -> integers (samples,)``, optional
        The true classes. Default: the batch's last tensor, if it holds integers of shape (samples,) or
        one-hot rows; otherwise the task has no classes and its accuracies are null.
    initial : callable ``seed -> theta (n,)``, optional
        A random start. Default: every submodule that has `reset_parameters` is reset under the seed;
        parameters that no submodule resets are multiplied by random factors, zeros among them drawn.
    observables : mapping of names to callables ``model -> float``, optional
        Your own order parameters, recorded at every point.
    exclude : sequence of str, optional
        Patterns (`fnmatch`) of parameter names left out of the penalty, for example ``["*.bias"]``.
    name : str, optional
    settings : mapping, optional
        The arguments that made this task; they identify a run. Numbers, words, switches, None, and lists
        and mappings of these.
    exact : sequence of ExactTransition, optional
        Closed-form transitions, shown beside the measured ones.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> task = Task(nn.Linear(3, 3), lambda model, b: ((model(b[0]) - b[1]) ** 2).sum(1).mean(), (x, x))
    >>> task.landscape().size
    12
    >>> bool((task.initial(seed=0) == task.initial(seed=0)).all())
    True
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        data: object,
        *,
        held_out: object = None,
        predict: Callable[[nn.Module, Batch], Tensor] | None = None,
        labels: Callable[[Batch], Tensor] | None = None,
        initial: Callable[[int], Tensor] | None = None,
        observables: Mapping[str, Callable[[nn.Module], float]] | None = None,
        exclude: Sequence[str] = (),
        name: str = "custom",
        settings: Mapping[str, Any] | None = None,
        exact: Sequence[ExactTransition] = (),
    ) -> None:
        if not isinstance(model, nn.Module):
            raise SpinodalError(
                got=f"model is a {type(model).__name__}",
                allowed="an nn.Module is allowed",
                do="pass an instance",
            )
        if not callable(loss):
            raise SpinodalError(
                got=f"loss is a {type(loss).__name__}",
                allowed="a function (model, batch) -> scalar is allowed",
                do="pass a function",
            )
        self.model, self.loss, self.data, self.held_out = model, loss, data, held_out
        self.predict = predict or _predict
        self.labels = labels or _labels
        self.observables = dict(observables or {})
        self.exclude, self.name, self.settings, self.exact = tuple(exclude), name, plain(settings or {}), tuple(exact)
        self._initial = initial

    def landscape(self, *, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu") -> Landscape:
        """Return the error of this task as a `Landscape`."""
        return Landscape(self.model, self.loss, self.data, dtype=dtype, device=device)

    def initial(self, seed: int = 0) -> Tensor:
        """Return a random start theta, shape (n,), the same for the same seed."""
        if self._initial is not None:
            return self._initial(seed)
        model = copy.deepcopy(self.model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _randomise(model)
        return torch.cat([value.detach().reshape(-1).double() for value in _trainable(model).values()])

    def penalty(self, landscape: Landscape) -> Penalty:
        """Return the penalty with the mask that `exclude` describes."""
        if not self.exclude:
            return Penalty()
        names = [slot.name for slot in landscape.parameters.slots]
        unused = [pattern for pattern in self.exclude if not any(fnmatchcase(name, pattern) for name in names)]
        if unused:
            raise SpinodalError(
                got=f"exclude pattern {unused[0]!r} matches no parameter",
                allowed="parameters: " + ", ".join(names),
                do="use fnmatch patterns such as '*.bias'",
            )
        mask = torch.ones(landscape.size, dtype=torch.bool, device=landscape.device)
        for slot in landscape.parameters.slots:
            if any(fnmatchcase(slot.name, pattern) for pattern in self.exclude):
                mask[slot.start : slot.stop] = False
        return Penalty(mask=mask)


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def _randomise(model: nn.Module) -> None:
    """Reset every submodule that knows how, and scale the parameters that none resets."""
    covered: set[int] = set()
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
            covered |= {id(value) for value in module.parameters(recurse=False)}
    for value in _trainable(model).values():
        if id(value) not in covered:
            with torch.no_grad():
                value.mul_(0.5 + torch.rand_like(value))
                _fill_zeros(value)


def _fill_zeros(value: Tensor) -> None:
    """Draw the entries that are zero, as an `nn.Linear` of this width would draw its biases."""
    empty = value == 0
    if bool(empty.any()):
        width = value.shape[-1] if value.dim() else 1
        value[empty] = (2 * torch.rand_like(value) - 1)[empty] / width**0.5


def _predict(model: nn.Module, batch: Batch) -> Tensor:
    outputs: Tensor = model(first_tensor(batch))
    return outputs


def _labels(batch: Batch) -> Tensor | None:
    """Return integer labels if the batch's last tensor holds them, plainly or one-hot."""
    tensors = [value for _, value in named_tensors(batch)]
    if len(tensors) < 2:  # inputs only, or nothing
        return None
    last = tensors[-1]
    if last.dim() == 1 and not last.is_floating_point() and last.dtype != torch.bool:
        return last
    if last.dim() == 2 and last.shape[1] > 1 and bool(((last == 0) | (last == 1)).all() & (last.sum(1) == 1).all()):
        return last.argmax(1)
    return None

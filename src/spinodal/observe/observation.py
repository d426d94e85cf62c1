"""All order parameters of a model at one point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinodal.batches import Batches
from spinodal.landscape import Landscape
from spinodal.observe.accuracy import accuracy, class_accuracy
from spinodal.observe.rank import effective_rank, singular_values
from spinodal.penalty import Penalty

if TYPE_CHECKING:
    from spinodal.tasks.task import Task


@dataclass(frozen=True)
class Observation:
    """Order parameters at one theta.

    Attributes
    ----------
    norm : float
        `||theta||` over all trainable parameters, penalised or not.
    distance : float
        `||theta - centre||` over the penalised parameters: the square root of the penalty.
    singular_values, ranks : mapping of parameter names to values
        Per weight matrix; `rank` is the smallest of the ranks (0 without matrices).
    accuracy, class_accuracy : mapping of "train" and "held_out" to values, None where they do not apply
    output_variance : float or None
        Variance of the outputs over the training sample, summed over outputs; None if the model
        cannot be asked for predictions.
    custom : mapping of names to the task's own observables
    """

    norm: float
    distance: float
    singular_values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    rank: int = 0
    accuracy: Mapping[str, float | None] = field(default_factory=lambda: {"train": None, "held_out": None})
    class_accuracy: Mapping[str, tuple[float | None, ...] | None] = field(
        default_factory=lambda: {"train": None, "held_out": None}
    )
    output_variance: float | None = None
    custom: Mapping[str, float] = field(default_factory=dict)


class Observer:
    """Reads order parameters off a landscape at theta, and off a task's predictions where there is one."""

    def __init__(self, landscape: Landscape, penalty: Penalty, task: Task | None = None) -> None:
        penalty.check(landscape.initial)
        self.landscape, self.penalty, self.task = landscape, penalty, task
        self._parts: dict[str, Batches | None] = {"train": None, "held_out": None}
        if task is not None:
            self._parts["train"] = landscape.batches
            if task.held_out is not None:
                held_out = Batches(task.held_out, dtype=landscape.dtype, device=landscape.device)
                held_out.check_finite()
                self._parts["held_out"] = held_out

    def __call__(self, theta: Tensor) -> Observation:
        """Return the observation at theta, shape (n,)."""
        matrices = self.landscape.parameters.matrices(theta)
        values = {name: singular_values(matrix) for name, matrix in matrices.items()}
        ranks = {name: effective_rank(value) for name, value in values.items()}
        scores = {part: self._scores(theta, batches) for part, batches in self._parts.items()}
        train = scores["train"]
        return Observation(
            norm=float(theta.norm()),
            distance=float(self.penalty.offset(theta).norm()),
            singular_values=values,
            ranks=ranks,
            rank=min(ranks.values(), default=0),
            accuracy={part: score.accuracy if score else None for part, score in scores.items()},
            class_accuracy={part: score.classes if score else None for part, score in scores.items()},
            output_variance=train.variance if train else None,
            custom=self._custom(theta),
        )

    def _scores(self, theta: Tensor, batches: Batches | None) -> _Scores | None:
        if batches is None or self.task is None:
            return None
        outputs, labels = [], []
        with torch.no_grad(), self.landscape.at(theta) as model:
            for batch in batches:
                try:
                    output = self.task.predict(model, batch)
                except Exception:  # noqa: BLE001 - a model without predictions has no scores, which is said in the result
                    return None
                if not isinstance(output, Tensor) or output.dim() == 0:
                    return None
                outputs.append(output.reshape(len(output), -1))
                labels.append(self.task.labels(batch))
        return _Scores.of(torch.cat(outputs), labels)

    def _custom(self, theta: Tensor) -> dict[str, float]:
        if self.task is None or not self.task.observables:
            return {}
        with torch.no_grad(), self.landscape.at(theta) as model:
            return {name: float(function(model)) for name, function in self.task.observables.items()}


@dataclass(frozen=True)
class _Scores:
    variance: float
    accuracy: float | None
    classes: tuple[float | None, ...] | None

    @classmethod
    def of(cls, outputs: Tensor, labels: list[Tensor | None]) -> _Scores:
        variance = float(outputs.var(0, correction=0).sum())
        known = [label for label in labels if label is not None]
        if len(known) < len(labels) or outputs.shape[1] < 2:
            return cls(variance, None, None)
        truth = torch.cat(known)
        if int(truth.max()) >= outputs.shape[1] or int(truth.min()) < 0:
            return cls(variance, None, None)
        return cls(variance, accuracy(outputs, truth), class_accuracy(outputs, truth, outputs.shape[1]))

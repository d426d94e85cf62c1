"""All order parameters of a model at one point."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from spinodal.codec import Record
from spinodal.definitions import TRIVIAL
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batches
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.penalty import Penalty
from spinodal.observe.rank import effective_rank, singular_values, telling
from spinodal.observe.scores import Scores, outputs_apart, scores
from spinodal.shown import Shown

if TYPE_CHECKING:
    from spinodal.tasks.task import Task


READINGS = ("error", "outputs", "accuracy", "no_accuracy", "samples", "rank", "unused")
PARTS = ("train", "held_out")  # of the data: what was minimised over, and what was kept from it


@dataclass(frozen=True, repr=False)
class Observation(Shown, Record):
    """Order parameters at one theta.

    Attributes
    ----------
    norm : float
        `||theta||` over all trainable parameters, penalised or not.
    distance : float
        `||theta - centre||` over the penalised parameters: the square root of the penalty. With another control, half the
        norm of its force `grad C`.
    conjugate : float or None
        `C = dL/dvalue` of another control than the L2 penalty, of which it is the square of `distance`.
    singular_values, ranks : mapping of parameter names to values
        Per weight matrix; `rank` is the smallest of the ranks (0 without matrices), of the matrices that E depends on
        and that have more than one row and column, if there are any.
    accuracy, class_accuracy : mapping of "train" and "held_out" to values, None where they do not apply
    confusion : mapping of "train" and "held_out" to rows
        How many samples of every class were taken for which; None where that does not apply, or there are over 64 classes.
    output_variance : float or None
        Variance of the outputs over the training sample, summed over outputs; None if there are none to be read.
    from_centre : float or None
        Mean square difference of the outputs from those of the model at the centre of the control, where that has one that
        is not the origin.
    custom : mapping of names to the task's own observables
        Of a softened E (see `Softening`) first `AS_GIVEN`, that of the network as given, kinks and all.
    reading : mapping of `READINGS` to sentences
        Which tensor was read as what, and what the rank leaves out; None where it does not apply or could not be read.
    """

    norm: float
    distance: float
    conjugate: float | None = None
    singular_values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    rank: int = 0
    accuracy: Mapping[str, float | None] = field(default_factory=lambda: {"train": None, "held_out": None})
    class_accuracy: Mapping[str, tuple[float | None, ...] | None] = field(
        default_factory=lambda: {"train": None, "held_out": None}
    )
    confusion: Mapping[str, tuple[tuple[int, ...], ...] | None] = field(
        default_factory=lambda: {"train": None, "held_out": None}
    )
    output_variance: float | None = None
    from_centre: float | None = None
    custom: Mapping[str, float] = field(default_factory=dict)
    reading: Mapping[str, str | None] = field(default_factory=lambda: dict.fromkeys(READINGS))

    @property
    def turned(self) -> float:
        """Return `C = dL/dbeta`: the square of `distance` with the L2 penalty."""
        return self.distance**2 if self.conjugate is None else self.conjugate

    @property
    def telling(self) -> str:
        """Return the part of the data that tells which classes live: "held_out" where only that has samples of some."""
        trained, seen = (self.class_accuracy[part] for part in PARTS)
        pairs = zip(trained or (), seen or (), strict=False)
        return "held_out" if any(recall is None and other is not None for recall, other in pairs) else "train"

    @property
    def liveliness(self) -> float | None:
        """Return how far the outputs are from those of the trivial phase; None if there are none to be read.

        That is their variance, or how far they are from those at the centre where the control has one.
        """
        return self.output_variance if self.from_centre is None else self.from_centre

    @property
    def breadth(self) -> float | None:
        """Return what `liveliness` is small against where this is the deepest phase: the variance of the outputs.

        Or how far they are from those at the centre where that is less: a frozen layer may vary by far more than what is
        trained beside it.
        """
        known = [value for value in (self.output_variance, self.from_centre) if value is not None]
        return min(known, default=None)

    def __str__(self) -> str:
        """Return norm, rank and accuracies in one line."""
        known = {part: value for part, value in self.accuracy.items() if value is not None}
        scores = "".join(f", accuracy ({part.replace('_', ' ')}) {value:.4g}" for part, value in known.items())
        return f"norm {self.norm:.5g}, rank {self.rank}{scores}"


AS_GIVEN = "error_as_given"
FEW = 32  # samples that tell whether outputs vary with them


class Observer:
    """Reads order parameters off a landscape at theta, and off a task's predictions where there is one."""

    def __init__(self, landscape: Landscape, control: Control, task: Task | None = None) -> None:
        self.landscape, self.task = landscape, task
        self.control: Turned = control.on(landscape)
        self._parts: dict[str, Batches | None] = {"train": None, "held_out": None}
        if task is not None:
            self._parts["train"] = landscape.batches
            if task.held_out is not None:
                self._parts["held_out"] = landscape.batches_of(task.held_out)

    def __call__(self, theta: Tensor) -> Observation:
        """Return the observation at theta, shape (n,)."""
        matrices = self.landscape.parameters.matrices(theta)
        values = {name: singular_values(matrix) for name, matrix in matrices.items()}
        ranks = {name: effective_rank(value) for name, value in values.items()}
        telling, left_out = self._telling(matrices)
        found = {part: self._scores(theta, batches) for part, batches in self._parts.items()}
        return Observation(
            norm=float(theta.norm()),
            **self._turned(theta),
            singular_values=values,
            ranks=ranks,
            rank=min((ranks[name] for name in telling), default=0),
            accuracy={part: score.accuracy for part, score in found.items()},
            class_accuracy={part: score.classes for part, score in found.items()},
            confusion={part: score.confusion for part, score in found.items()},
            output_variance=found["train"].variance,
            from_centre=self._from_centre(theta),
            custom=self._custom(theta),
            reading=self._reading(found["train"], left_out),
        )

    def _turned(self, theta: Tensor) -> dict[str, Any]:
        """Return what the control is at theta."""
        if isinstance(self.control, Penalty):
            return {"distance": self.control.length(theta)}
        conjugate, force = self.control.conjugate_and_force(theta)
        return {"distance": 0.5 * float(force.norm()), "conjugate": conjugate}

    def _from_centre(self, theta: Tensor) -> float | None:
        centre, batches = self.control.trivial(theta), self._parts["train"]
        if self.task is None or batches is None or centre is None or not self._is_told_by_centre:
            return None
        return outputs_apart(self.landscape, self.task, theta, centre, batches)

    @cached_property
    def _is_told_by_centre(self) -> bool:
        """Tell whether the outputs of the trivial phase are those at the centre, and not any constant ones.

        So it is where the centre is not the origin, and where outputs vary with the samples at the origin as well, as they do
        beside a frozen layer or along a residual connection.
        """
        if self.control.has_centre:
            return True
        theta, few = self.landscape.initial, self.landscape.of_few(FEW).batches
        centre = self.control.trivial(theta)
        if centre is None:
            return False
        here, there = (self._scores(place, few).variance for place in (theta, centre))
        return here is not None and there is not None and there > TRIVIAL * here

    def _telling(self, matrices: Mapping[str, Tensor]) -> tuple[tuple[str, ...], str]:
        return telling({name: matrix.shape for name, matrix in matrices.items()}, self.landscape.idle)

    def _scores(self, theta: Tensor, batches: Batches | None) -> Scores:
        if batches is None or self.task is None:
            return Scores()
        return scores(self.landscape, self.task, theta, batches)

    def _reading(self, train: Scores, left_out: str) -> dict[str, str | None]:
        batches = self.landscape.batches
        return {
            "error": "; ".join(self.landscape.remarks) or None,
            "outputs": train.outputs,
            "accuracy": train.how,
            "no_accuracy": train.why_not,
            "samples": batches.sized_by if batches.count > 1 else None,
            "rank": left_out or None,
            "unused": ", ".join(self.landscape.idle) or None,
        }

    def _custom(self, theta: Tensor) -> dict[str, float]:
        found = {} if self.landscape.sharpness is None else {AS_GIVEN: self.landscape.error_as_given(theta)}
        if self.task is None or not self.task.observables:
            return found
        with self.landscape.at(theta) as model:
            return found | {name: own_value(function, model) for name, function in self.task.observables.items()}


def own_value(function: Callable[[nn.Module], float], model: nn.Module) -> float:
    """Return what an observable of the task's own gives at the lent model, a number or a tensor of one.

    The model is lent with gradients on, so that it computes the function that E is; whoever makes numbers of its tensors
    loses none here, and needs no warning.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True to a scalar")
        value: object = function(model)
    return float(value.detach() if isinstance(value, Tensor) else value)  # type: ignore[arg-type]

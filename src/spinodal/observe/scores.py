"""Outputs and labels of a data set, read from the user's own loss, and the accuracy they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinodal.errors import told
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch, Batches
from spinodal.landscape.consistency import somewhere
from spinodal.landscape.reading.comparison import PROBABILITIES, Choices, Comparison, choices
from spinodal.landscape.reading.record import Record, record
from spinodal.observe.accuracies import confusion_matrix, recalls

if TYPE_CHECKING:
    from spinodal.tasks.task import Task

MANY_CLASSES = 1000  # beyond which nobody reads one recall for each
CONFUSED = 64  # classes beyond which nobody reads which are taken for which


@dataclass(frozen=True)
class Scores:
    """What the outputs say over a data set.

    Attributes
    ----------
    variance : float or None
        Of the outputs over the samples, summed over outputs.
    accuracy : float or None
    classes : tuple of float or None
        The recall of every class.
    confusion : tuple of rows of int, or None
        See `confusion_matrix`; None beyond `CONFUSED` classes.
    outputs : str or None
        What was read as outputs.
    how : str or None
        What was read as prediction and label.
    why_not : str or None
        Why there is no accuracy.
    """

    variance: float | None = None
    accuracy: float | None = None
    classes: tuple[float | None, ...] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    outputs: str | None = None
    how: str | None = None
    why_not: str | None = None


class UnreadError(Exception):
    """Outputs or labels cannot be read; `why` is a clause."""

    def __init__(self, *, why: str) -> None:
        self.why = why
        super().__init__(why)


def scores(landscape: Landscape, task: Task, theta: Tensor, batches: Batches) -> Scores:
    """Return the scores at theta: from what the loss compares, unless the task has `predict` or `labels` of its own."""
    views = []
    for index, batch in enumerate(batches):
        try:
            views.append(_View.of(landscape, task, theta, batch, batches.sizes[index]))
        except UnreadError as cause:
            return Scores(why_not=cause.why)
        except Exception as cause:  # noqa: BLE001 - the user's code; without outputs there are no scores, which is said
            return Scores(why_not=f"outputs could not be read ({told(cause)})")
    variance = _variance([view.outputs for view in views], batches.weights)
    known = views[0].outputs_from if variance is not None else None
    try:
        found = _joined(views)
    except UnreadError as cause:
        return Scores(variance, outputs=known, why_not=cause.why)
    right = (found.chosen == found.right).double()
    by_class = recalls(found.chosen, found.right, found.classes) if found.classes <= MANY_CLASSES else None
    taken = confusion_matrix(found.chosen, found.right, found.classes) if found.classes <= CONFUSED else None
    return Scores(variance, float(right.mean()), by_class, taken, known, found.how)


def outputs_apart(landscape: Landscape, task: Task, theta: Tensor, other: Tensor, batches: Batches) -> float | None:
    """Return the mean square difference of the outputs of two models over a data set, summed over outputs; None without."""
    apart = []
    for index, batch in enumerate(batches):
        try:
            here, there = (_View.of(landscape, task, point, batch, batches.sizes[index]).outputs for point in (theta, other))
        except Exception:  # noqa: BLE001 - the user's code; `scores` says why there are no outputs
            return None
        if not here:
            return None
        apart.append(sum(float((a - b).square().sum(1).mean()) for a, b in zip(here, there, strict=True)))
    return sum(weight * part for weight, part in zip(batches.weights, apart, strict=True))


@dataclass(frozen=True)
class _View:
    """One batch: its outputs as rows, what they are, and its choices or why there are none."""

    outputs: list[Tensor]
    outputs_from: str
    choices: Choices | str

    @classmethod
    def of(cls, landscape: Landscape, task: Task, theta: Tensor, batch: Batch, size: int) -> _View:
        if batch is None and task.predict is None:
            raise UnreadError(why="there are no data")
        seen = Record(theta) if task.predict and task.labels else _seen(landscape, theta, batch)
        chosen: Choices | str
        if task.predict is None:
            outputs, outputs_from = _outputs(seen, size)
            chosen = _read(seen)
        else:
            with landscape.at(theta) as model:
                given = task.predict(model, batch)
            if not isinstance(given, Tensor) or given.dim() == 0:
                raise UnreadError(why="`predict` returns no tensor with one row for each sample")
            given = given.detach()
            outputs, outputs_from = [given.reshape(len(given), -1)], "what `predict` returns"
            chosen = _of_own(given, seen)
        if task.labels is not None:
            chosen = _beside_own(task.labels, batch, chosen, outputs)
        return cls(outputs, outputs_from, chosen)


def _seen(landscape: Landscape, theta: Tensor, batch: Batch) -> Record:
    """Return what the loss shows, with weights of entries that do not depend on theta: the hardest ones are no mask."""
    seen = record(landscape, theta, batch)
    if all(found.counts is None or bool(found.counts.all()) for found in seen.comparisons):
        return seen
    other = record(landscape, somewhere(landscape), batch)
    if len(other.comparisons) != len(seen.comparisons):
        return seen
    pairs = zip(seen.comparisons, other.comparisons, strict=True)
    return replace(seen, comparisons=tuple(one if _same_counts(one, two) else replace(one, weights=None) for one, two in pairs))


def _same_counts(one: Comparison, two: Comparison) -> bool:
    return one.counts is not None and two.counts is not None and _same(one.counts, two.counts)


def _outputs(seen: Record, size: int) -> tuple[list[Tensor], str]:
    """Return the outputs that E depends on as rows: those of the model, or what is compared where it is never called."""
    if seen.outputs:
        names = sorted({name for name, _ in seen.outputs})
        called = f"what the model returns{'' if names == ['0'] else ' as ' + ', '.join(names)}, in the loss"
        return [_rows(value.detach(), size) for _, value in seen.outputs], called
    compared = [found for found in seen.comparisons if found.outputs.dim()]
    given = ", ".join(sorted({found.by for found in compared}))
    return [_rows(found.outputs.detach(), size) for found in compared], f"what is compared in the loss by {given}"


def _rows(value: Tensor, size: int) -> Tensor:
    """Return outputs with one row for each sample where the number of samples tells which axis that is."""
    if len(value) != size and value.dim() > 1 and value.shape[1] == size:
        value = value.movedim(1, 0)
    is_folded = len(value) != size and size > 0 and len(value) % size == 0
    return value.reshape(size if is_folded else len(value), -1)


def _read(seen: Record) -> Choices | str:
    """Return what the loss chooses among classes."""
    found = [(item, choice) for item in seen.comparisons if (choice := choices(item)) is not None]
    firm = [pair for pair in found if not pair[0].compares_numbers] or found
    if not firm:
        by = ", ".join(sorted({item.by for item in seen.comparisons}))
        none = "the loss was not seen to compare outputs with labels"
        return f"the loss compares numbers, or several labels at once, by {by}" if by else none
    if len(firm) > 1:
        return _of_several(firm)
    return firm[0][1]


def _of_several(pairs: Sequence[tuple[Comparison, Choices]]) -> Choices | str:
    """Return the choices of several comparisons as one where they are alike, of labels of their own."""
    sides = [[item.target for item, _ in pairs], [item.outputs.detach() for item, _ in pairs]]
    again = any(_same(first, second) for side in sides for place, first in enumerate(side) for second in side[:place])
    if again or len({(item.by, choice.classes) for item, choice in pairs}) > 1:
        return f"the loss chooses among classes {len(pairs)} times, and nothing tells which one counts"
    return _concatenated([choice for _, choice in pairs], f"{pairs[0][1].how}, {len(pairs)} times in the loss")


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and bool((first == second).all())


def _of_own(given: Tensor, seen: Record) -> Choices | str:
    """Return the predictions of the task itself beside the labels that the loss compares."""
    read = _read(seen)
    if isinstance(read, str):
        return read
    chosen = _predicted(given, seen)
    if chosen is None or len(chosen) != len(read.right):
        return "what `predict` returns does not fit the labels in the loss"
    classes = max(read.classes, given.reshape(len(given), -1).shape[1])
    return Choices(chosen, read.right, classes, f"what `predict` returns against the target in the loss ({read.how})")


def _predicted(given: Tensor, seen: Record) -> Tensor | None:
    """Return the classes that outputs of `predict` stand for: the largest, or on which side of the threshold of the loss."""
    rows = given.detach().reshape(len(given), -1)
    if rows.shape[1] > 1:
        return rows.argmax(1)
    by = [item.by for item in seen.comparisons if choices(item) is not None]
    return (rows[:, 0] > (0.5 if by[0] in PROBABILITIES else 0.0)).long() if by else None


def _beside_own(
    labels: Callable[[Batch], Tensor], batch: Batch, read: Choices | str, outputs: Sequence[Tensor]
) -> Choices | str:
    """Return predictions beside the labels of the task itself."""
    right = as_classes(labels(batch))
    if right is None:
        return "`labels` returns neither whole numbers nor one-hot rows, one for each sample"
    if isinstance(read, Choices) and len(read.chosen) == len(right):
        return Choices(read.chosen, right, read.classes, f"{read.how.split(' against ')[0]} against `labels`")
    fitting = [value for value in outputs if len(value) == len(right) and value.shape[1] > 1]
    if len(fitting) != 1:
        return "no outputs in the loss fit `labels`"
    how = "argmax over axis 1 of the outputs against `labels`"
    return Choices(fitting[0].argmax(1), right, fitting[0].shape[1], how)


def as_classes(labels: object) -> Tensor | None:
    """Return whole numbers, one for each sample, from these or from one-hot rows; None where there is neither."""
    if not isinstance(labels, Tensor):
        return None
    if labels.dim() == 1 and not labels.is_floating_point():
        return labels.long()
    if labels.dim() == 2 and labels.shape[1] > 1 and bool(((labels == 0) | (labels == 1)).all() & (labels.sum(1) == 1).all()):
        return labels.argmax(1)
    return None


def _joined(views: Sequence[_View]) -> Choices:
    """Return the choices of all batches as one."""
    found = [view.choices for view in views]
    for choice in found:
        if isinstance(choice, str):
            raise UnreadError(why=choice)
    joined = [choice for choice in found if isinstance(choice, Choices)]
    if len({choice.classes for choice in joined}) > 1 or len(set().union(*(choice.levels for choice in joined))) > 2:
        raise UnreadError(why="batches differ in their classes")
    whole = _concatenated(joined, max((choice.how for choice in joined), key=len))
    if not len(whole.right):
        raise UnreadError(why="no label counts in the loss")
    if int(whole.right.min()) < 0 or int(whole.right.max()) >= whole.classes:
        raise UnreadError(why="there are labels that are no class of the outputs")
    return whole


def _concatenated(parts: Sequence[Choices], how: str) -> Choices:
    chosen, right = (torch.cat([getattr(part, name) for part in parts]) for name in ("chosen", "right"))
    return Choices(chosen, right, parts[0].classes, how, frozenset().union(*(part.levels for part in parts)))


def _variance(batches: Sequence[Sequence[Tensor]], weights: Sequence[float]) -> float | None:
    """Return the variance over samples, summed over outputs: within batches where their outputs differ in number."""
    widths = {tuple(value.shape[1] for value in outputs) for outputs in batches}
    if () in widths:
        return None
    if len(widths) == 1:
        return sum(_spread(torch.cat(column)) for column in zip(*batches, strict=True))
    pairs = zip(weights, batches, strict=True)
    return sum(weight * sum(map(_spread, outputs)) for weight, outputs in pairs)


def _spread(rows: Tensor) -> float:
    return float(rows.var(0, correction=0).sum())

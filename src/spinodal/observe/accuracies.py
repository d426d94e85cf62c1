"""Accuracy and per-class accuracy of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor


def class_accuracy(outputs: Tensor, labels: Tensor, classes: int) -> tuple[float | None, ...]:
    """Return the recall of every class: the fraction of its samples that are predicted right.

    Parameters
    ----------
    outputs : Tensor, shape (samples, k)
        The predicted class is the argmax.
    labels : Tensor of int, shape (samples,)
    classes : int
        Number of classes; a class without samples gets None.

    Examples
    --------
    >>> scores = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> class_accuracy(scores, torch.tensor([0, 1, 1]), 2)
    (1.0, 0.5)
    """
    return recalls(outputs.argmax(1), labels, classes)


def recalls(chosen: Tensor, right: Tensor, classes: int) -> tuple[float | None, ...]:
    """Return the recall of every class from what was chosen and what is right, both of shape (samples,)."""
    counts = torch.bincount(right, minlength=classes).tolist()
    hits = torch.bincount(right, weights=(chosen == right).double(), minlength=classes).tolist()
    return tuple(hit / count if count else None for hit, count in zip(hits, counts, strict=True))


def confusion_matrix(chosen: Tensor, right: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return how many samples of every class (rows) were taken for which (columns), from integers of shape (samples,).

    Examples
    --------
    >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    ((1, 1), (0, 1))
    """
    counts = torch.bincount(right * classes + chosen, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.view(classes, classes).tolist())


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Return the fraction of samples whose argmax is the label."""
    return float((outputs.argmax(1) == labels).double().mean())

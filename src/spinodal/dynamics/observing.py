"""What is looked at along a trajectory beside E: ranks, margins, accuracies, the error on held-out data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinodal.definitions import RANK, RANK_LEAST
from spinodal.dynamics.gradients import Gradients
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batches
from spinodal.landscape.objective import Regularised
from spinodal.observe.rank import telling
from spinodal.observe.scores import scores
from spinodal.spectrum.margin import dense_margin, lanczos_margin
from spinodal.spectrum.operator import affords_dense

if TYPE_CHECKING:
    from spinodal.tasks.task import Task


class Observing:
    """Looks at k thetas, shape (k, n), of one landscape; every answer has shape (k,), float64, on the CPU.

    Parameters
    ----------
    loss : Regularised
    task : Task or None
        Whose predictions and held-out data are read.
    margins : bool
        Whether margins are computed, each from a Hessian or up to about a hundred products.
    """

    def __init__(self, loss: Regularised, task: Task | None, *, margins: bool) -> None:
        self.loss, self.task, self.margins = loss, task, margins
        self._held_out = _other_data(loss.landscape, task)
        self._held_out_gradients = None if self._held_out is None else Gradients(self._held_out)
        self._slots = telling_slots(loss.landscape)

    def held_out_error(self, thetas: Tensor) -> Tensor | None:
        """Return E over the held-out data, None where there are none."""
        if self._held_out_gradients is None:
            return None
        with self.loss.landscape.uncounted():
            errors, _ = self._held_out_gradients(thetas)
        return errors.double().cpu()

    def rank(self, thetas: Tensor) -> Tensor:
        """Return the effective rank: the smallest over the weight matrices; 0 without matrices."""
        found = [_ranks(thetas[:, start:stop].reshape(len(thetas), rows, -1)) for start, stop, rows in self._slots]
        return torch.stack(found).amin(0).double().cpu() if found else torch.zeros(len(thetas), dtype=torch.float64)

    def margin(self, thetas: Tensor) -> Tensor | None:
        """Return the margins, None where they are not asked for."""
        if not self.margins:
            return None
        return torch.tensor([margin_of(self.loss, theta) for theta in thetas], dtype=torch.float64)

    def accuracy(self, thetas: Tensor, part: str) -> Tensor | None:
        """Return accuracies on "train" or "held_out", None where there is nothing to be right about."""
        landscape = self.loss.landscape if part == "train" else self._held_out
        if landscape is None or self.task is None:
            return None
        found = [_accuracy(landscape, self.task, thetas[0], landscape.batches)]
        if math.isnan(found[0]):
            return None
        found += [_accuracy(landscape, self.task, theta, landscape.batches) for theta in thetas[1:]]
        return torch.tensor(found, dtype=torch.float64)


def margin_of(loss: Regularised, theta: Tensor) -> float:
    """Return the margin of L at theta, shape (n,): from a dense Hessian where that is affordable."""
    if affords_dense(loss.landscape):
        return dense_margin(loss.shifted(loss.landscape.hessian(theta))).value
    return lanczos_margin(loss.hessian_operator(theta), theta).value


def _ranks(matrices: Tensor) -> Tensor:
    """Return the effective ranks of matrices, shape (k, rows, columns)."""
    values = torch.linalg.svdvals(matrices.double())
    floor = (RANK * values.amax(1, keepdim=True)).clamp_min(RANK_LEAST)
    above: Tensor = (values > floor).sum(1)
    return above


def telling_slots(landscape: Landscape) -> list[tuple[int, int, int]]:
    """Return start, stop and rows of the weight matrices whose rank tells anything."""
    shapes = {name: matrix.shape for name, matrix in landscape.parameters.matrices(landscape.initial).items()}
    names, _ = telling(shapes, landscape.idle)
    return [(slot.start, slot.stop, slot.shape[0]) for slot in landscape.parameters.slots if slot.name in names]


def _other_data(landscape: Landscape, task: Task | None) -> Landscape | None:
    """Return the same E over the held-out data of a task; its evaluations are no cost of the training."""
    if task is None or task.held_out is None:
        return None
    return landscape.over_batches(landscape.batches_of(task.held_out))


def _accuracy(landscape: Landscape, task: Task, theta: Tensor, batches: Batches) -> float:
    found = scores(landscape, task, theta, batches).accuracy
    return math.nan if found is None else found

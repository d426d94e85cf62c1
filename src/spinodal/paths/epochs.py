"""Training of a curve by batches: where samples are many, a pass over them is worth many gradients over all of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch
from spinodal.paths.progress import Progress

SAMPLES, LEAST = 64, 8  # of a batch at least, and batches below which gradients over all samples serve better
MOST = 256  # batches of a pass: more samples make batches larger, as more steps would not make the curve better
RATE, REACH = 0.04, 120.0  # of a step at first, and of all steps together if none were shorter: over the root mean square of
# the difference of the ends. Where steps are many, shorter ones go far enough, and batches scatter the curve less.
KEPT = 4  # parts of a training, after each of which but the last its state is kept
MOMENTUM, SQUARES, SMALLEST = 0.9, 0.999, 1e-8  # Adam (Kingma & Ba 2014)
GOLDEN = (5.0**0.5 - 1.0) / 2.0  # places a multiple of it apart, modulo 1, are spread evenly however many they are
BINS, EVENLY, NEWER = (
    16,
    0.2,
    0.2,
)  # of E along the curve; part of the places that is drawn evenly; weight of a new E in its bin

Weights = Callable[[Tensor], Tensor]  # of the control points at places between 0 and 1: (k,) -> (k, c)


class Epochs:
    """Minimises the mean of E along a curve over its inner control points by Adam, one batch and one place of it at a time.

    Batches follow one another in an order that is drawn anew for every pass, from a fixed seed; places are spread evenly, or,
    with `power` > 0, in proportion to `E^power`: a barrier is lowered where E is high. The rate falls to 0 as a cosine, from
    what lets the curve go `REACH` times as far as the ends are apart, `RATE` at most.

    Parameters
    ----------
    landscape : Landscape
        Of batches, see `in_batches`.
    controls : Tensor, shape (c, n)
        The ends first and last, which stay.
    weights : callable
        Of the control points at places between 0 and 1, shape (k,), to shape (k, c).
    power : float
    """

    def __init__(self, landscape: Landscape, controls: Tensor, weights: Weights, power: float) -> None:
        self.landscape, self.controls, self.power = landscape, controls.clone(), power
        self.weights = weights
        self.batches: list[tuple[float, Batch]] = list(landscape.batches.weighted())
        self.apart = float((controls[-1] - controls[0]).square().mean().sqrt())
        self.mean, self.square = torch.zeros_like(controls[1:-1]), torch.zeros_like(controls[1:-1])
        self.scale = torch.zeros_like(controls[0])  # what a step is divided by
        self.along = torch.zeros(BINS, dtype=torch.float64)  # E there, as it was met last
        self.steps = 0

    def run(self, passes: int, progress: Progress | None = None) -> Tensor:
        """Walk so many times through the data, at the cost of a gradient each; return the control points, shape (c, n).

        With `progress` it goes on from the last state that is on record, to the same curve, and puts states there.
        """
        progress, kept = progress or Progress(), sorted({part * passes // KEPT for part in range(1, KEPT)} - {0})
        order, all_steps = torch.Generator().manual_seed(0), passes * len(self.batches)
        highest = min(RATE, REACH / all_steps) * self.apart
        done = self._gone_on(*progress.latest(kept))
        for number in range(1, passes + 1):
            batches = torch.randperm(len(self.batches), generator=order).tolist()
            for batch in batches if number > done else ():
                rate = highest * (1.0 + math.cos(math.pi * self.steps / all_steps)) / 2.0
                self.steps += 1
                self._step(self.batches[batch], rate)
            self.landscape.ledger.charge(gradient_evaluations=1)
            if number > done and number in kept:
                progress.keep(number, {name: value.clone() for name, value in self._state.items()})
        return self.controls

    @property
    def _state(self) -> dict[str, Tensor]:
        return {"controls": self.controls, "mean": self.mean, "square": self.square, "along": self.along}

    def _gone_on(self, passes: int, state: Mapping[str, Tensor]) -> int:
        """Take a state up; return after how many passes it is."""
        for name, value in state.items():
            self._state[name].copy_(value)
        self.steps = passes * len(self.batches)
        return passes

    def _step(self, weighted: tuple[float, Batch], rate: float) -> None:
        place, (weight, batch) = self._place(), weighted
        weights = self.weights(torch.tensor([place], dtype=torch.float64))[0].to(self.controls)
        error, gradient = self._at(torch.mv(self.controls.T, weights), batch)
        self._meet(place, error)
        for number, share in enumerate((weights[1:-1] * weight * len(self.batches)).tolist()):
            self._move(number, share, gradient, rate)

    def _move(self, number: int, share: float, gradient: Tensor, rate: float) -> None:
        """Take the step of one control point, in place: memory for what lies between would cost more than the arithmetic."""
        mean, square = self.mean[number], self.square[number]
        mean.mul_(MOMENTUM).add_(gradient, alpha=(1.0 - MOMENTUM) * share)
        square.mul_(SQUARES).addcmul_(gradient, gradient, value=(1.0 - SQUARES) * share**2)
        torch.sqrt(square, out=self.scale).div_((1.0 - SQUARES**self.steps) ** 0.5).add_(SMALLEST)
        self.controls[number + 1].addcdiv_(mean, self.scale, value=-rate / (1.0 - MOMENTUM**self.steps))

    def _at(self, theta: Tensor, batch: Batch) -> tuple[float, Tensor]:
        with self.landscape.at(theta) as model:
            error = self.landscape.loss(model, batch)
            slope = self.landscape.slope(error)
        return float(error.detach()), torch.zeros_like(theta) if slope is None else slope

    def _place(self) -> float:
        even = (self.steps * GOLDEN) % 1.0
        if self.power == 0.0 or self.steps <= 4 * BINS:
            return even
        high = self.along.clamp_min(0.0) ** self.power + 1e-300
        share = (1.0 - EVENLY) * high / high.sum() + EVENLY / BINS
        ends = share.cumsum(0)
        bin_ = min(int((ends <= even).sum()), BINS - 1)
        inside = (even - float(ends[bin_] - share[bin_])) / float(share[bin_])
        return (bin_ + min(max(inside, 0.0), 1.0)) / BINS

    def _meet(self, place: float, error: float) -> None:
        bin_ = min(int(place * BINS), BINS - 1)
        known = float(self.along[bin_])
        self.along[bin_] = error if known == 0.0 else (1.0 - NEWER) * known + NEWER * error


def in_batches(landscape: Landscape) -> Landscape | None:
    """Return E in batches of `SAMPLES` samples or more, in single precision where that is faster; None where they are few.

    None, too, where E is not a mean over samples.
    """
    landscape = landscape.single or landscape
    pieces = landscape.batches.largest // max(SAMPLES, landscape.batches.total // MOST)
    split = landscape.split(landscape.initial, pieces=pieces) if pieces > 1 else landscape
    return split if split is not None and split.batches.count >= LEAST else None

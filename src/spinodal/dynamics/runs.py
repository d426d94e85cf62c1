"""Runs of training as one computation: epoch by epoch, with what happens on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.definitions import DIVERGED
from spinodal.dynamics.gradients import Gradients
from spinodal.dynamics.method import Method
from spinodal.dynamics.observing import Observing
from spinodal.dynamics.randomness import Noise, order
from spinodal.dynamics.records import Curves
from spinodal.dynamics.schedule import PER_DECADE, SELDOM, logarithmic
from spinodal.dynamics.trajectory import CURVES, SELDOM_CURVES, Trajectory
from spinodal.landscape.objective import Regularised

Arrival = Callable[[Tensor], Tensor]
Progress = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    loss : Regularised
    method : Method
    epochs : int
    levels : tuple of float
        Errors whose first crossings are timed.
    until : callable thetas (k, n) -> (k,), or None
        A run ends where this is 0 or less.
    floor : float
        A run ends where E is this or less; minus infinity for none.
    observing : Observing
    """

    loss: Regularised
    method: Method
    epochs: int
    levels: tuple[float, ...]
    until: Arrival | None
    floor: float
    observing: Observing


class Runs:
    """The runs of a plan; those that have ended are left out of the computation.

    Parameters
    ----------
    plan : Plan
    thetas : Tensor, shape (k, n)
        The starts.
    seeds : tuple of int, k of them
    known : Trajectory, optional
        The beginning of the same runs.
    """

    def __init__(self, plan: Plan, thetas: Tensor, seeds: tuple[int, ...], known: Trajectory | None = None) -> None:
        self.plan, self.seeds, runs = plan, seeds, len(thetas)
        self.landscape = plan.loss.landscape
        self.before = self.landscape.counts.copy()
        self.gradients = Gradients(self.landscape)
        self.curves, self.rare = Curves(runs), Curves(runs)
        self.final, self.rows = thetas.clone(), torch.arange(runs)
        self.ends, self.ended = ["finished"] * runs, [plan.epochs] * runs
        self.levels = torch.tensor([*plan.levels, plan.floor], dtype=torch.float64)  # the last place is that of the arrival
        self.events = torch.full((runs, len(plan.levels) + 1), math.nan, dtype=torch.float64)
        self.last_error = torch.full((runs,), math.nan, dtype=torch.float64)  # of runs that have ended, before they did
        self.latest = self.last_error
        self.epoch, self.limit = 0, torch.full((runs,), math.inf, dtype=torch.float64)
        self.previous: tuple[int, Tensor] | None = None  # when runs were last looked at, and how far from events they were
        self.thetas, self.buffers = thetas.clone(), plan.method.begin(thetas)
        self.spent = Counts()
        if known is not None:
            self._go_on(known)
        self.noise = _noise_of(plan.method, tuple(seeds[row] for row in self.rows.tolist()), thetas)

    def run(self, progress: Progress | None = None, keep: Callable[[Trajectory], None] | None = None) -> Trajectory:
        """Train to the last epoch, or until every run has ended."""
        schedule = set(logarithmic(self.plan.epochs, PER_DECADE))
        seldom = set(logarithmic(self.plan.epochs, SELDOM))
        while len(self.rows):
            is_due = self.epoch in schedule
            errors, gradients = self._evaluated(is_due)
            if is_due and len(self.rows):
                self._record(errors, self.epoch in seldom)
                _tell(progress, self.epoch, errors)
                if keep is not None:
                    keep(self.trajectory())
            if self.epoch >= self.plan.epochs:
                break
            self._step(gradients)
            self.epoch += 1
        return self.trajectory()

    def trajectory(self) -> Trajectory:
        """Return what there is so far."""
        plan = self.plan
        theta = self.final.clone()
        theta[self.rows] = self.thetas
        curves: dict[str, Any] = {name: self.curves.of(name) for name in CURVES}
        curves |= {name: self.rare.of(name) for name in SELDOM_CURVES}
        running = set(self.rows.tolist())
        ended = tuple(self.epoch if run in running else epoch for run, epoch in enumerate(self.ended))
        return Trajectory(
            beta=plan.loss.beta, method=plan.method, seeds=self.seeds, epochs=tuple(self.curves.epochs),
            seldom=tuple(self.rare.epochs), levels=plan.levels, crossings=self.events[:, :-1].clone(),
            arrivals=self.events[:, -1].clone(), ends=tuple(self.ends), ended=ended, theta=theta, state=self._state(),
            spent=self.spent + (self.landscape.counts - self.before), **curves,
        )  # fmt: skip

    # -- one epoch ----------------------------------------------------------------------------

    def _evaluated(self, is_due: bool) -> tuple[Tensor, Tensor]:
        """Return E and its gradient over all samples of the runs that go on; mini-batches need them when recorded only."""
        if self.plan.method.name == "sgd" and not is_due:
            return self.limit, self.thetas
        errors, gradients = self.gradients(self.thetas)
        kept = self._look(errors.double().cpu())
        return (errors, gradients) if kept is None else (errors[kept], gradients[kept])

    def _step(self, gradients: Tensor) -> None:
        """Take the steps of one epoch."""
        method = self.plan.method
        if method.batch_size is not None:
            self._walk_samples(method.batch_size)
            return
        method.move(self.thetas, gradients + self._pull(), self.buffers, self.epoch)
        if self.noise is not None:
            self.thetas.add_(self.noise.at(self.epoch), alpha=method.noise)

    def _walk_samples(self, size: int) -> None:
        seeds, samples = [self.seeds[row] for row in self.rows.tolist()], self.gradients.samples
        steps = -(-samples // size)
        for number, chosen in enumerate(torch.split(order(seeds, self.epoch, samples), size, dim=1)):
            _, gradients = self.gradients.of_samples(self.thetas, chosen)
            self.plan.method.move(self.thetas, gradients + self._pull(), self.buffers, self.epoch * steps + number)
        self.landscape.ledger.charge(gradient_evaluations=len(self.thetas))

    def _record(self, errors: Tensor, is_seldom: bool) -> None:
        """Write down what the runs that go on are like."""
        watch, thetas = self.plan.observing, self.thetas
        norms = self.plan.loss.control.conjugates_and_forces(thetas)[0]
        row = {"error": errors, "loss": errors + self.plan.loss.beta * norms, "norm": thetas.norm(dim=1)}
        self.curves.add(self.epoch, {**row, "held_out_error": watch.held_out_error(thetas)}, self.rows)
        if is_seldom:
            accuracies = watch.accuracy(thetas, "train"), watch.accuracy(thetas, "held_out")
            rare = {"rank": watch.rank(thetas), "margin": watch.margin(thetas)}
            self.rare.add(self.epoch, {**rare, "accuracy": accuracies[0], "held_out_accuracy": accuracies[1]}, self.rows)

    def _pull(self) -> Tensor:
        return self.plan.loss.beta * self.plan.loss.control.conjugates_and_forces(self.thetas)[1]

    # -- events -------------------------------------------------------------------------------

    def _look(self, errors: Tensor) -> Tensor | None:
        """Time what happened since the last look; return which runs go on, None where all do."""
        if self.epoch == 0:
            self.limit = DIVERGED * (errors.abs() + 1.0)
        sound, distances = errors <= self.limit, self._distances(errors)  # NaN is not sound
        self.previous, before = (self.epoch, distances), self.previous
        self.latest, last = errors, self.latest
        if bool(sound.all()) and not bool((distances <= 0.0).any()):
            return None
        happened = (distances <= 0.0) & self.events[self.rows].isnan() & sound[:, None]
        if bool(happened.any()):
            self._time(happened, distances, before)
        going_on = sound & ~happened[:, -1]
        if bool(going_on.all()):
            return None
        self.last_error[self.rows] = torch.where(sound, errors, last)
        self._end(going_on, sound)
        return going_on.to(self.thetas.device)

    def _distances(self, errors: Tensor) -> Tensor:
        """Return how far every run is from each level and from its arrival, shape (k, levels + 1)."""
        distances = errors[:, None] - self.levels
        if self.plan.until is not None:
            distances[:, -1] = self.plan.until(self.thetas).detach().double().cpu()
        return distances

    def _time(self, happened: Tensor, distances: Tensor, before: tuple[int, Tensor] | None) -> None:
        """Record epochs, interpolated between the last look, where the distance was positive, and this one."""
        times = torch.full(happened.shape, float(self.epoch), dtype=torch.float64)
        if before is not None:
            since, then = before
            share = then / (then - distances)
            times = torch.where(then > 0.0, since + (self.epoch - since) * share, times)
        self.events[self.rows] = torch.where(happened, times, self.events[self.rows])

    def _end(self, going_on: Tensor, sound: Tensor) -> None:
        """Leave the runs that do not go on where they are."""
        for place in torch.nonzero(~going_on)[:, 0].tolist():
            run = int(self.rows[place])
            self.ends[run], self.ended[run] = "arrived" if bool(sound[place]) else "diverged", self.epoch
        self._select(going_on)

    def _select(self, kept: Tensor) -> None:
        """Go on with some of the runs, given as a mask."""
        self.final[self.rows] = self.thetas
        here = kept.to(self.thetas.device)
        self.rows, self.thetas = self.rows[kept], self.thetas[here]
        self.limit, self.latest = self.limit[kept], self.latest[kept]
        self.buffers = {name: value[here] for name, value in self.buffers.items()}
        if self.previous is not None:
            self.previous = self.previous[0], self.previous[1][kept]
        if self.noise is not None:
            self.noise.keep(kept)

    # -- going on -----------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        """Return what another process needs to go on, all of it of shape (k, ...); runs that ended have zeros."""
        since, distances = self.previous or (-1, self.events[self.rows])
        state = {
            "epoch": torch.full((len(self.seeds),), self.epoch),
            "since": torch.full((len(self.seeds),), since),
            "distances": self._spread(distances),
            "limit": self._spread(self.limit),
            "last_error": self.last_error.index_put((self.rows,), self.latest),
        }
        return state | {f"buffer.{name}": self._spread(value) for name, value in self.buffers.items()}

    def _spread(self, values: Tensor) -> Tensor:
        full = values.new_zeros(len(self.seeds), *values.shape[1:])
        full[self.rows] = values
        return full

    def _go_on(self, known: Trajectory) -> None:
        """Take up the runs where they were left."""
        state = known.state
        self.epoch, since = int(state["epoch"][0]), int(state["since"][0])
        self.ends, self.spent = list(known.ends), known.spent
        self.ended = [
            epoch if end != "finished" else self.plan.epochs for end, epoch in zip(known.ends, known.ended, strict=True)
        ]
        self.events = torch.cat([known.crossings, known.arrivals[:, None]], 1)
        self.last_error, self.final = state["last_error"].clone(), known.theta.to(self.thetas).clone()
        self.rows = torch.tensor([run for run, end in enumerate(known.ends) if end == "finished"], dtype=torch.long)
        self.thetas, self.limit = self.final[self.rows], state["limit"][self.rows]
        self.latest = self.last_error[self.rows]
        self.buffers = {name: state[f"buffer.{name}"][self.rows].to(self.thetas) for name in self.buffers}
        self.previous = None if since < 0 else (since, state["distances"][self.rows])
        if since == self.epoch:  # what was evaluated there is evaluated again
            self.spent = self.spent - Counts(gradient_evaluations=len(self.rows))
        self.curves.take(known.epochs, {name: getattr(known, name) for name in CURVES}, until=self.epoch)
        self.rare.take(known.seldom, {name: getattr(known, name) for name in SELDOM_CURVES}, until=self.epoch)


def _noise_of(method: Method, seeds: tuple[int, ...], like: Tensor) -> Noise | None:
    return Noise(seeds, like.shape[1], like) if method.temperature is not None else None


def _tell(progress: Progress | None, epoch: int, errors: Tensor) -> None:
    if progress is not None:
        progress(epoch, errors)

"""The experiment of grokking as hysteresis: training at a very small beta from phases prepared at a larger one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spinodal.arguments import positive_number, seed_number, whole_number
from spinodal.codec import plain
from spinodal.conventions import CONVENTION
from spinodal.definitions import ARRIVED_AT_LEVEL, PREPARED
from spinodal.dynamics.flow import gradient_flow
from spinodal.dynamics.plateaus import escapes, plateaus
from spinodal.dynamics.residual import amplitudes, until_residual, waiting_times
from spinodal.dynamics.training import train
from spinodal.dynamics.trajectory import Trajectory
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.phases.phase import Phase
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.spectrum.operator import strength
from spinodal.tasks.task import Task

SPREAD = (4.0, 2.0, 1.0, 0.5)  # times the amplitude: the preparations that are compared
RANDOM = "random"
PREPARING = 20_000  # epochs that a preparation may take
AFTER = 1.3  # times the longest predicted waiting time that is trained for, unless that is given
MOST_EPOCHS, LEAST_EPOCHS = 60_000, 2_000
TRIES = 4  # sizes of the random part of a preparation, each half of the one before
Keep = Callable[[str, Callable[[], tuple[dict[str, Any], dict[str, Tensor]]]], tuple[dict[str, Any], dict[str, Tensor]]]


@dataclass(frozen=True)
class GrokOptions:
    """How to make the experiment.

    Attributes
    ----------
    beta : float
        Of the training.
    learning_rate : float
    epochs : int or None
        None: as many as the predictions say, at most `MOST_EPOCHS`.
    amplitude : float
        What the preparation leaves of the dead modes: the geometric mean over the weight matrices of the singular value after
        the rank of the phase. It alone sets the waiting time.
    scale : float
        Of the random initialisation that the preparations add to their phase.
    seed : int
    phase : int or None
        The only phase to start from. None: the trivial one and the one in the middle.
    """

    beta: float = 1e-5
    learning_rate: float = 0.05
    epochs: int | None = None
    amplitude: float = 1e-2
    scale: float = 1.0
    seed: int = 0
    phase: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range, before anything is mapped or trained."""
        strength(self.beta)
        positive_number("learning_rate", self.learning_rate, do="try 0.05")
        positive_number("amplitude", self.amplitude, do="try 0.01: dead modes of amplitude 0 never grow")
        positive_number("scale", self.scale, do="try 1: without a random part the dead modes stay dead")
        seed_number(self.seed)
        if self.epochs is not None:
            whole_number("epochs", self.epochs, least=1, do="give how long to train at most")


@dataclass(frozen=True)
class Start:
    """One start of the experiment, and what was predicted and measured of it.

    Attributes
    ----------
    name : str
        "random", or that of the phase.
    phase : int or None
    beta : float or None
        At which it was prepared.
    amplitude : float or None
        That was asked for.
    modes : tuple of float
        Amplitudes of the modes at the start (see `amplitudes`).
    prepared : float or None
        Epochs of the preparation.
    by_flow, by_integral : float or None
        Predicted epochs until E is at the threshold: by gradient flow from this start; by the escape integral, for the slowest
        mode, where the singular values of the task are known.
    measured : float or None
        None where it was not reached.
    """

    name: str
    phase: int | None
    beta: float | None
    amplitude: float | None
    modes: tuple[float, ...]
    prepared: float | None
    by_flow: float | None
    by_integral: float | None
    measured: float | None


@dataclass(frozen=True, eq=False)
class Grokking:
    """The result: starts, levels and curves.

    Attributes
    ----------
    task : mapping
    options : GrokOptions
    levels : tuple of (phase, E)
        Of the phases at the beta of the training, the lowest first.
    threshold : float
        E below which a run is in the best phase: halfway, on a logarithmic scale, between the two lowest levels.
    starts : tuple of Start
    history : Trajectory
        One run for each start.
    """

    task: Mapping[str, Any]
    options: GrokOptions
    levels: tuple[tuple[int, float], ...]
    threshold: float
    starts: tuple[Start, ...]
    history: Trajectory

    @property
    def main(self) -> tuple[int, ...]:
        """Return the runs of the three-start experiment: the random one, and each phase at the amplitude that was asked for."""
        return tuple(i for i, it in enumerate(self.starts) if it.amplitude in (None, self.options.amplitude))

    def answer(self) -> str:
        """Return what was found in a few sentences."""
        parts = []
        for run in self.main:
            it = self.starts[run]
            when = (
                f"after {it.measured:,.0f} epochs"
                if it.measured is not None
                else f"not within {self.history.ended[run]:,} epochs"
            )
            said = f" (predicted {it.by_flow:,.0f})" if it.by_flow is not None and it.amplitude is not None else ""
            parts.append(f"from the {it.name} start {when}{said}")
        lowest = self.levels[0][1]
        return f"E reaches the level of the best phase, {lowest:.4g}: {'; '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types."""
        epochs = self.history.epochs
        rests = []
        for row in self.history.error:
            pairs = [(epoch, value) for epoch, value in zip(epochs, row.tolist(), strict=True) if not math.isnan(value)]
            times, values = [epoch for epoch, _ in pairs], [value for _, value in pairs]
            flat = plateaus(times, values)
            rests.append(plain({"plateaus": flat, "escapes": escapes(times, values, flat)}))
        return {
            "task": dict(self.task),
            "convention": CONVENTION,
            "options": plain(self.options),
            "levels": [{"phase": phase, "error": error} for phase, error in self.levels],
            "threshold": self.threshold,
            "starts": [{**plain(start), **rest} for start, rest in zip(self.starts, rests, strict=True)],
            "answer": self.answer(),
            "trajectory": self.history.to_dict(),
        }


def grok(
    task: Task,
    landscape: Landscape,
    diagram: PhaseDiagram,
    options: GrokOptions,
    *,
    keep: Keep | None = None,
    tell: Callable[[str], None] = lambda what: None,
    progress: Callable[[int, Tensor], None] | None = None,
    snapshot: Callable[[Trajectory], None] | None = None,
    known: Trajectory | None = None,
) -> Grokking:
    """Train from a random start and from prepared phases, predict the waiting times before, and measure them.

    Parameters
    ----------
    task, landscape : of the map
    diagram : PhaseDiagram
    options : GrokOptions
    keep : callable (key, make) -> record and tensors, optional
        Returns what is recorded under a key, or makes and records it. Default: makes it.
    tell : callable str -> None, optional
        Told what is being done.
    progress, snapshot, known
        `progress`, `keep` and `resume` of `train`.
    """
    keep = keep or (lambda key, make: make())
    loss = Regularised(landscape, options.beta)
    _refuse_beta(diagram, options)
    prepared = [_prepared(task, landscape, phase, options, keep, tell) for phase in _phases(diagram, options)]
    lowest = diagram.phases[0]
    thetas = torch.cat([landscape.vector(task.initial(options.seed))[None], *(theta for _, theta, _ in prepared)])
    tell("following the gradient flow of every start")
    record, _ = keep("levels and predictions", lambda: (_predicted(loss, thetas, prepared, lowest, options), {}))
    levels = tuple((int(phase), float(error)) for phase, error in record["levels"])
    threshold, flows = float(record["threshold"]), record["by_flow"]
    epochs = options.epochs or _epochs(flows)
    tell(f"training from {len(thetas)} starts for up to {epochs:,} epochs")
    history = train(
        landscape, thetas, beta=options.beta, learning_rate=options.learning_rate, epochs=epochs, levels=(threshold,),
        floor=ARRIVED_AT_LEVEL * levels[0][1], task=task, resume=known, progress=progress, keep=snapshot,
    )  # fmt: skip
    _refuse_divergence(history)
    starts = _starts(task, landscape, thetas, prepared, flows, history, options)
    return Grokking({"name": task.name, **task.settings}, options, levels, threshold, starts, history)


def _phases(diagram: PhaseDiagram, options: GrokOptions) -> list[Phase]:
    """Return the phases to start from: the one in the middle and the last one, or the one that was asked for."""
    phases = diagram.phases
    if options.phase is not None:
        if not 0 <= options.phase < len(phases):
            raise SpinodalError(
                got=f"phase {options.phase}", allowed=f"phases 0 to {len(phases) - 1} of this map are allowed", do="choose one"
            )
        if options.phase == 0 and len(phases) > 1:
            raise SpinodalError(
                got="phase 0, the best one", allowed=f"phases 1 to {len(phases) - 1} of this map can wait", do="choose one"
            )
    if len(phases) < 2:
        raise SpinodalError(
            got="a map with one phase",
            allowed="a phase to start from and a better one are needed",
            do="map a wider range of beta",
        )
    if options.phase is not None:
        return [phases[options.phase]]
    middle = phases[len(phases) // 2]
    return [phases[-1]] if middle is phases[-1] else [middle, phases[-1]]


def _refuse_beta(diagram: PhaseDiagram, options: GrokOptions) -> None:
    """Refuse a beta of the training at which there is no best phase to be found."""
    best = diagram.phases[0]
    if options.beta >= best.beta[1]:
        raise SpinodalError(
            got=f"beta = {options.beta:g}, at which phase {best.id}, the best one, does not exist",
            allowed=f"a beta below its end, {best.beta[1]:.4g}, is allowed",
            do="train at a smaller one",
        )


def _prepared(
    task: Task, landscape: Landscape, phase: Phase, options: GrokOptions, keep: Keep, tell: Callable[[str], None]
) -> tuple[Phase, Tensor, list[float]]:
    """Return a phase, its starts, one for each amplitude, and the epochs that their preparation took."""
    tell(f"preparing phase {phase.id}")
    record, tensors = keep(f"preparation of phase {phase.id}", lambda: _prepare(task, landscape, phase, options))
    return phase, tensors["theta"], record["epochs"]


def _prepare(task: Task, landscape: Landscape, phase: Phase, options: GrokOptions) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Train at a beta inside the phase until its dead modes have each of the amplitudes, from the largest down."""
    point = phase.points[len(phase.points) // 2]
    noise = landscape.vector(task.initial(options.seed)) * options.scale
    for attempt in range(TRIES):
        theta, epochs, total = point.minimum.theta + noise * 0.5**attempt, [], 0.0
        rows = []
        for factor in SPREAD:
            history = train(
                landscape, theta, beta=point.beta, learning_rate=options.learning_rate, epochs=PREPARING,
                until=until_residual(landscape, phase.rank, factor * options.amplitude),
            )  # fmt: skip
            _refuse_divergence(history)
            theta, total = history.theta[0], total + history.ended[0]
            rows.append(theta)
            epochs.append(total)
        error = landscape.value(theta)
        if abs(error - point.error) <= PREPARED * abs(point.error) and history.ends[0] == "arrived":
            return {"beta": point.beta, "epochs": epochs}, {"theta": torch.stack(rows)}
    raise SpinodalError(
        got=f"phase {phase.id} could not be prepared: E settles at {error:.4g} instead of {point.error:.4g}",
        allowed="a phase that training at its own beta keeps is allowed",
        do="lower --scale, or start from another phase",
    )


def _predicted(
    loss: Regularised,
    thetas: Tensor,
    prepared: Sequence[tuple[Phase, Tensor, list[float]]],
    lowest: Phase,
    options: GrokOptions,
) -> dict[str, Any]:
    """Return the levels of the phases, the threshold, and what gradient flow says of every start."""
    deep = gradient_flow(loss, lowest.points[0].minimum.theta, horizon=LEAST_EPOCHS * options.learning_rate)
    flows = [gradient_flow(loss, theta, until=ARRIVED_AT_LEVEL * deep.errors[-1]) for theta in thetas]
    last = [len(SPREAD) * (place + 1) for place in range(len(prepared))]
    levels = [(lowest.id, deep.errors[-1])]
    levels += [(phase.id, flows[row].plateau()) for (phase, _, _), row in zip(prepared, last, strict=True)]
    levels.sort(key=lambda item: item[1])
    threshold = math.sqrt(levels[0][1] * levels[1][1])
    times = [flow.when(threshold) / options.learning_rate for flow in flows]
    return {"levels": levels, "threshold": threshold, "by_flow": plain(times)}


def _epochs(flows: Sequence[float | None]) -> int:
    longest = max((time for time in flows if time is not None), default=MOST_EPOCHS)
    return int(min(max(AFTER * longest, LEAST_EPOCHS), MOST_EPOCHS))


def _starts(
    task: Task,
    landscape: Landscape,
    thetas: Tensor,
    prepared: Sequence[tuple[Phase, Tensor, list[float]]],
    flows: Sequence[float | None],
    history: Trajectory,
    options: GrokOptions,
) -> tuple[Start, ...]:
    """Put together what was asked, predicted and measured of every start."""
    found = amplitudes(landscape, thetas).tolist()
    crossed = plain(history.crossings[:, 0])
    starts = [Start(RANDOM, None, None, None, tuple(found[0]), None, flows[0], None, crossed[0])]
    for phase, _, epochs in prepared:
        beta = phase.points[len(phase.points) // 2].beta
        for factor, took in zip(SPREAD, epochs, strict=True):
            row = len(starts)
            name = "trivial" if phase.rank == 0 else "intermediate"
            integral = _by_integral(task, found[row], options)
            starts.append(
                Start(
                    name,
                    phase.id,
                    beta,
                    factor * options.amplitude,
                    tuple(found[row]),
                    took,
                    flows[row],
                    integral,
                    crossed[row],
                )
            )
    return tuple(starts)


def _by_integral(task: Task, found: Sequence[float], options: GrokOptions) -> float | None:
    """Return the epochs that the escape integral says of the slowest mode, None where the modes are not known."""
    known, hidden = task.settings.get("singular_values"), task.settings.get("hidden")
    if known is None or hidden is None:
        return None
    strengths = sorted(map(float, known), reverse=True)
    times = waiting_times(list(found), strengths, beta=options.beta, matrices=len(hidden) + 1)
    longest = max(times, default=math.inf)
    return longest / options.learning_rate if math.isfinite(longest) else None


def _refuse_divergence(history: Trajectory) -> None:
    if history.divergence:
        raise SpinodalError(
            got=history.divergence, allowed="a learning rate at which descent is stable is needed", do="lower --learning-rate"
        )

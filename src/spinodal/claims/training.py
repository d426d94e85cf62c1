"""Claims about training: grokking, being stuck, and what noise does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

import torch

from spinodal.branches.follow import continue_branch
from spinodal.claims.claim import Claim, Measured, verdict
from spinodal.claims.workshop import Workshop, chain_task, tanh_task
from spinodal.dynamics.grokking import GrokOptions, grok
from spinodal.dynamics.training import train
from spinodal.landscape import Landscape
from spinodal.minima.minimise import minimise
from spinodal.tasks.gaussian import gaussian

STARTS = 24  # random starts of each network
BATCH, SGD_EPOCHS = 4, 400
RUNS = 16  # under noise, at each temperature
STUCK_AT, SMALL = 0.05, 0.5  # beta, and times the usual initialisation
WORSE = 1.05  # times the lowest E, from which on a run is stuck
HEIGHTS = (2.0, 3.0, 4.0)  # barriers over temperatures
MOST = 50_000  # epochs
TRAPPED, DEEPER_AT = (3, 4), 4.0  # matrices of the chains, and the highest of their barriers over the temperature of all
NEARLY = 0.7  # of the way from the saddle to the deeper phase, in E, at which a run has escaped
ESCAPE_AT = 0.5  # of the beta of the spinodal, where escapes are timed
GROKS_AT = 1e-3


def grokking(shop: Workshop) -> Measured:
    """Measure when training finds the best phase from a trivial, an intermediate and a random start, beside the prediction."""
    task = tanh_task()
    diagram = shop.curved()
    found = grok(task, task.landscape(), diagram, GrokOptions(beta=GROKS_AT, amplitude=0.05, learning_rate=0.1))
    known = [(start.name, start.by_flow, start.measured) for start in (found.starts[run] for run in found.main)]
    named = "; ".join(
        f"{name} start: {'never' if measured is None else f'{measured:,.0f}'} epochs"
        + (f" ({flow:,.0f} foretold by gradient flow)" if flow is not None else "")
        for name, flow, measured in known
    )
    off = [abs(measured / flow - 1.0) for _, flow, measured in known if flow and measured]
    late = [measured for name, _, measured in known if name != "random" and measured]
    early = [measured for name, _, measured in known if name == "random" and measured]
    holds = bool(late and early) and min(late) > max(early)
    return Measured(f"{named}.", verdict(holds and max(off, default=1.0) < 0.3, partly=holds), {"epochs": known, "off": off})


def stuck(shop: Workshop) -> Measured:
    """Measure how often random starts end in a phase that is not the best, against depth and number of modes."""
    cases = [(2, 2), (3, 1), (3, 2), (3, 3), (4, 2)]
    found = {f"{depth - 1} hidden, {modes} modes": _stuck(depth, modes) for depth, modes in cases}
    named = "; ".join(f"{name}: {share:.0%}" for name, share in found.items())
    text = f"Of {STARTS} random starts at beta = {STUCK_AT:g} are stuck: {named}."
    by_depth = [found[f"{depth - 1} hidden, 2 modes"] for depth in (2, 3, 4)]
    by_modes = [found[f"2 hidden, {modes} modes"] for modes in (1, 2, 3)]
    deeper, more = by_depth == sorted(by_depth), by_modes == sorted(by_modes)
    grows = deeper and more and max(by_depth + by_modes) > 0
    return Measured(text, verdict(grows, partly=deeper or more), found)


def _stuck(matrices: int, modes: int) -> float:
    """Return the share of random starts that end above the lowest E."""
    values = (0.9, 0.6, 0.35)[:modes]
    task = gaussian(
        activation="linear", hidden=(4,) * (matrices - 1), inputs=3, outputs=3, singular_values=values, bias=False, samples=40
    )
    landscape, beta = task.landscape(), STUCK_AT
    best = min((minimise(landscape, beta=beta, start=3.0 * task.initial(seed=seed)) for seed in range(3)), key=lambda m: m.loss)
    starts = torch.stack([SMALL * task.initial(seed=seed) for seed in range(STARTS)])
    run = train(landscape, starts, beta=beta, learning_rate=0.1, epochs=3000, floor=WORSE * best.error)
    return float(run.arrivals.isnan().double().mean())


def noise(shop: Workshop) -> Measured:
    """Measure escapes from the trivial phase under Langevin noise and under mini-batches, upwards to the deeper phase."""
    trap = Trap.of(TRAPPED[0], beta=None)
    traps = {depth - 1: Trap.of(depth, beta=trap.beta) for depth in TRAPPED}
    warm = max(item.barrier for item in traps.values()) / DEEPER_AT
    times = {height: trap.escape(trap.barrier / height) for height in HEIGHTS}
    depths = {hidden: item.escape(warm) for hidden, item in traps.items()}
    rose = _risen()
    named = ", ".join(f"{time:,.0f} at barrier/temperature = {height:g}" for height, time in times.items())
    deeper = ", ".join(f"{time:,.0f} with {hidden}" for hidden, time in depths.items())
    text = (
        f"From the trivial phase of a chain with {TRAPPED[0] - 1} hidden layers Langevin noise leads up: {named} (geometric "
        f"mean epochs of {RUNS} runs); by hidden layers, at one beta and temperature: {deeper}. Under mini-batches of {BATCH}, "
        f"{rose} of {RUNS} runs rise in {SGD_EPOCHS} epochs: near the origin their noise vanishes."
    )
    longer = all(list(found.values()) == sorted(found.values()) for found in (times, depths))
    return Measured(text, verdict(longer and rose > 0, partly=longer), {"epochs": times, "depths": depths, "sgd": rose})


@dataclass(frozen=True)
class Trap:
    """The trivial phase of a chain of single linear units where a deeper phase exists.

    Attributes
    ----------
    landscape : Landscape
    beta : float
    barrier : float
        Of L, to the saddle between the two.
    floor : float
        E below which a run has escaped.
    """

    landscape: Landscape
    beta: float
    barrier: float
    floor: float

    @classmethod
    def of(cls, matrices: int, beta: float | None) -> Trap:
        """Return it at a beta, or at a part, `ESCAPE_AT`, of the one where the deeper phase ends."""
        task = chain_task(matrices)
        landscape, start = task.landscape(), 3.0 * task.initial(seed=0).abs()
        branch = continue_branch(landscape, minimise(landscape, beta=0.01, start=start), to=1.0)
        wanted = ESCAPE_AT * branch.spinodals[0].point.beta if beta is None else beta
        saddle = min((point for point in branch.points if point.index >= 1), key=lambda point: abs(point.beta / wanted - 1.0))
        deep = minimise(landscape, beta=saddle.beta, start=start)
        barrier = saddle.loss - float(landscape.value(torch.zeros_like(start)))
        return cls(landscape, saddle.beta, barrier, NEARLY * deep.error + (1.0 - NEARLY) * saddle.error)

    def escape(self, temperature: float) -> float:
        """Return the geometric mean of the epochs until a run has left."""
        run = train(
            self.landscape, torch.zeros(self.landscape.size, dtype=self.landscape.dtype), beta=self.beta, learning_rate=0.1,
            epochs=MOST, method="langevin", temperature=temperature, seeds=tuple(range(RUNS)), floor=self.floor,
        )  # fmt: skip
        return math.exp(fmean(math.log(MOST if math.isnan(time) else max(time, 1.0)) for time in run.arrivals.tolist()))


def _risen() -> int:
    """Return how many runs under mini-batches leave the neighbourhood of the origin."""
    task = gaussian(
        activation="linear", hidden=(1, 1), inputs=1, outputs=1, singular_values=(0.5,), bias=False, samples=40, noise=1.0
    )
    landscape, start = task.landscape(), task.initial(seed=0)
    empty = float(landscape.value(0.0 * start))
    run = train(
        landscape, 1e-3 * start, beta=0.01, learning_rate=0.05, epochs=SGD_EPOCHS, method="sgd", batch_size=BATCH,
        seeds=tuple(range(RUNS)), floor=empty - 0.1,
    )  # fmt: skip
    return int((~run.arrivals.isnan()).sum())


TRAINING = (
    Claim(13, "Training at a small beta groks from trivial, intermediate and random starts (figure 3).", "A",
          "spinodal grok gaussian", grokking),
    Claim(14, "Grokking is hysteresis; being stuck is the likelier the more complex the data, from random starts too.", "A",
          "spinodal claims --only 14", stuck),
    Claim(22, "Noise lets a trapped net of low rank escape upwards; ln(time) goes as the barrier over the learning rate, and "
          "time grows with depth.", "C W", "spinodal claims --only 22", noise),
)  # fmt: skip

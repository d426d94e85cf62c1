"""Claims about training: grokking, being stuck, and what noise does."""

from __future__ import annotations

import math
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
RUNS = 32  # under noise, at each temperature
STUCK_AT, SMALL = 0.05, 0.5  # beta, and times the usual initialisation
WORSE = 1.05  # times the lowest E, from which on a run is stuck
HEIGHTS = (2.0, 3.0, 4.0)  # barriers over temperatures
MOST = 50_000  # epochs
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
    slopes, levels = {}, {}
    for matrices in (3, 4):
        landscape = chain_task(matrices).landscape()
        slopes[matrices], levels[matrices] = _escapes(landscape, chain_task(matrices).initial(seed=0))
    noisy = gaussian(
        activation="linear", hidden=(1, 1), inputs=1, outputs=1, singular_values=(0.5,), bias=False, samples=40, noise=1.0
    )
    batches = train(
        noisy.landscape(), 1e-3 * noisy.initial(seed=0), beta=0.01, learning_rate=0.05, epochs=400, method="sgd", batch_size=4,
        seeds=RUNS, floor=0.5 * float(noisy.landscape().value(0.0 * noisy.initial(seed=0))),
    )  # fmt: skip
    rose = int((~batches.arrivals.isnan()).sum())
    text = (
        "Langevin noise from the trivial phase: the slope of ln(mean epochs) against 1/temperature is "
        + " and ".join(f"{slope:.2f} times the barrier with {n - 1} hidden layers" for n, slope in slopes.items())
        + f"; at temperature = barrier/{HEIGHTS[-1]:g} it takes {' and '.join(f'{level:,.0f}' for level in levels.values())} "
        f"epochs. Under mini-batches of 4, {rose} of {RUNS} runs rise: near the origin their noise vanishes."
    )
    law = all(abs(slope - 1.0) < 0.35 for slope in slopes.values())
    deeper = levels[4] > levels[3]
    return Measured(
        text, verdict(law and deeper and rose > 0, partly=law or deeper), {"slopes": slopes, "epochs": levels, "sgd": rose}
    )


def _escapes(landscape: Landscape, start: torch.Tensor) -> tuple[float, float]:
    """Return the slope of ln(mean escape time) against barrier/temperature, and the time at the lowest temperature."""
    deep = minimise(landscape, beta=0.01, start=3.0 * start.abs())
    branch = continue_branch(landscape, deep, to=1.0)
    fold = branch.spinodals[0]
    beta = ESCAPE_AT * fold.point.beta
    saddle = min((point for point in branch.points if point.index >= 1), key=lambda point: abs(point.beta / beta - 1.0))
    stable = minimise(landscape, beta=saddle.beta, start=3.0 * start.abs())
    empty = float(landscape.value(torch.zeros_like(start)))
    barrier = saddle.loss - empty
    times = []
    for height in HEIGHTS:
        run = train(
            landscape, torch.zeros_like(start), beta=saddle.beta, learning_rate=0.1, epochs=MOST, method="langevin",
            temperature=barrier / height, seeds=RUNS, floor=NEARLY * stable.error + (1.0 - NEARLY) * saddle.error,
        )  # fmt: skip
        times.append(fmean(math.log(max(time if not math.isnan(time) else MOST, 1.0)) for time in run.arrivals.tolist()))
    return (times[-1] - times[0]) / (HEIGHTS[-1] - HEIGHTS[0]), math.exp(times[-1])


TRAINING = (
    Claim(13, "Training at a small beta groks from trivial, intermediate and random starts (figure 3).", "A",
          "spinodal grok gaussian", grokking),
    Claim(14, "Grokking is hysteresis; being stuck is the likelier the more complex the data, from random starts too.", "A",
          "spinodal claims --only 14", stuck),
    Claim(22, "Noise lets a trapped net of low rank escape upwards; ln(time) goes as the barrier over the learning rate, and "
          "time grows with depth.", "C W", "spinodal claims --only 22", noise),
)  # fmt: skip

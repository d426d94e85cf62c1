"""Folds, pitchforks and coexistence points of one problem by four packages, counted and timed. Used by `continuation.py`.

Each package gets what it takes: PyCont-Lite a residual for NumPy, JaxCont one that JAX differentiates, CosmoTransitions
the energy and its exact derivatives, spinodal the energy. All start at the same minimum; CosmoTransitions, which only
traces minima, gets those of both ends.
Evaluations: one for E, for a gradient (a residual), for a product of the Hessian with a vector; n for a dense Hessian.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from continuation_problems import Problem
from torch import nn

Places = list[tuple[str, float]]
REPEATS = 3
LONG = 6.0  # seconds, after which a run is not repeated
MOST = 200  # steps of JaxCont, of which it keeps those that it needs


@dataclass
class Outcome:
    """What a package found and what it cost.

    Attributes
    ----------
    places : list of (kind, beta)
        Special points in the order found.
    counts : Counter
        Calls of "E", "gradient", "product", "Hessian".
    equal : Counter
        Calls after the walk, for coexistence, where they can be told apart.
    points : int
        Points that the walk kept.
    each : float
        Seconds of one evaluation: of a gradient, of E for CosmoTransitions; 0 where it is compiled into the walk.
    seconds : float
        The fastest of the runs.
    compiling : float
        Of these, spent tracing and compiling.
    first : float
        Seconds of the first run.
    note : str
        What it said where it gave up.
    """

    places: Places
    counts: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    points: int = 0
    each: float = 0.0
    seconds: float = 0.0
    compiling: float = 0.0
    first: float = 0.0
    note: str = ""


def timed(run: Callable[[], Any], repeats: int | None = None) -> tuple[Any, list[float]]:
    """Return the last result and the seconds of every run, printing nothing; what takes long is not repeated."""
    seconds: list[float] = []
    result = None
    while len(seconds) < (repeats or REPEATS) and sum(seconds) < LONG:
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = run()
        seconds.append(time.perf_counter() - started)
    return result, seconds


def duration(run: Callable[[], Any], repeats: int = 200) -> float:
    """Return the seconds of one call, the mean of the fastest of five series."""
    series = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(repeats // 5):
            run()
        series.append((time.perf_counter() - started) / (repeats // 5))
    return min(series)


# -- spinodal ---------------------------------------------------------------------------------


class Weights(nn.Module):
    """A vector of weights."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.tensor(values, dtype=torch.float64))


def spinodal(problem: Problem, area: float) -> Outcome:
    """Follow the branch from the minimum; a second phase that is no part of it is given as its minimum at the start.

    `area` is what the area certificate may miss, which decides how close the points lie.
    """
    from spinodal import Landscape
    from spinodal.branches import coexistence, continue_branch

    thetas = problem.minima(problem.start)
    landscapes = [Landscape(Weights(thetas[0]), lambda model, _: problem.energy(model.vector), None) for _ in range(REPEATS)]
    unused, walked = iter(landscapes), {}

    def follow() -> tuple[Any, list[Any]]:
        landscape = next(unused)
        walk = {"beta": problem.start, "to": problem.end}
        branch = continue_branch(
            landscape,
            landscape.initial,
            bounds=(problem.low, problem.end),
            area=area,
            on_point=lambda _: walked.update(tally(landscape)),
            **walk,
        )
        others = [continue_branch(landscape, torch.tensor(theta), points=1, **walk).points[0] for theta in thetas[1:]]
        crossings = [coexistence(landscape, branch, other) for other in others]
        return branch, [*branch.coexistence, *(item for item in crossings if item is not None)]

    (branch, equal), seconds = timed(follow)
    places = [("fold", fold.beta) for fold in branch.folds]
    places += [("pitchfork", point.beta) for point in branch.branch_points if point.kind == "pitchfork"]
    places += [("coexistence", item.beta) for item in equal]
    spent = Counter(tally(landscapes[len(seconds) - 1]))
    return Outcome(
        places,
        Counter(walked),
        equal=spent - Counter(walked),
        points=len(branch.points),
        each=duration(lambda: landscapes[-1].gradient(landscapes[-1].initial)),
        seconds=min(seconds),
        first=seconds[0],
        note="" if branch.is_complete else branch.status,
    )


def tally(landscape: Any) -> dict[str, int]:
    """Return the evaluations of a landscape by kind."""
    spent = landscape.counts
    return {
        "E": spent.error_evaluations,
        "gradient": spent.gradient_evaluations,
        "product": spent.hessian_products,
        "Hessian": spent.hessians,
    }


# -- PyCont-Lite ------------------------------------------------------------------------------


def pycont_lite(problem: Problem, step: float) -> Outcome:
    """Walk from the minimum upwards in beta with steps of at most `step`; branch points are switched by the package itself.

    Where its detection of branch points breaks down it is switched off, as its documentation allows.
    """
    from pycont import arclengthContinuation
    from scipy.optimize import NoConvergence

    gradient = problem.derivatives()[1]
    theta = np.array(problem.minima(problem.start)[0])
    counts: Counter[str] = Counter()

    def residual(weights: np.ndarray, beta: float) -> np.ndarray:
        counts["gradient"] += 1
        return np.array(gradient(weights)) + 2 * beta * weights

    options = {
        "tolerance": 1e-10,
        "initial_directions": "increase_p",
        "param_min": problem.low,
        "param_max": problem.end,
        "analyze_stability": False,
    }

    def walk(**more: Any) -> Any:
        counts.clear()
        steps = int(10 / step)
        return arclengthContinuation(
            residual, theta, problem.start, 1e-6, step, step, steps, {**options, **more}, verbosity="off"
        )

    note = ""
    try:
        result, seconds = timed(walk)
    except NoConvergence:
        note = "its search for branch points did not converge and was switched off"
        result, seconds = timed(lambda: walk(bifurcation_detection=False))
    kinds = {"LP": "fold", "BP": "pitchfork"}
    places = [(kinds[event.kind], float(event.p)) for event in result.events if event.kind in kinds]
    calls = counts.copy()
    return Outcome(
        places,
        calls,
        points=sum(len(branch.p_path) for branch in result.branches),
        each=duration(lambda: residual(theta, problem.start)),
        seconds=min(seconds),
        first=seconds[0],
        note=note,
    )


# -- JaxCont ----------------------------------------------------------------------------------


def jaxcont(problem: Problem) -> Outcome:
    """Walk with the package's defaults in double precision, then polish each fold with its `fold_point`.

    It cannot stop below the start, so a run that is not counted finds how many steps it needs. It compiles anew in every call.
    """
    import jax
    import jax.numpy as jnp
    import jaxcont as jc

    jax.config.update("jax_enable_x64", True)
    counts: Counter[str] = Counter()
    compiling: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiling.append(seconds if name.startswith("/jax/core/compile/") else 0.0)
    )
    slope = jax.grad(problem.energy)

    def residual(weights: Any, beta: Any, _: Any) -> Any:
        return slope(weights) + 2 * beta * weights

    def counted(weights: Any, beta: Any, _: Any) -> Any:
        derived = [name for name, value in (("Hessian", weights), ("product", beta)) if is_differentiated(value)]
        jax.debug.callback(lambda *_: counts.update(derived[:1] or ["gradient"]), weights)
        return residual(weights, beta, _)

    start = jnp.array(problem.minima(problem.start)[0])

    def walk(function: Callable[..., Any], steps: int) -> tuple[Any, list[Any]]:
        found = jc.continuation(
            jc.bif_problem(function, start, problem.start),
            p_span=(problem.start, problem.end),
            settings=jc.ContinuationPar(max_steps=steps),
            events=[jc.Fold()],
        )
        folds = [jc.fold_point(function, hit.u, hit.p, tol=1e-12) for hit in found.events if hit.p > problem.low]
        return found.branch, [float(beta) for _, beta, _, converged in folds if bool(converged)]

    (branch, _), first = timed(lambda: walk(residual, MOST), repeats=1)
    steps = steps_needed(np.asarray(branch.params), problem)
    seconds: list[float] = []
    shares: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < LONG:
        compiling.clear()
        (branch, folds), once = timed(lambda: walk(residual, steps), repeats=1)
        seconds += once
        shares.append(sum(compiling))
    walk(counted, steps)
    jax.effects_barrier()
    fastest = int(np.argmin(seconds))
    end = float(branch.params[-1])
    note = f"stalled at beta = {end:.3f}" if problem.low < end < problem.end and steps < MOST else ""
    places = [("fold", beta) for beta in folds]
    return Outcome(
        places,
        counts,
        points=len(branch.params),
        seconds=seconds[fastest],
        compiling=shares[fastest],
        first=first[0],
        note=note,
    )


def is_differentiated(value: Any) -> bool:
    """Tell whether JAX traces this argument for a derivative rather than for compilation."""
    return type(value).__name__ in ("JVPTracer", "LinearizeTracer")


def steps_needed(betas: np.ndarray, problem: Problem) -> int:
    """Return the steps until the walk leaves the range of beta."""
    outside = np.flatnonzero((betas < problem.low) | (betas > problem.end))
    return int(outside[0]) if len(outside) else len(betas)


# -- CosmoTransitions -------------------------------------------------------------------------


def cosmotransitions(problem: Problem, target: float) -> Outcome:
    """Trace the minima of both ends with beta as the temperature, and ask for the critical temperatures.

    `target` is the error in theta that governs its steps. A phase that ends inside the range ends at a fold,
    unless another one is joined to it there: then it is a second-order transition, here a pitchfork.
    """
    from cosmoTransitions.transitionFinder import findCriticalTemperatures, traceMultiMin

    energy, _, hessian = problem.derivatives()
    counts: Counter[str] = Counter()

    def loss(weights: np.ndarray, beta: float) -> np.ndarray:
        weights = np.asarray(weights)
        counts["E"] += weights.size // problem.size
        return energy(weights.T) + beta * (weights**2).sum(-1)

    def curvature(weights: np.ndarray, beta: float) -> np.ndarray:
        counts["Hessian"] += 1
        return np.array(hessian(weights)) + 2 * beta * np.eye(problem.size)

    ends = (problem.start, problem.end)
    points = [[np.array(theta), beta] for beta in ends for theta in problem.minima(beta)]

    def trace() -> tuple[Any, Any]:
        counts.clear()
        phases = traceMultiMin(
            loss,
            lambda weights, _: 2 * weights,
            curvature,
            points,
            tLow=ends[0],
            tHigh=ends[1],
            deltaX_target=target,
            single_trace_args={"minratio": 1e-8},
        )
        return phases, findCriticalTemperatures(phases, loss)

    (phases, critical), seconds = timed(trace)
    joined = [float(item["Tcrit"]) for item in critical if item["trantype"] == 2]
    places = [("pitchfork", beta) for beta in joined]
    places += [("coexistence", float(item["Tcrit"])) for item in critical if item["trantype"] == 1]
    for phase in phases.values():
        inside = [float(beta) for beta in (phase.T[0], phase.T[-1]) if ends[0] < beta < ends[1]]
        places += [("fold", beta) for beta in inside if not any(abs(beta - other) < 1e-3 for other in joined)]
    return Outcome(
        places,
        counts.copy(),
        points=sum(len(phase.T) for phase in phases.values()),
        each=duration(lambda: loss(points[0][0], problem.start)),
        seconds=min(seconds),
        first=seconds[0],
    )

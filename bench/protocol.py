"""Three ways to find the same transitions: the published protocol, bisection with Adam, and the map.

    python bench/protocol.py                # both tasks, about five minutes on one free core
    python bench/protocol.py --quick        # a coarser grid and fewer epochs: a check of the script, not of the methods
    python bench/protocol.py --activation linear --epochs 50 200

Tasks: the default Gaussian task (3-10-10-2, 1,000 samples) with tanh, and with linear activation,
where the truth is known in closed form.

(a) **Protocol** (arXiv 2512.11866): Adam, lr 1.5e-3, `weight_decay = 2 beta`, weights carried along a
uniform grid of 450 values of beta from 0 to the HIGH of the map, 50 epochs at each value whatever
has converged (`--epochs`). Here full batch (`--batch 64` for the published batches). It is `spinodal.map_phases` with a
grid: a transition is a run of neighbouring intervals across each of which E changes by at least 1 % of its range more than
is usual beside.
(b) **Bisection with Adam**: to a relative residual `||grad L|| / (2 beta ||theta||)` of 1e-6 or 2,000 epochs
at each value, warm-started on a geometric grid of 10 %; an interval is bisected from its lower end
if it holds a jump, seen in `|dE + beta d||theta||^2|` (zero to third order on a smooth branch), and
reported if E changes by more than 1 % of its range across the final bracket. Not reached: an end of
the bracket had not converged.
(c) **Map**: `spinodal.map_phases`.

(b) and (c) go to the spacing of the protocol's grid and to 1e-5 relative. Gradient-equivalents are
those of `spinodal.Counts` (a dense Hessian is charged as n products of 2.5 gradients, however it was
computed); an epoch is one. "Seconds in gradients" is what the clock says: seconds over the seconds of
one of Adam's epochs, measured before and after in the same run (the smaller counts).
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from hardware import print_table
from script import run
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import spinodal as sp
from spinodal import PhaseDiagram, Task

RATE, MACROSCOPIC = 1.5e-3, 0.01
FINE = 1e-5
CHECKED = 10  # the residual is computed every so many epochs
HEADER = [
    "method", "found", "beta", "widest bracket (relative)", "worst error to the truth", "gradient-equivalents",
    "seconds", "seconds in gradients", "gradient-equivalents / map", "seconds / map",
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What one method found and spent."""

    method: str
    brackets: list[tuple[float, float]]
    gradients: float
    seconds: float
    note: str = ""
    betas: list[float] = field(default_factory=list)  # best estimates, where better than the middles

    @property
    def best(self) -> list[float]:
        """Return the estimates of beta."""
        return self.betas or [0.5 * (low + high) for low, high in self.brackets]


@dataclass(frozen=True)
class State:
    """Where Adam stopped at one beta."""

    beta: float
    theta: Tensor
    error: float
    norm_squared: float
    converged: bool


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--activation", nargs="+", default=["linear", "tanh"])
    parser.add_argument("--epochs", type=int, nargs="+", default=[50], help="epochs per value of the protocol (default 50)")
    parser.add_argument("--values", type=int, default=450, help="values of beta of the protocol's grid (default 450)")
    parser.add_argument("--batch", type=int, default=0, help="batch size of the protocol (default 0: full batch)")
    parser.add_argument("--most", type=int, default=2000, help="most epochs per value of the bisection (default 2000)")
    parser.add_argument("--tolerance", type=float, default=1e-6, help="relative residual of the bisection (default 1e-6)")
    parser.add_argument("--quick", action="store_true", help="90 values, 20 epochs, at most 300 epochs, linear only")


def main(options: argparse.Namespace) -> None:
    """Print one table per task."""
    if options.quick:
        options.activation, options.values, options.epochs, options.most = ["linear"], 90, [20], 300
    for activation in options.activation:
        compare(activation, options)


def compare(activation: str, options: argparse.Namespace) -> None:
    """Run all methods on one task and print the table."""
    task = sp.tasks.gaussian(activation=activation)
    fine = mapped(task, None)
    span = fine.range[1]
    spacing = span / options.values
    middle = sum(t.beta for t in fine.macroscopic) / max(len(fine.macroscopic), 1) or span
    coarse = mapped(task, min(spacing / middle, 1e-2))
    adam = Adam(task, fine)
    early = adam.seconds_per_epoch()
    results = [protocol(task, span, options.values, epochs, options.batch) for epochs in options.epochs]
    results.append(of_map(coarse, f"map to {min(spacing / middle, 1e-2):.1e}"))
    results += bisection(adam, fine.range, spacing, options)
    results.append(of_map(fine, f"map to {FINE:g}"))
    truth, source = _truth(fine)
    epoch = min(early, adam.seconds_per_epoch())
    print(f"\n{activation}: truth ({source}) {', '.join(f'{beta:.6f}' for beta in truth)}; beta up to {span:.4f}, "
          f"grid spacing {spacing:.2e}, one gradient {1e3 * epoch:.2f} ms\n")  # fmt: skip
    same = {True: of_map(fine, ""), False: of_map(coarse, "")}
    print_table(HEADER, [row(result, truth, same[f"{FINE:g}" in result.method], epoch) for result in results])
    for result in results:
        if result.note:
            print(f"\n{result.method}: {result.note}")


def row(result: Result, truth: list[float], reference: Result, epoch: float) -> list[str]:
    """Return a row of the table; ratios are to the map to the same bracket."""
    widths = [(high - low) / (0.5 * (low + high)) for low, high in result.brackets]
    errors = [min(abs(beta / true - 1) for beta in result.best) for true in truth] if result.brackets else []
    return [
        result.method,
        f"{len(result.brackets)}/{len(truth)}",
        ", ".join(f"{beta:.6f}" for beta in result.best),
        f"{max(widths):.1e}" if widths else "-",
        f"{max(errors):.1e}" if errors else "-",
        f"{result.gradients:,.0f}",
        f"{result.seconds:.1f}",
        f"{result.seconds / epoch:,.0f}",
        f"{result.gradients / reference.gradients:.2f}",
        f"{result.seconds / reference.seconds:.2f}",
    ]


def _truth(diagram: PhaseDiagram) -> tuple[list[float], str]:
    if diagram.exact:
        return [item.beta for item in diagram.exact], "closed form"
    return sorted(t.beta for t in diagram.macroscopic), f"map to {FINE:g}; see bench/reference.py"


# -- the map -----------------------------------------------------------------------------------


def mapped(task: Task, bracket: float | None) -> PhaseDiagram:
    """Map the task to a relative bracket (None: 1e-5)."""
    return sp.map_phases(task, bracket=bracket or FINE)


def of_map(diagram: PhaseDiagram, method: str) -> Result:
    """Return a diagram as a result."""
    found = sorted(diagram.macroscopic, key=lambda transition: transition.beta)
    return Result(
        method,
        [transition.bracket for transition in found],
        diagram.spent.gradient_equivalents,
        diagram.seconds,
        betas=[transition.beta for transition in found],
    )


# -- Adam --------------------------------------------------------------------------------------


class Adam:
    """Trains a copy of the task's model with `torch.optim.Adam`, counting epochs and seconds."""

    def __init__(self, task: Task, diagram: PhaseDiagram) -> None:
        self.task, self.model = task, copy.deepcopy(task.model)
        self.inputs, self.targets = task.data
        self.start = task.initial(0)
        top, bottom = (pick(diagram.points, key=lambda point: point.beta) for pick in (max, min))
        self.range = top.error - bottom.error
        self.reset()

    def reset(self) -> None:
        """Forget what was spent."""
        self.epochs, self.began = 0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Return the seconds since the last reset."""
        return time.perf_counter() - self.began

    def train(self, beta: float, theta: Tensor, epochs: int, *, tolerance: float = 0.0, batch: int = 0) -> State:
        """Train from theta; with a tolerance, stop where the relative residual is below it."""
        vector_to_parameters(theta, self.model.parameters())
        optimiser = torch.optim.Adam(self.model.parameters(), lr=RATE, weight_decay=sp.weight_decay(beta))
        converged = False
        for epoch in range(epochs):
            self.epochs += 1
            for part in self._parts(batch):
                optimiser.zero_grad()
                self._error(part).backward()
                if tolerance and epoch % CHECKED == 0 and self._residual(beta) <= tolerance:
                    converged = True
                    break
                optimiser.step()
            if converged:
                break
        return self._state(beta, converged)

    def seconds_per_epoch(self) -> float:
        """Return the seconds of one full-batch epoch, over 200 of them."""
        self.reset()
        self.train(0.01, self.start, 200)
        return self.seconds / 200

    def _parts(self, batch: int) -> list[Tensor | slice]:
        count = len(self.inputs)
        return list(torch.randperm(count).split(batch)) if batch else [slice(None)]

    def _error(self, part: Tensor | slice) -> Tensor:
        return (self.model(self.inputs[part]) - self.targets[part]).square().sum(1).mean()

    def _residual(self, beta: float) -> float:
        """Return `||grad L|| / (2 beta max(||theta||, 1e-3))`."""
        theta = parameters_to_vector(self.model.parameters()).detach()
        gradient = torch.cat([value.grad.reshape(-1) for value in self.model.parameters()])
        return float((gradient + 2 * beta * theta).norm()) / (2 * beta * max(float(theta.norm()), 1e-3))

    def _state(self, beta: float, converged: bool) -> State:
        theta = parameters_to_vector(self.model.parameters()).detach().clone()
        with torch.no_grad():
            return State(beta, theta, float(self._error(slice(None))), float(theta @ theta), converged)


def protocol(task: Task, span: float, values: int, epochs: int, batch: int) -> Result:
    """Map on a grid of `weight_decay`, with a fixed number of epochs per value."""
    top = sp.weight_decay(span)
    diagram = sp.map_phases(
        task, solver="adam", grid=(0.0, top, top / values), epochs=epochs, patience=epochs,
        batch_size=batch or len(task.data[0]), learning_rate=RATE,
    )  # fmt: skip
    found = of_map(diagram, f"protocol, {epochs} epochs per value, {f'batch {batch}' if batch else 'full batch'}")
    return replace(found, betas=[])


def bisection(adam: Adam, span: tuple[float, float], spacing: float, options: argparse.Namespace) -> list[Result]:
    """Walk upwards in steps of 10 %, then bisect what holds a jump: first to `spacing`, then to 1e-5."""
    adam.reset()
    states = [adam.train(span[0], adam.start, options.most, tolerance=options.tolerance)]
    while states[-1].beta < span[1]:
        states.append(adam.train(1.1 * states[-1].beta, states[-1].theta, options.most, tolerance=options.tolerance))
    held = [pair for pair in pairwise(states) if _jump_of_loss(*pair) > 0.5 * MACROSCOPIC * adam.range]
    missed, results = sum(not state.converged for state in states), []
    for name, width in ((f"to {spacing:.1e} absolute", lambda low: spacing), (f"to {FINE:g}", lambda low: FINE * low)):
        closed = [_bisect(adam, low, high, width, options) for low, high in held]
        held = [(low, high) for low, high, _ in closed]
        missed += sum(count for *_, count in closed)
        found = [(low, high) for low, high in held if abs(high.error - low.error) > MACROSCOPIC * adam.range]
        sure = sum(low.converged and high.converged for low, high in found)
        note = f"both ends converged in {sure} of {len(found)} brackets; {missed} values stopped at {options.most:,} epochs"
        verdict = "" if sure == len(found) else ": not reached"
        brackets = [(low.beta, high.beta) for low, high in found]
        results.append(Result(f"bisection with Adam {name}{verdict}", brackets, adam.epochs, adam.seconds, note))
    return results


def _bisect(
    adam: Adam, low: State, high: State, width: Callable[[float], float], options: argparse.Namespace
) -> tuple[State, State, int]:
    """Return the ends of the bracket and how many values did not converge."""
    missed = 0
    while high.beta - low.beta > width(low.beta):
        middle = adam.train(0.5 * (low.beta + high.beta), low.theta, options.most, tolerance=options.tolerance)
        missed += not middle.converged
        if _jump_of_loss(low, middle) < _jump_of_loss(middle, high):
            low = middle
        else:
            high = middle
    return low, high, missed


def _jump_of_loss(low: State, high: State) -> float:
    middle = 0.5 * (low.beta + high.beta)
    return abs(high.error - low.error + middle * (high.norm_squared - low.norm_squared))


if __name__ == "__main__":
    run(main, arguments)

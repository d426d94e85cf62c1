"""An independent, slow reference for the transitions of the default Gaussian task.

    python bench/reference.py                       # tanh and gelu, data seeds 0-3: about two hours
    python bench/reference.py --seeds 0 --activation tanh
    python bench/reference.py --activation linear   # the reference itself, where the truth is known
    python bench/reference.py --quick               # coarser grid and brackets, starting halfway

Only the task's data and model, and the state in which the map starts, are taken from spinodal.
Minimiser: SciPy's `trust-exact` on the gradient and dense Hessian of a network written out here,
to `||grad L|| < 1e-8`; a negative eigenvalue at the end is followed downhill. Walk: upwards on a
geometric grid of 1 %, each value started from the one before. Every step across which E changes by
more than 1 % of its range is bisected to 1e-4 relative, always from the lower end, and kept if E
still changes by more than 1 % when the lower end is taken across the bracket in one step.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from hardware import print_table
from numpy.typing import NDArray
from scipy.optimize import minimize
from script import run
from torch import Tensor
from torch.nn import functional

import spinodal as sp

Vector = NDArray[np.float64]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "gelu": functional.gelu, "linear": lambda x: x}
MACROSCOPIC, TOLERANCE, AGREEMENT = 0.01, 1e-8, 1e-3


@dataclass(frozen=True)
class State:
    """A minimum of L."""

    beta: float
    theta: Vector
    error: float

    @property
    def norm_squared(self) -> float:
        """Return `||theta||^2`."""
        return float(self.theta @ self.theta)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3], help="data seeds")
    parser.add_argument("--activation", nargs="+", default=["tanh", "gelu"], choices=list(ACTIVATIONS))
    parser.add_argument("--quick", action="store_true", help="grid of 3 %%, brackets of 5e-4, from a quarter of the first jump")


def main(options: argparse.Namespace) -> None:
    """Print the table of all cases and the number of agreements."""
    rows: list[list[str]] = []
    agreed = total = 0
    for activation in options.activation:
        for seed in options.seeds:
            mapped, reference = compare(activation, seed, quick=options.quick)
            new = paired(reference, mapped)
            rows += [[str(seed), activation, *_cells(pair)] for pair in new]
            print("\n".join(", ".join(row) for row in rows[len(rows) - len(new) :]), flush=True)
            agreed += sum(_agrees(pair) for pair in new)
            total += len(new)
    print()
    print_table(["seed", "activation", "reference beta", "map beta", "relative difference"], rows)
    print(f"\nagree: {agreed} of {total} within {AGREEMENT:g}")


def compare(activation: str, seed: int, *, quick: bool) -> tuple[list[float], list[float]]:
    """Return the macroscopic transitions of the map and of the reference."""
    began = time.perf_counter()
    task = sp.tasks.gaussian(activation=activation, seed=seed)
    diagram = sp.map_phases(task)
    mapped = sorted(transition.beta for transition in diagram.macroscopic)
    first = next(p for p in reversed(diagram.points) if p.beta < 0.25 * mapped[0]) if quick and mapped else diagram.points[0]
    seconds = time.perf_counter() - began
    walk = Reference(task, ACTIVATIONS[activation], grid=0.03 if quick else 0.01, bracket=5e-4 if quick else 1e-4)
    found = walk.run(first.beta, first.minimum.theta.double().numpy(), diagram.range[1])
    spent = time.perf_counter() - began - seconds
    print(f"{activation}, seed {seed}: map {seconds:.0f} s, reference {spent:.0f} s, {walk.hessians} Hessians", flush=True)
    return mapped, found


def paired(reference: list[float], mapped: list[float]) -> list[tuple[float | None, float | None]]:
    """Pair each beta with the nearest of the other list, if within 5 %; leave the others alone."""
    pairs: list[tuple[float | None, float | None]] = []
    left = list(mapped)
    for beta in reference:
        nearest = min(left, key=lambda other: abs(other / beta - 1), default=None)
        if nearest is not None and abs(nearest / beta - 1) < 0.05:
            left.remove(nearest)
            pairs.append((beta, nearest))
        else:
            pairs.append((beta, None))
    return sorted([*pairs, *((None, beta) for beta in left)], key=lambda pair: pair[0] or pair[1] or 0.0)


def _agrees(pair: tuple[float | None, float | None]) -> bool:
    return pair[0] is not None and pair[1] is not None and abs(pair[1] / pair[0] - 1) <= AGREEMENT


def _cells(pair: tuple[float | None, float | None]) -> list[str]:
    cells = ["not found" if beta is None else f"{beta:.6f}" for beta in pair]
    return [*cells, f"{pair[1] / pair[0] - 1:+.1e}" if pair[0] is not None and pair[1] is not None else "-"]


class Reference:
    """The walk; `E` is written out here for a fully connected network with two hidden layers."""

    def __init__(self, task: sp.Task, activation: Callable[[Tensor], Tensor], *, grid: float, bracket: float) -> None:
        self.inputs, self.targets = task.data
        self.shapes = [tuple(value.shape) for value in task.model.parameters()]
        self.activation, self.grid, self.bracket, self.hessians = activation, grid, bracket, 0
        self._gradient_and_value = torch.func.grad_and_value(self._error)

    def run(self, beta: float, theta: Vector, high: float) -> list[float]:
        """Walk from beta to `high` and return where E jumps."""
        state = self.minimum(beta, theta)
        self.range = float(self._error(torch.zeros(len(theta), dtype=torch.float64))) - state.error
        found = []
        while state.beta < high:
            beyond = self.minimum(state.beta * (1.0 + self.grid), state.theta)
            if self._changes(state, beyond):
                state, beyond, jumped = self._bisect(state, beyond)
                if jumped:
                    print(f"  jump between {state.beta:.6f} and {beyond.beta:.6f}", flush=True)
                    found.append(0.5 * (state.beta + beyond.beta))
            state = beyond
        return found

    def minimum(self, beta: float, theta: Vector) -> State:
        """Minimise L from theta; a negative eigenvalue at the end is followed downhill."""
        for _ in range(20):
            theta, curvature = self._stationary(beta, theta)
            values, vectors = np.linalg.eigh(curvature)
            if values[0] > -1e-7 * values[-1]:
                break
            kicks = [theta + sign * 1e-3 * vectors[:, 0] for sign in (1.0, -1.0)]
            theta = min(kicks, key=lambda kicked: self._loss(kicked, beta)[0])
        return State(beta, theta, float(self._error(torch.from_numpy(theta))))

    def _bisect(self, low: State, high: State) -> tuple[State, State, bool]:
        """Close in on the jump; return the ends and whether E jumps between them."""
        while high.beta - low.beta > self.bracket * low.beta:
            middle = self.minimum(0.5 * (low.beta + high.beta), low.theta)
            if _jump_of_loss(low, middle) < _jump_of_loss(middle, high):
                low = middle
            else:
                high = middle
        high = self.minimum(high.beta, low.theta)  # the fall must start from the lower end itself
        return low, high, self._changes(low, high)

    def _changes(self, low: State, high: State) -> bool:
        return abs(high.error - low.error) > MACROSCOPIC * self.range

    def _stationary(self, beta: float, theta: Vector) -> tuple[Vector, Vector]:
        """Return a stationary point of L, within two tries to `TOLERANCE`, and Hess L there."""
        for _ in range(2):
            result = minimize(
                lambda point: self._loss(point, beta),
                theta,
                jac=True,
                hess=lambda point: self._curvature(point, beta),
                method="trust-exact",
                options={"gtol": TOLERANCE, "initial_trust_radius": 0.03, "max_trust_radius": 1.0, "maxiter": 500},
            )
            theta = result.x
            if result.success:
                break
        return theta, result.hess

    def _loss(self, theta: Vector, beta: float) -> tuple[float, Vector]:
        gradient, value = self._gradient_and_value(torch.from_numpy(theta))
        return float(value) + beta * float(theta @ theta), gradient.numpy() + 2 * beta * theta

    def _curvature(self, theta: Vector, beta: float) -> Vector:
        self.hessians += 1
        leaf = torch.from_numpy(theta).clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(self._error(leaf), leaf, create_graph=True)
        units = torch.eye(len(theta), dtype=leaf.dtype).split(16)
        rows = [torch.autograd.grad(slope, leaf, unit, retain_graph=True, is_grads_batched=True)[0] for unit in units]
        hessian = torch.cat(rows).numpy()
        return 0.5 * (hessian + hessian.T) + 2 * beta * np.eye(len(theta))

    def _error(self, theta: Tensor) -> Tensor:
        parts = torch.split(theta, [math.prod(shape) for shape in self.shapes])
        tensors = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        values = self.inputs
        for index in range(0, len(tensors), 2):
            values = values @ tensors[index].T + tensors[index + 1]
            values = self.activation(values) if index < len(tensors) - 2 else values
        return (values - self.targets).square().sum(1).mean()


def _jump_of_loss(low: State, high: State) -> float:
    """Return `|dE + beta d||theta||^2|`, which vanishes to third order in the width on a smooth branch."""
    middle = 0.5 * (low.beta + high.beta)
    return abs(high.error - low.error + middle * (high.norm_squared - low.norm_squared))


if __name__ == "__main__":
    run(main, arguments)

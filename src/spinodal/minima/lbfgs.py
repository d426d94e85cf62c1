"""Limited-memory BFGS with a weak Wolfe line search, for one start or for several in one batch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spinodal.landscape.objective import Regularised
from spinodal.minima.solution import Departure, Solution, Stillness, hopeless
from spinodal.minima.stall import stall
from spinodal.spectrum.preconditioner import Preconditioner

MEMORY, MOST_MEMORY = 20, 300  # steps that are remembered, at least and at most,
PARAMETERS_PER_STEP = 4  # as many as there are parameters for each,
SPARE = 3  # a part of the places by which there are more, so that what is kept seldom moves
MEMORY_BYTES = 2**24  # and as few as fit; where each gradient takes a long way, more of them pay for their products
FAR = 0.02  # relative residual at which a search that left its branch can be recognised
SINGLE = 1e-3  # relative residual down to which single precision serves
FIRST = 0.25  # part of the longest step that is allowed before anything is known of the curvature here
ARMIJO, CURVATURE = 1e-4, 0.9

Stop = Callable[[Tensor, float, Tensor], str | None]
Descent = Generator[Tensor, tuple[float, Tensor], Solution]


def lbfgs(
    loss: Regularised,
    start: Tensor,
    *,
    tolerance: float,
    iterations: int = 20_000,
    has_left: Departure | None = None,
    memory: Memory | None = None,
) -> Solution:
    """Minimise L from `start` until `||grad L|| <= tolerance * loss.scale(theta)`.

    Where single precision is faster, it is used down to a relative residual of 1e-3; the end is
    always one of double precision. Where `has_left` tells that the search is elsewhere, it ends there ("left").
    A `memory` that is given, such as a preconditioned one, is used and added to.
    """
    travelled = 0
    if memory is None and (single := loss.single):
        rough = _search(single, start.to(torch.float32), max(tolerance, SINGLE), iterations, has_left)
        start, travelled = rough.theta.to(start), rough.iterations
    solution = _search(loss, start, tolerance, iterations, has_left, memory)
    return _named(replace(solution, iterations=travelled + solution.iterations), loss, tolerance)


def _search(
    loss: Regularised,
    start: Tensor,
    tolerance: float,
    iterations: int,
    has_left: Departure | None,
    memory: Memory | None = None,
) -> Solution:
    """Run one descent, one gradient at a time."""

    def stop(theta: Tensor, value: float, gradient: Tensor) -> str | None:
        residual = float(gradient.norm()) / loss.scale(theta)
        if residual <= tolerance:
            return "converged"
        if has_left is None:
            return None
        left = value < has_left.floor or (residual <= FAR and has_left(loss.error(value, theta), theta))
        return "left" if left else None

    return descended(loss.value_and_gradient, start, stop, iterations, memory)


def lbfgs_batch(loss: Regularised, starts: Tensor, *, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
    """Minimise L from k starts, shape (k, n), at once; return their ends, shape (k, n), and L, shape (k,).

    Searches are independent and run in single precision where that is faster; what they ask for is
    evaluated together, so the result of one does not depend on its companions beyond rounding.
    """
    precise, loss = loss, loss.single or loss

    def stop(theta: Tensor, value: float, gradient: Tensor) -> str | None:
        return "converged" if float(gradient.norm()) <= tolerance * loss.scale(theta) else None

    searches = {row: descend(start, stop, iterations) for row, start in enumerate(starts.to(loss.landscape.dtype))}
    asked = {row: next(search) for row, search in searches.items()}
    ends: dict[int, Solution] = {}
    while asked:
        values, gradients = loss.values_and_gradients(torch.stack(list(asked.values())))
        for row, value, gradient in zip(list(asked), values.tolist(), gradients, strict=True):
            try:
                asked[row] = searches[row].send((value, gradient))
            except StopIteration as end:
                ends[row] = end.value
                del asked[row]
    thetas = torch.stack([ends[row].theta for row in range(len(starts))]).to(precise.landscape.dtype)
    return thetas, torch.tensor([ends[row].value for row in range(len(starts))], dtype=torch.float64)


def descended(
    ask: Callable[[Tensor], tuple[float, Tensor]], start: Tensor, stop: Stop, iterations: int, memory: Memory | None = None
) -> Solution:
    """Return where `descend` leads that is given value and gradient by `ask`, wherever it wants them."""
    search = descend(start, stop, iterations, memory)
    theta = next(search)
    try:
        while True:
            theta = search.send(ask(theta))
    except StopIteration as end:
        solution: Solution = end.value
    return solution


def descend(start: Tensor, stop: Stop, iterations: int, memory: Memory | None = None) -> Descent:
    """Yield the points at which L and its gradient are wanted, and return where that led.

    `stop(theta, L, gradient)` names the reason to end, or None. A search that no longer moves ends as "still".
    A `memory` that is given is used and added to: that of a neighbouring problem saves gradients.
    """
    value, gradient = yield start
    memory = Memory(start) if memory is None else memory
    theta, stillness = start.clone(), Stillness(MEMORY)  # its gradients fall, but not at every step
    for count in range(iterations):
        if reason := stop(theta, value, gradient):
            return Solution(theta, value, gradient, count, reason)
        if reason := hopeless(value):
            return Solution(theta, value, gradient, count, reason)
        direction = memory.direction(gradient)
        slope = float(direction @ gradient)
        if not slope < 0:  # what is remembered is of no use here, or damaged: begin anew without it
            memory = Memory(theta)
            direction = memory.direction(gradient)
            slope = float(direction @ gradient)
        found = yield from line_search(theta, value, direction, slope, memory.decrease)
        if found is None:
            return Solution(theta, value, gradient, count, "still")
        memory.keep(found[0] - theta, gradient, found[2])
        theta, value, gradient = found
        if stillness.after(value, float(gradient.norm())):
            return Solution(theta, value, gradient, count, stop(theta, value, gradient) or "still")
    return Solution(theta, value, gradient, iterations, stop(theta, value, gradient) or "iterations")


def line_search(
    theta: Tensor, value: float, direction: Tensor, slope: float, decrease: float = ARMIJO
) -> Generator[Tensor, tuple[float, Tensor], tuple[Tensor, float, Tensor] | None]:
    """Find a weak Wolfe step by bracketing and bisection (Lewis & Overton 2013), which is safe at kinks."""
    low, high, length = 0.0, float("inf"), 1.0
    noise = 5 * torch.finfo(theta.dtype).eps * (1 + abs(value))
    found = None
    for _ in range(40):
        trial = theta + length * direction
        trial_value, trial_gradient = yield trial
        if trial_value <= value + decrease * length * slope + noise:
            found, low = (trial, trial_value, trial_gradient), length
            if float(trial_gradient @ direction) >= CURVATURE * slope:
                break
        else:
            high = length
        length = 0.5 * (low + high) if high < float("inf") else 2.0 * low
    return found


class Memory:
    """The last steps s and changes of the gradient y, as an approximate inverse Hessian.

    The compact form of Byrd, Nocedal & Schnabel (1994, eq. 3.1) with R = triu(S'Y), D = diag(S'Y):
    `H = c + [S cY] [[R^-T (D + c Y'Y) R^-1, -R^-T], [-R^-1, 0]] [S cY]'`, so the long vectors are
    touched in two matrix products per step, and in two more for the pair that is new.
    """

    decrease = ARMIJO  # of L along a step, relative to what its slope promises

    def __init__(self, like: Tensor) -> None:
        self.length = memory_length(like)
        places = self.length + max(self.length // SPARE, 1)
        self.steps, self.changes = like.new_zeros(2, places, len(like))  # oldest first, in rows first to last
        self.products, self.squares = np.zeros((2, places, places))  # s_i . y_j, for i <= j, and y_i . y_j
        self.first = self.last = 0

    @property
    def is_empty(self) -> bool:
        """Tell a memory that knows nothing yet."""
        return self.first == self.last

    def direction(self, gradient: Tensor) -> Tensor:
        """Return `-H g`."""
        if self.is_empty:
            return -gradient / max(1.0, float(gradient.norm()))
        rows = slice(self.first, self.last)
        steps, changes, products, squares = (
            self.steps[rows],
            self.changes[rows],
            self.products[rows, rows],
            self.squares[rows, rows],
        )
        scale = products[-1, -1] / squares[-1, -1]
        inner = _triangular(products, _numbers(steps @ gradient))
        bent = products.diagonal() * inner + scale * (squares @ inner - _numbers(changes @ gradient))
        weights = _triangular(products, bent, transposed=True)
        along_steps, along_changes = (torch.from_numpy(part).to(gradient) for part in (weights, scale * inner))
        direction: Tensor = along_changes @ changes - along_steps @ steps - scale * gradient
        return direction

    def keep(self, step: Tensor, before: Tensor, after: Tensor) -> None:
        """Keep a step and the change of the gradient along it, if its curvature is positive, in place of the oldest one."""
        change = after - before
        if not float(step @ change) > 1e-14 * float(step.norm()) * float(change.norm()):
            return
        if self.last == len(self.steps):
            self._make_room()
        place, self.last = self.last, self.last + 1
        self.first = max(self.first, self.last - self.length)
        rows = slice(self.first, self.last)
        self.steps[place], self.changes[place] = step, change
        self.products[rows, place] = _numbers(self.steps[rows] @ change)
        self.squares[rows, place] = self.squares[place, rows] = _numbers(self.changes[rows] @ change)

    def _make_room(self) -> None:
        """Move what is kept to the front."""
        kept = slice(self.first + 1, self.last)
        self.first, self.last = 0, kept.stop - kept.start
        for rows in (self.steps, self.changes):
            rows[: self.last] = rows[kept].clone()
        for matrix in (self.products, self.squares):
            matrix[: self.last, : self.last] = matrix[kept, kept].copy()


class Preconditioned(Memory):
    """The memory of a search in the coordinates of a preconditioner, which begins with its Newton step.

    Steps and changes are kept as they are in `z = S^-1 theta`, and directions come back as steps in theta, none longer than
    `longest`, and the first much shorter. A step that lowers L by much less than the quadratic model promises is refused:
    long steps along modes that were softer than they are would leave the basin.
    """

    decrease = 0.25

    def __init__(self, like: Tensor, preconditioner: Preconditioner, longest: float) -> None:
        super().__init__(like)
        self.preconditioner, self.longest = preconditioner, longest
        self._inner = self._outer = torch.zeros_like(like)  # the last direction, in z and in theta,
        self._gathered = self._gradient = torch.zeros_like(like)  # and the gradient that it came from

    def direction(self, gradient: Tensor) -> Tensor:
        """Return `-S H S^T g`, shortened where it is too long."""
        gathered = self._noted(gradient)
        inner = -gathered if self.is_empty else super().direction(gathered)
        outer = self.preconditioner.spread(inner)
        longest = FIRST * self.longest if self.is_empty else self.longest
        shorter = min(1.0, longest / max(float(outer.norm()), 1e-300))
        self._inner, self._outer = shorter * inner, shorter * outer
        return self._outer

    def inverse(self, vector: Tensor) -> Tensor:
        """Return `S H S^T v`: what the preconditioner and the steps since tell of the inverse Hessian."""
        gathered = self.preconditioner.gather(vector)
        return self.preconditioner.spread(gathered if self.is_empty else -super().direction(gathered))

    def keep(self, step: Tensor, before: Tensor, after: Tensor) -> None:
        """Keep a step along the last direction, and the change of the gradient, in z; no other step, which z does not know."""
        square = float(self._outer @ self._outer)
        length = float(step @ self._outer) / square if square > 0.0 else 0.0
        if float((step - length * self._outer).norm()) <= 1e-3 * float(step.norm()):
            super().keep(length * self._inner, self._noted(before), self._noted(after))

    def _noted(self, gradient: Tensor) -> Tensor:
        """Return a gradient in z, and keep it: after a step it is asked for twice."""
        if not torch.equal(gradient, self._gradient):
            self._gradient, self._gathered = gradient, self.preconditioner.gather(gradient)
        return self._gathered


def memory_length(like: Tensor) -> int:
    """Return how many steps are remembered at so many parameters.

    Examples
    --------
    >>> [memory_length(torch.zeros(n)) for n in (50, 1000, 100_000)]
    [20, 250, 20]
    """
    fitting = min(MOST_MEMORY, len(like) // PARAMETERS_PER_STEP, MEMORY_BYTES // (2 * like.element_size() * len(like)))
    return max(MEMORY, fitting)


def _numbers(values: Tensor) -> np.ndarray:
    numbers: np.ndarray = values.double().cpu().numpy()
    return numbers


def _triangular(matrix: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """Solve with the upper triangle of a matrix, or with its transpose."""
    from scipy.linalg.lapack import dtrtrs  # slow to import, and needed at the first step of a search

    solution: np.ndarray = dtrtrs(matrix, right, lower=0, trans=int(transposed))[0]
    return solution


def _named(solution: Solution, loss: Regularised, tolerance: float) -> Solution:
    """Tell a search that stands still at the limit of rounding from one that something else keeps (see `stall`)."""
    if solution.stop != "still":
        return solution
    epsilon, scale = torch.finfo(solution.theta.dtype).eps, loss.scale(solution.theta)
    unseen = (epsilon * (1 + abs(solution.value))) ** 0.5  # a gradient below this changes L by less than its rounding
    reachable = max(10 * tolerance * scale, unseen * max(scale, 1.0))
    if float(solution.gradient.norm()) <= reachable:
        return replace(solution, stop="rounding")
    stop = stall(loss.value_and_gradient, solution.theta, solution.value, solution.gradient, loss.landscape)
    return replace(solution, stop=stop)

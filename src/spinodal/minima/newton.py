"""Trust-region Newton with a dense Hessian, where first-order steps do the travelling."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from spinodal.landscape.objective import Regularised, symmetric_norm
from spinodal.minima.landmark import CERTIFIED, Landmark, factorisation_passes, price
from spinodal.minima.landmark import FLOOR as FLOOR_OF_BETA
from spinodal.minima.lbfgs import Preconditioned, lbfgs
from spinodal.minima.secants import bfgs_product, rank_one_update
from spinodal.minima.solution import GIVEN_UP, LOST, STUCK, UNDERWAY, Departure, Solution, Stillness
from spinodal.minima.stall import stall
from spinodal.minima.trust_region import FLOOR, cholesky, trust_region_step
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.spectrum.preconditioner import Cholesky

PATIENCE = 0.6  # a quasi-Newton step must shrink the gradient by this factor, or the Hessian is renewed
NEAR, NEAR_LARGE = 1e-3, 1e-4  # relative residual above which gradients are better spent than Hessians
SECANTS, AGREES = 10, 0.25  # most steps between fresh Hessians, and the agreement that earns another
ROUNDS, ROUGH = 8, 2e-3  # most Hessians on the way, and the relative residual at which the first one is taken
HOPEFUL = 0.03  # relative residual up to which a search with a Hessian from nearby will soon be at its end
BENT = 4.0  # times ||grad L|| / ||theta||: the shift that an indefinite Hessian is tried with first, as zero modes bend so much
SETTLES, CRAWLS = 16, 20  # Hessians, far more than most searches take, after which one tries to settle, and to leap
LEAPS, LEAP = 4, 0.02  # most steps of a leap, and how long the first one is, of the norm
COMES_DOWN, DEEPER = 0.5, 3.0  # part of the gradient that each of these may leave, and times the fall that is foretold
LARGE = 600  # parameters from which a Hessian costs more than a hundred gradients


def newton(
    loss: Regularised,
    start: Tensor,
    *,
    tolerance: float,
    radius: float,
    landmark: Landmark | None = None,
    has_left: Departure | None = None,
    patience: float = math.inf,
    hessians: int = 500,
) -> Solution:
    """Minimise L from `start` (Moré & Sorensen 1983; Nocedal & Wright, algorithms 4.1 and 7.4).

    Far from a stationary point L-BFGS travels. Close to one, each step minimises the quadratic model
    inside `||step|| <= radius`, exactly, so zero, soft and negative modes are all survived; once a
    step stays inside, BFGS updates of that Hessian polish the point at one gradient each, as long as
    they contract. A search that takes long also tries steps without zero modes, and some that may
    rise at first. From a `landmark` nearby, L-BFGS in the coordinates of its Hessian may do all of
    this without a new one. It is given up ("underway") after a part, `patience`, of what a new one costs.
    Stops when `||grad L|| <= tolerance * loss.scale(theta)`, or after travelling to where `has_left` holds.
    """
    search = _Search(loss, start, radius)
    near = max(tolerance, NEAR if len(start) < LARGE else NEAR_LARGE)
    end = search.glide(landmark, tolerance, has_left, patience)
    if end in (*GIVEN_UP, "converged", *LOST):
        return search.solution(end, None)
    stillness, kinks = Stillness(), 0
    while search.hessians < hessians:
        end = search.travel(near, has_left) if search.relative_residual > near else ""
        kinks = kinks + 1 if end in STUCK else 0
        if end in ("left", *LOST) or kinks == 2:  # one more try from where the gradient did not describe L
            return search.solution(end, None)
        if search.relative_residual <= tolerance:
            return search.solution("converged", search.hessian(search.theta))
        if stillness.after(search.value, search.residual):
            search.calm_down()
            return search.solution(search.stall(), None)
        hessian = search.hessian(search.theta)
        if search.hessians > SETTLES and search.settle(hessian, tolerance):
            continue
        if search.hessians > CRAWLS and search.longest > search.radius and search.leap(hessian):
            continue
        if search.explore(hessian):
            search.polish(hessian, tolerance)
        elif search.radius < 1e-14 * (1 + float(search.theta.norm())):
            return search.solution(search.stall(), None)
    return search.solution("iterations", None)


class _Search:
    """The current point, its value and gradient, and the trust radius."""

    def __init__(self, loss: Regularised, start: Tensor, radius: float) -> None:
        self.loss, self.theta, self.radius = loss, start.clone(), radius
        self.value, self.gradient = loss.value_and_gradient(start)
        self.shift = 0.0
        self.agreement = 1.0  # of L with its model over the last step: actual over predicted decrease
        self.count = self.hessians = 0
        self.calmest = self.theta, self.value, self.gradient
        self.longest = LEAP * (1.0 + float(start.norm()))  # leap
        self.memory: Preconditioned | None = None  # of the search that came to this point

    @property
    def residual(self) -> float:
        return float(self.gradient.norm())

    @property
    def relative_residual(self) -> float:
        return self.residual / self.loss.scale(self.theta)

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the Hessian at theta, counted."""
        self.hessians += 1
        return self.loss.hessian(theta)

    def solution(self, stop: str, hessian: Tensor | None) -> Solution:
        inverse = None if self.memory is None else self.memory.inverse
        return Solution(self.theta, self.value, self.gradient, self.count, stop, hessian, inverse)

    def explore(self, hessian: Tensor) -> bool:
        """Take trust-region steps from a fresh Hessian until one stays inside; tell whether one did.

        After the first, symmetric rank-one updates of the Hessian (of what bends, in place) stand in for a new
        one at one gradient each, as long as the model predicts L well.
        """
        for attempt in range(SECANTS):
            theta, gradient = self.theta, self.gradient
            if self.newton_step(hessian, insist=attempt == 0) or self.residual == 0.0:
                return True
            step = self.theta - theta
            if self.agreement < AGREES or not bool(step.any()):
                return False
            change = self.gradient - gradient - self.loss.straight_pull(self.theta) + self.loss.straight_pull(theta)
            rank_one_update(hessian, step, change)
        return False

    def settle(self, hessian: Tensor, tolerance: float) -> bool:
        """Take Newton steps without zero modes at what is a minimum but for them; tell whether they came to its end.

        Along a zero mode rounding alone makes a long step, and the orbit of a symmetry bends: in a stiff network that leaves
        larger gradients than were there before.
        """
        if not bool(hessian.isfinite().all()):
            return False
        basis = eigenbasis(self.loss.shifted(hessian), bend=self.loss.bend(self.theta, self.residual))
        if basis.index:
            return False
        kept = basis.values > basis.zero
        columns, values = basis.vectors[:, kept], basis.values[kept]
        while self.relative_residual > tolerance:
            step = -(columns @ ((columns.T @ self.gradient) / values)).to(self.theta)
            value, gradient = self.loss.value_and_gradient(self.theta + step)
            calms = float(gradient.norm()) <= PATIENCE * self.residual
            if not calms or value > self.value + 1e-14 * (1 + abs(self.value)):
                return False
            self._move(step, value, gradient)
        return True

    def leap(self, hessian: Tensor) -> bool:
        """Take Newton steps of which the first may rise, as where a narrow valley bends; tell whether they led down in it.

        Those that follow, each with a Hessian of its own, come down to the valley's floor again (a watchdog: Chamberlain et
        al. 1982). What falls by more than the models foretell is no valley: then nothing was leapt.
        """
        theta, gradient, foretold = self.theta, self.gradient, 0.0
        for attempt in range(LEAPS):
            hessian = hessian if attempt == 0 else self.hessian(theta)
            bent = _bent(theta, gradient)
            step, decrease, _ = trust_region_step(self.loss.shifted(hessian), gradient, self.longest, least=bent)
            theta, foretold, before = theta + step, foretold + max(decrease, 0.0), float(gradient.norm())
            value, gradient = self.loss.value_and_gradient(theta)
            if not math.isfinite(value):
                break
            if attempt and value < self.value and self.value - value <= DEEPER * foretold:
                self._move(theta - self.theta, value, gradient)
                self.longest *= 2.0
                return True
            if attempt and not float(gradient.norm()) < COMES_DOWN * before:
                break
        self.longest *= 0.25
        return False

    def newton_step(self, hessian: Tensor, *, insist: bool = True) -> bool:
        """Try one step, or shrink the region until one succeeds; tell whether a step stayed inside."""
        matrix = self.loss.shifted(hessian)
        while self.radius >= 1e-14 * (1 + float(self.theta.norm())):
            bent = _bent(self.theta, self.gradient) if self.hessians > SETTLES else 0.0
            step, predicted, self.shift = trust_region_step(matrix, self.gradient, self.radius, self.shift, least=bent)
            length = float(step.norm())
            value, gradient = self.loss.value_and_gradient(self.theta + step)
            noise = 1e-14 * (1 + abs(self.value))
            ratio = self.agreement = (self.value - value + noise) / (predicted + noise)
            interior = length < 0.5 * self.radius
            if ratio < 0.25 or not value < float("inf"):
                self.radius = 0.25 * length
            elif ratio > 0.75 and not interior:
                self.radius *= 3.0
            if ratio > 1e-3 and (value < self.value or float(gradient.norm()) < self.residual):
                self._move(step, value, gradient)
                return interior
            self.radius = min(self.radius, 0.25 * length)  # a refused step is never tried again
            if not insist:
                break
        return False

    def travel(self, tolerance: float, has_left: Departure | None) -> str:
        """Descend by L-BFGS to a loose tolerance; return why it stopped."""
        self.memory = None
        return self._arrive(lbfgs(self.loss, self.theta, tolerance=tolerance, iterations=2000, has_left=has_left))

    def _arrive(self, end: Solution) -> str:
        """Go on from the end of another search; return why that stopped."""
        self.radius = max(self.radius, 0.1 * float((end.theta - self.theta).norm()))
        self.theta, self.value, self.gradient = end.theta, end.value, end.gradient
        self.count += end.iterations
        return end.stop

    def glide(self, landmark: Landmark | None, tolerance: float, has_left: Departure | None, patience: float) -> str:
        """Descend by L-BFGS in the coordinates of a Hessian from nearby; return why it stopped.

        Where the margin nearby is small, a small residual leaves a large error along its mode: the search goes on for a while.

        Where that takes as long as a new Hessian does, one is taken, and others each after half of that, if it is dear: a cheap
        one serves trust-region steps. With a finite `patience` a search that is not nearly there by then takes plain steps to
        where a Hessian tells more, and ends ("underway").
        """
        cost, factor = price(self.loss.landscape), landmark.factor if landmark else None
        rounds = ROUNDS if cost > CERTIFIED else int(factor is not None)
        brief = math.isfinite(patience) and factor is not None and rounds == ROUNDS
        sharp = tolerance * (landmark.sharpness if landmark and not brief else 1.0)
        end = ""
        for remaining in reversed(range(rounds)):
            if factor is None:
                end = self.travel(ROUGH, has_left)
                end = "iterations" if end == "converged" else end
                if end == "iterations" and math.isfinite(patience):
                    return UNDERWAY
            else:
                most = int(patience * cost) if brief else cost // 2 if remaining + 1 < rounds else cost
                self.memory = Preconditioned(self.theta, factor, self.radius)
                end = self._aided(sharp, most, has_left)
                if brief and end == "iterations" and self.relative_residual <= HOPEFUL:
                    end = self._aided(sharp, cost, has_left)
                end = "converged" if end not in LOST and self.relative_residual <= tolerance else end
            if brief and end == "iterations":
                end = self.travel(ROUGH, has_left)
                return end if end in ("left", *LOST) else UNDERWAY
            if end != "iterations" or not remaining:
                break
            factor = self._factor_here()
        return end

    def _aided(self, tolerance: float, iterations: int, has_left: Departure | None) -> str:
        """Go on in the coordinates of a preconditioner; return why that stopped."""
        again = partial(lbfgs, self.loss, self.theta, tolerance=tolerance, iterations=iterations)
        return self._arrive(again(has_left=has_left, memory=self.memory))

    def _factor_here(self) -> Cholesky | None:
        """Return the factor of a new Hessian."""
        hessian = self.hessian(self.theta)
        self.loss.landscape.ledger.charge(passes=factorisation_passes(self.loss.landscape))
        self.radius = max(self.radius, 0.3 * (1.0 + float(self.theta.norm())))
        return Cholesky.of(self.loss.shifted(hessian), least=FLOOR_OF_BETA * self.loss.unit)

    def polish(self, hessian: Tensor, tolerance: float) -> None:
        """Take BFGS steps from a positive definite Hessian while they stay inside, descend and contract."""
        bound = symmetric_norm(hessian)
        factor = cholesky(self.loss.shifted(hessian), FLOOR * bound)
        if factor is None:
            return
        pairs: list[tuple[Tensor, Tensor, float]] = []
        travelled = 0.0
        while self.relative_residual > tolerance:
            step = -bfgs_product(factor, pairs, self.gradient)
            travelled += float(step.norm())
            if travelled > self.radius:
                return
            value, gradient = self.loss.value_and_gradient(self.theta + step)
            if not value <= self.value + 1e-14 * (1 + abs(self.value)):
                return
            change = gradient - self.gradient
            contraction = float(gradient.norm()) / self.residual
            if contraction >= 1.0:
                return
            self._move(step, value, gradient)
            if float(step @ change) > 0:
                pairs.append((step, change, 1.0 / float(step @ change)))
            if contraction > PATIENCE:
                return

    def stall(self) -> str:
        """Tell a stop at the limit of rounding from one that something else keeps (see `stall`)."""
        reachable = 1e-10 * (1 + abs(self.value) ** 0.5 + float(self.loss.pull(self.theta).norm()))
        if self.residual <= reachable:
            return "rounding"
        return stall(self.loss.value_and_gradient, self.theta, self.value, self.gradient, self.loss.landscape)

    def _move(self, step: Tensor, value: float, gradient: Tensor) -> None:
        self.theta, self.value, self.gradient = self.theta + step, value, gradient
        self.memory, self.count = None, self.count + 1
        if self.residual < float(self.calmest[2].norm()):
            self.calmest = self.theta, self.value, self.gradient

    def calm_down(self) -> None:
        """Go back to where the gradient was least, if L is the same there to a hundred roundings."""
        if self.calmest[1] <= self.value + 100 * Stillness.STILL * (1 + abs(self.value)):
            self.theta, self.value, self.gradient = self.calmest


def _bent(theta: Tensor, gradient: Tensor) -> float:
    """Return the shift beyond which zero modes that a gradient bends are no directions down."""
    return BENT * float(gradient.norm()) / (1e-3 + float(theta.norm()))

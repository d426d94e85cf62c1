"""How starts are trained: by gradient descent with a rate below the limit of stability, or by L-BFGS."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.arguments import positive_number, whole_number
from spinodal.codec import Record
from spinodal.dynamics.gradients import Gradients
from spinodal.dynamics.method import Method
from spinodal.dynamics.observing import Observing
from spinodal.dynamics.runs import Plan, Progress, Runs
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape.objective import Regularised
from spinodal.minima.minimise import lbfgs_batch
from spinodal.spectrum.extremes import extreme_eigenvalues

NAMES = {"gd": "gradient descent", "lbfgs": "L-BFGS"}
EPOCHS = 20_000
LOOK = 20  # epochs between two looks at whether a run has arrived, as long as none was on a plateau
NEAR, BENT = 1e-2, 0.1  # relative residual near a minimum; curvature below zero on a plateau, over 2 beta
FEW = 8  # starts whose curvature, there and at the minimum that L-BFGS finds from there, sets the learning rate
ACCURACY, PRODUCTS = 0.01, 60  # of the largest eigenvalue: relative, and the most Hessian products


@dataclass(frozen=True)
class Trained(Record):
    """How the training of one start ended.

    Attributes
    ----------
    error : float or None
        E at its end; None where it diverged.
    epochs : int or None
        Steps of gradient descent; None where they were not counted.
    """

    error: float | None
    epochs: int | None


@dataclass(frozen=True)
class Training:
    """How starts are trained.

    Attributes
    ----------
    method : {"gd", "lbfgs"}
        Full-batch gradient descent, or L-BFGS with a line search, which takes far fewer gradients and longer ways.
    learning_rate : float or None
        Of gradient descent; None: that of `stable_rate` at each beta.
    epochs : int
        Most steps.
    """

    method: str = "gd"
    learning_rate: float | None = None
    epochs: int = EPOCHS

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.method not in NAMES:
            raise unknown_name("training", str(self.method), NAMES)
        whole_number("epochs", self.epochs, least=1, do=f"try {EPOCHS}")
        if self.learning_rate is not None:
            positive_number("learning_rate", self.learning_rate, do="leave it out, and it is half the limit of stability")
            if self.method != "gd":
                raise SpinodalError(
                    got=f"a learning_rate with training {self.method}",
                    allowed="a learning rate is that of gradient descent, gd",
                    do="leave it out",
                )

    def run(
        self, loss: Regularised, starts: Tensor, rate: float | None, tolerance: float, progress: Progress | None = None
    ) -> tuple[Tensor, list[Trained]]:
        """Train starts, shape (k, n), together, each until it is near a minimum; return their ends.

        L-BFGS ends at a relative residual of `tolerance`; gradient descent as `Arrival` says.
        """
        if rate is None:
            ends, losses = lbfgs_batch(loss, starts, tolerance=tolerance, iterations=self.epochs)
            errors = [loss.error(value, end) for value, end in zip(losses.tolist(), ends, strict=True)]
            return ends, [Trained(_finite(error), None) for error in errors]
        watch = Observing(loss, None, margins=False)
        plan = Plan(loss, Method("gd", rate), self.epochs, (), Arrival(loss), -math.inf, watch)
        history = Runs(plan, starts.clone(), tuple(range(len(starts)))).run(progress)
        how = zip(history.theta, history.ends, history.ended, strict=True)
        return history.theta, [
            Trained(None if end == "diverged" else _finite(loss.landscape.value(theta)), epochs) for theta, end, epochs in how
        ]


class Arrival:
    """Tells, every so many epochs, which runs have come near a minimum: 0 or less there, shape (k,).

    Near a minimum the gradient is small and L bends down nowhere, in units of what the penalty gives to both. On a plateau the
    first alone is true: training goes on, and is looked at again when it is a quarter longer.
    """

    def __init__(self, loss: Regularised) -> None:
        self.loss, self.gradients = loss, Gradients(loss.landscape)
        self.epoch, self.next = 0, LOOK

    def __call__(self, thetas: Tensor) -> Tensor:
        """Look at thetas, shape (k, n), of the next epoch."""
        self.epoch += 1
        if self.epoch < self.next:
            return thetas.new_ones(len(thetas))
        gradients = self.gradients(thetas)[1] + self.loss.beta * self.loss.control.conjugates_and_forces(thetas)[1]
        pairs = zip(thetas, gradients, strict=True)
        still = [bool(gradient.norm() <= NEAR * self.loss.scale(theta)) for theta, gradient in pairs]
        arrived = [here and not self._bends_down(theta) for theta, here in zip(thetas, still, strict=True)]
        self.next = self.epoch + (LOOK if arrived == still else max(LOOK, self.epoch // 4))
        return torch.tensor([0.0 if here else 1.0 for here in arrived])

    def _bends_down(self, theta: Tensor) -> bool:
        lowest = _curvature(self.loss, theta, smallest=1)
        return lowest < -BENT * 2.0 * self.loss.unit


def stable_rate(loss: Regularised, starts: Tensor) -> float:
    """Return half the learning rate below which descent is stable, `1 / lambda_max(Hess L)`, from the largest curvature known.

    It is that of a `FEW` starts, shape (k, n), there and at the minima that L-BFGS finds from them.
    """
    ends, _ = lbfgs_batch(loss, starts, tolerance=NEAR, iterations=EPOCHS)
    known = [theta for theta in (*starts, *ends) if bool(theta.isfinite().all())]
    sharpest = max((_curvature(loss, theta, largest=1) for theta in known), default=math.nan)
    if not 0.0 < sharpest < math.inf:
        raise SpinodalError(
            got=f"L that bends up nowhere at beta = {loss.beta:.4g}, so that no learning rate follows from its curvature",
            allowed="a learning rate of your own is allowed",
            do="give learning_rate, or train by lbfgs",
        )
    return 1.0 / sharpest


def _curvature(loss: Regularised, theta: Tensor, *, largest: int = 0, smallest: int = 0) -> float:
    """Return the largest or the smallest eigenvalue of Hess L."""
    ends = extreme_eigenvalues(
        loss.landscape, theta, beta=loss.beta, penalty=loss.control, largest=largest, smallest=smallest, tolerance=ACCURACY,
        budget=PRODUCTS,
    )  # fmt: skip
    found = ends.largest if largest else ends.smallest
    return float(found.values[0]) if len(found) else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

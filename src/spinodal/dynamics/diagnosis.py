"""What a plateau is, with the evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from spinodal.codec import keyed
from spinodal.conventions import CONVENTION
from spinodal.counts import Counts
from spinodal.dynamics.flow import TOLERANCE, Flow
from spinodal.minima.minimum import Minimum
from spinodal.shown import Drawn
from spinodal.theory.noise import kramers_time
from spinodal.words.numbers import significant

METASTABLE, SLOW, DRIFTING, CONVERGED = "metastable", "slow", "drifting", "converged"
VERDICTS = {
    METASTABLE: "metastable: a minimum of L, which gradient flow never leaves although a deeper one is known",
    SLOW: "slow: gradient flow leaves this plateau",
    DRIFTING: "drifting: E stays as it is while the norm falls along the valley of minima of E",
    CONVERGED: "converged to the best known phase",
}


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Drawn):
    """Where training at a theta stands, and what gradient flow of L makes of it.

    Attributes
    ----------
    verdict : str
        A key of `VERDICTS`.
    beta, error, loss, norm : float
        At theta; the norm is that of theta.
    residual : float
        `||grad L||` at theta.
    end : Minimum
        The minimum that gradient flow leads to.
    best : Minimum
        The deepest minimum known at this beta.
    flow : Flow
        Its times are epochs times learning rate.
    lowest, component : float
        The smallest eigenvalue of Hess L at theta, and the length of the gradient along its eigenvector.
    largest : float
        The largest eigenvalue of Hess L at theta.
    escape_time : float
        Until E has fallen by half of the way to the next level, in time of the flow; infinite where it never does.
    drift_time : float
        Until half of the norm that is lost is lost; 0 where none is.
    barrier : float or None
        L of the lowest saddle found beside a metastable minimum, less that of the minimum; an upper bound.
    curvatures : pair of tuple of float, or None
        Eigenvalues of Hess L at the metastable minimum and at that saddle.
    learning_rate : float or None
    spent : Counts
    """

    verdict: str
    beta: float
    error: float
    loss: float
    norm: float
    residual: float
    end: Minimum
    best: Minimum
    flow: Flow = field(repr=False)
    lowest: float
    component: float
    largest: float
    escape_time: float
    drift_time: float
    barrier: float | None = None
    curvatures: tuple[tuple[float, ...], tuple[float, ...]] | None = field(default=None, repr=False)
    learning_rate: float | None = None
    spent: Counts = field(default_factory=Counts)

    @property
    def escape_epochs(self) -> float | None:
        """Return the predicted epochs until the plateau is left, None without a learning rate."""
        return None if self.learning_rate is None else self.escape_time / self.learning_rate

    @property
    def escape_error(self) -> float | None:
        """Return how far that may be off: the tolerance of the flow, and one epoch."""
        epochs = self.escape_epochs
        return None if epochs is None or not math.isfinite(epochs) else TOLERANCE * epochs + 1.0

    def noise_time(self, temperature: float, *, saddles: int = 1) -> float | None:
        """Return Kramers' time in which Langevin noise leaves a metastable minimum (see `theory.kramers_time`).

        None where no saddle is known. Where there are several of the same height, give their number.
        """
        if self.barrier is None or self.curvatures is None:
            return None
        minimum, saddle = self.curvatures
        return kramers_time(self.barrier, temperature, minimum=minimum, saddle=saddle, saddles=saddles)

    @property
    def linear_time(self) -> float:
        """Return the time of the linearised flow, `log(way / part) / rate`: infinite where nothing bends down.

        The rate is that of the lowest eigenvalue, the part that of theta along it. Where the rate itself grows on the way, as
        for dead modes of deep networks, the plateau ends earlier.
        """
        part = abs(self.component / self.lowest) if self.lowest else math.inf
        way = abs(self.norm - float(self.end.theta.norm())) + part
        return math.log(way / part) / -self.lowest if self.lowest < 0.0 < part < way else math.inf

    @property
    def norm_law_time(self) -> float:
        """Return `log(norm^2 / norm at the end^2) / (2 beta)`, the time that the norm alone says."""
        after = float(self.end.theta.norm())
        return math.log(self.norm**2 / after**2) / (2.0 * self.beta) if 0.0 < after < self.norm and self.beta else 0.0

    @property
    def largest_rate(self) -> float:
        """Return the learning rate below which descent is stable at the end of the flow's beginning, `2 / lambda_max`."""
        return 2.0 / self.largest if self.largest > 0.0 else math.inf

    @property
    def is_holdable(self) -> bool | None:
        """Tell whether descent with the learning rate is stable here; None without one."""
        return None if self.learning_rate is None else self.learning_rate < self.largest_rate

    def __str__(self) -> str:
        """Return verdict and evidence in a few sentences."""
        here = f"E = {significant(self.error, 4)}, norm {significant(self.norm, 4)} at beta = {self.beta:g}"
        parts = [f"{VERDICTS[self.verdict]} ({here}).", self._why()]
        if self.is_holdable is False:
            parts.append(
                f"At learning_rate = {self.learning_rate:g} it cannot be held: lambda_max of Hess L is "
                f"{significant(self.largest, 4)}, and descent is stable below {significant(self.largest_rate, 4)}."
            )
        return " ".join(parts)

    def _why(self) -> str:
        if self.verdict == METASTABLE:
            depth = significant(self.end.loss - self.best.loss, 3)
            height = "" if self.barrier is None else f"; a barrier of at most {significant(self.barrier, 3)} surrounds it"
            deeper = f"a minimum deeper by {depth} in L has E = {significant(self.best.error, 4)}"
            return f"Its margin is {significant(self.end.margin, 3)}; {deeper}{height}."
        if self.verdict == SLOW:
            below = f"to E = {significant(self.end.error, 4)}; the lowest eigenvalue of Hess L is {significant(self.lowest, 3)}"
            return f"It ends {self._after(self.escape_time)}, and leads {below}."
        if self.verdict == DRIFTING:
            after = significant(float(self.end.theta.norm()), 4)
            half = f"half of the way {self._after(self.drift_time)}"
            return f"The norm falls to {after}, {half}; E ends at {significant(self.end.error, 4)}."
        return f"Its margin is {significant(self.end.margin, 3)}; no deeper minimum is known."

    def _after(self, time: float) -> str:
        if self.learning_rate is None:
            return f"after a time of {significant(time, 4)} (epochs times learning rate)"
        return f"after about {significant(time / self.learning_rate, 3)} epochs"

    def to_dict(self) -> dict[str, Any]:
        """Return verdict and evidence in JSON types."""
        numbers = "beta error loss norm residual lowest component largest barrier learning_rate"
        times = "escape_time drift_time linear_time norm_law_time escape_epochs escape_error largest_rate is_holdable"
        return {
            **{"verdict": self.verdict, "convention": CONVENTION, "text": str(self)},
            **keyed(self, f"{numbers} {times}"),
            **{name: keyed(getattr(self, name), "error loss margin status") for name in ("end", "best")},
            "flow": keyed(self.flow, "times errors losses norms"),
            "stats": self.spent.told,
        }

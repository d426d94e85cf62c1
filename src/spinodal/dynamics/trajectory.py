"""What training was: curves of many runs on one axis of epochs, and the state from which it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from spinodal.codec import Record, read
from spinodal.conventions import CONVENTION
from spinodal.counts import Counts
from spinodal.dynamics.method import Method
from spinodal.shown import Drawn
from spinodal.words.numbers import significant

ENDS = {
    "finished": "trained to the last epoch",
    "arrived": "arrived where it was to end",
    "diverged": "diverged: lower the learning rate",
}
CURVES = ("error", "loss", "norm", "held_out_error")
SELDOM_CURVES = ("rank", "margin", "accuracy", "held_out_accuracy")


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Drawn, Record):
    """The way of k runs in training.

    Attributes
    ----------
    beta : float
        Of `L = E + beta ||theta - centre||^2`; PyTorch's `weight_decay` is `2 * beta`.
    method : Method
    seeds : tuple of int
        Of the noise and of the mini-batches, one for each run.
    epochs : tuple of int, r of them
    error, loss, norm : Tensor, shape (k, r)
        E, L and `||theta||` at these epochs, before the step. NaN where a run had ended.
    held_out_error : Tensor, shape (k, r), or None
    seldom : tuple of int, s of them
        The epochs at which the following were looked at.
    rank : Tensor, shape (k, s)
        Effective rank, the smallest over weight matrices.
    margin, accuracy, held_out_accuracy : Tensor, shape (k, s), or None
        None where not asked for, or where there is nothing to be right about.
    levels : tuple of float
    crossings : Tensor, shape (k, number of levels)
        Epoch at which E first was at a level or below, interpolated between epochs; NaN where it never was.
    arrivals : Tensor, shape (k,)
        Epoch, interpolated, at which a run arrived where it was to end; NaN where it did not.
    ends : tuple of str
        A key of `ENDS` for each run.
    ended : tuple of int
        The epoch of each run's end.
    theta : Tensor, shape (k, n)
        Where each run ended.
    state : mapping of names to Tensor
        What a resumed run needs besides theta.
    spent : Counts
    """

    JSON = (
        "beta convention method seeds epochs seldom error loss norm held_out_error rank margin accuracy held_out_accuracy "
        "levels crossings arrivals ends ended status stats=spent.told"
    )
    convention: ClassVar[str] = CONVENTION

    beta: float
    method: Method
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    error: Tensor
    loss: Tensor
    norm: Tensor
    seldom: tuple[int, ...]
    rank: Tensor
    levels: tuple[float, ...]
    crossings: Tensor
    arrivals: Tensor
    ends: tuple[str, ...]
    ended: tuple[int, ...]
    theta: Tensor
    state: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    held_out_error: Tensor | None = None
    margin: Tensor | None = None
    accuracy: Tensor | None = None
    held_out_accuracy: Tensor | None = None
    spent: Counts = field(default_factory=Counts)

    def __len__(self) -> int:
        """Return k, the number of runs."""
        return len(self.seeds)

    @property
    def status(self) -> str:
        """Return a sentence about how the runs ended; of one that diverged, the epoch and the error it had before."""
        counts = {end: self.ends.count(end) for end in ENDS if end in self.ends}
        if len(counts) == 1 and "diverged" not in counts:
            return ENDS[self.ends[0]]
        parts = [f"{count} of {len(self)} {ENDS[end].partition(':')[0]}" for end, count in counts.items()]
        return "; ".join(parts) + (f"; {self.divergence}" if "diverged" in counts else "")

    @property
    def divergence(self) -> str:
        """Return where the first run diverged and what to do, "" if none did."""
        if "diverged" not in self.ends:
            return ""
        run = min((self.ended[i], i) for i, end in enumerate(self.ends) if end == "diverged")[1]
        last = float(self.state["last_error"][run])
        return (
            f"run {run} diverged at epoch {self.ended[run]}, E = {last:.4g} with learning_rate = "
            f"{self.method.learning_rate:g}; lower it, below 2 / lambda_max of Hess L descent is stable"
        )

    def __str__(self) -> str:
        """Return the runs in one line."""
        last = self.error.gather(1, (~self.error.isnan()).sum(1, keepdim=True).clamp_min(1) - 1)[:, 0]
        low, high = float(last.min()), float(last.max())
        spread = significant(low, 4) if low == high else f"{significant(low, 4)} to {significant(high, 4)}"
        runs = f"{len(self)} run{'s' if len(self) > 1 else ''}"
        what = f"Trajectory of {runs} over {max(self.ended)} epochs at beta = {self.beta:g}"
        return f"{what}: E = {spread} at the end; {self.status}"

    def tensors(self) -> dict[str, Tensor]:
        """Return thetas and the state by name, for a file."""
        return {"theta": self.theta, **self.state}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Trajectory:
        """Return a trajectory from what `to_dict` and `tensors` gave."""
        return cls.from_dict(
            record,
            theta=tensors["theta"],
            state={name: value for name, value in tensors.items() if name != "theta"},
            spent=read(Counts, record["stats"]),
        )

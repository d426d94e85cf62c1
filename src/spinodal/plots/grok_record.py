"""What the figure of grokking shows, in one record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.dynamics.grokking import Grokking
from spinodal.dynamics.plateaus import escapes, plateaus


@dataclass(frozen=True)
class Run:
    """One curve.

    Attributes
    ----------
    name : str
    kind : str
        "random", "intermediate" or "trivial".
    amplitude : float or None
    epochs, errors : tuple of float
        From epoch 1 on.
    held_out : tuple of float
        Likewise; empty without held-out data.
    flat : tuple of (begin, end, E)
    falls : tuple of (early, middle, late)
        Epochs of escapes.
    by_flow, by_integral, measured : float or None
    """

    name: str
    kind: str
    amplitude: float | None
    epochs: tuple[float, ...]
    errors: tuple[float, ...]
    held_out: tuple[float, ...]
    flat: tuple[tuple[float, float, float], ...]
    falls: tuple[tuple[float, float, float], ...]
    by_flow: float | None
    by_integral: float | None
    measured: float | None


@dataclass(frozen=True)
class GrokRecord:
    """Curves, levels and threshold; `main` are the runs of the three-start experiment."""

    title: str
    subtitle: str
    levels: tuple[tuple[int, float], ...]
    threshold: float
    main: tuple[Run, ...]
    others: tuple[Run, ...]


def grok_record(found: Grokking) -> GrokRecord:
    """Return what the figure shows."""
    runs = [_run(found, row) for row in range(len(found.starts))]
    main = set(found.main)
    options = found.options
    return GrokRecord(
        title=f"{found.task['name']}: training at beta = {options.beta:g} from prepared phases",
        subtitle=f"gradient descent, learning rate {options.learning_rate:g}; dead modes prepared to amplitude "
        f"{options.amplitude:g}; seed {options.seed}",
        levels=found.levels,
        threshold=found.threshold,
        main=tuple(run for row, run in enumerate(runs) if row in main),
        others=tuple(run for run in runs if run.amplitude is not None),
    )


def _run(found: Grokking, row: int) -> Run:
    start, history = found.starts[row], found.history
    pairs = _known(history.epochs, history.error[row].tolist())
    held_out = [] if history.held_out_error is None else _known(history.epochs, history.held_out_error[row].tolist())
    epochs, errors = tuple(epoch for epoch, _ in pairs), tuple(error for _, error in pairs)
    flat = plateaus(epochs, errors)
    falls = escapes(epochs, errors, flat)
    return Run(
        name=start.name if start.phase is None else f"{start.name} phase",
        kind=start.name,
        amplitude=start.amplitude,
        epochs=epochs,
        errors=errors,
        held_out=tuple(error for _, error in held_out),
        flat=tuple((item.begin, item.end, item.error) for item in flat),
        falls=tuple((fall.early, fall.epoch, fall.late) for fall in falls),
        by_flow=start.by_flow,
        by_integral=start.by_integral,
        measured=start.measured,
    )


def _known(epochs: Sequence[int], values: Sequence[float]) -> list[tuple[float, float]]:
    return [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if epoch > 0 and not math.isnan(value)]

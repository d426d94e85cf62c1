"""How the loss surface changes with beta: slices of L between two phases and along the mode that becomes soft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spinodal.claims.claim import Claim, Measured, verdict
from spinodal.claims.workshop import Workshop, tanh_task
from spinodal.landscape import Landscape
from spinodal.plots.style import PALETTE, WIDTH
from spinodal.sweeps.transition import Transition
from spinodal.words.numbers import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, PLANE = 161, 41  # points of a line, and along each side of a plane
FACTORS = (0.7, 0.9, 1.0, 1.15)  # times the beta at which a phase ends
REACH = (-0.3, 1.3)  # of the way from one phase to the other
SOFT = 1.0  # norm up to which the soft mode is followed


def surface(shop: Workshop) -> Measured:
    """Draw L between the deep phase and the trivial one, along the soft mode, and in the plane of both, for several beta."""
    landscape = tanh_task().landscape()
    end = max(shop.curved().macroscopic, key=lambda item: item.beta)
    betas = [factor * end.beta for factor in FACTORS]
    lines = [_between(landscape, end, beta) for beta in betas]
    minima = [count_minima(line) for line in lines]
    figure = shop.draw("slices", lambda: _figure(landscape, end, betas, lines))
    places = [REACH[0] + (REACH[1] - REACH[0]) * line.index(min(line)) / (LINE - 1) for line in lines]
    told = zip(betas, minima, places, strict=True)
    named = "; ".join(f"beta = {significant(beta, 4)}: {count}, the lowest at {place:.2f}" for beta, count, place in told)
    text = (
        f"Minima of L on the line from the trivial phase (0) to the one that ends at beta = {significant(end.beta, 4)} (1), "
        f"by beta: {named}."
    )
    moves = places[0] > 0.5 > places[-1]
    return Measured(text, verdict(moves), {"beta": betas, "minima": minima, "lowest": places}, figure)


def count_minima(values: Sequence[float]) -> int:
    """Return how many values are below both of their neighbours.

    Examples
    --------
    >>> count_minima([1.0, 0.0, 1.0, 0.5, 2.0])
    2
    """
    triples = zip(values, values[1:], values[2:], strict=False)
    return sum(a > b < c for a, b, c in triples)


def _between(landscape: Landscape, end: Transition, beta: float) -> list[float]:
    """Return L less its least on the line from behind a transition to before it."""
    trivial, deep = end.after.minimum.theta, end.before.minimum.theta
    steps = torch.linspace(*REACH, LINE, dtype=trivial.dtype)[:, None]
    return _losses(landscape, trivial + steps * (deep - trivial), beta)


def _soft_line(landscape: Landscape, end: Transition, beta: float) -> list[float]:
    steps = torch.linspace(-SOFT, SOFT, LINE, dtype=end.before.minimum.theta.dtype)[:, None]
    return _losses(landscape, end.before.minimum.theta + steps * _soft_mode(landscape, end), beta)


def _soft_mode(landscape: Landscape, end: Transition) -> Tensor:
    """Return the eigenvector of the smallest eigenvalue of Hess E before a transition."""
    _, vectors = torch.linalg.eigh(landscape.hessian(end.before.minimum.theta))
    soft: Tensor = vectors[:, 0]
    return soft


def _losses(landscape: Landscape, thetas: Tensor, beta: float) -> list[float]:
    errors, _ = landscape.values_and_gradients(thetas)
    losses = errors + beta * thetas.square().sum(1)
    return [float(value) for value in losses - losses.min()]


def _figure(landscape: Landscape, end: Transition, betas: Sequence[float], lines: Sequence[Sequence[float]]) -> Figure:
    from spinodal.plots.canvas import Canvas

    figure = Canvas(figsize=(1.6 * WIDTH, 5.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.1, 1.0))
    above, below = parts
    left, right = above.subplots(1, 2)
    for number, (beta, line) in enumerate(zip(betas, lines, strict=True)):
        look = {"color": PALETTE[number], "linewidth": 1.2, "label": f"β = {beta:.4g}"}
        left.plot(torch.linspace(*REACH, LINE).tolist(), line, **look)
        right.plot(torch.linspace(-SOFT, SOFT, LINE).tolist(), _soft_line(landscape, end, beta), **look)
    left.set_xlabel("from the trivial phase (0) to the deep one (1)")
    right.set_xlabel("along the soft mode, from the deep phase")
    left.set_ylabel("L less its least")
    left.legend()
    for axes, beta in zip(below.subplots(1, 3, sharey=True), betas[1:], strict=True):
        _plane(axes, landscape, end, beta)
    return figure


def _plane(axes: Axes, landscape: Landscape, end: Transition, beta: float) -> None:
    """Draw the levels of L in the plane of both phases and the soft mode."""
    trivial, deep = end.after.minimum.theta, end.before.minimum.theta
    soft = _soft_mode(landscape, end)
    across, up = (torch.linspace(low, high, PLANE, dtype=trivial.dtype) for low, high in (REACH, (-SOFT, SOFT)))
    places = (trivial + a * (deep - trivial) + b * soft for b in up for a in across)
    losses = torch.tensor(_losses(landscape, torch.stack(list(places)), beta)).reshape(PLANE, PLANE)
    axes.contourf(across.tolist(), up.tolist(), losses.clamp_min(1e-6).log10().numpy(), levels=14, cmap="cividis")
    axes.plot([0.0, 1.0], [0.0, 0.0], ".", color="white")
    axes.set_title(f"β = {beta:.4g}", fontsize=8)
    axes.set_xlabel("trivial (0), deep (1)")
    if axes.get_subplotspec() is not None and axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel("soft mode")


SLICES = (
    Claim(5, "The loss surface changes with beta, and pushes the error-minimising model out of the region of useful ones "
          "(figure 1).", "A", "spinodal claims --only 5", surface),
)  # fmt: skip

"""Diagrams made by hand, of any size, for what renders them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

import spinodal as sp
from spinodal.counts import Counts
from spinodal.minimise import Minimum
from spinodal.observe import Observation
from spinodal.theory import ExactTransition
from spinodal.transitions import Evidence, Transition
from spinodal.walk import Point

MATRICES = ("0.weight", "2.weight")


def point(
    index: int,
    beta: float,
    *,
    level: int,
    classes: int = 0,
    margin: float = 0.1,
    stop: str = "converged",
    custom: Mapping[str, float] | None = None,
    matrices: Sequence[str] = MATRICES,
) -> Point:
    """Return a point of the phase `level`: its rank is `3 - level`, and as many of its classes are alive, but for the last."""
    error = 0.2 * level + 0.1 * beta
    alive = max(classes - level, 0)
    recalls = tuple(0.9 if index < alive else 0.0 for index in range(classes)) or None
    accuracy = sum(recalls) / classes if recalls else None
    rank = max(3 - level, 0)
    values = tuple(1.0 / (k + 1) if k < rank else 0.0 for k in range(3))
    theta = torch.zeros(2, dtype=torch.float64)
    return Point(
        index=index,
        origin=index - 1 if index else None,
        minimum=Minimum(theta, beta, error, error + beta, 1e-9, margin, 0.0, 0, stop, "newton", Counts()),
        observation=Observation(
            norm=2.0 - 0.3 * level - 0.1 * beta,
            distance=2.0 - 0.3 * level - 0.1 * beta,
            singular_values=dict.fromkeys(matrices, values),
            ranks=dict.fromkeys(matrices, rank),
            rank=rank if matrices else 0,
            accuracy={"train": accuracy, "held_out": None},
            class_accuracy={"train": recalls, "held_out": None},
            output_variance=0.5,
            custom=dict(custom or {}),
        ),
        tangent=theta,
        norm_slope=-0.1,
        margin_slope=-0.1,
    )


def transition(before: Point, after: Point, *, minor: bool = False, order: str = "first") -> Transition:
    """Return the transition between two points."""
    low, high = sorted((before.beta, after.beta))
    return Transition(
        beta=math.sqrt(low * high),
        bracket=(low, high),
        direction="up" if before.beta < after.beta else "down",
        order=order,
        minor=minor,
        status="converged",
        before=before,
        after=after,
        evidence=Evidence(0.5, 0.01, 1.0, True, 0.1, 0.2),
    )


def diagram(
    count: int = 40,
    *,
    phases: int = 3,
    downward: bool = False,
    name: str = "by hand",
    minor_every: int = 0,
    exact: Sequence[ExactTransition] = (),
    **of_points: Any,
) -> sp.PhaseDiagram:
    """Return a diagram of `count` points from beta = .01 to 1 in phases of equal length."""
    betas = [0.01 * 100 ** (k / max(count - 1, 1)) for k in range(count)]
    levels = [k * phases // count for k in range(count)]
    order = range(count - 1, -1, -1) if downward else range(count)
    points = [point(index, betas[k], level=levels[k], **of_points) for index, k in enumerate(order)]
    walked = [levels[k] for k in order]
    found = []
    for k in range(1, count):
        if walked[k] != walked[k - 1]:
            found.append(transition(points[k - 1], points[k]))
        elif minor_every and k % minor_every == 0:
            found.append(transition(points[k - 1], points[k], minor=True))
    return sp.PhaseDiagram(
        task={"name": name},
        seed=0,
        range=(min(betas), max(betas)),
        points=tuple(points),
        transitions=tuple(found),
        spent=Counts(gradient_evaluations=1234, hessian_products=56, parameters=2),
        seconds=1.5,
        solver="newton",
        run_status="complete",
        exact=tuple(exact),
    )

"""Curves that are trained as a whole: the mean of E along them is minimised over their control points."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.minima.lbfgs import descended
from spinodal.paths.effort import Effort
from spinodal.paths.epochs import Epochs, Weights, in_batches
from spinodal.paths.progress import Progress

NODES = 7  # of the mean along a Bezier curve, and at least of that along a chain
DRAWN = 17  # points of a Bezier curve, between which the path is straight


def bezier(places: Tensor, degree: int = 2) -> Tensor:
    """Return the weights of the control points at places of a Bezier curve of a degree d, shape (k, d + 1).

    Examples
    --------
    >>> bezier(torch.tensor([0.5]), 2).tolist()
    [[0.25, 0.5, 0.25]]
    """
    number = torch.arange(degree + 1, dtype=places.dtype)
    ways = torch.tensor([math.comb(degree, place) for place in range(degree + 1)], dtype=places.dtype)
    return ways * places[:, None] ** number * (1.0 - places[:, None]) ** (degree - number)


def chain(places: Tensor, bends: int) -> Tensor:
    """Return the weights of start, bends and end at places of a polygonal chain, shape (k, bends + 2).

    Examples
    --------
    >>> chain(torch.tensor([0.25]), 1).tolist()
    [[0.5, 0.5, 0.0]]
    """
    knots = torch.linspace(0.0, 1.0, bends + 2, dtype=places.dtype)
    return (1.0 - (places[:, None] - knots[None]).abs() * (bends + 1)).clamp_min(0.0)


class Curve:
    """A curve whose points are weighted means of its control points, of which the first and the last are the ends.

    Parameters
    ----------
    landscape : Landscape
    controls : Tensor, shape (c, n)
    weights, shares : Tensor, shapes (k, c) and (k,)
        Of the control points at the nodes, and of the nodes in the mean of E.
    """

    def __init__(self, landscape: Landscape, controls: Tensor, weights: Tensor, shares: Tensor) -> None:
        self.landscape, self.controls = landscape, controls
        self.weights, self.shares = weights.to(controls), shares.to(controls)

    def train(self, effort: Effort) -> Tensor:
        """Minimise the mean of E over the inner control points; return all of them, shape (c, n)."""
        inner = self.controls[1:-1]
        end = descended(self._mean, inner.reshape(-1), lambda *_: "spent" if effort.is_spent else None, 10_000)
        self.controls = self._with(end.theta)
        return self.controls

    def _with(self, inner: Tensor) -> Tensor:
        return torch.cat([self.controls[:1], inner.reshape(-1, self.controls.shape[1]), self.controls[-1:]])

    def _mean(self, inner: Tensor) -> tuple[float, Tensor]:
        """Return the mean of E over the nodes and its gradient with respect to the inner control points, flat."""
        errors, gradients = self.landscape.values_and_gradients(self.weights @ self._with(inner))
        shared = self.weights[:, 1:-1] * self.shares[:, None]
        return float(errors @ self.shares), (shared.T @ gradients).reshape(-1)


def trained_bezier(
    landscape: Landscape, controls: Tensor, effort: Effort, power: float = 0.0, progress: Progress | None = None
) -> Tensor:
    """Return the control points, shape (c, n), of the Bezier curve of the smallest mean E that is found from one.

    With samples enough for batches (see `Epochs`), places where E is high count more if `power` > 0, and it goes on from
    the `progress` that is on record.
    """

    def weights(places: Tensor) -> Tensor:
        return bezier(places, len(controls) - 1)

    return _trained(landscape, controls, weights, _nodes(NODES), effort, power, progress)


def drawn(controls: Tensor) -> Tensor:
    """Return points of a Bezier curve, shape (`DRAWN`, n), its ends to the last bit."""
    places = torch.linspace(0.0, 1.0, DRAWN, dtype=torch.float64)[1:-1]
    return torch.cat([controls[:1], bezier(places, len(controls) - 1).to(controls) @ controls, controls[-1:]])


def straight_chain(a: Tensor, b: Tensor, bends: int) -> Tensor:
    """Return the points, shape (bends + 2, n), of a chain that is straight yet."""
    return torch.stack([a, *(torch.lerp(a, b, part / (bends + 1)) for part in range(1, bends + 1)), b])


def trained_chain(landscape: Landscape, controls: Tensor, effort: Effort, progress: Progress | None = None) -> Tensor:
    """Return the points of the polygonal chain of the smallest mean E that is found from one, shape (bends + 2, n)."""
    segments = len(controls) - 1
    places, shares = _nodes(max(3, -(-NODES // segments)))
    nodes = torch.cat([(segment + places) / segments for segment in range(segments)]), shares.repeat(segments) / segments
    return _trained(landscape, controls, lambda places: chain(places, segments - 1), nodes, effort, 0.0, progress)


def _trained(
    landscape: Landscape,
    controls: Tensor,
    weights: Weights,
    nodes: tuple[Tensor, Tensor],
    effort: Effort,
    power: float,
    progress: Progress | None,
) -> Tensor:
    """Return the control points trained by batches, or over all samples at nodes of a quadrature where samples are few."""
    batched = in_batches(landscape)
    if batched is None:
        return Curve(landscape, controls, weights(nodes[0]), nodes[1]).train(effort)
    inner = Epochs(batched, controls.to(batched.dtype), weights, power).run(max(1, int(effort.left)), progress)[1:-1]
    return torch.cat([controls[:1], inner.to(controls), controls[-1:]]) if bool(inner.isfinite().all()) else controls


def _nodes(count: int) -> tuple[Tensor, Tensor]:
    """Return the nodes and weights of Gauss and Legendre on 0 to 1."""
    places, shares = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((places + 1.0) / 2.0), torch.from_numpy(shares / 2.0)

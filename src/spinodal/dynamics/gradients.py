"""Errors and gradients of many thetas at once: one vectorised pass, with its operations written down in advance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from spinodal.dynamics.written import written_down
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch, is_of_samples, size_of
from spinodal.landscape.structure import flatten

SAMPLES_AT_ONCE = 32_768  # thetas times samples in one pass: activations of more leave the cache
ROOM = 1.25  # times as many thetas may a pass be made for as it is used for
OFTEN = 200  # uses after which writing a pass down pays
AGREE = {torch.float64: 1e-9, torch.float32: 1e-4}  # relative difference of gradients in the two ways
Evaluation = tuple[Tensor, Tensor]


class Gradients:
    """`E` and `grad E` of k thetas, shape (k, n), over all data or over samples of their own.

    Passes are vectorised over thetas; a model that cannot be is evaluated theta by theta. Whether it can be, and gives
    the same, is tried at the first theta.

    Parameters
    ----------
    landscape : Landscape
    """

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        self._passes: dict[tuple[Any, ...], _Pass] = {}
        self._sizes: dict[tuple[Any, ...], list[int]] = {}
        self._vectorised: bool | None = None

    def __call__(self, thetas: Tensor) -> Evaluation:
        """Return E, shape (k,), and its gradients, shape (k, n), over all data."""
        if not self._is_vectorised(thetas[0]):
            return self.landscape.values_and_gradients(thetas)
        self.landscape.ledger.charge(gradient_evaluations=len(thetas))
        at_once = max(1, SAMPLES_AT_ONCE // max(self.landscape.batches.largest, 1))
        parts = [self._over_all(part) for part in torch.split(thetas, at_once)]
        return parts[0] if len(parts) == 1 else (torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]))

    def of_samples(self, thetas: Tensor, chosen: Tensor) -> Evaluation:
        """Return the error over samples of each theta's own, chosen by number, shape (k, b), and its gradient."""
        batch = next(iter(self.landscape.batches))
        leaves, structure = flatten(batch)
        index = chosen.to(thetas.device)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        picked = [leaf[index] for leaf in tensors]
        rebuilt = _refilled(leaves, structure.filled)
        if not self._is_vectorised(thetas[0]):
            return self._one_by_one(thetas, picked, rebuilt)
        call = self.landscape.call
        gradients, values = self._run(
            ("samples", chosen.shape[1]), lambda theta, *parts: call(theta, rebuilt(parts)), thetas, *picked
        )
        return values, gradients

    @property
    def can_choose(self) -> bool:
        """Tell whether the data are one batch of samples, from which mini-batches can be drawn."""
        return self.landscape.batches.count == 1 and is_of_samples(next(iter(self.landscape.batches)))

    @property
    def samples(self) -> int:
        """Return the number of samples of the first batch."""
        return size_of(next(iter(self.landscape.batches)))

    def _over_all(self, thetas: Tensor) -> Evaluation:
        values, gradients = thetas.new_zeros(len(thetas)), torch.zeros_like(thetas)
        for number, (weight, batch) in enumerate(self.landscape.batches.weighted()):
            slope, value = self._of_batch(number, batch, thetas)
            values = values + weight * value
            gradients = gradients + weight * slope
        return values, gradients

    def _of_batch(self, number: int, batch: Batch, thetas: Tensor) -> Evaluation:
        return self._run((number,), lambda theta: self.landscape.call(theta, batch), thetas)

    def _run(self, name: tuple[Any, ...], function: Callable[..., Tensor], *arguments: Tensor) -> Evaluation:
        """Return gradients and values; a pass for a few more thetas serves, too, so that few are written down."""
        count = len(arguments[0])
        sizes = self._sizes.setdefault(name, [])
        size = min((size for size in sizes if count <= size <= ROOM * count), default=count)
        if size > count:
            arguments = tuple(torch.cat([value, value[-1:].expand(size - count, *value.shape[1:])]) for value in arguments)
        known = self._passes.setdefault((*name, size), _Pass(vmap(grad_and_value(function))))
        if size not in sizes:
            sizes.append(size)
        gradients, values = known(arguments)
        return gradients[:count], values[:count]

    def _one_by_one(self, thetas: Tensor, picked: Sequence[Tensor], rebuilt: Callable[..., Batch]) -> Evaluation:
        one = grad_and_value(self.landscape.call)
        pairs = [one(theta, rebuilt([leaf[row] for leaf in picked])) for row, theta in enumerate(thetas)]
        return torch.stack([value for _, value in pairs]), torch.stack([slope for slope, _ in pairs])

    def _is_vectorised(self, theta: Tensor) -> bool:
        """Tell whether one pass over several thetas works and gives what single evaluations give; tried once, uncounted."""
        if self._vectorised is None:
            self._vectorised = self._agrees(theta)
        return self._vectorised

    def _agrees(self, theta: Tensor) -> bool:
        landscape = self.landscape
        shift = torch.linspace(0.5, 1.5, landscape.size, dtype=theta.dtype, device=theta.device)
        other = landscape.initial * shift + 1e-3 * shift
        try:
            _, gradients = self._over_all(torch.stack([theta, other]))
        except Exception:  # noqa: BLE001 - control flow or operations of the user's that have no vectorised form
            return False
        finally:
            self._sizes.clear()
        singles = torch.stack([landscape.over(point, landscape.batches)[1] for point in (theta, other)])
        return bool((gradients - singles).norm() <= AGREE.get(landscape.dtype, 1e-3) * (singles.norm() + 1e-12))


class _Pass:
    """A vectorised function. Once it has been used often, its operations are written down, which run a third faster."""

    def __init__(self, function: Callable[..., Evaluation]) -> None:
        self.function, self.uses = function, 0

    def __call__(self, arguments: Sequence[Tensor]) -> Evaluation:
        self.uses += 1
        if self.uses == OFTEN:
            self.function = written_down(self.function, arguments)
        with torch.no_grad():
            return self.function(*arguments)


def _refilled(leaves: Sequence[Any], filled: Callable[[Sequence[Any]], Batch]) -> Callable[[Sequence[Tensor]], Batch]:
    """Return what puts other tensors in the places of those among the leaves of a batch."""
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def rebuilt(tensors: Sequence[Tensor]) -> Batch:
        new = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            new[place] = tensor
        return filled(new)

    return rebuilt

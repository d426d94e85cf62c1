"""The flat vector theta and the named parameters of a module, one to one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from spinodal.errors import SpinodalError


@dataclass(frozen=True)
class Slot:
    """Where one parameter tensor lives inside theta."""

    name: str
    shape: torch.Size
    start: int
    stop: int


class Parameters:
    """The layout of theta: trainable parameters in `named_parameters` order.

    Frozen parameters (`requires_grad=False`) are left out; tied parameters appear once.
    """

    def __init__(self, model: nn.Module) -> None:
        self.slots: tuple[Slot, ...] = tuple(_slots(model))
        if not self.slots:
            raise SpinodalError(
                got="the model has no trainable parameter",
                allowed="at least one parameter with requires_grad=True is needed",
                do="unfreeze a parameter or check that layers are registered on the module",
            )
        self.size: int = self.slots[-1].stop

    def flatten(self, model: nn.Module) -> Tensor:
        """Return theta, shape (n,), as a detached copy of the module's parameters."""
        named = dict(model.named_parameters())
        if any(slot.name not in named or named[slot.name].shape != slot.shape for slot in self.slots):
            raise SpinodalError(
                got="a module of another layout",
                allowed=f"the same {len(self.slots)} trainable parameters, by name and shape, are allowed",
                do="give a copy of the landscape's module",
            )
        return torch.cat([named[slot.name].detach().reshape(-1) for slot in self.slots])

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """Return views of theta, shape (n,), by parameter name: of one split, whose backward pass makes one vector."""
        parts = torch.split(theta, [slot.stop - slot.start for slot in self.slots])
        return {slot.name: part.view(slot.shape) for slot, part in zip(self.slots, parts, strict=True)}

    def matrices(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the weight matrices: tensors of two or more dimensions, flattened to (rows, rest)."""
        named = self.unflatten(theta)
        return {name: value.reshape(value.shape[0], -1) for name, value in named.items() if value.dim() >= 2}

    def bind(self, model: nn.Module, flat: Tensor) -> list[nn.Parameter]:
        """Make the module's parameters views into `flat`, so that writing `flat` sets theta."""
        named = dict(model.named_parameters())
        for slot in self.slots:
            flat[slot.start : slot.stop].copy_(named[slot.name].detach().reshape(-1))
            named[slot.name].data = flat[slot.start : slot.stop].view(slot.shape)
        return [named[slot.name] for slot in self.slots]


def _slots(model: nn.Module) -> Iterator[Slot]:
    start = 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel()
            yield Slot(name, parameter.shape, start, stop)
            start = stop


class Substitution:
    """Calls of a module with other parameters.

    `torch.func.functional_call` alone leaves wrong parameters behind in a module that lies at two places of the model (torch
    2.13): it puts a tied parameter at every name, and back in the same order. Here every owner of a parameter is one place.

    Examples
    --------
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> twice = nn.Sequential(layer, layer)
    >>> with torch.no_grad():
    ...     three = Substitution(twice)({"0.weight": torch.tensor([[3.0]])}, (torch.ones(1, 1),)).item()
    ...     three, torch.equal(twice(torch.ones(1, 1)), layer.weight**2)
    (9.0, True)
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        owned: dict[int, list[str]] = {}
        for path, module in model.named_modules():
            for name, value in module.named_parameters(path, recurse=False, remove_duplicate=False):
                owned.setdefault(id(value), []).append(name)
        self._places = {names[0]: names for names in owned.values()}

    def __call__(
        self, named: Mapping[str, Tensor], arguments: tuple[Any, ...], keywords: Mapping[str, Any] | None = None
    ) -> Any:
        """Return what the module returns with parameters of other values, by their names in `named_parameters`."""
        everywhere = {place: value for name, value in named.items() for place in self._places[name]}
        return functional_call(self.model, everywhere, arguments, dict(keywords or {}), tie_weights=False)

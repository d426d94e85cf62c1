"""The models of a map: made again from theta, with or without the code of their task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spinodal.errors import SpinodalError
from spinodal.landscape.copying import copied
from spinodal.landscape.layout import Layout
from spinodal.landscape.parameters import Parameters

if TYPE_CHECKING:
    from spinodal.tasks.task import Task


@dataclass(frozen=True)
class Models:
    """What makes models of points.

    Attributes
    ----------
    layout : Layout
    fixed : callable ``() -> tensors by name``
        Frozen parameters and buffers, which every point shares; read when first needed.
    task : callable ``() -> Task``
        The task whose model this is; made when first needed, a `SpinodalError` where it is not known.
    verify : callable ``index -> None``
        Raises a `SpinodalError` if the state of a point is not the one that was recorded. Default: trusts it.
    """

    layout: Layout
    fixed: Callable[[], Mapping[str, Tensor]]
    task: Callable[[], Task]
    verify: Callable[[int], None] = lambda index: None

    @classmethod
    def of(cls, task: Task) -> Models:
        """Return the models of a task at hand, as it is now."""
        layout = Layout.of(task.model)
        fixed = layout.fixed_tensors(task.model)
        return cls(layout, lambda: fixed, lambda: task)

    def state_dict(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the state dict of the model at theta, shape (n,)."""
        if self.layout.opaque:
            raise SpinodalError(
                got=f"the model's state dict has {self.layout.opaque[0]}, which theta does not determine",
                allowed="state dicts of parameters and buffers are allowed",
                do="take module(), which keeps what the model's own code makes",
            )
        return self.layout.tensors(theta, self.fixed())

    def module(self, theta: Tensor) -> nn.Module:
        """Return a copy of the task's model at theta, shape (n,), in evaluation mode."""
        module = copied(self.task().model)
        named = dict(module.named_parameters())
        with torch.no_grad():
            for name, value in Parameters(module).unflatten(theta).items():
                named[name].copy_(value)
            self.layout.set_fixed(module, self.fixed())
        module.zero_grad()
        return module.eval()

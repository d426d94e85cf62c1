"""An end of a path: a theta from whatever has one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from spinodal.errors import SpinodalError, about
from spinodal.landscape import Landscape
from spinodal.landscape.copying import copied
from spinodal.landscape.layout import Layout
from spinodal.tasks.fitted import fitted
from spinodal.tasks.models import Models
from spinodal.tasks.task import Task


def end_of(landscape: Landscape, value: object, name: str) -> Tensor:
    """Return theta, shape (n,), of a minimum, point or model of a map, vector, module or state dict; refuse what has none."""
    if isinstance(value, Mapping):
        return landscape.vector(fitted(value, _models(landscape)).theta)
    theta = getattr(value, "theta", value)
    if not isinstance(theta, Tensor | nn.Module):
        raise SpinodalError(
            got=f"the end {name} of the path is a {type(value).__name__}",
            allowed="what has a theta (a minimum, a point, a model of a map), a vector, a module or a state dict is allowed",
            do="give one of these; spinodal.store.read_checkpoint reads files",
        )
    with about(f"the end {name} of the path"):
        return landscape.vector(theta)


def refuse_same(a: Tensor, b: Tensor) -> None:
    """Refuse a path from a point to itself."""
    if bool((a == b).all()):
        raise SpinodalError(
            got="both ends of the path are the same point",
            allowed="two different points are allowed",
            do="give two minima, such as those of two seeds",
        )


def _models(landscape: Landscape) -> Models:
    layout = Layout.of(landscape.model)
    fixed = layout.fixed_tensors(landscape.model)

    def task() -> Task:
        raise SpinodalError(got="no task", allowed="a landscape has none", do="take the landscape's module")

    return Models(layout, lambda: fixed, task)


def module_at(landscape: Landscape, theta: Tensor) -> nn.Module:
    """Return a copy of the landscape's module at theta, shape (n,), in evaluation mode."""
    with landscape.at(theta) as model:
        module = copied(model)
    module.zero_grad()
    return module.eval()

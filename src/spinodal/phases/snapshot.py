"""The trained model at one point of a map."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spinodal.conventions import CONVENTION, is_l2, weight_decay
from spinodal.errors import SpinodalError
from spinodal.observe import Observation
from spinodal.shown import Shown
from spinodal.sweeps.point import Point
from spinodal.tasks.model_file import save_model
from spinodal.tasks.models import Models


@dataclass(frozen=True, repr=False)
class Snapshot(Shown):
    """The model that minimises L at the beta of one point.

    Attributes
    ----------
    point : Point
    task : mapping
        Name and settings of the task.
    models : Models or None
        What makes the model.
    convention : str
        What L is.

    Examples
    --------
    A snapshot has the error that the map measured:

    >>> from spinodal import map_phases, tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(2,), samples=20)
    >>> snapshot = map_phases(task, beta=(0.1, 0.2), starts=1).at(0.1)
    >>> abs(task.loss(snapshot.module(), task.data).item() - snapshot.error) < 1e-12
    True
    >>> list(snapshot.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    point: Point
    task: Mapping[str, Any]
    models: Models | None = field(default=None, compare=False, repr=False)
    convention: str = CONVENTION

    @property
    def beta(self) -> float:
        """Return beta of `L = E + beta ||theta||^2`."""
        return self.point.beta

    @property
    def weight_decay(self) -> float:
        """Return PyTorch's `weight_decay`, `2 * beta`; NaN along another control than the L2 penalty."""
        return weight_decay(self.beta) if is_l2(self.convention) else math.nan

    @property
    def where(self) -> str:
        """Return the weight_decay in words, or the value of another control."""
        if is_l2(self.convention):
            return f"weight_decay = {self.weight_decay:.6g}"
        return f"beta of L = {self.convention} is {self.beta:.6g}"

    @property
    def error(self) -> float:
        """Return E."""
        return self.point.error

    @property
    def observation(self) -> Observation:
        """Return the order parameters."""
        return self.point.observation

    @property
    def theta(self) -> Tensor:
        """Return the trainable parameters, shape (n,), in the precision of the map.

        Raises
        ------
        SpinodalError
            If the run was loaded without its `states/`, or the state of this point is damaged.
        """
        theta = self.point.minimum.theta
        if theta.is_meta:
            raise SpinodalError(
                got=f"the parameters of point {self.point.index} are not here: the run was loaded without its states",
                allowed="a run folder with journal.jsonl and states/ is needed for models",
                do="copy states/ beside journal.jsonl and load it again",
            )
        if self.models is not None:
            self.models.verify(self.point.index)
        return theta

    def module(self) -> nn.Module:
        """Return the model as the task gave it, in its own dtype and in evaluation mode, with the parameters of this point.

        It is a fresh copy; change it as you like.

        Raises
        ------
        SpinodalError
            If the task is not known: for a run loaded from its folder, pass ``task=`` to `load` unless
            the task is a built-in one.
        """
        return self._made_by().module(self.theta)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what ``load_state_dict(..., strict=True)`` of the model takes: parameters, tied and frozen ones, buffers.

        It needs no code of the task. Tensors are on the CPU, in the dtypes of the task's own model;
        no two share memory.

        Raises
        ------
        SpinodalError
            If the state dict has entries that theta does not determine (extra state).
        """
        return self._made_by().state_dict(self.theta)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `state_dict()` as a safetensors file, whole or not at all, and return its path.

        Its metadata (words) are `task`, `beta`, `weight_decay`, `convention`, `error` and `point`.

        Raises
        ------
        SpinodalError
            If there is no state dict, or the file cannot be written.
        """
        return save_model(self.state_dict(), self._metadata(), Path(path))

    def _metadata(self) -> dict[str, str]:
        return {
            "task": str(self.task["name"]),
            "beta": repr(self.beta),
            "weight_decay": repr(self.weight_decay),
            "convention": self.convention,
            "error": repr(self.error),
            "point": str(self.point.index),
        }

    def _made_by(self) -> Models:
        if self.models is None:
            raise SpinodalError(
                got="this diagram knows no model",
                allowed="diagrams from map_phases(task) or load(run) give models back",
                do="map the task again, or load its run folder",
            )
        return self.models

    def __str__(self) -> str:
        """Return the snapshot in one line."""
        return (
            f"Model of {self.task['name']} at beta = {self.beta:.6g} ({self.where}): "
            f"E = {self.error:.6g}, rank {self.observation.rank}, point {self.point.index}"
        )

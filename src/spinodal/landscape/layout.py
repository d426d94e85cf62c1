"""How a model's state dict is made of theta and of tensors that a map leaves alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from spinodal.codec import Record
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape.parameters import Parameters

UNUSED = "num_batches_tracked"  # a counter of BatchNorm's training, of which no error depends


@dataclass(frozen=True)
class Entry(Record):
    """One tensor of a state dict.

    Attributes
    ----------
    name, shape, dtype : as in the model's own state dict
    start : int or None
        Where its numbers begin in theta; equal for tied parameters; None for a tensor that is no part
        of theta: a frozen parameter or a buffer.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    start: int | None

    def fill(self, numbers: Tensor) -> Tensor:
        """Return a copy of numbers in this entry's shape and dtype."""
        return numbers.detach().reshape(self.shape).to("cpu", getattr(torch, self.dtype), copy=True)

    def check_place(self, size: int) -> None:
        """Raise ValueError unless this is a tensor that may lie in a theta of a size."""
        if not isinstance(getattr(torch, self.dtype), torch.dtype) or min(self.shape, default=0) < 0:
            raise ValueError(self)
        if self.start is not None and not 0 <= self.start <= size - math.prod(self.shape):
            raise ValueError(self)

    def check(self, value: Tensor) -> None:
        """Raise ValueError unless a tensor has this entry's shape and dtype."""
        if tuple(value.shape) != self.shape or value.dtype != getattr(torch, self.dtype):
            raise ValueError(self.name)

    def refuse_other(self, value: Tensor) -> None:
        """Refuse a tensor that cannot be this entry's: of another kind or shape, or without numbers."""
        if why := _unusable(value, trainable=self.start is not None):
            raise _unlike(self.name, why)
        if tuple(value.shape) != self.shape:
            raise SpinodalError(
                got=f"{self.name} in the checkpoint is {tuple(value.shape)} {_kind(value)}",
                allowed=f"the shape {self.shape} of the task's model is allowed",
                do="make the task with the model that was trained",
            )
        if self.start is not None and not bool(value.detach().to("cpu", torch.float64).isfinite().all()):
            raise _unlike(self.name, "holds numbers that are not finite")

    def piece(self, theta: Tensor) -> Tensor:
        """Return this entry's part of theta."""
        start = self.start or 0
        return theta[start : start + math.prod(self.shape)]


@dataclass(frozen=True)
class Layout(Record):
    """The entries of a model's state dict, in its order.

    Attributes
    ----------
    size : int
        n, the length of theta.
    entries : tuple of Entry
    opaque : tuple of str
        Entries of the state dict that are no plain tensors (extra state, values computed by the
        model's own code). With any of these, theta alone does not make a state dict.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    >>> model[1].weight = model[0].weight
    >>> [(entry.name, entry.start) for entry in Layout.of(model).entries]
    [('0.weight', 0), ('0.bias', 4), ('1.weight', 0), ('1.bias', 6)]
    """

    size: int
    entries: tuple[Entry, ...]
    opaque: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """Return the layout of a model."""
        parameters = Parameters(model)
        named = dict(model.named_parameters())
        starts = {id(named[slot.name]): slot.start for slot in parameters.slots}
        plain, opaque = [], []
        for name, value in _state(model).items():
            if _is_plain(value):
                dtype = str(value.dtype).removeprefix("torch.")
                plain.append(Entry(name, tuple(value.shape), dtype, starts.get(id(value))))
            else:
                opaque.append(name)
        return cls(parameters.size, tuple(plain), tuple(opaque))

    @property
    def fixed(self) -> tuple[Entry, ...]:
        """Return the entries that are no part of theta."""
        return tuple(entry for entry in self.entries if entry.start is None)

    def fixed_tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """Return copies of the tensors of a model that are no part of theta."""
        state = _state(model)
        return {entry.name: entry.fill(state[entry.name]) for entry in self.fixed}

    def set_fixed(self, model: nn.Module, fixed: Mapping[str, Tensor]) -> None:
        """Set the tensors of a model that are no part of theta."""
        state = _state(model)
        with torch.no_grad():
            for entry in self.fixed:
                state[entry.name].copy_(fixed[entry.name])

    def tensors(self, theta: Tensor, fixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the state dict at theta, shape (n,), without its opaque entries; no two share memory."""
        return {
            entry.name: entry.fill(fixed[entry.name] if entry.start is None else entry.piece(theta)) for entry in self.entries
        }

    def theta(self, state: Mapping[str, Tensor], fixed: Mapping[str, Tensor]) -> Tensor:
        """Return theta, shape (n,) in float64, from a state dict: the inverse of `tensors`.

        Names are the model's own (see `fitted` for those of checkpoints). Of tied parameters one is enough, and tensors
        that are no part of theta may be left out.

        Raises
        ------
        SpinodalError
            For names that are missing or unknown, shapes that do not fit, fixed tensors with other values, and
            tied parameters of different values.

        Examples
        --------
        >>> model = nn.Linear(1, 2)
        >>> layout = Layout.of(model)
        >>> layout.theta({"weight": torch.tensor([[1.0], [2.0]]), "bias": torch.tensor([3.0, 4.0])}, {}).tolist()
        [1.0, 2.0, 3.0, 4.0]
        """
        known = {entry.name: entry for entry in self.entries}
        theta = torch.full((self.size,), math.nan, dtype=torch.float64)
        first: dict[object, str] = {}  # of the names that share a piece of theta
        for name, value in state.items():
            if name not in known:
                raise _unknown(name, known)
            known[name].refuse_other(value)
            if known[name].start is not None:
                _refuse_untied(first.setdefault((known[name].start, known[name].shape), name), name, state)
                known[name].piece(theta).copy_(value.detach().reshape(-1))
        self._refuse_missing(state)
        self._refuse_other_fixed(state, fixed)
        return theta

    def _refuse_other_fixed(self, state: Mapping[str, Tensor], fixed: Mapping[str, Tensor]) -> None:
        """Refuse frozen parameters and buffers with other values: with these, E is another function."""
        held = [entry.name for entry in self.fixed if entry.name in state and not entry.name.endswith(UNUSED)]
        other = [name for name in held if not _agree(fixed[name], state[name])]
        if other:
            raise SpinodalError(
                got=f"{other[0]} in the checkpoint differs from that of the task's model, where it is fixed"
                + (f" (as do {len(other) - 1} more: {', '.join(other[1:4])})" if other[1:] else ""),
                allowed="frozen parameters and buffers must be those of the task, as the error depends on them",
                do="give the task's model these values before it is mapped",
            )

    def _refuse_missing(self, state: Mapping[str, Tensor]) -> None:
        given = {entry.start for entry in self.entries if entry.name in state}
        missing = [entry.name for entry in self.entries if entry.start is not None and entry.start not in given]
        if missing:
            raise SpinodalError(
                got=f"the checkpoint has no {missing[0]}" + (f" (and {len(missing) - 1} more)" if missing[1:] else ""),
                allowed="a value for every trainable parameter of the task's model is needed",
                do="make the task with the model that was trained",
            )
        held = {(entry.start, math.prod(entry.shape)) for entry in self.entries if entry.start is not None}
        if sum(size for _, size in held) < self.size:
            raise SpinodalError(
                got=f"the state dict of the task's model has {', '.join(self.opaque)} in place of parameters",
                allowed="models whose state dict holds every trainable parameter as it is are allowed",
                do="place the flat vector of its parameters in Python: place(diagram, theta, ...)",
            )

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], **aside: Any) -> Self:
        """Return the layout of `to_dict`; ValueError, TypeError, KeyError or AttributeError if it is none."""
        found = super().from_dict(record, **aside)
        for entry in found.entries:
            entry.check_place(found.size)
        return found

    def refuse_other(self, model: nn.Module, task: str) -> None:
        """Refuse a model that is laid out in another way."""
        other = Layout.of(model)
        if other != self:
            raise SpinodalError(
                got=f"the model of task {task} does not fit this run ({_difference(self, other)})",
                allowed="a task whose model has the names, shapes and dtypes of the one that was mapped is allowed",
                do="make the task with the settings of the run",
            )


def _unknown(name: str, known: Mapping[str, Entry]) -> SpinodalError:
    kind = "parameter in the checkpoint"
    return unknown_name(kind, name, known)


def _state(model: nn.Module) -> dict[str, Any]:
    """Return the state dict with the parameters themselves in it, or nothing where the model's own code fails to give one."""
    try:
        return dict(model.state_dict(keep_vars=True))
    except Exception:  # noqa: BLE001 - the user's code; the map needs no state dict, and who asks for one is told
        return {"state_dict()": None}


def _is_plain(value: object) -> bool:
    """Tell a tensor that files can hold, and that no code of the model computes from its parameters."""
    return isinstance(value, Tensor) and value.is_leaf and value.layout is torch.strided and not value.is_complex()


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _unusable(value: Tensor, *, trainable: bool) -> str | None:
    """Return why a tensor of a checkpoint cannot be a parameter or buffer, None if it can."""
    if value.is_meta:
        return "is on the meta device, without numbers"
    if value.is_quantized:
        return f"is quantised ({_kind(value)})"
    if value.layout is not torch.strided:
        return f"is sparse ({str(value.layout).removeprefix('torch.')})"
    if value.is_complex() or (trainable and not value.is_floating_point()):
        return f"holds {_kind(value)}, no real numbers"
    return None


def _unlike(name: str, why: str) -> SpinodalError:
    return SpinodalError(
        got=f"{name} in the checkpoint {why}",
        allowed="plain tensors of finite real numbers are allowed",
        do="save the weights as training uses them, in float32 or the like",
    )


def _agree(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are the same, up to the rounding of the coarser one."""
    kinds = [torch.finfo(tensor.dtype) for tensor in (one, other) if tensor.is_floating_point()]
    relative = max([1e-5, *(kind.eps for kind in kinds)])
    absolute = max([1e-8, *(kind.eps * kind.smallest_normal for kind in kinds)])
    first, second = (tensor.detach().to("cpu", torch.float64) for tensor in (one, other))
    return torch.allclose(first, second, rtol=relative, atol=absolute, equal_nan=True)


def _refuse_untied(first: str, name: str, state: Mapping[str, Tensor]) -> None:
    if not _agree(state[first], state[name]):
        raise SpinodalError(
            got=f"{first} and {name} are tied in the task's model but differ in the checkpoint",
            allowed="tied parameters must be equal",
            do="make the task with the model that was trained",
        )


def _difference(mapped: Layout, other: Layout) -> str:
    """Name the first entry that differs."""
    ours, theirs = ({entry.name: entry for entry in layout.entries} for layout in (mapped, other))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            return f"{name}: {_shown(ours.get(name))} there, {_shown(theirs.get(name))} here"
    return f"opaque entries: {', '.join(mapped.opaque) or 'none'} there, {', '.join(other.opaque) or 'none'} here"


def _shown(entry: Entry | None) -> str:
    if entry is None:
        return "nothing"
    return f"{entry.shape} {entry.dtype} {'fixed' if entry.start is None else f'at {entry.start} in theta'}"

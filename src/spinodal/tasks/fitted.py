"""The parameters of a task's model in a checkpoint of its training, by whatever names and wherever in it they lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.errors import SpinodalError, printable
from spinodal.landscape.layout import Layout
from spinodal.tasks.models import Models
from spinodal.tasks.states import State, joined_states, states_in

WRAPPERS = ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
BESIDE = re.compile(  # what a loss or a metric is called where it is kept beside the model
    r"(^|[._])(criteri(on|a)|loss(es)?|metrics?|acc(uracy)?)([._]|$)|(^|[._])(class|pos)_weights?$", re.IGNORECASE
)
MADE = ("inv_freq", "masked_bias")  # buffers that transformers make from their settings, and once saved
NAMED = 5  # names that a sentence holds


@dataclass(frozen=True)
class Fitted:
    """Parameters found in a checkpoint.

    Attributes
    ----------
    theta : Tensor of shape (n,)
    remark : str
        Where they were found and what beside them was left, if that is not plain; else empty.
    """

    theta: Tensor
    remark: str = ""


def fitted(start: nn.Module | Mapping[str, Any] | Iterable[Any], models: Models) -> Fitted:
    """Return theta, shape (n,) in float64, as a module or the contents of a checkpoint have it.

    The state dict may lie under any key, beside optimisers and settings, and its names may have any prefix: the one
    that gives a value of the right shape to every trainable parameter is taken. If two do, with other values, or what is
    beside them looks like layers that the task's model does not have, nothing is taken. Wrappers of PyTorch
    (`WRAPPERS`) may stand anywhere in a name. Of tied parameters one name is enough.

    Raises
    ------
    SpinodalError
        If nothing fits, or several do.

    Examples
    --------
    >>> from spinodal import Task
    >>> task = Task(nn.Linear(1, 1), lambda model, batch: model(batch).square().mean(), torch.ones(1, 1))
    >>> state = {"module.weight": torch.tensor([[2.0]]), "module.bias": torch.tensor([3.0])}
    >>> fitted({"epoch": 3, "net": state}, Models.of(task)).theta.tolist()
    [2.0, 3.0]
    """
    held = start.state_dict() if isinstance(start, nn.Module) else start
    found = _chosen(states_in(held), models.layout)
    return Fitted(models.layout.theta(found.named, models.fixed()), found.remark())


@dataclass(frozen=True)
class Fit:
    """One way to read a state dict: the names of the model's own entries after a prefix.

    Attributes
    ----------
    state : State
    prefix : str
    named : mapping of str to Tensor
        What the prefix is before, by the model's own names, entries that nobody reads left out.
    others : mapping of str to Tensor
        What else the state dict holds, by its names there.
    beside : tuple of str
        Where other weights lie in the checkpoint.
    """

    state: State
    prefix: str
    named: Mapping[str, Tensor]
    others: Mapping[str, Tensor] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Say where it is."""
        names = f"names that begin with {self.prefix!r}" if self.prefix else ""
        return " in ".join(filter(None, (names, self.state.place))) or "the state dict"

    @property
    def selection(self) -> str:
        """Return Python that takes it out of `held`, what the checkpoint holds."""
        held, prefix = f"held{self.state.place}", repr(self.prefix)
        if not self.prefix:
            return held
        return f"{{name.removeprefix({prefix}): value for name, value in {held}.items() if name.startswith({prefix})}}"

    def remark(self) -> str:
        """Say what was read, where it is not simply all there is."""
        read = f"read from {self.place}" if self.state.keys or self.prefix else ""
        left = f"not of the model, and left out: {_listed([*self.others, *self.beside])}" if self.others or self.beside else ""
        return printable("; ".join(filter(None, (read, left))))

    def same(self, other: Fit, trainable: Iterable[str]) -> bool:
        """Tell whether another reading gives the same values."""
        both = [name for name in trainable if name in self.named and name in other.named]
        return all(_equal(self.named[name], other.named[name]) for name in both)


class Names:
    """The names of a model's own entries, without wrappers and what comes before all, and which of them belong to theta."""

    def __init__(self, layout: Layout, before: str = "") -> None:
        self.layout = layout
        own = _bare([*(entry.name for entry in layout.entries), *layout.opaque])
        self.own = {short.removeprefix(before): name for short, name in own.items()}
        self.trainable = [entry.name for entry in layout.entries if entry.start is not None]
        trainable = set(self.trainable)
        self.sought = {short for short, name in self.own.items() if name in trainable}

    def inner(self) -> Iterator[Names]:
        """Return the names of the part that a model wraps, if all of its entries lie in one."""
        first = next(iter(self.own), "")
        common = [first[:cut] for cut in _cuts(first) if cut and all(name.startswith(first[:cut]) for name in self.own)]
        yield from (Names(self.layout, before) for before in common)

    def fits(self, state: State) -> Iterator[Fit]:
        """Return the readings of a state dict: by no prefix, and by every one before a name that is sought."""
        bare = _bare(state.tensors)
        prefixes = dict.fromkeys(name[:cut] for name in bare for cut in _cuts(name) if name[cut:] in self.sought)
        for prefix in {"": None, **prefixes}:
            yield self._read(state, prefix, bare)

    def _read(self, state: State, prefix: str, bare: Mapping[str, str]) -> Fit:
        named, others, written = {}, {}, ""
        for short, name in bare.items():
            rest = short.removeprefix(prefix)
            if not short.startswith(prefix) or rest not in self.own:
                others[name] = state.tensors[name]
            elif self.own[rest] not in self.layout.opaque:
                named[self.own[rest]] = state.tensors[name]
                written = prefix and (_before(name, (self.own[rest], rest)) or prefix)
        return Fit(state, written, named, others)

    def is_whole(self, fit: Fit) -> bool:
        """Tell a reading that gives a tensor of the right shape to every trainable parameter, by one of its names."""
        groups: dict[object, bool] = {}
        for entry in self.layout.entries:
            if entry.start is not None:
                value, group = fit.named.get(entry.name), (entry.start, entry.shape)
                groups[group] = groups.get(group, False) or (value is not None and tuple(value.shape) == entry.shape)
        return all(groups.values())


def _chosen(states: list[State], layout: Layout) -> Fit:
    """Return the one reading that fits the model, or the one that comes nearest, which is refused when it is taken."""
    names = Names(layout)
    weights = [state for state in states if not state.of_optimiser]
    fits = [fit for state in weights for fit in names.fits(state)]
    whole = [fit for fit in fits if names.is_whole(fit)]
    if not whole:
        joined = joined_states(weights, frozenset(names.trainable))
        whole = [fit for state in joined for fit in names.fits(state) if not fit.prefix and names.is_whole(fit)]
    if not whole:  # the model of the task wraps the one that was trained
        whole = [fit for part in names.inner() for state in weights for fit in part.fits(state) if names.is_whole(fit)]
    if not whole:
        return _nearest(fits, names.trainable, optimiser=len(weights) < len(states))
    first, *rest = whole
    if another := next((fit for fit in rest if not first.same(fit, names.trainable)), None):
        raise _ambiguous(first, another)
    known = {name for fit in rest if fit.state is first.state for name in fit.state.tensors if name not in fit.others}
    _refuse_layers(first, known)
    return replace(first, beside=tuple(state.place for state in weights if state.is_beside(first.state)))


def _bare(names: Iterable[str]) -> dict[str, str]:
    """Return names by what they are without wrappers; as they are, if two would become one."""
    names = list(names)
    short = {_unwrapped(name): name for name in names}
    return short if len(short) == len(names) else {name: name for name in names}


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _before(name: str, endings: Iterable[str]) -> str:
    """Return what stands before the first of the endings that a name has."""
    return next((name.removesuffix(ending) for ending in endings if name.endswith(ending)), "")


def _cuts(name: str) -> list[int]:
    """Return where a prefix of a name may end."""
    return [0, *(place + 1 for place, sign in enumerate(name) if sign == ".")]


def _nearest(fits: list[Fit], trainable: list[str], *, optimiser: bool) -> Fit:
    """Return the reading with most of the model's names, and with layers that are not the model's, so that they are told."""
    best = max(fits, key=lambda fit: sum(name in fit.named for name in trainable), default=None)
    if best is None or not any(name in best.named for name in trainable):
        raise _stranger(fits, trainable, optimiser=optimiser)
    before = _unwrapped(best.prefix)
    strange = {_unwrapped(name).removeprefix(before): value for name, value in best.others.items() if _is_layer(name, best)}
    return Fit(best.state, best.prefix, {**best.named, **strange})


def _stranger(fits: list[Fit], trainable: list[str], *, optimiser: bool) -> SpinodalError:
    """Return the refusal of a checkpoint that has none of the model's names."""
    names = [name for fit in fits if not fit.prefix for name in fit.state.tensors]
    if names:
        got = f"unknown parameter in the checkpoint {names[0]!r}, as is every other in it (found {_listed(names)})"
    else:
        got = f"the checkpoint holds {'the state of an optimiser and no weights' if optimiser else 'no tensor by name'}"
    return SpinodalError(
        got=got,
        allowed=f"tensors by the names of the model are allowed: {_listed(trainable)}",
        do="give the file with the model's state dict, or make the task with the model that was trained",
    )


def _refuse_layers(fit: Fit, known: set[str]) -> None:
    """Refuse a state dict that holds more layers than the task's model has: it is that of another model."""
    layers = [name for name in fit.others if name not in known and _is_layer(name, fit)]
    if layers:
        raise SpinodalError(
            got=f"the checkpoint holds {_listed(layers)} beside the parameters of the task's model",
            allowed="a checkpoint of the task's model is needed; counters, losses and metrics beside it are left out",
            do="make the task with the model that was trained"
            + (f", or take a part of it: {_saved(fit)}" if fit.prefix else ""),
        )


def _is_layer(name: str, fit: Fit) -> bool:
    """Tell a tensor that looks like a parameter of a model.

    Counters and masks are none, being integers, nor is what is called a loss or a metric. Beside the model, outside of its
    prefix, single vectors and numbers are none either, unless they lie with a matrix or are weight and bias of a norm.
    """
    value, (parent, _, leaf) = fit.others[name], name.rpartition(".")
    if not (value.is_floating_point() or value.is_complex()) or BESIDE.search(name) or leaf in MADE:
        return False
    if not fit.prefix or f".{name}".find(f".{fit.prefix}") >= 0:
        return True
    beside = {other.rpartition(".")[2]: item for other, item in fit.others.items() if other.rpartition(".")[0] == parent}
    return any(item.dim() > 1 for item in beside.values()) or {"weight", "bias"} <= beside.keys()


def _ambiguous(one: Fit, other: Fit) -> SpinodalError:
    return SpinodalError(
        got=f"the checkpoint fits the task's model twice, with other values: by {one.place} and by {other.place}",
        allowed="one state dict that fits is needed",
        do=f"take the one you mean: {_saved(other)}",
    )


def _saved(fit: Fit) -> str:
    """Say how to write a part of a checkpoint to a file of its own."""
    return f"torch.save({fit.selection}, 'part.pt') with held = spinodal.store.read_checkpoint(FILE)"


def _equal(one: Tensor, other: Tensor) -> bool:
    plain = all(tensor.layout is torch.strided and not tensor.is_meta for tensor in (one, other))
    return plain and one.dtype == other.dtype and bool(torch.equal(one, other))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:NAMED]) + (f" (and {len(names) - NAMED} more)" if len(names) > NAMED else "")

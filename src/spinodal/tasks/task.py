"""A task: a model, a loss, data, and how to read its predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.arguments import SOLVERS
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape, LossFunction
from spinodal.landscape.batches import Batch, Samples
from spinodal.landscape.control import Control, Turned, checked_control
from spinodal.landscape.copying import copied, plain_module
from spinodal.landscape.criterion import Criterion
from spinodal.landscape.penalty import Penalty
from spinodal.shown import one_line
from spinodal.tasks.settings import plain
from spinodal.theory import ExactTransition

DTYPES = {"float64": torch.float64, "float32": torch.float32}
RESETS = ("reset_parameters", "_reset_parameters")  # methods that draw the parameters of a module anew


class Task:
    """What to map: a network, its error, its data.

    Parameters
    ----------
    model : nn.Module
        Copied, never changed.
    loss : callable (model, batch) -> scalar, or a criterion
        The mean over the batch's samples. Of a criterion of PyTorch (`nn.CrossEntropyLoss()`), `criterion(model(first tensor),
        labels)` is taken (see `Criterion`), and the result says so.
    data : one batch, or a re-iterable of batches
        A batch holds tensors or arrays in any nested structure.
    held_out : like `data`, optional
        Data never trained on, for held-out accuracy. Default: none.
    predict : callable (model, batch) -> outputs (samples, k), optional
        Default: the outputs of the model in its call inside the loss. The class is the largest of them.
    labels : callable batch -> integers (samples,), optional
        The true classes, plain or as one-hot rows. Default: what the loss compares the outputs with, where these are
        classes (labels of a cross-entropy, one-hot rows, two values beside one logit). Where none are seen, accuracies are
        null. `Observation.reading` says which tensor was read as what.
    samples : callable batch -> int, optional
        The number of samples of a batch, by which it is weighed. Default: see `Landscape`.
    initial : callable seed -> theta (n,), optional
        A random start. Default: every submodule that has `reset_parameters` is reset under the seed;
        parameters that no submodule resets are multiplied by random factors, zeros among them drawn.
    observables : mapping of names to callables model -> float, optional
        Your own order parameters, recorded at every point.
    include : pattern or sequence of patterns, optional
        Patterns (`fnmatch`) of the names of parameters to penalise. Default: everything.
    exclude : pattern or sequence of patterns, optional
        Of those among them not to penalise, for example ``exclude="*.bias"``. Default: none.
    name : str, optional
    settings : mapping, optional
        The arguments that made this task; they identify a run. Numbers, words, switches, None, and lists
        and mappings of these.
    exact : sequence of ExactTransition, optional
        Closed-form transitions, shown beside the measured ones.
    control : Control, optional
        What a map of this task turns unless it is told otherwise. Default: the L2 penalty, over what `include` and `exclude`
        say; these hold for a `Penalty` without a mask of its own, too.
    solver : {"auto", "newton", "newton_cg", "lbfgs"}, optional
        What a map of this task uses unless it is told otherwise. Default "auto": by size (see `solver_for`).
    dtype : {"float64", "float32"}, optional
        The precision that it is computed in unless another is asked for. Default "float64".

    Examples
    --------
    >>> x = torch.eye(3)
    >>> task = Task(nn.Linear(3, 3), lambda model, b: ((model(b[0]) - b[1]) ** 2).sum(1).mean(), (x, x))
    >>> task.landscape().size
    12
    >>> bool((task.initial(seed=0) == task.initial(seed=0)).all())
    True
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        data: object,
        *,
        held_out: object = None,
        predict: Callable[[nn.Module, Batch], Tensor] | None = None,
        labels: Callable[[Batch], Tensor] | None = None,
        samples: Samples | None = None,
        initial: Callable[[int], Tensor] | None = None,
        observables: Mapping[str, Callable[[nn.Module], float]] | None = None,
        include: str | Sequence[str] = "*",
        exclude: str | Sequence[str] = (),
        name: str = "custom",
        settings: Mapping[str, Any] | None = None,
        exact: Sequence[ExactTransition] = (),
        control: Control | None = None,
        solver: str = "auto",
        dtype: str = "float64",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise SpinodalError(
                got=f"model is a {type(model).__name__}",
                allowed="an nn.Module is allowed",
                do="pass an instance",
            )
        if not callable(loss):
            raise SpinodalError(
                got=f"loss is a {type(loss).__name__}",
                allowed="a function (model, batch) -> scalar, or a criterion such as nn.CrossEntropyLoss(), is allowed",
                do="pass a function",
            )
        self.model, self.loss = plain_module(model), Criterion.of(loss)
        self.data, self.held_out = data, held_out
        self.predict, self.labels, self.samples = predict, labels, samples
        self.observables = dict(observables or {})
        self.include, self.exclude = _patterns("include", include), _patterns("exclude", exclude)
        self.name, self.settings, self.exact = name, plain(settings or {}), tuple(exact)
        self.control = None if control is None else checked_control(control)
        if solver not in ("auto", *SOLVERS):
            raise unknown_name("solver", str(solver), ("auto", *SOLVERS))
        if dtype not in DTYPES:
            raise unknown_name("dtype", str(dtype), DTYPES)
        self.solver, self.dtype = solver, dtype
        self.remake: Callable[[], Task] | None = None  # makes the same task elsewhere, where it was made by its name
        self._initial = initial

    def __repr__(self) -> str:
        """Return name, size and settings in one line."""
        size = sum(parameter.numel() for parameter in self.model.parameters())
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        return f"<Task: {one_line(f'{self.name} of {size:,} parameters{settings}')}>"

    def landscape(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: str | torch.device = "cpu",
        soften: float | None = None,
        shards: int | None = None,
    ) -> Landscape:
        """Return the error of this task as a `Landscape`, in its own precision unless another is given."""
        return Landscape(
            self.model, self.loss, self.data, dtype=dtype or DTYPES[self.dtype], device=device, samples=self.samples,
            soften=soften, shards=shards,
        )  # fmt: skip

    def initial(self, seed: int = 0) -> Tensor:
        """Return a random start theta, shape (n,), the same for the same seed."""
        if self._initial is not None:
            return self._initial(seed)
        model = copied(self.model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _randomise(model)
        return torch.cat([value.detach().reshape(-1).double() for value in _trainable(model).values()])

    def penalty(self, landscape: Landscape, control: Control | None = None) -> Turned:
        """Return what is turned, on a landscape of this task: a control that is given, else the task's own, else L2.

        Raises
        ------
        SpinodalError
            If a pattern of `include` or `exclude` matches no parameter, or if nothing is left to penalise; if there is another
            mask or another control than the L2 penalty beside them; if the control does not fit.
        """
        chosen, mask = checked_control(control or self.control or Penalty()), self._mask(landscape)
        if mask is None:
            return chosen.on(landscape)
        if isinstance(chosen, Penalty) and (chosen.mask is None or torch.equal(chosen.mask.to(mask), mask)):
            return replace(chosen, mask=mask).on(landscape)
        raise SpinodalError(
            got=f"include {list(self.include)} and exclude {list(self.exclude)} beside "
            + ("a penalty with a mask" if isinstance(chosen, Penalty) else f"the control {chosen.convention}"),
            allowed="one of the two is allowed: they are the mask of the L2 penalty",
            do="leave one of them out",
        )

    def _mask(self, landscape: Landscape) -> Tensor | None:
        """Return the mask that `include` and `exclude` describe; None where they leave all in."""
        if self.include == ("*",) and not self.exclude:
            return None
        slots = landscape.parameters.slots
        names = [slot.name for slot in slots]
        penalised = _matching("include", self.include, names) - _matching("exclude", self.exclude, names)
        if not penalised:
            raise SpinodalError(
                got=f"include {list(self.include)} and exclude {list(self.exclude)} leave no parameter in the penalty",
                allowed="parameters: " + ", ".join(names),
                do="leave at least one in, as without a penalty nothing depends on beta",
            )
        mask = torch.zeros(landscape.size, dtype=torch.bool, device=landscape.device)
        for slot in slots:
            mask[slot.start : slot.stop] = slot.name in penalised
        return mask


def _patterns(name: str, patterns: object) -> tuple[str, ...]:
    """Return patterns as a tuple; one alone may be given bare."""
    if isinstance(patterns, str):
        return (patterns,)
    if not isinstance(patterns, Iterable):
        raise _no_pattern(got=f"{name} is a {type(patterns).__name__}")
    chosen = tuple(patterns)
    for pattern in chosen:
        if not isinstance(pattern, str):
            raise _no_pattern(got=f"{name} holds a {type(pattern).__name__}")
    return chosen


def _no_pattern(got: str) -> SpinodalError:
    return SpinodalError(got=got, allowed="patterns of parameter names are allowed", do="use fnmatch patterns such as '*.bias'")


def _matching(name: str, patterns: Sequence[str], names: Sequence[str]) -> set[str]:
    """Return the parameters that some pattern matches; refuse a pattern that matches none."""
    matched = {pattern: {key for key in names if fnmatchcase(key, pattern)} for pattern in patterns}
    for pattern, keys in matched.items():
        if not keys:
            raise SpinodalError(
                got=f"{name} pattern {pattern!r} matches no parameter",
                allowed="parameters: " + ", ".join(names),
                do="use fnmatch patterns such as '*.bias'",
            )
    return set().union(*matched.values())


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def _randomise(model: nn.Module) -> None:
    """Reset every submodule that knows how, and scale the parameters that none resets."""
    covered: set[int] = set()
    for module in model.modules():
        if (reset := _reset_of(module)) is not None:
            reset()
            covered |= {id(value) for value in module.parameters(recurse=False)}
    for value in _trainable(model).values():
        if id(value) not in covered:
            with torch.no_grad():
                value.mul_(0.5 + torch.rand_like(value))
                _fill_zeros(value)


def _reset_of(module: nn.Module) -> Callable[[], object] | None:
    """Return what draws the parameters of a module anew, as layers of PyTorch have it; None where that takes arguments."""
    for name in RESETS:
        reset: Callable[[], object] | None = getattr(module, name, None)
        if (
            reset is not None
            and callable(reset)
            and not any(
                item.default is item.empty
                and item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
                for item in inspect.signature(reset).parameters.values()
            )
        ):
            return reset
    return None


def _fill_zeros(value: Tensor) -> None:
    """Draw the entries that are zero, as an `nn.Linear` of this width would draw its biases."""
    empty = value == 0
    if bool(empty.any()):
        width = value.shape[-1] if value.dim() else 1
        value[empty] = (2 * torch.rand_like(value) - 1)[empty] / width**0.5

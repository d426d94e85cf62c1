"""The call of a model inside a loss, taken apart into samples that do not meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.curvature.by_sample.outputs import Cut
from spinodal.errors import SpinodalError, told
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch
from spinodal.landscape.hessian import CHECK_TOLERANCE, with_saved_bytes
from spinodal.landscape.structure import Structure, flatten

COPIES = 8  # of what one sample leaves in the graph of the model, in use at a time; measured
Forward = Callable[..., Any]
LEAST = 32  # rows that are computed together if there are so many, whatever the memory


class SampleError(Exception):
    """Samples meet where they must not, or nobody can tell; `because` is a clause that says where."""

    def __init__(self, *, because: str) -> None:
        self.because = because
        super().__init__(because)


def agree(found: Tensor, exact: Tensor) -> bool:
    """Tell whether two ways to the same tensor agree up to rounding."""
    tolerance = CHECK_TOLERANCE.get(exact.dtype, 1e-3)
    return found.shape == exact.shape and bool((found - exact).norm() <= tolerance * (found.norm() + exact.norm()))


@dataclass(frozen=True)
class Samples:
    """The one call of the model in the loss of a batch: N rows of arguments, whose outputs are independent.

    Attributes
    ----------
    forward : callable
        That of the lent model, whose parameters are set.
    count : int
        N, the size of the first axis of the first tensor among the arguments.
    leaves : list
        Flattened arguments. Tensors with N rows belong to the samples, all else is shared.
    structure : Structure
    moving : tuple of bool
        Which of the flattened outputs depend on theta.
    step : int
        Rows that fit the memory together.
    """

    forward: Forward
    count: int
    leaves: list[Any]
    structure: Structure
    moving: tuple[bool, ...]
    step: int

    @classmethod
    def of(cls, forward: Forward, arguments: tuple[Any, ...], keywords: dict[str, Any], memory: int) -> Samples:
        """Return the rows of a call; the number that fits the memory is found with one and with two of them."""
        leaves, structure = flatten((arguments, keywords))
        first = next((leaf for leaf in leaves if isinstance(leaf, Tensor)), None)
        if first is None or first.dim() == 0 or not len(first):
            raise SampleError(because="the model is called without a tensor of samples")
        whole = cls(forward, len(first), leaves, structure, (), 1)
        alone, kept = whole.measured(slice(0, 1))
        if whole.count > 1:
            pair, twice = whole.measured(slice(0, 2))
            _check_constants(alone, pair)
            kept = twice - kept  # the parameters are kept once
        step = max(LEAST, memory // (COPIES * max(kept, 1)))
        return cls(forward, len(first), leaves, structure, tuple(_moves(leaf) for leaf in alone), step)

    @property
    def parts(self) -> Iterator[slice]:
        """Walk the samples in slices that fit the memory."""
        return (slice(start, start + self.step) for start in range(0, self.count, self.step))

    def is_row(self, leaf: Any) -> bool:
        """Tell whether a flattened argument belongs to the samples."""
        return isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == self.count

    def rows(self, part: slice) -> list[Any]:
        """Return the flattened arguments of some samples."""
        return [leaf[part] if self.is_row(leaf) else leaf for leaf in self.leaves]

    def outputs(self, leaves: list[Any]) -> tuple[list[Any], Structure]:
        """Return the flattened outputs for flattened arguments, or a SampleError if they are not as many rows."""
        arguments, keywords = self.structure.filled(leaves)
        try:
            outputs = self.forward(*arguments, **keywords)
        except Exception as cause:  # the user's model, called with fewer rows than the user calls it with
            raise SampleError(because=f"the model does not take samples one by one ({told(cause)})") from cause
        return flatten(outputs)

    def matrix(self, outputs: list[Any]) -> Tensor:
        """Return the outputs that depend on theta as a matrix, shape (rows, D)."""
        moving = [leaf for leaf, moves in zip(outputs, self.moving, strict=True) if moves]
        return torch.cat([leaf.reshape(len(leaf), -1) for leaf in moving], 1)

    def measured(self, part: slice) -> tuple[list[Any], int]:
        """Return the flattened outputs of some samples, and the bytes that autograd kept for them."""
        (outputs, _), kept = with_saved_bytes(lambda: self.outputs(self.rows(part)))
        return outputs, kept

    def evaluated(self) -> Any:
        """Return the outputs of all samples, computed part by part without a graph, as the model would return them."""
        with torch.no_grad():
            alone, structure = self.outputs(self.rows(slice(0, 1)))
            self._check_rows(alone, 1)
            joined = [self._room(leaf) for leaf in alone]
            for part in self.parts:
                self._fill(joined, part)
        self._check_alone(alone, joined)
        for leaf, moves in zip(joined, self.moving, strict=True):
            if moves:
                leaf.requires_grad_(True)
        return structure.filled(joined)

    def _room(self, leaf: Any) -> Any:
        """Return an empty tensor for all rows; parts that are kept until they are joined would fragment the memory."""
        return leaf.new_empty(self.count, *leaf.shape[1:]) if isinstance(leaf, Tensor) else leaf

    def _fill(self, joined: list[Any], part: slice) -> None:
        """Write the outputs of some samples into those of all."""
        piece, _ = self.outputs(self.rows(part))
        self._check_rows(piece, len(range(self.count)[part]))
        for whole, leaf in zip(joined, piece, strict=True):
            if isinstance(whole, Tensor):
                if leaf.shape[1:] != whole.shape[1:]:
                    raise SampleError(because="samples meet in the model")
                whole[part] = leaf

    def _check_rows(self, outputs: list[Any], count: int) -> None:
        if any(isinstance(leaf, Tensor) and (leaf.dim() == 0 or len(leaf) != count) for leaf in outputs):
            raise SampleError(because="the outputs of the model are not one row for each sample")
        if not all(bool(torch.isfinite(leaf).all()) for leaf in outputs if isinstance(leaf, Tensor)):
            raise SpinodalError(
                got="the outputs of the model are not finite", allowed="finite outputs are needed", do="take another theta"
            )

    def _check_alone(self, alone: list[Any], together: list[Any]) -> None:
        pairs = zip(alone, together, strict=True)
        if not all(agree(one, many[:1]) for one, many in pairs if isinstance(one, Tensor) and one.is_floating_point()):
            raise SampleError(because="samples meet in the model")


def _check_constants(first: list[Any], second: list[Any]) -> None:
    """Refuse outputs with more than tensors that depends on the rows, as their number: it would be that of a part."""
    pairs = list(zip(first, second, strict=True)) if len(first) == len(second) else [(first, second)]
    if not all(isinstance(one, Tensor) or one is other or _is_equal(one, other) for one, other in pairs):
        raise SampleError(because="the outputs of the model hold more than tensors that differs from call to call")


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - values of any kind, as arrays, which are compared entry by entry
        return False


def _moves(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.requires_grad


@dataclass(frozen=True)
class SampledLoss:
    """The loss of one batch as a function of the outputs of its samples.

    Attributes
    ----------
    samples : Samples or None
        None where the loss does not depend on theta.
    error : Tensor, shape ()
    outputs : list of Tensor
        Leaves of the graph of the error, N rows each.
    """

    samples: Samples | None
    error: Tensor
    outputs: list[Tensor]


def sampled_loss(landscape: Landscape, model: nn.Module, batch: Batch) -> SampledLoss:
    """Return the loss of a batch by samples; its graph begins at the outputs of the lent model.

    While the loss runs, the model's forward computes its rows part by part and keeps no graph, so that
    memory does not grow with their number.

    Raises
    ------
    SampleError
        Where samples meet in the model, or it is called more than once.
    SpinodalError
        Where the loss is not a function of the outputs alone.
    """
    call = _Call(model, landscape.memory // 4)
    try:
        with call.replacing_forward(), call.cut.of(model):
            error = landscape.loss(model, batch)
    except (SampleError, SpinodalError):
        raise
    except Exception as cause:  # the user's loss, given outputs that were computed in parts
        raise SampleError(because=f"the loss does not take outputs computed in parts ({told(cause)})") from cause
    if error.requires_grad:
        call.cut.check(error, [parameter for parameter in model.parameters() if parameter.requires_grad])
    elif landscape.slope(landscape.loss(model, batch)) is not None:
        raise SampleError(because="the loss depends on theta beside the outputs that were found")
    return SampledLoss(call.samples, error, call.cut.copies)


class _Call:
    """A model whose next call is recorded."""

    def __init__(self, model: nn.Module, memory: int) -> None:
        self.model, self.memory = model, memory
        self.samples: Samples | None = None
        self.cut = Cut()

    @contextmanager
    def replacing_forward(self) -> Iterator[None]:
        """Let the model compute its rows part by part while the context lasts."""
        plain, own = self.model.forward, vars(self.model).get("forward")

        def forward(*arguments: Any, **keywords: Any) -> Any:
            if not torch.is_grad_enabled():  # a constant of the loss
                return plain(*arguments, **keywords)
            if self.samples is not None:
                raise SampleError(because="the loss calls the model more than once")
            samples = Samples.of(plain, arguments, keywords, self.memory)
            if not any(samples.moving):
                return plain(*arguments, **keywords)
            self.samples = samples
            return samples.evaluated()

        self.model.forward = forward
        try:
            yield
        finally:
            del self.model.forward
            if own is not None:
                self.model.forward = own

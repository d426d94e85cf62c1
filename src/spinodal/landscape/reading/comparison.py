"""A place in a loss where what depends on theta is compared with what does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CLASSES = {"cross_entropy": -100, "nll_loss": -100, "multi_margin_loss": None}  # by the label that they ignore
SIGNS = ("soft_margin_loss",)
PROBABILITIES = ("binary_cross_entropy",)
LOGITS = ("binary_cross_entropy_with_logits",)
NUMBERS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss", "gaussian_nll_loss")
FUNCTIONS = (*CLASSES, *SIGNS, *PROBABILITIES, *LOGITS, *NUMBERS)  # of torch.nn.functional


@dataclass(frozen=True)
class Comparison:
    """Outputs beside their target.

    Attributes
    ----------
    by : str
        What compares them: a function of `torch.nn.functional`, "a difference", "a product" or "an index".
    outputs : Tensor
        As they are compared. Of a choice among classes the class axis is 1, of a single sample 0.
    target : Tensor
    result : Tensor
        Of the comparison: E depends on it, or it is none of E.
    ignored : int, optional
        The label that is left out.
    weights : Tensor, optional
        Of entries of the result, where they are known: those with none are left out.
    inside : bool
        Whether the model itself compares them.
    """

    by: str
    outputs: Tensor
    target: Tensor
    result: Tensor
    ignored: int | None = None
    weights: Tensor | None = None
    inside: bool = False

    @property
    def compares_numbers(self) -> bool:
        """Tell whether nothing but the values of the target can make them classes."""
        return self.by in NUMBERS or self.by not in FUNCTIONS

    @property
    def counts(self) -> Tensor | None:
        """Return which entries weigh anything in E, None where their weights are not known."""
        if self.weights is None:
            return None
        return (self.weights != 0) | (self.result.detach() == 0)  # a perfect entry may weigh nothing itself

    @property
    def rows(self) -> int:
        """Return the length of the first axis of what is compared; 1 for a single sample."""
        alone = self.by in CLASSES and self.outputs.dim() < 2
        return 1 if alone or not self.outputs.dim() else len(self.outputs)


@dataclass(frozen=True)
class Choices:
    """What was chosen among classes, and what is right, of all compared entries.

    Attributes
    ----------
    chosen, right : Tensor of int, shape (entries,)
    classes : int
    how : str
        A clause that says which tensor was read as what.
    levels : frozenset of float
        The values of a target that stand for one class and the other.
    """

    chosen: Tensor
    right: Tensor
    classes: int
    how: str
    levels: frozenset[float] = frozenset()


def choices(found: Comparison) -> Choices | None:
    """Return the classes that a comparison chooses among, None where it compares numbers."""
    outputs, target = found.outputs.detach(), found.target.detach()
    if found.by in CLASSES or found.by == "an index":
        return _among_classes(found, outputs, target)
    if outputs.shape != target.shape:
        return None
    if found.by in (*LOGITS, *PROBABILITIES, *SIGNS) and (outputs.dim() < 2 or outputs[0].numel() == 1):
        return _of_two(found, outputs.reshape(-1), target.reshape(-1))
    if outputs.dim() == 2 and outputs.shape[1] > 1 and _is_one_hot(target):
        how = f"argmax over axis 1 of the {_outputs(found)} against its one-hot target"
        return Choices(outputs.argmax(1), target.argmax(1), outputs.shape[1], how)
    return None


def _among_classes(found: Comparison, outputs: Tensor, target: Tensor) -> Choices:
    """Return argmax beside labels, or beside the largest of probabilities."""
    axis = 1 if outputs.dim() > 1 else 0
    chosen, is_soft = outputs.argmax(axis), target.is_floating_point() and target.shape == outputs.shape
    right = target.argmax(axis) if is_soft else target
    kept = _weighed(found, right)
    if not is_soft and found.ignored is not None:
        kept = kept & (right != found.ignored)
    how = f"argmax over axis {axis} of the {_outputs(found)} against {'the largest of its' if is_soft else 'its'} target"
    if not bool(kept.all()):
        how += ", ignored entries left out"
    return Choices(chosen[kept].reshape(-1), right[kept].reshape(-1).long(), outputs.shape[axis], how)


def _of_two(found: Comparison, outputs: Tensor, target: Tensor) -> Choices | None:
    """Return which side of its threshold an output lies on, where the target has two values."""
    levels = frozenset(torch.unique(target).tolist())
    if len(levels) > 2:
        return None
    threshold, middle = 0.5 if found.by in PROBABILITIES else 0.0, 0.0 if found.by in SIGNS else 0.5
    kept = _weighed(found, target)
    how = f"whether the {_outputs(found)} is above {threshold:g}, against its target"
    return Choices((outputs > threshold)[kept].long(), (target > middle)[kept].long(), 2, how, levels)


def _weighed(found: Comparison, right: Tensor) -> Tensor:
    """Tell which entries weigh anything in E: of a loss by entries that is multiplied by a mask, those under it."""
    counts = found.counts
    if counts is None or counts.numel() != right.numel():
        return torch.ones_like(right, dtype=torch.bool)
    return counts.reshape(right.shape)


def _outputs(found: Comparison) -> str:
    sizes = " x ".join(["samples", *map(str, found.outputs.shape[1:])]) if found.rows > 1 else "numbers"
    return f"{sizes} given to {found.by}" if found.by in FUNCTIONS else f"{sizes} compared by {found.by}"


def _is_one_hot(target: Tensor) -> bool:
    return bool(((target == 0) | (target == 1)).all() & (target.sum(1) == 1).all())


def of_function(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> Comparison | None:
    """Return what a function of `torch.nn.functional` compares; outputs and target may have been given in either order."""
    given = dict(zip(("input", "target"), arguments, strict=False)) | keywords
    outputs, target = given.get("input"), given.get("target")
    if not isinstance(outputs, Tensor) or not isinstance(target, Tensor) or not isinstance(result, Tensor):
        return None
    if not depends(outputs) and depends(target) and name not in CLASSES:
        outputs, target = target, outputs
    if not depends(outputs) or depends(target):
        return None
    ignored = given.get("ignore_index", CLASSES.get(name))
    if name in ("cross_entropy", "nll_loss") and len(arguments) > 4:
        ignored = arguments[4]
    return Comparison(name, outputs, target, result, ignored)


def of_operation(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> Comparison | None:
    """Return what an operation on tensors compares: a difference, a product with one-hot rows, the choice of an entry."""
    if not isinstance(result, Tensor):
        return None
    given = [*arguments, *keywords.values()]
    if name.strip("_") in ("sub", "subtract", "rsub", "isub") and len(given) > 1:
        return _of_pair("a difference", given[0], given[1], result)
    if name.strip("_") in ("mul", "multiply", "rmul") and len(given) > 1:
        pair = _of_pair("a product", given[0], given[1], result)
        is_choice = pair is not None and pair.target.dim() == 2 and pair.target.shape[1] > 1 and _is_one_hot(pair.target)
        return pair if is_choice else None
    if name in ("gather", "take_along_dim") and len(given) > 2:
        given = [given[0], given[2], given[1]] if isinstance(given[1], Tensor) else given
        return _of_gather(given[0], given[1], given[2], result)
    return _of_index(given[0], given[1], result) if name == "__getitem__" and len(given) == 2 else None


def _of_pair(by: str, first: Any, second: Any, result: Tensor) -> Comparison | None:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.shape != second.shape or not first.dim():
        return None
    outputs, target = (first, second) if depends(first) else (second, first)
    return Comparison(by, outputs, target, result) if depends(outputs) and not depends(target) else None


def _of_gather(outputs: Any, axis: Any, index: Any, result: Tensor) -> Comparison | None:
    """Return a choice by `gather` along an axis, of one entry."""
    if not isinstance(outputs, Tensor) or not isinstance(index, Tensor) or not isinstance(axis, int) or not depends(outputs):
        return None
    if outputs.dim() < 2 or index.dim() != outputs.dim() or index.shape[axis] != 1 or outputs.shape[axis] < 2:
        return None
    return Comparison("an index", outputs.movedim(axis, 1), index.squeeze(axis), result)


def _of_index(outputs: Any, index: Any, result: Tensor) -> Comparison | None:
    """Return a choice by `outputs[range(n), labels]`."""
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or not depends(outputs):
        return None
    if not isinstance(index, tuple) or len(index) != 2 or not isinstance(index[1], Tensor) or outputs.shape[1] < 2:
        return None
    rows, labels = index
    if isinstance(rows, slice | int | None | bool) or rows is Ellipsis or labels.dtype in (torch.bool, torch.uint8):
        return None
    rows = torch.as_tensor(list(rows) if not isinstance(rows, Tensor) else rows)
    is_each = rows.dim() == 1 and rows.tolist() == list(range(len(outputs)))
    return Comparison("an index", outputs, labels, result) if is_each and labels.shape == rows.shape else None


def depends(value: Tensor) -> bool:
    """Tell whether a tensor depends on theta by an operation."""
    return value.requires_grad and value.grad_fn is not None

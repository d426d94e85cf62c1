"""Checks that a model has an energy at all, made once, with the cause named when it has none."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from spinodal.errors import SpinodalError

if TYPE_CHECKING:
    from spinodal.landscape import Landscape
    from spinodal.penalty import Penalty


def refuse_randomness(model: nn.Module) -> None:
    """Refuse modules in training mode whose output is not a function of theta and the sample."""
    for name, module in model.named_modules():
        if not module.training:
            continue
        where = f"{name or 'the model'} ({type(module).__name__})"
        if (isinstance(module, _DropoutNd) and module.p > 0) or isinstance(module, nn.RReLU):
            raise SpinodalError(
                got=f"{where} draws random numbers in training mode, so E is not a function of theta",
                allowed="a deterministic model is allowed",
                do="call model.eval() before, or remove the layer",
            )
        if isinstance(module, _BatchNorm):
            raise SpinodalError(
                got=f"{where} uses batch statistics in training mode, so E is not a function of theta alone",
                allowed="BatchNorm in evaluation mode (fixed statistics) is allowed",
                do="call model.eval() before, or replace it by a layer without batch statistics",
            )


def check_loss(landscape: Landscape) -> None:
    """Refuse a loss that is not a finite, repeatable, differentiable scalar."""
    theta = landscape.initial
    first, gradient = _evaluate(landscape, theta)
    second, _ = _evaluate(landscape, theta)
    if first != second:
        raise SpinodalError(
            got=f"two evaluations of the same theta gave {first!r} and {second!r}, so E is not a function of theta",
            allowed="a deterministic loss on the same batches is allowed",
            do="look for dropout, random augmentation or a shuffling loader",
        )
    if not bool(torch.isfinite(gradient).all()):
        raise SpinodalError(
            got="the gradient is not finite at the initial parameters",
            allowed="a finite gradient is needed",
            do="look for a square root or logarithm at zero",
        )


def _evaluate(landscape: Landscape, theta: Tensor) -> tuple[float, Tensor]:
    """Return E and its gradient, turning what the user's code does wrong into a clear refusal."""
    for batch in landscape.batches:
        _check_scalar(_call(landscape, theta, batch))
    return landscape.value_and_gradient(theta)


def _call(landscape: Landscape, theta: Tensor, batch: object) -> object:
    try:
        with warnings.catch_warnings(), landscape.at(theta) as model:
            # Broadcasting (n, 1) against (n,) is a classic silent error; torch only warns.
            warnings.filterwarnings("error", message="Using a target size")
            return landscape.loss(model, batch)
    except SpinodalError:
        raise
    except Exception as cause:
        text = str(cause).strip().split("\n")[0]
        raise SpinodalError(
            got=f"loss(model, batch) raised {type(cause).__name__}: {text}",
            allowed="a loss that accepts this model and these batches is allowed",
            do="check that the shapes and dtypes of data and model fit",
        ) from cause


def _check_scalar(error: object) -> None:
    if not isinstance(error, Tensor) or error.dim() != 0:
        got = f"a tensor of shape {tuple(error.shape)}" if isinstance(error, Tensor) else type(error).__name__
        raise SpinodalError(
            got=f"loss(model, batch) returned {got}",
            allowed="a scalar tensor is allowed",
            do="take the mean over the batch's samples",
        )
    if not error.requires_grad:
        raise SpinodalError(
            got="loss(model, batch) has no gradient",
            allowed="a loss that depends on the trainable parameters through torch operations is allowed",
            do="look for .detach(), .item(), torch.no_grad() or numpy inside the loss",
        )
    if not bool(torch.isfinite(error.detach())):
        raise SpinodalError(
            got=f"loss(model, batch) returned {float(error.detach())}",
            allowed="a finite number is allowed",
            do="look for a division by zero, a logarithm of zero, or exploding initial parameters",
        )


def refuse_scale_invariance(landscape: Landscape, penalty: Penalty) -> None:
    """Refuse a penalised block of parameters that E does not feel the scale of: L has no minimiser.

    For such a block (weights followed by a normalisation) `E(c * block) = E(block)` for all c > 0,
    so the penalty shrinks it for ever. Blocks are single tensors and whole modules; the test is
    `grad E . block = 0` while `grad E` is not, at three random points.
    """
    if penalty.centre is not None and bool((penalty.centre != 0).any()):
        return  # pulled to a point that is not the origin, the block has a finite best scale
    generator = torch.Generator().manual_seed(0)
    start = landscape.initial
    candidates = None
    for scale in (1.0, 2.0, 4.0):
        noise = torch.randn(landscape.size, generator=generator, dtype=torch.float64).to(start)
        theta = scale * (start + (0.1 + start.abs()) * noise)
        gradient = landscape.gradient(theta)
        found = {name for name, index in _blocks(landscape).items() if _is_radial_flat(theta[index], gradient[index])}
        candidates = found if candidates is None else candidates & found
        if not candidates:
            return
    diagonal = penalty.diagonal(start)
    for name in sorted(candidates or ()):
        if bool((diagonal[_blocks(landscape)[name]] != 0).any()):
            raise SpinodalError(
                got=f"E does not depend on the scale of {name} (a normalisation follows it), so L has no minimiser",
                allowed="networks whose penalised blocks feel their scale are allowed",
                do=f"leave {name} out of the penalty with a mask, or remove the normalisation",
            )


def _is_radial_flat(block: Tensor, gradient: Tensor) -> bool:
    """Tell whether the gradient is there but orthogonal to the block."""
    size = float(gradient.norm() * block.norm())
    return size > 1e-12 and abs(float(gradient @ block)) < 1e-3 * size


def _blocks(landscape: Landscape) -> dict[str, Tensor]:
    """Return indices into theta of every tensor with more than one entry and of every module."""
    blocks: dict[str, list[Tensor]] = {}
    for slot in landscape.parameters.slots:
        index = torch.arange(slot.start, slot.stop)
        if len(index) > 1:
            blocks.setdefault(slot.name, []).append(index)
        owner = slot.name.rpartition(".")[0]
        if owner:
            blocks.setdefault(owner, []).append(index)
    return {name: torch.cat(parts) for name, parts in blocks.items()}

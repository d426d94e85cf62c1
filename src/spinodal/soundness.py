"""Checks that a model has an energy at all, made once, with the cause named when it has none."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from spinodal.batches import Batch, is_of_samples, part_of, size_of
from spinodal.errors import SpinodalError, blaming

if TYPE_CHECKING:
    from spinodal.landscape import Landscape
    from spinodal.penalty import Penalty

SYMMETRY_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative to the products compared
SAMPLES = 64  # that show whether there are second derivatives

ONCE = "an operation in it may be differentiated only once (once_differentiable)"


def refuse_randomness(model: nn.Module) -> None:
    """Refuse modules whose output is not a function of theta and the sample, in the mode they are in."""
    for name, module in model.named_modules():
        where = f"{name or 'the model'} ({type(module).__name__})"
        random = (isinstance(module, _DropoutNd) and module.p > 0) or isinstance(module, nn.RReLU)
        if random and module.training:
            raise SpinodalError(
                got=f"{where} draws random numbers in training mode, so E is not a function of theta",
                allowed="a deterministic model is allowed",
                do="call model.eval() before, or remove the layer",
            )
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            mode = "in training mode" if module.training else "for want of running statistics"
            raise SpinodalError(
                got=f"{where} uses batch statistics {mode}, so E is not a function of theta alone",
                allowed="BatchNorm in evaluation mode with running statistics is allowed",
                do="keep running statistics and call model.eval() before, or use a layer without batch statistics",
            )


def refuse_complex(model: nn.Module) -> None:
    """Refuse complex parameters and buffers, whose imaginary parts a cast to real numbers would drop."""
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if value.is_complex():
            raise SpinodalError(
                got=f"{name} of the model is complex ({str(value.dtype).removeprefix('torch.')})",
                allowed="real parameters and buffers are allowed",
                do="keep real and imaginary parts as two real tensors (torch.view_as_real)",
            )


def check_loss(landscape: Landscape) -> None:
    """Refuse a loss that is not a finite, repeatable, differentiable scalar function of theta."""
    theta = landscape.initial
    _check_batches(landscape, theta)
    first, gradient = landscape.value_and_gradient(theta)
    second, _ = landscape.value_and_gradient(theta)
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


def _check_batches(landscape: Landscape, theta: Tensor) -> None:
    """Turn what the user's code does wrong on some batch into a clear refusal."""
    depends = False
    for batch in landscape.batches:
        error = _scalar(_call(landscape, theta, batch))
        depends = depends or landscape.depends_on_theta(error)
    if not depends:
        raise SpinodalError(
            got="loss(model, batch) has a gradient, but none with respect to the parameters of its argument `model`",
            allowed="a loss that depends on the trainable parameters of the model it is given is allowed",
            do="use `model` inside the loss, which is a copy, and not the module it was copied from",
        )


def _call(landscape: Landscape, theta: Tensor, batch: object) -> object:
    allowed, do = (
        "a loss that accepts this model and these batches is allowed",
        "check that the shapes and dtypes of data and model fit",
    )
    with blaming("loss(model, batch)", allowed=allowed, do=do), warnings.catch_warnings(), landscape.at(theta) as model:
        # Broadcasting (n, 1) against (n,) is a classic silent error; torch only warns.
        warnings.filterwarnings("error", message="Using a target size")
        return landscape.loss(model, batch)


def _scalar(error: object) -> Tensor:
    """Return what the user's loss gave if it is a finite scalar with a gradient, or refuse it."""
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
    return error


def check_second_derivatives(landscape: Landscape) -> None:
    """Refuse an E whose second derivatives are missing, or not symmetric: `u . H v` must equal `v . H u`.

    They are not symmetric where a gradient is wrong or is itself differentiated wrongly, as that of
    `weight_norm` in PyTorch. Two uncounted products at one random point show it, of few samples where E is their mean.
    """
    landscape = landscape.of_few(SAMPLES)
    generator = torch.Generator().manual_seed(0)
    noise, *pair = torch.randn(3, landscape.size, generator=generator, dtype=torch.float64).to(landscape.initial)
    theta = landscape.initial + 0.1 * noise
    if any(slope is not None and is_cut(slope.grad_fn) for slope in landscape.gradient_graph(theta).slopes):
        raise _no_second_derivatives(reason=ONCE)
    first, second = images = _products(landscape, theta, torch.stack(pair))
    difference = abs(float(second @ pair[0] - first @ pair[1]))
    if difference > SYMMETRY_TOLERANCE.get(landscape.dtype, 0.1) * float(images.norm()):
        raise SpinodalError(
            got=f"the second derivatives of E are not symmetric: u.Hv and v.Hu differ by {difference:.2g}",
            allowed="a model whose operations PyTorch differentiates twice correctly is allowed",
            do="look for weight_norm (torch.nn.utils), whose second derivative is wrong, or a gradient of your own",
        )


def is_cut(graph: torch.autograd.graph.Node | None) -> bool:
    """Tell whether a graph holds an operation that PyTorch will not differentiate: it may pass over it as zero."""
    waiting, seen = [graph], {graph}
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if node.name() == "torch::autograd::Error":
            return True
        fresh = {following for following, _ in node.next_functions} - seen
        seen |= fresh
        waiting.extend(fresh)
    return False


def _products(landscape: Landscape, theta: Tensor, vectors: Tensor) -> Tensor:
    try:
        return landscape.uncounted_product(theta, vectors)
    except RuntimeError as cause:
        text = str(cause).strip().split("\n")[0]
        if "not implemented" not in text:
            raise
        raise _no_second_derivatives(text) from cause


def _no_second_derivatives(reason: str) -> SpinodalError:
    return SpinodalError(
        got=f"E has no second derivatives: {reason}",
        allowed="a model whose operations can be differentiated twice is allowed",
        do="of attention, choose the plain form: torch.nn.attention.sdpa_kernel(SDPBackend.MATH)"
        if "attention" in reason
        else "replace this operation by one that PyTorch can differentiate twice",
    )


def refuse_scale_invariance(landscape: Landscape, penalty: Penalty) -> None:
    """Refuse a penalised block of parameters that E does not feel the scale of: L has no minimiser.

    For such a block (weights followed by a normalisation) `E(c * block) = E(block)` for all c > 0,
    so a penalty centred at the origin shrinks it for ever; a centre that is not zero on the block
    gives it a best scale. Blocks are single tensors and whole modules; the test is
    `grad E . block = 0` while `grad E` is not, at three random points.
    """
    blocks = _shrinking_blocks(landscape, penalty)
    generator = torch.Generator().manual_seed(0)
    start = landscape.initial
    for scale in (1.0, 2.0, 4.0):
        if not blocks:
            return
        noise = torch.randn(landscape.size, generator=generator, dtype=torch.float64).to(start)
        theta = scale * (start + (0.1 + start.abs()) * noise)
        gradient = landscape.gradient(theta)
        blocks = {name: index for name, index in blocks.items() if _is_radial_flat(theta[index], gradient[index])}
    if blocks:
        raise _scale_invariant(_outermost(blocks), tensors={slot.name for slot in landscape.parameters.slots})


def _outermost(blocks: Collection[str]) -> list[str]:
    """Return the names without those inside another of them."""
    return sorted(name for name in blocks if not any(name.startswith(f"{other}.") for other in blocks))


def _scale_invariant(names: list[str], tensors: Collection[str]) -> SpinodalError:
    which, patterns = " and of ".join(names), [name if name in tensors else f"{name}.*" for name in names]
    return SpinodalError(
        got=f"E does not depend on the scale of {which} (a normalisation follows it), so L has no minimiser",
        allowed="networks whose penalised blocks feel their scale are allowed",
        do=f"leave {' and '.join(names)} out of the penalty with a mask (exclude={patterns} of Task), "
        "or remove the normalisation",
    )


def _shrinking_blocks(landscape: Landscape, penalty: Penalty) -> dict[str, Tensor]:
    """Return the blocks that the penalty shrinks: penalised, and pulled to the origin.

    Pulled to another point, a block that E does not feel the scale of still has a best scale.
    """
    penalised = penalty.diagonal(landscape.initial) != 0
    pulled = penalised & (penalty.offset(torch.zeros_like(landscape.initial)) != 0)
    blocks = _blocks(landscape).items()
    return {name: index for name, index in blocks if bool(penalised[index].any()) and not bool(pulled[index].any())}


def _is_radial_flat(block: Tensor, gradient: Tensor) -> bool:
    """Tell whether the gradient is there but orthogonal to the block, far more so than two random vectors of n entries.

    Those have a cosine of about n^(-1/2), which is small for a large block.
    """
    size = float(gradient.norm() * block.norm())
    return size > 1e-12 and abs(float(gradient @ block)) < min(1e-3, 1e-2 * len(block) ** -0.5) * size


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


def samples_are_apart(landscape: Landscape, theta: Tensor) -> bool:
    """Tell whether E is a mean over samples: the error of a few, and its slope, is the mean, by size, of those of its parts.

    It is not where samples meet, in the loss (pairs, sums) or in the model (batch statistics).
    """
    batch = next(iter(landscape.batches))
    if not is_of_samples(batch) or size_of(batch) < 2:
        return False
    few = min(size_of(batch), 16)
    cut = max(1, few // 3)
    try:
        whole, *parts = (_value_and_slope(landscape, theta, part_of(batch, piece)) for piece in _pieces(few, cut))
    except (RuntimeError, ValueError, IndexError, TypeError, SpinodalError):
        return False
    if bool((parts[0] == parts[1]).all()):  # the loss does not look at them
        return False
    mean = (cut * parts[0] + (few - cut) * parts[1]) / few
    return bool((whole - mean).norm() <= SYMMETRY_TOLERANCE.get(landscape.dtype, 1e-3) * (whole.norm() + mean.norm()))


def _pieces(few: int, cut: int) -> tuple[slice, slice, slice]:
    return slice(few), slice(cut), slice(cut, few)


def _value_and_slope(landscape: Landscape, theta: Tensor, batch: Batch) -> Tensor:
    """Return the error of some samples and its gradient as one vector, shape (1 + n,)."""
    leaf = theta.detach().clone().requires_grad_(True)
    error = landscape.call(leaf, batch)
    (slope,) = torch.autograd.grad(error, leaf, materialize_grads=True)
    return torch.cat([error.detach()[None], slope])

"""Checks that a model has an energy at all, made once, with the cause named when it has none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from spinodal.errors import SpinodalError, blaming
from spinodal.landscape.batches import size_of
from spinodal.landscape.consistency import EQUAL, ROUNDING, check_one_function, staircase
from spinodal.landscape.criterion import Criterion
from spinodal.landscape.energy import Energy
from spinodal.landscape.precision import where_lower

SYMMETRY_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative to the products compared
CURVED = 1e-3  # of Hessian products and differences of gradients, relative
DIFFERENCES = (1e-7, 1e-8, 1e-9)  # steps of these, times random numbers; in double precision alone, see `_gap`
SAMPLES = 32  # that show whether there are second derivatives

ONCE = "an operation in it may be differentiated only once (once_differentiable)"
DIFFERENTIABLE = "a loss whose graph is made anew at every call, and can be differentiated, is allowed"
ANEW = "look for activations or results that the model or the loss keeps from call to call; add --debug to see where"


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


def check_loss(landscape: Energy) -> tuple[str, ...]:
    """Refuse a loss that is not a finite, repeatable, differentiable scalar function of theta; return what to remark on it.

    It costs a little over five gradients: three at two thetas, and evaluations of E beside them.
    """
    theta = landscape.initial
    first, gradient = _first_evaluation(landscape, theta)
    second, _ = _again(landscape, theta)
    if first != second:
        raise _no_function(got=f"two evaluations of the same theta gave {first!r} and {second!r}")
    if not landscape.batches.are_the_same_again():
        raise _no_function(got="two walks over the data gave different batches")
    if not bool(torch.isfinite(gradient).all()):
        raise SpinodalError(
            got="the gradient is not finite at the initial parameters",
            allowed="a finite gradient is needed",
            do="look for a square root or logarithm at zero",
        )
    check_one_function(landscape, theta, first, gradient)
    return tuple(
        filter(
            None,
            (
                _reading(landscape),
                *landscape.notes,
                _without_gradients(landscape, theta, first),
                _of_batches(landscape, first),
            ),
        )
    )


def _no_function(got: str) -> SpinodalError:
    return SpinodalError(
        got=f"{got}, so E is not a function of theta",
        allowed="a deterministic loss on the same batches is allowed",
        do="look for dropout, random augmentation or a shuffling loader",
    )


def _first_evaluation(landscape: Energy, theta: Tensor) -> tuple[float, Tensor]:
    """Return E and its gradient; turn what the user's code does wrong on some batch into a clear refusal."""
    total, gradient, depends = 0.0, torch.zeros_like(theta), False
    for weight, batch in landscape.batches.weighted():
        with landscape.at(theta) as model:
            error = _scalar(_call(landscape, model, batch))
            _refuse_changed(landscape, theta)
            foreign = _foreign_parameter(error, model)
            with blaming("the gradient of loss(model, batch)", allowed=DIFFERENTIABLE, do=ANEW):
                slope = landscape.slope(error)
        total += weight * float(error.detach())
        if slope is not None:
            _refuse_foreign(foreign)
            gradient.add_(slope, alpha=weight)
            depends = True
    if not depends:
        raise SpinodalError(
            got="loss(model, batch) has a gradient, but none with respect to the parameters of its argument `model`",
            allowed="a loss that depends on the trainable parameters of the model it is given is allowed",
            do="use `model` inside the loss, which is a copy, and not the module it was copied from; look for .detach(), "
            ".item() or numpy between its outputs and the loss",
        )
    return total, gradient


def _again(landscape: Energy, theta: Tensor) -> tuple[float, Tensor]:
    with blaming("a second evaluation of the loss", allowed=DIFFERENTIABLE, do=ANEW):
        return landscape.over(theta, landscape.batches)


def _refuse_changed(landscape: Energy, theta: Tensor) -> None:
    """Refuse a model that changes its own parameters when it is called."""
    if landscape.lender.holds(theta):
        return
    flat = landscape.lender.flat
    names = [
        slot.name for slot in landscape.parameters.slots if not torch.equal(*(v[slot.start : slot.stop] for v in (flat, theta)))
    ]
    raise SpinodalError(
        got=f"evaluating the loss changed {' and '.join(names[:3])}, so E moves theta",
        allowed="a model that leaves its parameters as they are is allowed",
        do="look for in-place operations, max_norm, or an optimiser step inside the model or the loss",
    )


def _foreign_parameter(error: Tensor, model: nn.Module) -> nn.Parameter | None:
    """Return a parameter that a loss depends on and the model does not have."""
    own = {id(value) for value in model.parameters()}
    leaves = (getattr(node, "variable", None) for node in nodes(error.grad_fn))
    return next((value for value in leaves if isinstance(value, nn.Parameter) and id(value) not in own), None)


def _refuse_foreign(found: nn.Parameter | None) -> None:
    """Refuse a loss that depends on parameters of something else: they would stay where they are, unseen."""
    if found is None:
        return
    raise SpinodalError(
        got=f"the loss depends on a trainable parameter of shape {tuple(found.shape)} that its argument `model` lacks",
        allowed="a loss that depends on the parameters of the model it is given, and on data, is allowed",
        do="use `model` inside the loss, which is a copy, and not the module it was copied from; make whatever else is trained "
        "a part of the model",
    )


def _reading(landscape: Energy) -> str:
    return landscape.loss.reading if isinstance(landscape.loss, Criterion) else ""


def _without_gradients(landscape: Energy, theta: Tensor, value: float) -> str:
    """Say whether the model computes another function under `torch.no_grad`."""
    if landscape.softening is not None:  # which cannot tell, without gradients, what depends on parameters
        with landscape.as_given():
            value = landscape.uncounted_value(theta)
    try:
        with landscape.as_given(), landscape.at(theta) as model, torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of prototypes that the other path uses
            other = sum(weight * float(landscape.loss(model, batch)) for weight, batch in landscape.batches.weighted())
    except Exception:  # noqa: BLE001 - a loss that differentiates inside has no value without gradients
        return ""
    if abs(other - value) <= EQUAL.get(landscape.dtype, 1e-4) * (abs(value) + abs(other)):
        return ""
    return (
        f"under torch.no_grad this model computes another function (E = {other:.6g} for {value:.6g} at the first theta); "
        "what is minimised and shown here is the one with gradients"
    )


def _of_batches(landscape: Energy, value: float) -> str:
    """Say whether the loss of a batch is no mean over its samples, so that E depends on how the data are cut into batches."""
    batches = landscape.batches
    if batches.count < 2 or batches.sizes != [size_of(batch) for batch in batches]:
        return ""  # one batch, or samples that do not lie along the first axis
    parts = batches.split(2, batches.largest)
    if parts is None:
        return ""
    theta, other = landscape.initial, 0.0
    try:
        for weight, batch in parts.weighted():
            with landscape.at(theta) as model:
                other += weight * float(landscape.loss(model, batch).detach())
    except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
        return ""
    if abs(other - value) <= EQUAL.get(landscape.dtype, 1e-4) * (abs(value) + abs(other)):
        return ""
    return (
        "the loss of a batch is no mean over its samples (class weights, ignored labels, pairs?), so E depends on how the data "
        "are cut into batches; it is the mean of your batches' losses, weighted by their numbers of samples"
    )


def _call(landscape: Energy, model: nn.Module, batch: object) -> object:
    allowed = "a loss that accepts this model and these batches is allowed"
    with blaming("loss(model, batch)", allowed=allowed, do=_remedy(landscape)), warnings.catch_warnings():
        # Broadcasting (n, 1) against (n,) is a classic silent error; torch only warns.
        warnings.filterwarnings("error", message="Using a target size")
        return landscape.loss(model, batch)


def _remedy(landscape: Energy) -> str:
    """Return what to look at where a loss raises."""
    if isinstance(landscape.loss, Criterion):
        return f"check that the shapes and dtypes fit ({landscape.loss.reading}), or give a function (model, batch) -> scalar"
    own = str(landscape.dtype).removeprefix("torch.")
    single = "" if landscape.dtype == torch.float32 else ", or use --dtype float32 (dtype=torch.float32)"
    return (
        f"check that the shapes and dtypes of data and model fit (both are cast to {own}; what model and loss make themselves, "
        f"by .float() or torch.tensor, is not: let it take the dtype of the outputs{single}), and that the loss takes "
        "(model, batch), not (outputs, labels)"
    )


def _scalar(error: object) -> Tensor:
    """Return what the user's loss gave if it is a finite scalar with a gradient, or refuse it."""
    if not isinstance(error, Tensor) or error.dim() != 0:
        got = f"a tensor of shape {tuple(error.shape)}" if isinstance(error, Tensor) else type(error).__name__
        raise SpinodalError(
            got=f"loss(model, batch) returned {got}",
            allowed="a scalar tensor is allowed",
            do="take the mean over the batch's samples"
            if isinstance(error, Tensor)
            else "return the error alone, as a tensor (no .item())",
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


def check_second_derivatives(landscape: Energy) -> None:
    """Refuse an E whose second derivatives are missing, not symmetric, or not those of its gradient.

    `u . H v` must equal `v . H u`, and `H u` the difference of gradients. Two products and some gradients at random points
    show it, uncounted, of few samples.
    """
    few = landscape.of_few(SAMPLES)
    generator = torch.Generator().manual_seed(0)
    noise, *pair = torch.randn(3, few.size, generator=generator, dtype=torch.float64).to(few.initial)
    theta = few.initial + 0.1 * noise
    graph = few.gradient_graph(theta)
    if any(slope is not None and is_cut(slope.grad_fn) for slope in graph.slopes):
        raise _no_second_derivatives(reason=ONCE)
    several = few.batches.count > 1
    first, second = images = _products(lambda v: few.uncounted_product(theta, v) if several else graph.products(v), pair)
    difference = abs(float(second @ pair[0] - first @ pair[1]))
    if difference > SYMMETRY_TOLERANCE.get(few.dtype, 0.1) * float(images.norm()):
        raise _wrong_second_derivatives(few, theta, f"are not symmetric: u.Hv and v.Hu differ by {difference:.2g}")
    gap = _gap(few, theta, pair[0], first)
    if gap is not None:
        raise _wrong_second_derivatives(few, theta, f"are not those of its gradient: Hu and differences differ by {gap:.2g}")


def _gap(landscape: Energy, theta: Tensor, direction: Tensor, image: Tensor) -> float | None:
    """Return how far `H u` is from differences of the gradient, relative to either; None where they agree at some step.

    Steps are short, as gradients jump where they cross a kink: too short for single precision, which has symmetry alone.
    """
    if landscape.dtype != torch.float64:
        return None
    gap = 0.0
    for step in DIFFERENCES:
        up, down = (landscape.over(theta + sign * step * direction, landscape.batches)[1] for sign in (1.0, -1.0))
        found = (up - down) / (2.0 * step)
        size = float(found.norm() + image.norm())
        rounding = ROUNDING * torch.finfo(landscape.dtype).eps * float(up.norm()) / step
        gap = float((found - image).norm())
        if gap <= CURVED * size + rounding:
            return None
        gap /= max(size, 1e-300)
    return gap


def _wrong_second_derivatives(landscape: Energy, theta: Tensor, which: str) -> SpinodalError:
    with landscape.at(theta) as model:
        batch = next(iter(landscape.batches))
        lower = where_lower(model, lambda: landscape.loss(model, batch), landscape.dtype)
    if lower is not None:
        return staircase(*lower, landscape=landscape)
    normed = [name for name, module in landscape.model.named_modules() if _has_weight_norm(module)]
    if normed:
        do = f"replace weight_norm (torch.nn.utils) in {' and '.join(normed[:3])}: PyTorch differentiates it twice wrongly"
    else:
        do = "look for a gradient of your own (torch.autograd.Function) that is not differentiated rightly"
    return SpinodalError(
        got=f"the second derivatives of E {which}",
        allowed="a model whose operations PyTorch differentiates twice correctly is allowed",
        do=do,
    )


def _has_weight_norm(module: nn.Module) -> bool:
    return hasattr(module, "weight_g") or type(module).__name__ == "_WeightNorm"


def is_cut(graph: torch.autograd.graph.Node | None) -> bool:
    """Tell whether a graph holds an operation that PyTorch will not differentiate: it may pass over it as zero."""
    return any(node.name() == "torch::autograd::Error" for node in nodes(graph))


def nodes(graph: torch.autograd.graph.Node | None) -> Iterator[torch.autograd.graph.Node]:
    """Walk the nodes of a graph of gradients, each once."""
    waiting = [graph]
    seen = {graph}
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        yield node
        fresh = {following for following, _ in node.next_functions} - seen
        seen |= fresh
        waiting.extend(fresh)


def _products(product: Callable[[Tensor], Tensor], vectors: Sequence[Tensor]) -> Tensor:
    try:
        return product(torch.stack(list(vectors)))
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

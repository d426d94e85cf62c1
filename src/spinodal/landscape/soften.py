"""Piecewise smooth operations of the user's code replaced by smooth ones while it runs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from spinodal.arguments import real_number
from spinodal.errors import SpinodalError
from spinodal.landscape import soft_operations as soft
from spinodal.landscape.soft_operations import bounded, exponential, largest, leaky, modulus, rectified

SHARPEST = 1e6  # beyond which nothing is smooth in double precision
Replacement = Callable[..., Any]  # sharpness, then the arguments of the operation


class Softening(TorchFunctionMode):
    """Replaces ReLU and its kin by smooth operations of one sharpness s while the context lasts.

    `softplus(s x) / s` for `max(x, 0)`, and everything made of it; `log sum exp(s x) / s` for maxima and max pooling. It
    sees modules (`nn.ReLU`), functions (`torch.relu`) and methods (`x.clamp(min=0)`) alike, as all are calls; a scripted
    module it does not see, nor operations on what does not depend on parameters.

    Parameters
    ----------
    sharpness : float
        s > 0, in the units of one over the operation's input.

    Examples
    --------
    >>> x = torch.zeros(1, requires_grad=True)
    >>> with Softening(2.0):
    ...     round(float(torch.nn.ReLU()(x).detach()), 6)  # log(2) / 2
    0.346574
    """

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call what replaces an operation, or the operation itself."""
        replacement = REPLACEMENTS.get(func)
        if replacement is None or not _bends(args, kwargs):
            return func(*args, **(kwargs or {}))
        return replacement(self.sharpness, *args, **(kwargs or {}))


def check_sharpness(soften: float | tuple[float, float]) -> None:
    """Refuse what is neither one sharpness nor a rising pair."""
    pair = soften if isinstance(soften, tuple) else (soften, math.inf)
    low, high = map(real_number, pair) if len(pair) == 2 else (math.nan, math.nan)
    if not 0.0 < low <= SHARPEST or not low < high or (isinstance(soften, tuple) and high > SHARPEST):
        raise SpinodalError(
            got=f"soften = {soften!r}",
            allowed=f"a sharpness from 0 to {SHARPEST:g}, or a rising pair of them, is allowed",
            do="try 20, or (20, 160) (--soften 20:160)",
        )


def _bends(args: Sequence[Any], kwargs: Any) -> bool:
    """Tell whether an operation takes numbers that depend on parameters; without gradients nothing tells."""
    values, blind = (*args, *(kwargs or {}).values()), not torch.is_grad_enabled()
    return any(
        isinstance(value, Tensor)
        and value.is_floating_point()
        and (value.requires_grad or blind or torch._C._functorch.is_functorch_wrapped_tensor(value))
        for value in values
    )


def _in_place(made: Callable[..., Tensor]) -> Replacement:
    """Return what writes the result over the input, as operations in place do."""

    def replacement(s: float, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return x.copy_(made(s, x.clone(), *args, **kwargs))

    return replacement


def _relu(s: float, input: Tensor, inplace: bool = False) -> Tensor:
    return rectified(input, s)


def _leaky_relu(s: float, input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return leaky(input, negative_slope, s)


def _rrelu(
    s: float, input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    return leaky(input, 0.5 * (lower + upper), s)  # random in training, which is refused


def _prelu(s: float, input: Tensor, weight: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (input.dim() - 2)) if input.dim() > 1 else (-1,)
    return leaky(input, weight.view(shape) if weight.dim() == 1 else weight, s)


def _hardtanh(s: float, input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    return bounded(input, min_val, max_val, s)


def _relu6(s: float, input: Tensor, inplace: bool = False) -> Tensor:
    return bounded(input, 0.0, 6.0, s)


def _hardsigmoid(s: float, input: Tensor, inplace: bool = False) -> Tensor:
    return bounded(input + 3.0, 0.0, 6.0, s) / 6.0


def _hardswish(s: float, input: Tensor, inplace: bool = False) -> Tensor:
    return input * _hardsigmoid(s, input)


def _threshold(s: float, input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    if value != threshold:  # a jump of the value, which nothing smooth approaches everywhere: it is found and refused later
        return functional.threshold(input, threshold, value)
    return bounded(input, threshold, None, s)


def _softshrink(s: float, input: Tensor, lambd: float = 0.5) -> Tensor:
    return rectified(input - lambd, s) - rectified(-input - lambd, s)


def _elu(s: float, input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return functional.elu(input, alpha) if alpha == 1.0 else exponential(input, alpha, 1.0, s)


def _selu(s: float, input: Tensor, inplace: bool = False) -> Tensor:
    return exponential(input, 1.6732632423543772, 1.0507009873554805, s)


def _abs(s: float, input: Tensor) -> Tensor:
    return modulus(input, s)


def _clamp(s: float, input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return bounded(input, min, max, s)


def _clamp_min(s: float, input: Tensor, min: Any) -> Tensor:
    return bounded(input, min, None, s)


def _clamp_max(s: float, input: Tensor, max: Any) -> Tensor:
    return bounded(input, None, max, s)


def _maximum(s: float, input: Tensor, other: Tensor) -> Tensor:
    return other + rectified(input - other, s)


def _minimum(s: float, input: Tensor, other: Tensor) -> Tensor:
    return input - rectified(input - other, s)


def _amax(s: float, input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    axes = tuple(range(input.dim())) if dim == () else dim
    return largest(input, axes, s, keepdim=keepdim)


def _amin(s: float, input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return -_amax(s, -input, dim, keepdim)


def _max(s: float, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    return _extreme(s, 1.0, input, *args, **kwargs)


def _min(s: float, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    return _extreme(s, -1.0, input, *args, **kwargs)


def _extreme(s: float, sign: float, input: Tensor, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
    """Return what the three forms of `torch.max` and `torch.min` return."""
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return _maximum(s, input, other) if sign > 0 else _minimum(s, input, other)
    if dim is None:
        return sign * _amax(s, sign * input)
    values = sign * largest(sign * input, dim, s, keepdim=keepdim)
    kind = torch.return_types.max if sign > 0 else torch.return_types.min
    return kind((values, (sign * input.detach()).argmax(dim, keepdim=keepdim)))


def _l1_loss(
    s: float, input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    each = modulus(input - target, s) * (1.0 if weight is None else weight)
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.mean() if weight is None else each.sum() / weight.sum()


def _pool(axes: int) -> Replacement:
    def replacement(
        s: float, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Tensor:  # fmt: skip
        kernel = _each(kernel_size, axes)
        return soft.pooled(
            input, s, kernel, _each(stride, axes) if stride else kernel, _each(padding, axes), _each(dilation, axes),
            ceil_mode=ceil_mode,
        )  # fmt: skip

    return replacement


def _adaptive_pool(axes: int) -> Replacement:
    def replacement(s: float, input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
        return soft.pooled_to(input, s, _each(output_size, axes))

    return replacement


def _each(value: Any, axes: int) -> list[Any]:
    """Return one value for each axis."""
    return list(value) if isinstance(value, Sequence) and len(value) == axes else [_only(value)] * axes


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, Sequence) else value


PLAIN: dict[str, Replacement] = {  # by the names that torch, its tensors and torch.nn.functional have for them
    "relu": _relu, "leaky_relu": _leaky_relu, "rrelu": _rrelu, "prelu": _prelu, "hardtanh": _hardtanh, "relu6": _relu6,
    "hardsigmoid": _hardsigmoid, "hardswish": _hardswish, "threshold": _threshold, "_threshold": _threshold,
    "softshrink": _softshrink, "elu": _elu, "selu": _selu, "abs": _abs, "absolute": _abs, "__abs__": _abs, "clamp": _clamp,
    "clip": _clamp, "clamp_min": _clamp_min, "clamp_max": _clamp_max, "maximum": _maximum, "minimum": _minimum,
    "fmax": _maximum, "fmin": _minimum, "amax": _amax, "amin": _amin, "max": _max, "min": _min, "l1_loss": _l1_loss,
    **{f"max_pool{axes}d": _pool(axes) for axes in (1, 2, 3)}, **{f"_max_pool{axes}d": _pool(axes) for axes in (1, 2, 3)},
    **{f"adaptive_max_pool{axes}d": _adaptive_pool(axes) for axes in (1, 2, 3)},
    **{f"_adaptive_max_pool{axes}d": _adaptive_pool(axes) for axes in (1, 2, 3)},
}  # fmt: skip
IN_PLACE = (
    "relu", "leaky_relu", "rrelu", "hardtanh", "hardswish", "hardsigmoid", "threshold", "elu", "selu", "abs", "absolute",
    "clamp", "clip", "clamp_min", "clamp_max",
)  # fmt: skip


def _replacements() -> dict[Any, Replacement]:
    """Return what replaces which function, wherever PyTorch keeps it; those in place end with a line."""
    known = PLAIN | {f"{name}_": _in_place(PLAIN[name]) for name in IN_PLACE}
    places = (torch, Tensor, functional, torch._C._nn)
    found = {getattr(place, name): made for name, made in known.items() for place in places if hasattr(place, name)}
    flagged = [name for name in IN_PLACE if "inplace" in inspect.signature(PLAIN[name]).parameters]
    return found | {getattr(functional, name): _by_flag(PLAIN[name]) for name in flagged}


def _by_flag(made: Replacement) -> Replacement:
    """Return what writes over its input where `inplace` asks for it."""
    places = list(inspect.signature(made).parameters).index("inplace")

    def replacement(s: float, *args: Any, **kwargs: Any) -> Any:
        asked = args[places - 1] if len(args) >= places else kwargs.get("inplace", False)
        return (_in_place(made) if asked else made)(s, *args, **kwargs)

    return replacement


REPLACEMENTS = _replacements()

"""Attention in the one form that PyTorch differentiates twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.backends import cuda

SWITCHES: tuple[tuple[Callable[[], bool], Callable[[bool], None]], ...] = (  # of fused forms, on every kind of device
    (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
)


@contextmanager
def plain_attention() -> Iterator[None]:
    """Let `scaled_dot_product_attention` compute step by step while the context lasts, unless the model chooses itself.

    The fused forms give the same numbers, faster, but their gradients have no derivatives. `torch.nn.attention.sdpa_kernel`
    does the same, at the time that a small network takes for a layer.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.functional import scaled_dot_product_attention
    >>> tokens = torch.eye(2)[None, None].requires_grad_()
    >>> with plain_attention():
    ...     "Flash" in scaled_dot_product_attention(tokens, tokens, tokens).grad_fn.name()
    False
    """
    fused = [turn for is_on, turn in SWITCHES if is_on()]
    were_plain: bool = cuda.math_sdp_enabled()  # type: ignore[no-untyped-call]
    for turn in fused:
        turn(False)
    if not were_plain:
        cuda.enable_math_sdp(True)
    try:
        yield
    finally:
        for turn in fused:
            turn(True)
        if not were_plain:
            cuda.enable_math_sdp(False)

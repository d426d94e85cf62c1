"""Attention in the one form that PyTorch differentiates twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

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
    _PLAIN.enter()
    try:
        yield
    finally:
        _PLAIN.leave()


class _Plain:
    """The switches, which all threads share: turned by the first that comes, turned back by the last that goes."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._fused: list[Callable[[bool], None]] = []
        self._were_plain = True

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._fused = [turn for is_on, turn in SWITCHES if is_on()]
                self._were_plain = cuda.math_sdp_enabled()  # type: ignore[no-untyped-call]
                self._turn(fused=False, plain=True)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._turn(fused=True, plain=self._were_plain)

    def _turn(self, *, fused: bool, plain: bool) -> None:
        for turn in self._fused:
            turn(fused)
        if not self._were_plain:
            cuda.enable_math_sdp(plain)


_PLAIN = _Plain()

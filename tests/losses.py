"""Losses of a batch of inputs and targets, as plain PyTorch has them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


def squared(model: nn.Module, batch: Any) -> Tensor:
    """Return the mean over samples of the sum of squared errors over outputs."""
    return (model(batch[0]) - batch[1]).square().sum(1).mean()


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    """Return the mean cross-entropy of labels."""
    return functional.cross_entropy(model(batch[0]), batch[1])

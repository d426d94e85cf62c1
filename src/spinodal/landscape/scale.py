"""Blocks of parameters whose scale E does not feel, so that a penalty shrinks them for ever."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape.consistency import somewhere
from spinodal.landscape.control import Control
from spinodal.landscape.energy import Energy
from spinodal.landscape.penalty import Penalty


def refuse_scale_invariance(landscape: Energy, control: Control) -> None:
    """Refuse a penalised block of parameters that E does not feel the scale of: L has no minimiser.

    For such a block (weights followed by a normalisation) `E(c * block) = E(block)` for all c > 0,
    so a penalty centred at the origin shrinks it for ever; a centre that is not zero on the block
    gives it a best scale. Blocks are single tensors and whole modules; the test is
    `grad E . block = 0` while `grad E` is not, at three random points.
    """
    blocks = _shrinking_blocks(landscape, control) if isinstance(control, Penalty) else {}
    for seed, scale in enumerate((1.0, 2.0, 4.0)):
        if not blocks:
            return
        theta = somewhere(landscape, scale, seed)
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


def _shrinking_blocks(landscape: Energy, penalty: Penalty) -> dict[str, Tensor]:
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


def _blocks(landscape: Energy) -> dict[str, Tensor]:
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

"""Blocks of parameters whose scale E does not feel, so that a penalty shrinks them for ever."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape.consistency import somewhere
from spinodal.landscape.control import Control
from spinodal.landscape.energy import Energy
from spinodal.landscape.landscape import Landscape
from spinodal.landscape.penalty import Penalty


def refuse_scale_invariance(landscape: Landscape, control: Control) -> None:
    """Refuse a penalised block of parameters that E does not feel the scale of: L has no minimiser.

    For such a block (weights followed by a normalisation) `E(c * block) = E(block)` for all c > 0,
    so a penalty centred at the origin shrinks it for ever; a centre that is not zero on the block
    gives it a best scale. Blocks are single tensors and whole modules; the test is
    `grad E . block = 0` while `grad E` is not, at three random points. Several tensors may share a scale that E does not
    feel, as in residual networks that normalise what their blocks add up to (see `joint_blocks`).
    """
    if not isinstance(control, Penalty):
        return
    blocks = _shrinking_blocks(landscape, control)
    for seed, scale in enumerate((1.0, 2.0, 4.0)):
        if not blocks:
            break
        theta = somewhere(landscape, scale, seed)
        gradient = landscape.gradient(theta)
        blocks = {name: index for name, index in blocks.items() if _is_radial_flat(theta[index], gradient[index])}
    tensors = {slot.name for slot in landscape.parameters.slots}
    if blocks:
        raise _scale_invariant(_outermost(blocks), tensors)
    if joint := [block for block in landscape.joint_blocks if _is_shrunk(landscape, control, block)]:
        raise _jointly_invariant(joint)


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


def _jointly_invariant(blocks: Sequence[Sequence[str]]) -> SpinodalError:
    names = list(dict.fromkeys(name for block in blocks for name in block))
    simplest = min(blocks, key=len)
    more = f", nor on those of {len(blocks) - 1} other sets of parameters" if len(blocks) > 1 else ""
    return SpinodalError(
        got=f"E does not depend on the common scale of {', '.join(simplest)} (what they add up to is normalised){more}, so L "
        "has no minimiser: decay shrinks them for ever, which in training only raises their effective learning rate",
        allowed="networks whose penalised blocks feel their scale are allowed",
        do=f"leave them out of the penalty with a mask (exclude={names} of Task), freeze {simplest[0]}, by whose size the "
        "others are then measured, or remove the normalisation",
    )


def _is_shrunk(landscape: Energy, penalty: Penalty, block: Sequence[str]) -> bool:
    """Tell whether the penalty shrinks some of a block, and pulls none of it to another point than the origin."""
    slots = [slot for slot in landscape.parameters.slots if slot.name in block]
    index = torch.cat([torch.arange(slot.start, slot.stop) for slot in slots])
    penalised, pulled = _penalised(landscape, penalty)
    return bool(penalised[index].any()) and not bool(pulled[index].any())


def _shrinking_blocks(landscape: Energy, penalty: Penalty) -> dict[str, Tensor]:
    """Return the blocks that the penalty shrinks: penalised, and pulled to the origin.

    Pulled to another point, a block that E does not feel the scale of still has a best scale.
    """
    penalised, pulled = _penalised(landscape, penalty)
    blocks = _blocks(landscape).items()
    return {name: index for name, index in blocks if bool(penalised[index].any()) and not bool(pulled[index].any())}


def _penalised(landscape: Energy, penalty: Penalty) -> tuple[Tensor, Tensor]:
    """Return where theta is penalised, and where it is pulled to another point than the origin."""
    penalised = penalty.diagonal(landscape.initial) != 0
    return penalised, penalised & (penalty.offset(torch.zeros_like(landscape.initial)) != 0)


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

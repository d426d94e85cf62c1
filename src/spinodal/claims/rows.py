"""All claims, in their order."""

from __future__ import annotations

from collections.abc import Iterable

from spinodal.claims.claim import Claim
from spinodal.claims.complexity import COMPLEXITY
from spinodal.claims.linear import LINEAR
from spinodal.claims.minima import MINIMA
from spinodal.claims.mnist import MNIST
from spinodal.claims.slices import SLICES
from spinodal.claims.tanh import TANH
from spinodal.claims.training import TRAINING
from spinodal.errors import SpinodalError

CLAIMS: tuple[Claim, ...] = tuple(
    sorted((*LINEAR, *TANH, *SLICES, *COMPLEXITY, *TRAINING, *MINIMA, *MNIST), key=lambda claim: claim.number)
)


def chosen(numbers: Iterable[int]) -> tuple[Claim, ...]:
    """Return the claims of these numbers, all of them for none.

    Raises
    ------
    SpinodalError
        For a number that no claim has.
    """
    wanted = set(numbers)
    strange = sorted(wanted - {claim.number for claim in CLAIMS})
    if strange:
        raise SpinodalError(
            got=f"claim {strange[0]}", allowed=f"numbers from 1 to {CLAIMS[-1].number} are allowed", do="see docs/claims.md"
        )
    return tuple(claim for claim in CLAIMS if not wanted or claim.number in wanted)

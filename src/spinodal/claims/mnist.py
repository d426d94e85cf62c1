"""The claim about MNIST, which takes hours and a file of the images."""

from __future__ import annotations

from collections.abc import Sequence

from spinodal.claims.claim import UNMEASURED, Claim, Measured, verdict
from spinodal.claims.workshop import Workshop
from spinodal.tasks.mnist import mnist
from spinodal.words.numbers import significant

PUBLISHED = (0.0248, 0.03735, 0.0590, 0.0738, 0.0844)  # weight_decay of the five transitions
SAMPLES = 10_000


def five(shop: Workshop) -> Measured:
    """Measure the transitions of the network of the paper beside the published five."""
    if not shop.is_full or shop.mnist is None:
        return Measured("Needs the images and hours: `spinodal claims --full --mnist mnist.npz`.", UNMEASURED)
    diagram = shop.map(mnist(data=str(shop.mnist), samples=SAMPLES), branches=True)
    ends = sorted(2.0 * item.beta for item in diagram.macroscopic)
    equal = sorted(2.0 * item.beta for item in diagram.coexistence)
    between = sum(any(low <= value <= high for low, high in zip(equal, ends, strict=False)) for value in PUBLISHED)
    text = (
        f"On {SAMPLES:,} images phases end at weight_decay = {_listed(ends)}, and are equally deep at {_listed(equal)}; of the "
        f"published {len(PUBLISHED)}, {between} lie between the two points of a transition."
    )
    count = len(ends) == len(PUBLISHED)
    return Measured(
        text, verdict(count and between == len(PUBLISHED), partly=count or between > 0), {"ends": ends, "coexistence": equal}
    )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(significant(value, 4) for value in values) or "no known place"


MNIST = (
    Claim(17, "MNIST has five transitions, at weight_decay = .0248, .03735, .0590, .0738 and .0844.", "B",
          "spinodal map mnist --set data=mnist.npz --set samples=10000 --branches", five, is_long=True),
)  # fmt: skip

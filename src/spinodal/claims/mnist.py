"""The claim about MNIST, which takes hours and a file of the images."""

from __future__ import annotations

from spinodal.claims.claim import UNMEASURED, Claim, Measured, verdict
from spinodal.claims.workshop import Workshop
from spinodal.phases.diagram import Diagram
from spinodal.phases.step import Step
from spinodal.phases.upper_ends import upper_coexistence
from spinodal.tasks.mnist import mnist
from spinodal.words.numbers import significant

PUBLISHED = (0.0248, 0.03735, 0.0590, 0.0738, 0.0844)  # weight_decay of the five transitions
BETA, STARTS = (0.006, 0.06), 2  # the five lie in it, and begin in the deepest of so many starts


def five(shop: Workshop) -> Measured:
    """Measure the last transitions of the network of the paper, all images, beside the published five."""
    if not shop.is_full or shop.mnist is None:
        return Measured("Needs the images and hours: `spinodal claims --full --mnist mnist.npz`.", UNMEASURED)
    diagram = shop.map(mnist(data=str(shop.mnist)), beta=BETA, starts=STARTS, branches=True)
    found = [_met(diagram, step) for step in diagram.steps]
    between = sum(any(low is not None and low <= value <= end for _, low, end in found) for value in PUBLISHED)
    low, high = (2.0 * beta for beta in BETA)
    text = (
        f"From weight_decay = {low:g} to {high:g} phases end, with the rank, at {'; '.join(_listed(*item) for item in found)}. "
        f"Of the published {len(PUBLISHED)}, {between} lie between equal depth and end of one of them."
    )
    holds = len(found) == len(PUBLISHED) == between
    values = {"ends": [end for _, _, end in found], "coexistence": [equal for _, equal, _ in found]}
    return Measured(text, verdict(holds, partly=between > 0), values)


def _met(diagram: Diagram, step: Step) -> tuple[str, float | None, float]:
    """Return the ranks of a transition, where its phases are equally deep, and where the one below ends, in weight_decay."""
    equal = upper_coexistence(diagram, step.phases[0])
    return f"{step.ranks[0]} to {step.ranks[1]}", None if equal is None else 2.0 * equal, 2.0 * step.transition.bracket[1]


def _listed(ranks: str, equal: float | None, end: float) -> str:
    depth = "" if equal is None else f", equally deep at {significant(equal, 4)}"
    return f"{significant(end, 4)} ({ranks}{depth})"


MNIST = (
    Claim(17, "MNIST has five transitions, at weight_decay = .0248, .03735, .0590, .0738 and .0844.", "B",
          "spinodal map mnist --set data=mnist.npz --beta 0.006:0.06 --starts 2 --branches", five, is_long=True),
)  # fmt: skip

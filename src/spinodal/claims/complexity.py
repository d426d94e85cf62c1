"""Claims about the complexity of the data: how many transitions, and what goes at each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from spinodal.claims.claim import Claim, Measured, verdict
from spinodal.claims.workshop import Workshop
from spinodal.plots.style import BLUE, HEIGHT, ORANGE, WIDTH
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.tasks.gaussian import gaussian
from spinodal.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODES = range(1, 9)
FEW, ALL = (2, 4), tuple(range(2, 11))  # digit classes of a quick and of a full run


def modes_task(count: int) -> Task:
    """Return the regression of so many modes by a linear network with one hidden layer."""
    values = tuple(round(0.9 - 0.1 * mode, 6) for mode in range(count))
    return gaussian(activation="linear", hidden=(8,), inputs=8, outputs=8, singular_values=values, bias=False, samples=40)


def counts(shop: Workshop) -> Measured:
    """Measure the number of transitions against that of singular values and of digit classes."""
    modes = {count: len(shop.map(modes_task(count), starts=1).macroscopic) for count in MODES}
    classes = {count: len(shop.classes(count).macroscopic) for count in (ALL if shop.is_full else FEW)}
    figure = shop.draw("complexity", lambda: _figure(modes, classes))
    rest = "" if shop.is_full else " (the others in a full run)"
    text = f"{_pairs('singular values', modes)}; {_pairs('digit classes', classes)}{rest}."
    grows = list(classes.values()) == sorted(classes.values())
    one_each = all(count == found for count, found in modes.items())
    return Measured(text, verdict(one_each and grows, partly=one_each), {"modes": modes, "classes": classes}, figure)


def classes_lost(shop: Workshop) -> Measured:
    """Measure what goes at the transitions of a classifier, and whether classes come and go within phases."""
    diagram = shop.classes(10 if shop.is_full else 4)
    steps = diagram.steps
    falls = [below - above for below, above in (step.ranks for step in steps)]
    losing = sum(bool(step.lost) for step in steps)
    inside = _flickers(diagram)
    text = (
        f"{len(steps)} transitions: the rank falls by {', '.join(map(str, falls))}; a class goes at {losing} of them; within "
        f"phases a recall crosses one half {inside} times."
    )
    holds = losing == len(steps) and inside == 0
    return Measured(text, verdict(holds, partly=losing > 0), {"falls": falls, "losing": losing, "inside": inside})


def _flickers(diagram: PhaseDiagram) -> int:
    """Return how often the recall of a class crosses one half between neighbouring points of a phase."""
    found = 0
    for phase in diagram.phases:
        rows = [point.observation.class_accuracy["train"] or () for point in phase.points]
        for before, after in pairwise(rows):
            found += sum(((a or 0.0) >= 0.5) != ((b or 0.0) >= 0.5) for a, b in zip(before, after, strict=True))
    return found


def _pairs(name: str, found: Mapping[int, int]) -> str:
    return f"{name} {', '.join(map(str, found))}: {', '.join(map(str, found.values()))} transitions"


def _figure(modes: Mapping[int, int], classes: Mapping[int, int]) -> Figure:
    from spinodal.plots.canvas import Canvas

    figure = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(modes), list(modes.values()), "o-", color=BLUE, label="singular values (linear, one hidden layer)")
    axes.plot(list(classes), list(classes.values()), "s-", color=ORANGE, label="digit classes (tanh, two hidden layers)")
    axes.set_xlabel("singular values or classes of the data")
    axes.set_ylabel("macroscopic transitions")
    axes.legend(loc="upper left")
    return figure


COMPLEXITY = (
    Claim(11, "More complex data, more transitions.", "A B", "spinodal claims --only 11", counts, is_long=True),
    Claim(18, "Transitions separate models that encode distinct digit classes.", "B", "spinodal map digits", classes_lost,
          is_long=True),
)  # fmt: skip

"""The answer of a map in a few sentences: how far, and what goes first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from spinodal.missing import listed
from spinodal.penalty import weight_decay
from spinodal.phases import PhaseDiagram, unseen_kinks
from spinodal.report.step import Step, steps
from spinodal.walk import Point

LOSS = 0.01  # fall of the training accuracy from which it is called a loss
MOST_NAMED = 8  # losses named one after the other

MEANING = (
    "A loss of accuracy at a transition is a macroscopic transition across whose bracket the training accuracy falls by "
    f"{100 * LOSS:g} percentage point or more, or with which a class goes: its recall is at least one half on most of the "
    "phase below and not on most of the phase above. A loss of rank is one with which the rank on most of the phase falls. "
    "Within a phase the accuracy may decline as well, without a jump. All of this holds for the branch that was followed, "
    "of full-batch minimisers; training with noise may leave it earlier."
)


def answer_sentences(diagram: PhaseDiagram) -> tuple[str, ...]:
    """Return what a diagram says to somebody who chooses a `weight_decay`, the most important sentence first.

    For an upward walk: the largest `weight_decay` before the first loss of accuracy at a transition (see
    `MEANING`), what falls there, how the accuracy changed on the way, which classes go in which order, and
    what is left at the end. Where there are no classes, the rank takes the place of the accuracy. A
    downward walk meets other transitions, and says so.
    """
    found = steps(diagram)
    if not found:
        body = [_smooth(diagram)]
    elif found[0].transition.direction == "up":
        lost = _sequence("First to go", [step.loss for step in found])
        body = [*_first_loss(diagram, found), lost, _end(diagram), _equally_deep(diagram), _way_back(diagram)]
    else:
        gains = [step.gain for step in reversed(found)]
        body = [*_downward(diagram, found[-1]), _sequence("First to appear", gains), _end(diagram)]
    return (*filter(None, body), *_warnings(diagram))


def _smooth(diagram: PhaseDiagram) -> str:
    first, last = diagram.ends
    if first is last:
        return f"The map has one point, {_place(first.beta)}: {_state(first)}."
    low, high = (weight_decay(point.beta) for point in (first, last))
    what = "transition" if diagram.sees_kinks else "jump"
    smoothly = ": the model changes smoothly" if diagram.is_smooth else ""
    changes = _joined(_all_changes(first, last, (first.observation.rank, last.observation.rank)))
    return f"No macroscopic {what} between weight_decay = {low:.5g} and {high:.5g}{smoothly}; {changes}."


def _first_loss(diagram: PhaseDiagram, found: Sequence[Step]) -> list[str]:
    """Say before which weight_decay nothing is lost yet, what is lost there, and what changed on the way."""
    has_classes = _accuracy(diagram.points[0]) is not None
    what = "accuracy" if has_classes else "rank"
    losses = [step for step in found if (_loses_accuracy(step) if has_classes else step.loses_rank)]
    if not losses:
        none = f"No transition lowers the {what}." if has_classes or diagram.has_matrices else ""
        return [none, f"The first transition is at {_place(found[0].beta)}: {_what_changes(found[0])}."]
    first = losses[0]
    last = first.transition.bracket[0]
    return [
        f"Largest weight_decay before the first loss of {what} at a transition: {weight_decay(last):.6g} (beta = {last:.6g}).",
        f"There, at transition {first.number}, {_what_changes(first)}.",
        _on_the_way(diagram, first) if has_classes else "",
    ]


def _loses_accuracy(step: Step) -> bool:
    below, above = _accuracy(step.low), _accuracy(step.high)
    return bool(step.lost) or (below is not None and above is not None and below - above >= LOSS)


def _on_the_way(diagram: PhaseDiagram, first: Step) -> str:
    """Say how the accuracy declined before the first loss, and up to where it hardly did."""
    start, _ = diagram.ends
    most = _accuracy(start) or 0.0
    below = sorted((point for point in diagram.points if point.beta <= first.low.beta), key=lambda point: point.beta)
    good = list(takewhile(lambda point: (_accuracy(point) or 0.0) > most - LOSS, below))
    text = f"Before that, from weight_decay = {weight_decay(start.beta):.5g} on, {_changes(start, first.low)[0]}"
    if len(good) == len(below):
        return f"{text}."
    return (
        f"{text}, without such a loss; up to weight_decay = {weight_decay(good[-1].beta):.5g} it falls by less than "
        f"{100 * LOSS:g} percentage point."
    )


def _what_changes(step: Step) -> str:
    """Return what changes across a transition, walked towards larger beta."""
    return _joined(_all_changes(step.low, step.high, step.ranks))


def _all_changes(low: Point, high: Point, ranks: tuple[int, int]) -> list[str]:
    below, above = ranks
    rank = [f"the rank {'falls' if above < below else 'rises'} from {below} to {above}"] if above != below else []
    *accuracies, error = _changes(low, high)
    return [*accuracies, *rank, error]


def _downward(diagram: PhaseDiagram, first: Step) -> list[str]:
    _, start = diagram.ends
    left, entered = (f" of rank {first.ranks[1]}", f", for one of rank {first.ranks[0]}") if diagram.has_matrices else ("", "")
    return [
        f"Walked downwards from weight_decay = {weight_decay(start.beta):.5g}: the phase{left} is left at "
        f"{_place(first.beta)}{entered}.",
        "How far up a deep phase lasts is another question, since it may exist beyond the point where a walk down enters it "
        "(hysteresis): map upwards to answer it.",
    ]


def _sequence(beginning: str, events: Sequence[str]) -> str:
    """Return what happens at which transition, one after the other, or "" if nothing does."""
    happened = [event for event in events if event]
    if not happened:
        return ""
    more = len(happened) - MOST_NAMED
    rest = f"; {more} more {'are' if more > 1 else 'is'} in the table" if more > 0 else ""
    return f"{beginning}: {'; next: '.join(happened[:MOST_NAMED])}{rest}."


def _end(diagram: PhaseDiagram) -> str:
    _, last = diagram.ends
    return f"At the upper end of the map, {_place(last.beta)}, {_state(last)}."


def _equally_deep(diagram: PhaseDiagram) -> str:
    """Say from where on the deepest phase is metastable, where its coexistence with another one is known."""
    _, end = diagram.phases[0].beta
    known = [item for item in diagram.coexistence if 0 in item.phases and item.beta < end]
    if not known:
        return ""
    first = min(known, key=lambda item: item.beta)
    (other,) = (phase for phase in first.phases if phase != 0)
    return (
        f"Phase {other} is as deep as phase 0 at {_place(first.beta)}: from there to its end phase 0 is metastable, and "
        "training with noise may leave it."
    )


def _way_back(diagram: PhaseDiagram) -> str:
    """Say where the way back of a loop has its transitions."""
    if diagram.back is None:
        return ""
    met = sorted((item.beta for item in diagram.back.transitions if not item.minor), reverse=True)
    if not met:
        end = _place(diagram.back.points[-1].beta)
        return f"On the way back down to {end} no phase is left: what was lost does not come back."
    return f"On the way back, the transitions are at {_joined([_place(beta) for beta in met[:MOST_NAMED]])}" + (
        f"; {len(met) - MOST_NAMED} more are in the table." if len(met) > MOST_NAMED else "."
    )


def _state(point: Point) -> str:
    accuracy = _accuracy(point)
    values = [
        f"rank {point.observation.rank}" if point.observation.ranks else f"an error of {point.error:.4g}",
        *([] if accuracy is None else [f"a training accuracy of {_percent(accuracy)}"]),
    ]
    return f"the model has {_joined(values)}"


def _warnings(diagram: PhaseDiagram) -> list[str]:
    """Say what keeps the map from being the whole answer."""
    unfinished = sum(not point.minimum.converged for point in diagram.points)
    warnings = [] if diagram.run_status == "complete" else [f"The map is not complete: {diagram.run_status}."]
    if not diagram.sees_kinks:
        warnings.append(f"The solver {unseen_kinks(diagram.solver)}.")
    if unfinished:
        total = len(diagram.points)
        warnings.append(f"{unfinished:,} of {total:,} points did not converge; the figures say why at each.")
    return [*warnings, *filter(None, [listed(diagram.missing)])]


def _accuracy(point: Point) -> float | None:
    return point.observation.accuracy["train"]


def _place(beta: float) -> str:
    return f"weight_decay = {weight_decay(beta):.5g} (beta = {beta:.5g})"


def _changes(a: Point, b: Point) -> list[str]:
    """Return how the accuracies, as far as there are any, and E change from one point to another."""
    changes = []
    for part, name in (("train", "training"), ("held_out", "held-out")):
        before, after = a.observation.accuracy[part], b.observation.accuracy[part]
        if before is not None and after is not None:
            changes.append(f"the {name} accuracy {_change(before, after)}")
    e = f"stays at {a.error:.4g}" if f"{a.error:.4g}" == f"{b.error:.4g}" else f"goes from {a.error:.4g} to {b.error:.4g}"
    return [*changes, f"E {e}"]


def _change(before: float, after: float) -> str:
    if before == after:
        return f"stays at {_percent(before)}"
    return f"{'falls' if after < before else 'rises'} from {_percent(before)} to {_percent(after)}"


def _percent(value: float) -> str:
    """Return a part as a percentage.

    Examples
    --------
    >>> _percent(0.99944), _percent(1.0), _percent(0.0957)
    ('99.94 %', '100 %', '9.57 %')
    """
    return f"{100.0 * value:.4g} %"


def _joined(parts: Sequence[str]) -> str:
    """Return an enumeration.

    Examples
    --------
    >>> _joined(["a"]), _joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]

"""The answer of a map in a few sentences: how far, and what goes first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from spinodal.conventions import weight_decay
from spinodal.definitions import WORTH
from spinodal.missing import listed
from spinodal.phases.answer import METASTABLE
from spinodal.phases.diagram import Diagram
from spinodal.phases.step import Step
from spinodal.sweeps.point import Point
from spinodal.words.conclusion import manner, unseen_kinks
from spinodal.words.held_out import held_out_line
from spinodal.words.numbers import percent, significant
from spinodal.words.repeats import repeats_line
from spinodal.words.sentences import (
    capital,
    decay,
    end_phrase,
    error_text,
    joined,
    leaving_phrase,
    loss_phrase,
    named,
    where,
)
from spinodal.words.trust import limits_line, low_end_line, softened_line, unconverged_line

MOST_NAMED = 8  # losses named one after the other

MEANING = (
    "A loss of accuracy at a transition is a macroscopic transition across whose bracket the training accuracy falls by "
    f"{100 * WORTH:g} percentage point or more, or with which a class goes: its recall is at least one half on most of the "
    "phase below and not on most of the phase above. A loss of rank is one with which the rank on most of the phase falls. "
    "Within a phase the accuracy may decline as well, without a jump. All of this holds for the branch that was followed, "
    "of full-batch minimisers; training with noise may leave it earlier, and from the point on where another phase is as "
    "deep (coexistence) it has a reason to. Where no other phase was known beside it, nothing is said of its depth. "
    "Digits end where the bracket of a transition, or the error of a value, begins."
)


def answer_sentences(diagram: Diagram) -> tuple[str, ...]:
    """Return what a diagram says to somebody who chooses a `weight_decay`, the most important sentence first.

    For an upward walk: from where on another phase is deeper, where that is known; the largest `weight_decay` before
    the first loss of accuracy at a transition (see `MEANING`), what falls there, how the accuracy changed on the way,
    which classes go in which order, where the followed phase ends, and what is left at the end. Where there are no
    classes, the rank takes the place of the accuracy. A downward walk meets other transitions, and says so.
    """
    found, answer = diagram.steps, diagram.conclusion
    if not found:
        body = [_smooth(diagram)]
    elif answer.direction == "up":
        end = _sentence(end_phrase(answer, diagram.has_matrices))
        first = [_sentence(leaving_phrase(answer)), *_first_loss(diagram)]
        lost = _sequence("First to go", [_loss(step) for step in found])
        by_depth = [end, *first] if answer.depth.kind == METASTABLE else [*first, end]
        body = [*by_depth, lost, _end(diagram), _way_back(diagram)]
    else:
        gains = [_gain(step) for step in reversed(found)]
        body = [*_downward(diagram, _sequence("First to appear", gains)), _end(diagram)]
    before = unconverged_line(diagram.points), softened_line(diagram.softened)
    held_out = "" if before[0] else held_out_line(diagram)
    behind = held_out, limits_line(diagram.limits), repeats_line(diagram), low_end_line(diagram.low_end)
    return (*filter(None, [*before, *body, *behind]), *_warnings(diagram))


def _smooth(diagram: Diagram) -> str:
    first, last = diagram.ends
    if first is last:
        return f"The map has one point, {_chosen(first.beta)}: {_state(diagram, first)}."
    low, high = (significant(weight_decay(point.beta), 5) for point in (first, last))
    what = "transition" if diagram.sees_kinks else "jump"
    changes = joined(_all_changes(diagram, first, last, (first.observation.rank, last.observation.rank)))
    return f"No macroscopic {what} between weight_decay = {low} and {high}{manner(diagram)}; {changes}."


def _first_loss(diagram: Diagram) -> list[str]:
    """Say before which weight_decay nothing is lost yet, what is lost there, and what changed on the way."""
    answer, found = diagram.conclusion, diagram.steps
    sentence = _sentence(loss_phrase(answer, diagram.has_matrices))
    first = answer.first_loss
    if first is None:
        return [sentence, f"The first transition is at {where(found[0])}: {_what_changes(diagram, found[0])}."]
    return [
        sentence,
        f"There, at transition {first.number}, {_what_changes(diagram, first)}.",
        _on_the_way(diagram, first) if answer.measure == "accuracy" else "",
    ]


def _on_the_way(diagram: Diagram, first: Step) -> str:
    """Say how the accuracy declined before the first loss, and up to where it hardly did."""
    start, _ = diagram.ends
    most = _accuracy(start) or 0.0
    below = sorted((point for point in diagram.points if point.beta <= first.low.beta), key=lambda point: point.beta)
    good = list(takewhile(lambda point: (_accuracy(point) or 0.0) > most - WORTH, below))
    begin = significant(weight_decay(start.beta), 5)
    text = f"Before that, from weight_decay = {begin} on, {_changes(diagram, start, first.low)[0]}"
    if len(good) == len(below):
        return f"{text}."
    until = significant(weight_decay(good[-1].beta), 5)
    return f"{text}, without such a loss; up to weight_decay = {until} it falls by less than {100 * WORTH:g} percentage point."


def _what_changes(diagram: Diagram, step: Step) -> str:
    """Return what changes across a transition, walked towards larger beta."""
    return joined(_all_changes(diagram, step.low, step.high, step.ranks))


def _all_changes(diagram: Diagram, low: Point, high: Point, ranks: tuple[int, int]) -> list[str]:
    below, above = ranks
    rank = [f"the rank {'falls' if above < below else 'rises'} from {below} to {above}"] if above != below else []
    *accuracies, error = _changes(diagram, low, high)
    return [*accuracies, *rank, error]


def _downward(diagram: Diagram, gained: str) -> list[str]:
    _, start = diagram.ends
    begin = significant(weight_decay(start.beta), 5)
    return [
        f"Walked downwards from weight_decay = {begin}: {end_phrase(diagram.conclusion, diagram.has_matrices)}"
        f"{_entered(diagram)}.",
        gained,
        "How far up a deep phase lasts is another question, since it may exist beyond the point where a walk down enters it "
        "(hysteresis): map upwards to answer it.",
    ]


def _entered(diagram: Diagram) -> str:
    step = diagram.steps[-1]
    return f", for one of rank {step.ranks[0]}" if diagram.has_matrices else ""


def _loss(step: Step) -> str:
    """Say what goes at a transition as beta rises: classes or, without classes, rank; "" if nothing does."""
    return _event(step, *step.ranks)


def _gain(step: Step) -> str:
    """Say what appears at a transition as beta falls: classes or, without classes, rank; "" if nothing does."""
    return _event(step, *step.ranks[::-1])


def _event(step: Step, first: int, then: int) -> str:
    if step.classes is not None:
        return f"{named(step.lost)} at {decay(step)}" if step.lost else ""
    return f"rank {first} to {then} at {decay(step)}" if step.loses_rank else ""


def _sequence(beginning: str, events: Sequence[str]) -> str:
    """Return what happens at which transition, one after the other, or "" if nothing does."""
    happened = [event for event in events if event]
    if not happened:
        return ""
    more = len(happened) - MOST_NAMED
    rest = f"; {more} more {'are' if more > 1 else 'is'} in the table" if more > 0 else ""
    return f"{beginning}: {'; next: '.join(happened[:MOST_NAMED])}{rest}."


def _end(diagram: Diagram) -> str:
    _, last = diagram.ends
    return f"At the upper end of the map, {_chosen(last.beta)}, {_state(diagram, last)}."


def _way_back(diagram: Diagram) -> str:
    """Say where the way back of a loop has its transitions."""
    if diagram.back is None:
        return ""
    met = diagram.steps_back[::-1]
    if not met:
        end = _chosen(diagram.back.points[-1].beta)
        return f"On the way back down to {end} no phase is left: what was lost does not come back."
    return f"On the way back, the transitions are at {joined([where(step) for step in met[:MOST_NAMED]])}" + (
        f"; {len(met) - MOST_NAMED} more are in the table." if len(met) > MOST_NAMED else "."
    )


def _state(diagram: Diagram, point: Point) -> str:
    accuracy = _accuracy(point)
    shown = [] if accuracy is None else [percent(accuracy, diagram.sample_steps["train"])]
    values = [
        f"rank {point.observation.rank}" if point.observation.ranks else f"an error of {error_text(point)}",
        *(f"a training accuracy of {text}" for text in shown),
    ]
    return f"the model has {joined(values)}"


def _warnings(diagram: Diagram) -> list[str]:
    """Say what keeps the map from being the whole answer."""
    unfinished = sum(not point.minimum.converged for point in diagram.points)
    warnings = [] if diagram.run_status == "complete" else [f"The map is not complete: {diagram.run_status}."]
    if not diagram.sees_kinks:
        warnings.append(f"The solver {unseen_kinks(diagram.solver)}.")
    if unfinished and not unconverged_line(diagram.points):
        total = len(diagram.points)
        warnings.append(f"{unfinished:,} of {total:,} points did not converge; the figures say why at each.")
    return [*warnings, *filter(None, [listed(diagram.missing)])]


def _sentence(text: str) -> str:
    return f"{capital(text)}." if text else ""


def _accuracy(point: Point) -> float | None:
    return point.observation.accuracy["train"]


def _chosen(beta: float) -> str:
    """Return a place that was chosen, not measured."""
    return f"weight_decay = {significant(weight_decay(beta), 5)} (beta = {significant(beta, 5)})"


def _changes(diagram: Diagram, a: Point, b: Point) -> list[str]:
    """Return how the accuracies, as far as there are any, and E change from one point to another."""
    changes = []
    for part, name in (("train", "training"), ("held_out", "held-out")):
        before, after = a.observation.accuracy[part], b.observation.accuracy[part]
        if before is not None and after is not None:
            changes.append(f"the {name} accuracy {_change(before, after, diagram.sample_steps[part])}")
    first, last = error_text(a), error_text(b)
    return [*changes, f"E stays at {first}" if first == last else f"E goes from {first} to {last}"]


def _change(before: float, after: float, step: float | None) -> str:
    first, last = percent(before, step), percent(after, step)
    return f"stays at {first}" if before == after else f"{'falls' if after < before else 'rises'} from {first} to {last}"

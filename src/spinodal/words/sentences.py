"""The sentences of an answer, once, for terminal, report and placement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spinodal.conventions import weight_decay
from spinodal.phases.answer import DEEPEST, METASTABLE, NOWHERE, PARTLY, Answer
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.step import Step
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.uncertainty import of_equal_depth, of_error
from spinodal.words.numbers import at, below, half, significant, to_error


def where(step: Step | Transition, of: str | None = None) -> str:
    """Return where a transition is, to the digits of its bracket; `of` is the name of another control than the penalty."""
    bracket = step.transition.bracket if isinstance(step, Step) else step.bracket
    return at(step.beta, half(bracket), of)


def decay(step: Step | Transition) -> str:
    """Return where a transition is as a weight_decay alone."""
    bracket = step.transition.bracket if isinstance(step, Step) else step.bracket
    return f"weight_decay = {to_error(weight_decay(step.beta), weight_decay(half(bracket)))}"


def where_before(step: Step, of: str | None = None) -> str:
    """Return the largest weight_decay before a transition and its beta: the lower end of the bracket, rounded down."""
    lowest = below(step.transition.bracket)
    if of is not None:
        return significant(lowest, 10)
    return f"{significant(weight_decay(lowest), 10)} (beta = {significant(lowest, 10)})"


def meeting(found: PhaseCoexistence, like: Point, of: str | None = None) -> str:
    """Return where two phases are equally deep."""
    return at(found.beta, meeting_error(found, like), of)


def meeting_error(found: PhaseCoexistence, like: Point) -> float:
    """Return the error of the beta at which two phases are equally deep."""
    routes = found.by_area.difference if found.by_area else None
    return of_equal_depth(found.beta, like, loss=found.loss, latent_heat=found.latent_heat, routes=routes)


def error_text(point: Point, most: int = 5) -> str:
    """Return E of a point, to the digits of its error."""
    return to_error(point.error, of_error(point), most)


def answer_line(answer: Answer, *, count: int, has_matrices: bool, beyond: str) -> str:
    """Return an answer in a few sentences: the end of the phase, the first loss and class to go, and what is beyond."""
    number = f"{count} transition{'s' if count > 1 else ''}"
    if answer.direction == "down":
        parts = [f"{number} on the way down: {end_phrase(answer, has_matrices)}", first_gain_phrase(answer), beyond]
        return f"{'; '.join(filter(None, parts))}."
    losses = losses_phrase(answer, has_matrices)
    return " ".join(f"{capital(part)}." for part in (f"{number}: {end_phrase(answer, has_matrices)}", losses, beyond) if part)


def losses_phrase(answer: Answer, has_matrices: bool) -> str:
    """Say from where on something may be lost, and what goes first."""
    parts = leaving_phrase(answer), loss_phrase(answer, has_matrices), first_class_phrase(answer)
    return "; ".join(filter(None, parts))


def end_phrase(answer: Answer, has_matrices: bool) -> str:
    """Say where the followed phase ends, first how deep it is where that is known."""
    if answer.end is None:
        return ""
    rank, depth, end = f" (rank {answer.rank})" if has_matrices else "", answer.depth, where(answer.end, answer.of)
    if answer.direction == "down":
        return f"the phase{rank} ends at {end}"
    if depth.kind == DEEPEST:
        return f"the deepest phase known{rank} ends at {end}"
    if depth.kind == NOWHERE:
        return f"the followed phase{rank}, than which a deeper one is known wherever it exists, ends at {end}"
    if depth.kind == METASTABLE:
        return f"the followed phase{rank} is the deepest known up to {as_deep(answer)}; metastable from there, it ends at {end}"
    if depth.kind == PARTLY:
        return f"the followed phase{rank}, the deepest known only {_part(answer)}, ends at {end}"
    return f"the followed phase{rank} ends at {end}"


def as_deep(answer: Answer) -> str:
    """Say where, and with which phase if that is known, a phase is no longer the deepest."""
    found = answer.depth.meeting
    if found is None or answer.end is None:
        return f"{answer.of or 'weight_decay'} = {significant(_shown(answer, answer.depth.beta or 0.0), 4)}"
    return f"{meeting(found, answer.end.low, answer.of)}, where phase {found.phases[1]} is as deep"


def _part(answer: Answer) -> str:
    """Say between which weight_decay a phase is the deepest known."""
    since, until = answer.depth.since, answer.depth.beta
    low = "" if since is None else f"from {answer.of or 'weight_decay'} = {significant(_shown(answer, since), 4)} on"
    return low if until is None else f"{low} and up to {significant(_shown(answer, until), 4)}"


def _shown(answer: Answer, beta: float) -> float:
    """Return the value that a place is told by: its weight_decay, or that of another control itself."""
    return weight_decay(beta) if answer.of is None else beta


def leaving_phrase(answer: Answer) -> str:
    """Say from where on a phase behind the first loss is deeper, unless the end of the phase was said with it."""
    found = answer.leaving
    if found is None or answer.first_loss is None or found is answer.depth.meeting:
        return ""
    where, behind = meeting(found, answer.first_loss.low, answer.of), f"behind the first loss of {answer.measure}"
    return (
        f"from {where} on phase {found.phases[1]}, {behind}, is deeper than phase {found.phases[0]}, and training with noise "
        "may fall into it"
    )


def loss_phrase(answer: Answer, has_matrices: bool) -> str:
    """Say how much weight_decay may be used before the followed branch loses something; "" where nothing can be lost."""
    if answer.first_loss is not None:
        return (
            f"largest {answer.of or 'weight_decay'} before the first loss of {answer.measure} at a transition: "
            f"{where_before(answer.first_loss, answer.of)}"
        )
    return f"no transition lowers the {answer.measure}" if answer.measure == "accuracy" or has_matrices else ""


def first_class_phrase(answer: Answer) -> str:
    """Name the first classes to go, and where; "" where none goes."""
    step = answer.first_class
    return "" if step is None else f"first to go: {named(step.lost)} at {where(step, answer.of)}"


def first_gain_phrase(answer: Answer) -> str:
    """Name what appears first on a walk down, and where; "" where nothing does."""
    step = answer.first_gain
    if step is None:
        return ""
    gained = named(step.lost) if step.classes is not None else f"rank {step.ranks[1]} to {step.ranks[0]}"
    return f"first to appear: {gained} at {where(step, answer.of)}"


def named(classes: Iterable[int]) -> str:
    """Return classes as words.

    Examples
    --------
    >>> named([8]), named([2, 6, 7])
    ('class 8', 'classes 2, 6 and 7')
    """
    labels = [str(index) for index in classes]
    return f"class{'es' if len(labels) > 1 else ''} {joined(labels)}"


def joined(parts: Sequence[str]) -> str:
    """Return an enumeration.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def capital(text: str) -> str:
    """Return a text as the beginning of a sentence.

    Examples
    --------
    >>> capital("the phase of rank R"), capital("")
    ('The phase of rank R', '')
    """
    return text[:1].upper() + text[1:]

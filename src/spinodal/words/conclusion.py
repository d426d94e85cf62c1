"""The conclusion of a map, in sentences."""

from __future__ import annotations

from spinodal.missing import listed
from spinodal.phases.diagram import UNFINISHED, Diagram
from spinodal.words.held_out import held_out_line
from spinodal.words.numbers import significant
from spinodal.words.repeats import repeats_line
from spinodal.words.sentences import answer_line, error_text, where
from spinodal.words.trust import limits_line, softened_line, unconverged_line


def answer(diagram: Diagram) -> str:
    """Return the conclusion in a few sentences, whether the run is unfinished, and what is missing."""
    unfinished = "This run is unfinished." if diagram.run_status == UNFINISHED else ""
    return " ".join(filter(None, [concluded(diagram), unfinished, listed(diagram.missing)]))


def concluded(diagram: Diagram) -> str:
    """Return what the walk tells and whether it ended early: the answer without what going on with the run may add."""
    doubt = unconverged_line(diagram.points)
    found = _found(diagram) if diagram.macroscopic else "" if doubt else _nothing_found(diagram)
    is_whole = diagram.run_status in ("complete", UNFINISHED)
    ended = "" if is_whole else f"The walk {diagram.run_status.rstrip('.')}."
    held_out = "" if doubt else held_out_line(diagram)
    said = [doubt, softened_line(diagram.softened), found, held_out, limits_line(diagram.limits), repeats_line(diagram), ended]
    return " ".join(filter(None, said))


def _nothing_found(diagram: Diagram) -> str:
    low, high = diagram.ends
    if low is high:
        return f"The map has one point, {diagram.control.name} = {significant(low.beta, 4)}."
    size = "macroscopic " if diagram.transitions else ""
    ranks = low.observation.rank, high.observation.rank
    text = f"between {diagram.control.name} = {significant(low.beta, 4)} and {significant(high.beta, 4)}"
    text += f", but the rank goes from {ranks[0]} to {ranks[1]}" if ranks[0] != ranks[1] else ""
    if not diagram.sees_kinks:
        return f"No {size}jump was found {text}{manner(diagram)}; {unseen_kinks(diagram.solver)}."
    return f"No {size}transition {text}{manner(diagram)}."


def manner(diagram: Diagram) -> str:
    """Return how a model that meets no transition changes, as the end of a clause."""
    if diagram.is_trivial:
        return (
            ": the model is in its trivial phase, of rank 0, all the way, and has learnt nothing; phases that have are to be "
            "found from a lower LOW on (--beta LOW:HIGH)"
        )
    return ": the model changes smoothly" if diagram.is_smooth else ""


def _found(diagram: Diagram) -> str:
    """Return the conclusion, and what the model is beyond the last transition."""
    down, steps = diagram.conclusion.direction == "down", diagram.steps
    last, phase = (steps[0], diagram.phases[0]) if down else (steps[-1], diagram.followed[-1])
    bound = f"E is at {'most' if down else 'least'} {error_text(phase.points[-1 if down else 0], 4)}"
    state = f"the model has rank {phase.rank}" if diagram.has_matrices else bound
    beyond = f"{'below' if down else 'above'} {where(last, diagram.conclusion.of)} {state}"
    return answer_line(diagram.conclusion, count=len(steps), has_matrices=diagram.has_matrices, beyond=beyond)


def unseen_kinks(solver: str) -> str:
    """Say what a first-order solver does not see."""
    return f"{solver} does not see kinks (second-order transitions): --solver newton_cg does"

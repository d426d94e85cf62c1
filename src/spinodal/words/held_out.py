"""Which weight_decay is best on held-out data, in a sentence."""

from __future__ import annotations

from spinodal.phases.diagram import Diagram
from spinodal.words.numbers import at, percent


def held_out_line(diagram: Diagram) -> str:
    """Say where the held-out accuracy of the followed points is highest; "" where none of them has one."""
    seen = {point.beta: point.observation.accuracy["held_out"] for point in diagram.points}
    scored = {beta: score for beta, score in seen.items() if score is not None}
    if not scored:
        return ""
    best = max(scored.values())
    betas = [beta for beta, score in scored.items() if score == best]
    of = None if diagram.control.is_l2 else diagram.control.name
    low, high = at(min(betas), None, of), at(max(betas), None, of)
    where = f"at {low}" if low == high else f"between {low} and {high}"
    step = diagram.sample_steps["held_out"]
    return f"Best held-out accuracy of the followed points: {percent(best, step)}, {where}."

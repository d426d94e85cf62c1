"""Where the phases of a map end as beta rises, and where they are as deep as what they fall into."""

from __future__ import annotations

from spinodal.phases.diagram import Diagram


def upper_end(diagram: Diagram, phase: int) -> float | None:
    """Return where a phase ends as beta rises: its polished spinodal, else the transition of the walk; None without one."""
    walked = next((step.beta for step in diagram.steps if step.phases[0] == phase), None)
    polished = [item.beta for item in diagram.spinodals if item.phase == phase and item.side == "upper" and item.certificate]
    return polished[0] if polished else walked


def upper_coexistence(diagram: Diagram, phase: int) -> float | None:
    """Return where a phase is as deep as the one that it falls into, else as the first one known; None without any."""
    found = [item for item in diagram.coexistence if item.phases[0] == phase]
    next_phase = diagram.phases[phase].falls_to
    beside = [item.beta for item in found if item.phases[1] == next_phase]
    return beside[0] if beside else min((item.beta for item in found), default=None)

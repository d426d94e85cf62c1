"""A transition of a walk in JSON types, its points by their numbers: enough to show a walk that is not finished."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from spinodal.sweeps.transition import Transition


def to_record(transition: Transition) -> dict[str, Any]:
    """Return a transition in JSON types; `spinodal.store` reads it as it reads those of a result."""
    evidence = {name: _null(value) for name, value in asdict(transition.evidence).items()}
    plain = {name: getattr(transition, name) for name in ("beta", "direction", "order", "minor", "status")}
    points = [transition.before.index, transition.after.index]
    return {**plain, "bracket": list(transition.bracket), "evidence": evidence, "points": points}


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

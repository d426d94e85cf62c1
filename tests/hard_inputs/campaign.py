"""The campaign: so many cases of every surface, judged and counted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hard_inputs import checkpoints, command_lines, curvatures, run_folders, task_files
from hard_inputs.case import Case, WrongAnswerError, judge

SURFACES: Mapping[str, SearchStrategy[Case]] = {
    "command lines": command_lines.CASES,
    "task files": task_files.CASES,
    "data": task_files.DATA_CASES,
    "settings and results": st.one_of(
        run_folders.SETTINGS, run_folders.SETTINGS, run_folders.SETTINGS, run_folders.OTHER_SETTINGS
    ),
    "journals": st.one_of(*[run_folders.JOURNALS] * 12, run_folders.JOURNAL_FILES),
    "states": run_folders.STATES,
    "checkpoints": checkpoints.STARTS,
    "export and report": st.one_of(*[checkpoints.EXPORTS] * 5, checkpoints.PLACEMENTS),
    "curvature": curvatures.CURVATURES,
}

SHARES: Mapping[str, float] = {  # of the cases of a campaign
    "command lines": 0.22,
    "task files": 0.13,
    "data": 0.13,
    "settings and results": 0.13,
    "journals": 0.13,
    "states": 0.08,
    "checkpoints": 0.08,
    "export and report": 0.05,
    "curvature": 0.05,
}


@dataclass
class Tally:
    """What came of the cases of one surface; the same case twice counts once."""

    refused: set[str] = field(default_factory=set)
    harmless: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """Return how many different cases there were."""
        return len(self.refused) + len(self.harmless) + len(self.failures)

    def put(self, case: Case) -> None:
        """Judge a case in a folder of its own."""
        if any(case.label in known for known in (self.refused, self.harmless, self.failures)):
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                answer = judge(case, Path(folder))
            except WrongAnswerError as wrong:
                self.failures[case.label] = str(wrong)
                return
        (self.refused if answer == "refused" else self.harmless).add(case.label)


def campaign(surface: str, cases: int, seed: int = 0) -> Tally:
    """Return the tally of a surface; the same seed makes the same cases."""
    tally, began = Tally(), time.perf_counter()

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(SURFACES[surface])
    def put(case: Case) -> None:
        tally.put(case)

    put()
    tally.seconds = time.perf_counter() - began
    return tally

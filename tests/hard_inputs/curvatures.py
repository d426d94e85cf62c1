"""Curvature at points that there are not, of models that do not fit, with options that mean nothing."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hard_inputs.base_run import place_finished
from hard_inputs.case import Case
from hard_inputs.checkpoints import DECAYS, POINTS
from hard_inputs.command_lines import OPTIONS, SETTINGS, WORDS

BAD: dict[str, SearchStrategy[str]] = {
    "--beta": SETTINGS["noise"],
    "--budget": OPTIONS["--starts"],
    "--device": OPTIONS["--device"],
    "--method": OPTIONS["--solver"],
    "--rtol": OPTIONS["--tolerance"],
    "--seed": OPTIONS["--seed"],
    "--threads": OPTIONS["--threads"],
}


def _curvature(words: tuple[str, ...]) -> Case:
    return Case(f"curvature {words}", ("curvature", "gaussian", *words), place_finished)


def _option() -> SearchStrategy[tuple[str, ...]]:
    """Return a line whose one option has a value that it cannot have."""
    return st.sampled_from(sorted(BAD)).flatmap(lambda name: BAD[name].map(lambda value: ("--at=out:3", f"{name}={value}")))


CURVATURES = st.one_of(
    _option().map(_curvature),
    POINTS.map(lambda point: _curvature((f"--at=out:{point}",))),
    DECAYS.map(lambda word: _curvature(("--at=out", f"--at-weight-decay={word}"))),
    WORDS.map(lambda word: _curvature((f"--at=nowhere{word}",))),
    WORDS.map(lambda word: _curvature((f"--at=nowhere{word}", "--at-weight-decay=1"))),
    st.sampled_from(
        (
            (), ("--at=out",), ("--at=out:3", "more"), ("--at=out:3", "--at-weight-decay=1"), ("--at=out:3", "--json=no/where"),
            ("--at=out:3", "--set", "hidden=3"), ("--at=out:3", "--set", "seed=1"),
            ("--at=out/result.json", "--at-weight-decay=1"),
        )
    ).map(_curvature),
)  # fmt: skip

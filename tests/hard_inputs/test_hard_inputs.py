"""Bad inputs, drawn at random, each answered with exit code 2 and one clear line: with the slow tests at least two thousand.

`bench/hard_inputs.py` runs longer campaigns with other seeds.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from hard_inputs.campaign import SHARES, SURFACES, Tally, campaign
from hard_inputs.case import Case, WrongAnswerError, complaint_about, judge

CASES, FEW = 2900, 600  # of which some prove harmless, and some are drawn twice
LEAST = 2000


@cache
def tally(surface: str, cases: int = CASES) -> Tally:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return campaign(surface, round(cases * SHARES[surface]), seed=0)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("cases", [FEW, pytest.param(CASES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("surface", SURFACES)
def test_every_bad_input_is_answered_with_exit_code_2_and_one_clear_line(surface: str, cases: int) -> None:
    found = tally(surface, cases)
    assert not found.failures, "\n".join(list(found.failures.values())[:5])
    assert len(found.refused) > len(found.harmless)


@pytest.mark.slow
def test_there_were_at_least_two_thousand_bad_inputs() -> None:
    refused = {surface: len(tally(surface).refused) for surface in SURFACES}
    assert sum(refused.values()) >= LEAST, refused
    assert min(refused.values()) >= 80, refused


# -- the judge itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("error: a; b; c\n", None),
        ("", "does not begin"),
        ("Traceback (most recent call last):\n", "does not begin"),
        ("error: a; b; c", "does not begin"),
        ("error: a; b\n", "three parts"),
        ("error: a; ; \n", "three parts"),
        ("error: a; b; c\nerror: d; e; f\n", "several lines"),
        ("error: \x1b[31ma; b; c\n", "control characters"),
        ("error: this ended in KeyError; b; c\n", "nobody foresaw"),
        (f"error: {'a' * 3000}; b; c\n", "characters"),
    ],
)
def test_the_judge_knows_one_clear_line(text: str, complaint: str | None) -> None:
    found = complaint_about(text)
    assert (found is None) == (complaint is None)
    assert complaint is None or complaint in str(found)


def test_the_judge_finds_a_good_input_that_was_said_to_be_bad(tmp_path: Path) -> None:
    with pytest.raises(WrongAnswerError, match="was accepted"):
        judge(Case("help", ("--help",)), tmp_path)


def test_the_judge_finds_a_folder_that_was_changed(tmp_path: Path) -> None:
    source = "open('trace', 'w').close()\nraise ValueError('x')\n"
    with pytest.raises(WrongAnswerError, match="was refused, but changed trace"):
        judge(Case("trace", ("map", "own.py:task"), lambda folder: (folder / "own.py").write_text(source) and None), tmp_path)

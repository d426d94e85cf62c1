"""Bad inputs by the thousand: is every one answered with exit code 2 and one clear line?

    OMP_NUM_THREADS=1 python bench/hard_inputs.py                       # 12,500 draws
    OMP_NUM_THREADS=1 python bench/hard_inputs.py --cases 500 --seed 3

The cases are drawn by the strategies of `tests/hard_inputs/` and judged by the rule of its `case.py`: a bad input gets
exit code 2, one printable line in three parts, no traceback, and a folder that is byte for byte what it was; a
change that leaves an input good must leave the result as it was and every point in the journal.

A case that is drawn twice counts once, so that there are fewer cases than draws.

Columns: different cases of the surface; refused as they should be; harmless, and answered as the unchanged input is; wrong
answers (which have to be none); seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hardware import print_table
from hypothesis.configuration import set_hypothesis_home_dir
from script import run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hard_inputs.campaign import SHARES, Tally, campaign


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--cases", type=int, default=12_500)
    parser.add_argument("--seed", type=int, default=1, help="the tests use 0")
    parser.add_argument("--surfaces", nargs="+", default=list(SHARES), choices=list(SHARES))


def main(options: argparse.Namespace) -> bool:
    """Run a campaign over every surface and print its table."""
    set_hypothesis_home_dir(tempfile.gettempdir())
    print_table(["surface", "cases", "refused", "harmless", "wrong", "seconds"], [])
    tallies = {surface: tallied(surface, options.cases, options.seed) for surface in options.surfaces}
    total = [sum(figures(tally)[column] for tally in tallies.values()) for column in range(5)]
    print(row("all", total))
    failures = [text for tally in tallies.values() for text in tally.failures.values()]
    print("\n" + "\n\n".join(failures) if failures else "")
    return bool(failures)


def tallied(surface: str, cases: int, seed: int) -> Tally:
    """Run the campaign over one surface, and print its row."""
    tally = campaign(surface, round(cases * SHARES[surface]), seed)
    print(row(surface, figures(tally)), flush=True)
    return tally


def figures(tally: Tally) -> list[int]:
    """Return the columns of one surface."""
    return [tally.cases, len(tally.refused), len(tally.harmless), len(tally.failures), round(tally.seconds)]


def row(surface: str, numbers: list[int]) -> str:
    """Return a row of a Markdown table."""
    return f"| {surface} | " + " | ".join(f"{number:,}" for number in numbers) + " |"


if __name__ == "__main__":
    run(main, arguments)

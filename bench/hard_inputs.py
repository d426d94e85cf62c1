"""Bad inputs by the thousand: is every one answered with exit code 2 and one clear line?

    OMP_NUM_THREADS=1 python bench/hard_inputs.py                       # 10,000 cases
    OMP_NUM_THREADS=1 python bench/hard_inputs.py --cases 500 --seed 3

The cases are drawn by the strategies of `tests/hard_inputs/` and judged by the rule of its `case.py`: a bad input gets
exit code 2, one printable line in three parts, no traceback, and a folder that is byte for byte what it was; a
change that leaves an input good must leave the result as it was and every point in the journal.

Columns: different cases of the surface; refused as they should be; harmless, and answered as the unchanged input is; wrong
answers (which have to be none); seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hardware import hardware_line, print_table, use_threads
from hypothesis.configuration import set_hypothesis_home_dir

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hard_inputs.campaign import SHARES, Tally, campaign


def main() -> None:
    """Run a campaign over every surface and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the tests use 0")
    options = parser.parse_args()
    set_hypothesis_home_dir(tempfile.gettempdir())
    use_threads(1)
    print(hardware_line() + "\n")
    tallies = {surface: campaign(surface, round(options.cases * share), options.seed) for surface, share in SHARES.items()}
    rows = [[surface, *figures(tally)] for surface, tally in tallies.items()]
    total = [str(sum(int(row[column]) for row in rows)) for column in range(1, 6)]
    print_table(["surface", "cases", "refused", "harmless", "wrong", "seconds"], [*rows, ["all", *total]])
    failures = [text for tally in tallies.values() for text in tally.failures.values()]
    print("\n" + "\n\n".join(failures) if failures else "")
    sys.exit(bool(failures))


def figures(tally: Tally) -> list[str]:
    """Return the columns of one surface."""
    counts = (tally.cases, len(tally.refused), len(tally.harmless), len(tally.failures), round(tally.seconds))
    return [str(count) for count in counts]


if __name__ == "__main__":
    main()

"""Write README.md from README.in.md, which is prose, and from the results in results/.

    python bench/render.py            # write it
    python bench/render.py --check    # say whether it is what would be written
    python bench/render.py --take     # README.md was edited by hand: its prose into README.in.md, its numbers into results/

A script writes its result with `--keep`: `python bench/closed_forms.py --keep`. Prose goes into README.in.md,
in which `{{closed_forms}}` stands for the hardware line of that result, and `{{closed_forms.1}}` for its first table.
"""

from __future__ import annotations

import argparse
import sys

from pages import PAGE, SOURCE, rendered, taken


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where README.md is another one")
    parser.add_argument("--take", action="store_true", help="take README.md apart, as it was edited by hand")
    options = parser.parse_args()
    if options.take:
        SOURCE.write_text(taken(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    page = rendered(SOURCE.read_text(encoding="utf-8"))
    if options.check:
        is_same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
        print("README.md is up to date" if is_same else "README.md is not: write README.in.md, then python bench/render.py")
        return 0 if is_same else 1
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

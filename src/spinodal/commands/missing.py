"""What the command line says where a part of a result is missing."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence

from spinodal.missing import Missing


def failure_shown(debug: bool) -> Callable[[str, BaseException], None]:
    """Return what hears of failures: with `--debug` it shows the traceback of each."""

    def shown(what: str, cause: BaseException) -> None:
        print(f"{what} failed:", *traceback.format_exception(cause), sep="\n", file=sys.stderr)  # noqa: T201

    return shown if debug else lambda what, cause: None


def tell_missing(missing: Sequence[Missing], command: str) -> None:
    """Say in one line on standard error what is missing, if anything is, and what tries it again."""
    if not missing:
        return
    again = any(not item.final for item in missing)
    rest = f"; {command} tries again, and --debug shows where it fails" if again else "; the rest stands"
    print(f"missing: {'; '.join(map(str, missing))}{rest}", file=sys.stderr)  # noqa: T201

"""What every script of this folder does: read its options, fix its threads, print its hardware, measure, keep the result."""

from __future__ import annotations

import argparse
import io
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TextIO

from hardware import hardware_line, use_threads
from pages import kept, result_of

Options = argparse.Namespace


class Both(io.TextIOBase):
    """A stream that writes to two."""

    def __init__(self, *streams: TextIO) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        """Write to both."""
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush both."""
        for stream in self.streams:
            stream.flush()


def run(
    main: Callable[[Options], object],
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    *,
    threads: int = 1,
    is_part: Callable[[Options], bool] = lambda options: False,
) -> None:
    """Run a script, whose docstring is its help, and end with the exit code that `main` returns, if any.

    Parameters
    ----------
    main : callable
        Prints what it measures, tables by `print_table`.
    arguments : callable, optional
        Adds the script's own options.
    threads : int
        Default of `--threads`.
    is_part : callable, optional
        Tells a process that the script began for a part of its work, which prints nothing but that.
    """
    script = Path(sys.argv[0])
    parser = argparse.ArgumentParser(
        description=sys.modules["__main__"].__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments(parser)
    parser.add_argument("--threads", type=int, default=threads, help=f"processor threads (default {threads})")
    parser.add_argument("--keep", action="store_true", help=f"keep what is printed in results/{script.stem}.json")
    options = parser.parse_args()
    use_threads(options.threads)
    if is_part(options):
        sys.exit(int(bool(main(options))))
    printed = io.StringIO()
    with redirect_stdout(Both(sys.stdout, printed)) if options.keep else nullcontext():  # type: ignore[type-var]
        print(hardware_line() + "\n", flush=True)
        code = main(options)
    if options.keep:
        words = [word for word in sys.argv[1:] if word != "--keep"]
        kept(script.stem, result_of(printed.getvalue(), shlex.join(["python", f"bench/{script.name}", *words])))
    sys.exit(int(bool(code)))

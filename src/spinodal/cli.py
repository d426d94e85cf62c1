"""The command line: `spinodal map`, `hierarchy`, `show`, `report`, `curvature`, `connect`, `grok`, `export`, and others."""

from __future__ import annotations

import os
import sys
from time import sleep
from typing import Annotated

import typer

from spinodal.commands.streams import abandon_output, open_streams, unwritable_output
from spinodal.commands.usage import INTERRUPTED, UsageError, Verbs, refusal
from spinodal.commands.verbs.basins import BASINS_HELP, basins_command
from spinodal.commands.verbs.claims import CLAIMS_HELP, claims_command
from spinodal.commands.verbs.compare import COMPARE_HELP, compare_command
from spinodal.commands.verbs.connect import CONNECT_HELP, connect_command
from spinodal.commands.verbs.curvature import CURVATURE_HELP, curvature_command
from spinodal.commands.verbs.export import EXPORT_HELP, export_command
from spinodal.commands.verbs.grok import GROK_HELP, grok_command
from spinodal.commands.verbs.hierarchy import HIERARCHY_HELP, hierarchy_command
from spinodal.commands.verbs.map import MAP_HELP, map_command
from spinodal.commands.verbs.report import report_command
from spinodal.commands.verbs.show import show_command
from spinodal.commands.verbs.tasks import tasks_command
from spinodal.commands.verbs.theory import theory_command
from spinodal.conventions import CONVENTION
from spinodal.errors import SpinodalError, one_line, unexpected
from spinodal.processes.world import serves
from spinodal.version import __version__

GRACE = 3.0  # seconds in which the first of several processes tells what is wrong, before a launcher ends it with the others
COMPLETING = "_SPINODAL_COMPLETE"  # by which a shell asks for completions

app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Map the phases of a neural network: where, as the L2 strength beta grows, the trained model jumps, "
    f"and what is lost at each jump. Convention: {CONVENTION}.",
)


def main() -> None:
    """Run the command line; errors are one line and exit code 2, Ctrl-C is exit code 130."""
    open_streams()
    if COMPLETING in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # it has no home of its own

        completion_init()
    try:
        code = _exit_code()
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that went away (`| head`) wants no more, and no explanation
        abandon_output()
        code = 1
    except Exception as error:  # whatever it is, a traceback is for those who ask for it
        if serves():
            sleep(GRACE)
            sys.exit(2)
        if "--debug" in sys.argv:
            raise
        print(f"error: {one_line(_refusal(error))}", file=sys.stderr)  # noqa: T201
        code = 2
    sys.exit(code)


def _refusal(error: Exception) -> SpinodalError:
    if isinstance(error, OSError) and error.filename is None:  # errors of files are refused where the file is known
        abandon_output()
        return unwritable_output(error)
    return error if isinstance(error, SpinodalError) else unexpected(error)


def _exit_code() -> int | None:
    try:
        code: int | None = typer.main.get_command(app).main(prog_name="spinodal", standalone_mode=False)
    except UsageError as error:
        raise refusal(error) from error
    except typer.Abort:  # what older versions of Typer make of Ctrl-C
        return INTERRUPTED
    return code


@app.callback(invoke_without_command=True)
def version_option(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version if asked, and the help if nothing was asked."""
    if version:
        print(f"spinodal {__version__}")  # noqa: T201
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201
    else:
        _refuse_gone_folder()


def _refuse_gone_folder() -> None:
    """Refuse a working folder that does not exist any more: libraries loaded later die of it, in words of their own."""
    try:
        os.getcwd()
    except OSError as error:
        raise SpinodalError(
            got=f"a working folder that cannot be read ({error.strerror})",
            allowed="a folder that exists is allowed",
            do="change to one and give the command again",
        ) from error


app.command("basins", help=BASINS_HELP)(basins_command)
app.command("claims", help=CLAIMS_HELP)(claims_command)
app.command("compare", help=COMPARE_HELP)(compare_command)
app.command("connect", help=CONNECT_HELP)(connect_command)
app.command("curvature", help=CURVATURE_HELP)(curvature_command)
app.command("grok", help=GROK_HELP)(grok_command)
app.command("hierarchy", help=HIERARCHY_HELP)(hierarchy_command)
app.command("map", help=MAP_HELP)(map_command)
app.command("show")(show_command)
app.command("report")(report_command)
app.command("export", help=EXPORT_HELP)(export_command)
app.command("tasks")(tasks_command)
app.command("theory")(theory_command)

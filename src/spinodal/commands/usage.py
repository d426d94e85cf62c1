"""Refusals of the command line's own parser, in the three parts of every other error."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from spinodal.errors import SpinodalError, unknown_name

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it

# Typer exports this parent of `BadParameter` under no name of its own; older versions take it from click.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Verbs(TyperGroup):
    """The verbs of the command line; an unknown one is refused with the nearest offered."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name."""
        if cmd_name not in self.commands:
            raise unknown_name("command", cmd_name, self.commands)
        return super().get_command(ctx, cmd_name)


def refusal(error: Any) -> SpinodalError:
    """Return the refusal that says what a usage error of the parser says."""
    context = error.ctx
    option = getattr(error, "option_name", None)
    if context is not None and option is not None:
        return unknown_name("option", option, _options(context.command, context))
    path = context.command_path if context is not None else "spinodal"
    return SpinodalError(got=_sentence(error.format_message()), allowed=_allowed(error, context), do=f"see `{path} --help`")


def _options(command: Any, context: Any) -> list[str]:
    return [name for parameter in command.get_params(context) for name in parameter.opts if name.startswith("--")]


def _allowed(error: Any, context: Any) -> str:
    """Return what the parameter's help says, or else how the command is used."""
    parameter = getattr(error, "param", None)
    text = getattr(parameter, "help", None)
    if parameter is not None and text:
        name = parameter.opts[0] if parameter.opts[0].startswith("-") else str(parameter.name).upper()
        return f"{name}: {_sentence(text)}"
    return " ".join(context.get_usage().split()) if context is not None else "one value per option, none for a switch"


def _sentence(text: str) -> str:
    """Return a text as a part of a line: no line breaks, no capital, no full stop."""
    line = " ".join(text.split()).rstrip(".")
    return line[:1].lower() + line[1:]

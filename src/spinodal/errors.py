"""Errors a person can act on: what was got, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from pathlib import Path
from sysconfig import get_path
from traceback import walk_tb

INSTALLED = (Path(__file__).parent, *(Path(get_path(name)) for name in ("stdlib", "purelib", "platlib", "scripts")))
LONGEST = 600  # characters of one part of a refusal that are printed


class SpinodalError(ValueError):
    """A refusal in three parts.

    Parameters
    ----------
    got : str
        What was received.
    allowed : str
        What would have been accepted.
    do : str
        What the reader can do about it.

    Examples
    --------
    >>> str(SpinodalError("beta = -1", "beta > 0 is allowed", "give a positive beta"))
    'beta = -1; beta > 0 is allowed; give a positive beta'
    """

    def __init__(self, got: str, allowed: str, do: str) -> None:
        self.got, self.allowed, self.do = got, allowed, do
        super().__init__(f"{got}; {allowed}; {do}")


class RunFolderError(SpinodalError):
    """A run folder that cannot be read, written or gone on with: nothing that is made can be kept, so nothing goes on."""


def one_line(error: SpinodalError) -> str:
    r"""Return a refusal as one line to print: characters that steer a terminal spelled out, very long parts shortened.

    Examples
    --------
    >>> print(one_line(SpinodalError("no file a\nb", "a file is allowed", "check the path")))
    no file a\nb; a file is allowed; check the path
    """
    return "; ".join(_shortened(printable(part)) for part in (error.got, error.allowed, error.do))


def printable(text: str) -> str:
    """Return a text with control characters, and what no encoding can write, spelled out."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _shortened(text: str) -> str:
    """Return a text without its middle where it is longer than anybody reads."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def told(cause: BaseException) -> str:
    """Return the kind of an exception and the first line of its message, also where it cannot make one."""
    try:
        text = str(cause).strip().split("\n")[0]
    except Exception as another:  # noqa: BLE001 - the text is made by the code of whoever defined the exception
        text = f"no message, because making it raised {type(another).__name__}"
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


Kinds = type[Exception] | tuple[type[Exception], ...]


@contextmanager
def refusing(
    kinds: Kinds,
    got: str | Callable[[Exception], str],
    *,
    allowed: str,
    do: str,
    by: type[SpinodalError] = SpinodalError,
    passing: Kinds = (),
) -> Iterator[None]:
    """Refuse, in these words, what goes wrong in one of these ways; what is to pass is raised as it is.

    Examples
    --------
    >>> with refusing(ValueError, "10 apples", allowed="a number is allowed", do="try 10"):
    ...     int("10 apples")
    Traceback (most recent call last):
    spinodal.errors.SpinodalError: 10 apples; a number is allowed; try 10
    """
    try:
        yield
    except passing:
        raise
    except kinds as cause:
        raise by(got=got if isinstance(got, str) else got(cause), allowed=allowed, do=do) from cause


@contextmanager
def about(what: str) -> Iterator[None]:
    """Say in a refusal what it is about."""
    try:
        yield
    except SpinodalError as cause:
        raise SpinodalError(got=f"{what}: {cause.got}", allowed=cause.allowed, do=cause.do) from cause


def needing(package: str, what: str) -> AbstractContextManager[None]:
    """Refuse what needs a package where that cannot be imported."""
    return refusing(ImportError, f"{package} is not installed", allowed=f"{what} it", do=f"pip install {package}")


@contextmanager
def blaming(what: str, *, allowed: str, do: str) -> Iterator[None]:
    """Refuse what the code of others raises, whatever it is; Ctrl-C passes.

    Examples
    --------
    >>> with blaming("the loss", allowed="a loss that works is allowed", do="mend it"):
    ...     raise SystemExit(3)
    Traceback (most recent call last):
    spinodal.errors.SpinodalError: the loss raised SystemExit: 3; a loss that works is allowed; mend it
    """
    try:
        yield
    except (SpinodalError, KeyboardInterrupt):
        raise
    except BaseException as cause:
        raise SpinodalError(got=f"{what} raised {told(cause)}", allowed=allowed, do=do) from cause


def unexpected(cause: BaseException) -> SpinodalError:
    """Return the refusal of what nobody foresaw, in place of a traceback; it says whose code raised.

    Examples
    --------
    >>> print(unexpected(KeyError(2)).allowed)
    this is an error of spinodal itself, not of your task
    """
    place = _place_outside(cause)
    ours = "this is an error of spinodal itself, not of your task"
    return SpinodalError(
        got=f"this ended in {told(cause)}",
        allowed=ours if place is None else f"code of a task that does not raise is needed; this came from {place}",
        do="add --debug to see where" + (", and report it" if place is None else ""),
    )


def _place_outside(cause: BaseException) -> str | None:
    """Return the last place that an exception passed which belongs to nothing installed: a file of the user."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(cause.__traceback__)]
    theirs = [(path, line) for path, line in frames if path.is_absolute() and not any(map(path.is_relative_to, INSTALLED))]
    return f"{theirs[-1][0].name}, line {theirs[-1][1]}" if theirs else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SpinodalError:
    """Return the error for a name that is not in a list, with the nearest ones offered.

    Examples
    --------
    >>> str(unknown_name("activation", "tahn", ["gelu", "tanh"]))
    "unknown activation 'tahn'; known: gelu, tanh; did you mean 'tanh'?"
    """
    name, options = str(name), sorted(known)
    bare = {option.lstrip("-"): option for option in options}  # dashes are no likeness
    close = get_close_matches(name.lstrip("-"), bare, n=2, cutoff=0.5)
    hint = " or ".join(repr(bare[option]) for option in close)
    return SpinodalError(
        f"unknown {kind} {name!r}",
        "known: " + ", ".join(options),
        f"did you mean {hint}?" if close else "choose one of these",
    )


def positive_beta(beta: float, name: str = "beta") -> float:
    """Return `beta` as a float, or refuse it unless it is finite and positive."""
    try:
        value = float(beta)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0.0 < value < float("inf"):
        raise SpinodalError(got=f"{name} = {beta!r}", allowed="a finite beta > 0 is allowed", do="give a positive number")
    return value

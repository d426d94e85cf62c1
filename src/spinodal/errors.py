"""Errors a person can act on: what was got, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


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


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SpinodalError:
    """Return the error for a name that is not in a list, with the nearest ones offered.

    Examples
    --------
    >>> str(unknown_name("activation", "tahn", ["gelu", "tanh"]))
    "unknown activation 'tahn'; known: gelu, tanh; did you mean 'tanh'?"
    """
    options = sorted(known)
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

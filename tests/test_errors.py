"""Refusals: three parts, nearest names, positive betas."""

from __future__ import annotations

import math

import pytest
import torch

from spinodal.errors import LONGEST, SpinodalError, blaming, one_line, positive_beta, told, unexpected, unknown_name


def test_an_error_reads_as_its_three_parts() -> None:
    error = SpinodalError("got this", "that is allowed", "do so")
    assert (error.got, error.allowed, error.do) == ("got this", "that is allowed", "do so")
    assert str(error) == "got this; that is allowed; do so"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tnh", "did you mean 'tanh'?"), ("sig", "did you mean 'sigmoid'?"), ("zzz", "choose one of these"), ("", "choose one")],
)
def test_an_unknown_name_lists_the_known_ones_and_offers_the_nearest(name: str, hint: str) -> None:
    text = str(unknown_name("activation", name, ["tanh", "sigmoid", "gelu"]))
    assert text.startswith(f"unknown activation {name!r}; known: gelu, sigmoid, tanh; ")
    assert hint in text


def test_two_near_names_are_both_offered() -> None:
    assert "did you mean 'newton' or 'newton_cg'?" in str(unknown_name("solver", "newto", ["newton", "newton_cg", "lbfgs"]))


@pytest.mark.parametrize("beta", [1, 0.5, 1e-300, torch.tensor(2.0), True])
def test_a_positive_beta_is_returned_as_a_float(beta: object) -> None:
    value = positive_beta(beta)
    assert type(value) is float
    assert value == float(beta)


@pytest.mark.parametrize("beta", [0, -0.0, -1, math.nan, math.inf, -math.inf, None, "much", [1.0], torch.ones(2)])
def test_any_other_beta_is_refused_as_it_was_given(beta: object) -> None:
    with pytest.raises(SpinodalError) as refusal:
        positive_beta(beta, "highest beta")
    assert str(refusal.value) == f"highest beta = {beta!r}; a finite beta > 0 is allowed; give a positive number"


def test_a_refusal_is_printed_as_one_line_without_what_steers_a_terminal() -> None:
    line = one_line(SpinodalError("no \x1b[31mfile\r\n\u2028\u202e\udcff", "a file is allowed", "check the path"))
    assert line == r"no \x1b[31mfile\r\n\u2028\u202e\udcff; a file is allowed; check the path"
    assert line.isprintable()
    assert one_line(SpinodalError("ü → \U0001f4a5", "b", "c")) == "ü → \U0001f4a5; b; c"


def test_a_long_part_is_printed_without_its_middle() -> None:
    line = one_line(SpinodalError("a" * 5000 + "z", "b", "c"))
    assert line.startswith("aaa")
    assert line.endswith("aaaz; b; c")
    assert len(line) < LONGEST + 20
    assert one_line(SpinodalError("a" * LONGEST, "b", "c")) == "a" * LONGEST + "; b; c"


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError(), "ValueError"),
        (SystemExit(7), "SystemExit: 7"),
        (SilentError(), "SilentError: no message, because making it raised RuntimeError"),
    ],
)
def test_an_exception_is_told_by_its_kind_and_first_line(cause: BaseException, text: str) -> None:
    assert told(cause) == text
    assert str(unexpected(cause)).startswith(f"this ended in {text}; ")


@pytest.mark.parametrize("cause", [ValueError, SystemExit, GeneratorExit, StopIteration, MemoryError, SilentError])
def test_what_the_code_of_others_raises_is_refused(cause: type[BaseException]) -> None:
    with (
        pytest.raises(SpinodalError, match=f"the loss raised {cause.__name__}") as refused,
        blaming("the loss", allowed="b", do="c"),
    ):
        raise cause
    assert isinstance(refused.value.__cause__, cause)


def test_a_refusal_and_ctrl_c_pass_as_they_are() -> None:
    with pytest.raises(KeyboardInterrupt), blaming("the loss", allowed="b", do="c"):
        raise KeyboardInterrupt
    with pytest.raises(SpinodalError, match=r"^mine; b; c$"), blaming("the loss", allowed="b", do="c"):
        raise SpinodalError("mine", "b", "c")

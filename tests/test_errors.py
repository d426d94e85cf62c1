"""Refusals: three parts, nearest names, positive betas."""

from __future__ import annotations

import math

import pytest
import torch

from spinodal.errors import SpinodalError, positive_beta, unknown_name


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

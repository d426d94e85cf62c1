"""The penalty: its value, gradient and Hessian agree, and weight decay is twice beta."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spinodal.conventions import CONVENTION, beta_of, weight_decay
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised, symmetric_norm
from spinodal.landscape.penalty import Penalty
from spinodal.observe import Observer

SIZE = 5
CENTRE, MASK = torch.linspace(-1, 2, SIZE, dtype=torch.float64), torch.tensor([True, False, True, True, False])
PENALTIES = {
    "plain": Penalty(),
    "centre": Penalty(centre=CENTRE),
    "mask": Penalty(mask=MASK),
    "centre and mask": Penalty(centre=CENTRE, mask=MASK),
    "mask of nothing": Penalty(mask=torch.zeros(SIZE, dtype=torch.bool)),
}
every_penalty = pytest.mark.parametrize("name", PENALTIES)


class Weights(nn.Module):
    """A vector of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(SIZE, dtype=torch.float64))


def landscape() -> Landscape:
    return Landscape(Weights(), lambda model, batch: model.w.sin().sum() ** 2, None)


def by_hand(name: str, theta: Tensor) -> Tensor:
    """Return `sum over penalised entries of (theta - centre)^2`, entry by entry."""
    centre = CENTRE if "centre" in name else torch.zeros(SIZE)
    mask = MASK if name in ("mask", "centre and mask") else torch.full((SIZE,), name != "mask of nothing")
    return sum((theta[i] - centre[i]) ** 2 for i in range(SIZE) if mask[i]) + 0 * theta.sum()


@every_penalty
def test_value_gradient_and_hessian_belong_to_one_function(name: str) -> None:
    penalty, beta = PENALTIES[name], 0.3
    loss = Regularised(landscape(), beta, penalty)
    theta = torch.randn(SIZE, dtype=torch.float64)

    def total(point: Tensor) -> Tensor:
        return point.sin().sum() ** 2 + beta * by_hand(name, point)

    gradient = torch.autograd.functional.jacobian(total, theta)
    hessian = torch.autograd.functional.hessian(total, theta)
    value, slope = loss.value_and_gradient(theta)
    assert value == pytest.approx(float(total(theta)), rel=1e-13)
    assert loss.value(theta) == pytest.approx(value, rel=1e-14)
    assert loss.error(value, theta) == pytest.approx(float(theta.sin().sum() ** 2), rel=1e-12)
    torch.testing.assert_close(slope, gradient)
    torch.testing.assert_close(loss.shifted(loss.landscape.hessian(theta)), hessian)
    vector = torch.randn(SIZE, dtype=torch.float64)
    torch.testing.assert_close(loss.hessian_operator(theta)(vector), hessian @ vector)


@every_penalty
def test_many_rows_equal_single_rows(name: str) -> None:
    loss = Regularised(landscape(), 0.3, PENALTIES[name])
    thetas = torch.randn(4, SIZE, dtype=torch.float64)
    values, gradients = loss.values_and_gradients(thetas)
    for theta, value, gradient in zip(thetas, values, gradients, strict=True):
        alone = loss.value_and_gradient(theta)
        assert float(value) == pytest.approx(alone[0], rel=1e-13)
        torch.testing.assert_close(gradient, alone[1])


@every_penalty
def test_the_spectrum_shifts_by_twice_beta_where_penalised(name: str) -> None:
    penalty, beta, theta = PENALTIES[name], 0.3, torch.randn(SIZE, dtype=torch.float64)
    hessian = torch.randn(SIZE, SIZE, dtype=torch.float64)
    hessian, kept = hessian + hessian.T, (hessian + hessian.T).clone()
    shifted = Regularised(landscape(), beta, penalty).shifted(hessian)
    torch.testing.assert_close(shifted - hessian, 2 * beta * torch.diag(penalty.diagonal(theta)))
    assert torch.equal(hessian, kept)
    if name in ("plain", "centre"):
        torch.testing.assert_close(torch.linalg.eigvalsh(shifted), torch.linalg.eigvalsh(hessian) + 2 * beta)


@every_penalty
def test_residuals_are_measured_against_the_pull_of_the_penalty(name: str) -> None:
    loss, theta = Regularised(landscape(), 0.3, PENALTIES[name]), 1 + torch.rand(SIZE, dtype=torch.float64)
    pull = float(loss.pull(theta).norm())
    assert loss.scale(theta) == pytest.approx(pull if name != "mask of nothing" else 6e-4)


def test_one_step_of_sgd_with_weight_decay_follows_the_gradient_of_the_loss() -> None:
    beta, model = 0.3, Weights()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=weight_decay(beta))
    before = model.w.detach().clone()
    (model.w.sin().sum() ** 2).backward()
    optimiser.step()
    _, gradient = Regularised(landscape(), beta).value_and_gradient(before)
    torch.testing.assert_close(model.w.detach(), before - 0.1 * gradient)


def test_beta_and_weight_decay_are_inverse_to_each_other() -> None:
    assert weight_decay(0.25) == 0.5
    assert beta_of(0.5) == 0.25
    assert all(beta_of(weight_decay(beta)) == beta for beta in (1e-12, 0.1, 3.0))
    assert "weight_decay = 2*beta" in CONVENTION


def test_the_norm_of_a_symmetric_matrix_is_bounded_from_above() -> None:
    for _ in range(20):
        matrix = torch.randn(6, 6, dtype=torch.float64)
        matrix = matrix + matrix.T
        assert symmetric_norm(matrix) >= float(torch.linalg.eigvalsh(matrix).abs().max())
    assert symmetric_norm(torch.diag(torch.tensor([1.0, -3.0]))) == 3.0


BAD: dict[str, tuple[Penalty, str]] = {
    "a short centre": (
        Penalty(centre=torch.zeros(3)),
        "centre is of shape (3,) and torch.float32 on cpu; a real tensor of shape (5,)",
    ),
    "a column": (Penalty(centre=torch.zeros(SIZE, 1)), "centre is of shape (5, 1)"),
    "a centre that is a number": (Penalty(centre=1.0), "centre is a float"),
    "a centre of truth values": (Penalty(centre=MASK), "centre is of shape (5,) and torch.bool"),
    "a complex centre": (Penalty(centre=CENTRE + 0j), "centre is of shape (5,) and torch.complex128"),
    "a centre elsewhere": (Penalty(centre=CENTRE.to("meta")), "on meta; a real tensor of shape (5,) on cpu is allowed"),
    "a centre with NaN": (Penalty(centre=CENTRE / 0 * 0), "centre is not finite; finite numbers are allowed"),
    "a short mask": (Penalty(mask=MASK[:3]), "mask is of shape (3,) and torch.bool on cpu"),
    "a mask that is a list": (Penalty(mask=[True] * SIZE), "mask is a list"),
    "a mask of numbers": (Penalty(mask=CENTRE), "mask holds numbers other than 0 and 1"),
    "a mask with NaN": (Penalty(mask=CENTRE / 0 * 0), "mask holds numbers other than 0 and 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_penalty_that_does_not_fit_is_refused_with_what_does(case: str) -> None:
    penalty, text = BAD[case]
    with pytest.raises(SpinodalError) as refusal:
        Regularised(landscape(), 0.3, penalty)
    assert text in str(refusal.value)
    with pytest.raises(SpinodalError):
        Observer(landscape(), penalty)


def test_a_mask_of_zeros_and_ones_is_one_of_truth_values() -> None:
    theta = torch.randn(SIZE, dtype=torch.float64)
    for dtype in (torch.int64, torch.float32, torch.float64):
        numbers = Regularised(landscape(), 0.3, Penalty(mask=MASK.to(dtype)))
        assert numbers.value(theta) == Regularised(landscape(), 0.3, PENALTIES["mask"]).value(theta)

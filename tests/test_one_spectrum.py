"""The same theta has the same margin, index and zero modes, whichever way one asks, and it is asked once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import spinodal as sp
from conftest import Oracle
from small_run import linear, linear_run  # noqa: F401 - the fixture
from spinodal import definitions
from spinodal.branches import StationaryPoint
from spinodal.cli import app
from spinodal.curvature import curvature_at, extreme_eigenvalues, saddle_index, spectral_density
from spinodal.curvature.second_order import SecondOrder
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import Minimum
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.spectrum.lowest import WHOLE_SPECTRUM, lowest_eigenbasis

BETA = 0.05
SAME = 1e-7  # relative to the largest eigenvalue: the points of two routes differ by what they are solved to


def task_of(activation: str, hidden: tuple[int, ...]) -> sp.Task:
    return sp.tasks.gaussian(activation=activation, hidden=hidden, samples=40, noise=0.0, seed=1)


def lapack(task: sp.Task, theta: Tensor, beta: float) -> Tensor:
    """Return all eigenvalues of Hess L by `torch.autograd`, of the task's own model and data, and LAPACK."""
    hessian = Oracle(task.model, task.loss, [task.data]).hessian(theta.double())
    return torch.linalg.eigvalsh(hessian + 2.0 * beta * torch.eye(len(theta), dtype=torch.float64))


def answer(values: Tensor) -> tuple[float, int, int]:
    """Return margin, index and number of zero modes as the definition has them."""
    zero = definitions.ZERO_MODE * values.abs().max()
    alive = values[values.abs() > zero]
    return float(alive[0]), int((values < -zero).sum()), int((values.abs() <= zero).sum())


@pytest.fixture(scope="module", params=[("linear", (4, 4)), ("tanh", (5, 5))], ids=["linear", "tanh"])
def found(request: pytest.FixtureRequest) -> tuple[sp.Task, Landscape, Minimum]:
    task = task_of(*request.param)
    landscape = task.landscape()
    return task, landscape, sp.minimise(landscape, beta=BETA, start=task.initial(0))


def test_a_minimum_has_the_margin_and_the_zero_modes_of_lapack(found: tuple[sp.Task, Landscape, Minimum]) -> None:
    task, _, minimum = found
    margin, index, zero_modes = answer(lapack(task, minimum.theta, BETA))
    assert minimum.converged
    assert index == 0
    assert minimum.margin == pytest.approx(margin, rel=1e-9)
    assert minimum.zero_modes == zero_modes


def test_a_branch_has_the_same_at_its_first_point(found: tuple[sp.Task, Landscape, Minimum]) -> None:
    _, landscape, minimum = found
    point = sp.continue_branch(landscape, minimum, to=1.01 * BETA).points[0]
    assert isinstance(point, StationaryPoint)
    assert float((point.theta - minimum.theta).norm()) < 1e-6
    assert point.margin == pytest.approx(minimum.margin, abs=SAME)
    assert (point.index, point.zero_modes) == (0, minimum.zero_modes)


def test_a_branch_at_fixed_norm_has_the_same(found: tuple[sp.Task, Landscape, Minimum]) -> None:
    _, landscape, minimum = found
    point = sp.continue_branch(landscape, minimum, to=1.01 * BETA, method="fixed_norm").points[0]
    assert (point.index, point.index_is_exact, point.zero_modes) == (0, True, minimum.zero_modes)
    assert point.margin == pytest.approx(minimum.margin, abs=SAME)


def test_the_dense_routes_of_the_spectrum_agree(found: tuple[sp.Task, Landscape, Minimum]) -> None:
    task, landscape, minimum = found
    values = lapack(task, minimum.theta, BETA)
    margin, index, zero_modes = answer(values)
    counted = saddle_index(landscape, minimum.theta, beta=BETA)
    curved = curvature_at(landscape, minimum.theta, beta=BETA)
    ends = extreme_eigenvalues(landscape, minimum.theta, beta=BETA, smallest=zero_modes + 1)
    nodes = spectral_density(landscape, minimum.theta, beta=BETA, method="dense").nodes[0]
    assert (counted.value, counted.zero_modes, counted.is_exact) == (index, zero_modes, True)
    assert (curved.index_of_loss.value, curved.index_of_loss.zero_modes) == (index, zero_modes)
    assert float(ends.smallest.values[-1]) == pytest.approx(margin, rel=1e-9)
    assert torch.allclose(nodes, values, rtol=0.0, atol=1e-12)


def test_the_routes_by_products_agree_within_what_they_state(found: tuple[sp.Task, Landscape, Minimum]) -> None:
    task, landscape, minimum = found
    values = lapack(task, minimum.theta, BETA)
    counted = saddle_index(landscape, minimum.theta, beta=BETA, method="lanczos")
    ends = extreme_eigenvalues(landscape, minimum.theta, beta=BETA, method="lanczos")
    assert counted.value == 0  # a lower bound of none
    for pairs in (ends.largest, ends.smallest):
        for value, residual in zip(pairs.values, pairs.residuals, strict=True):
            assert float((values - value).abs().min()) <= float(residual)
    by_products = sp.minimise(landscape, beta=BETA, start=minimum.theta, solver="newton_cg")
    assert abs(by_products.margin - minimum.margin) <= by_products.margin_error + SAME


def test_a_saddle_has_one_index_on_its_branch_and_off_it() -> None:
    task = task_of("linear", (4, 4))
    landscape = task.landscape()
    minimum = sp.minimise(landscape, beta=0.2, start=task.initial(0))
    branch = sp.continue_branch(landscape, minimum, to=1.0, bounds=(0.2, 1.0))
    behind = [point for point in branch.points[:: max(len(branch.points) // 8, 1)] if point.beta_rate]
    assert any(point.index for point in behind)
    for point in behind:
        counted = saddle_index(landscape, point.theta, beta=point.beta)
        assert (point.index, point.zero_modes) == (counted.value, counted.zero_modes)
        assert (point.margin, point.index) == pytest.approx(answer(lapack(task, point.theta, point.beta))[:2], abs=SAME)


@pytest.mark.parametrize("masked", [False, True])
def test_a_centre_a_mask_and_several_batches_change_nothing_of_that(masked: bool) -> None:
    task = task_of("tanh", (3,))
    inputs, targets = task.data
    batches = [(inputs[:7], targets[:7]), (inputs[7:], targets[7:])]
    landscape = Landscape(task.model, task.loss, batches)
    mask = torch.arange(landscape.size) % 3 > 0 if masked else None
    penalty = Penalty(centre=0.1 * torch.ones(landscape.size, dtype=torch.float64), mask=mask)
    minimum = sp.minimise(landscape, beta=BETA, start=task.initial(0), penalty=penalty)
    shift = 2.0 * BETA * (torch.ones(landscape.size).double() if mask is None else mask.double())
    values = torch.linalg.eigvalsh(Oracle(task.model, task.loss, batches).hessian(minimum.theta) + torch.diag(shift))
    margin, index, zero_modes = answer(values)
    curved = curvature_at(landscape, minimum.theta, beta=BETA, penalty=penalty)
    counted = saddle_index(landscape, minimum.theta, beta=BETA, penalty=penalty)
    point = sp.continue_branch(landscape, minimum, to=1.01 * BETA, penalty=penalty).points[0]
    known = SecondOrder.at(Regularised(landscape, BETA, penalty), minimum.theta)
    assert minimum.margin == pytest.approx(margin, rel=1e-8)
    assert known.basis_of_loss.margin == pytest.approx(margin, rel=1e-8)
    assert point.margin == pytest.approx(margin, abs=SAME)
    indices = (minimum.index, curved.index_of_loss.value, counted.value, point.index, known.basis_of_loss.index)
    assert set(indices) == {index} == {0}
    assert {minimum.zero_modes, curved.index_of_loss.zero_modes, counted.zero_modes, point.zero_modes} == {zero_modes}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_processor() -> None:
    task = task_of("tanh", (5, 5))
    there, here = task.landscape(device="cuda"), task.landscape()
    minimum = sp.minimise(there, beta=BETA, start=task.initial(0).to("cuda"))
    counted = saddle_index(there, minimum.theta, beta=BETA)
    margin, index, zero_modes = answer(lapack(task, minimum.theta.cpu(), BETA))
    assert minimum.margin == pytest.approx(margin, abs=SAME)
    assert (counted.value, counted.zero_modes) == (index, zero_modes)
    assert saddle_index(here, minimum.theta.cpu(), beta=BETA).value == index


def test_single_precision_agrees_within_its_own_rounding() -> None:
    task = task_of("tanh", (5, 5))
    single = task.landscape(dtype=torch.float32)
    minimum = sp.minimise(single, beta=BETA, start=task.initial(0).float())
    values = lapack(task, minimum.theta.double(), BETA)
    rounding = 20 * torch.finfo(torch.float32).eps * float(values.abs().max())
    counted = saddle_index(single, minimum.theta, beta=BETA, method="dense")
    ends = extreme_eigenvalues(single, minimum.theta, beta=BETA, method="dense")
    assert minimum.converged
    assert float((values - minimum.margin).abs().min()) <= minimum.margin_error + rounding
    assert float((values - ends.smallest.values[0]).abs().min()) <= float(ends.smallest.residuals[0]) + rounding
    assert (counted.value, counted.is_exact) == (0, False)


def test_beyond_the_dense_size_the_stated_bound_holds() -> None:
    task = sp.tasks.gaussian(activation="tanh", hidden=(25, 25), samples=40, noise=0.0, seed=1, bias=False)
    landscape = task.landscape()
    minimum = sp.minimise(landscape, beta=BETA, start=task.initial(0), solver="lbfgs")
    dense = saddle_index(landscape, minimum.theta, beta=BETA, method="dense")
    ends = extreme_eigenvalues(landscape, minimum.theta, beta=BETA, method="lanczos")
    values = torch.linalg.eigvalsh(landscape.hessian(minimum.theta)) + 2.0 * BETA
    assert landscape.size > WHOLE_SPECTRUM
    assert minimum.zero_modes is None  # not counted by products
    assert float((values - minimum.margin).abs().min()) <= minimum.margin_error
    assert minimum.margin >= float(values[0]) - 1e-12
    assert dense.value == 0
    assert float((values - ends.smallest.values[0]).abs().min()) <= float(ends.smallest.residuals[0])


@pytest.mark.parametrize("zero_modes", [0, 3])
def test_the_lowest_eigenpairs_are_those_of_the_whole_analysis(zero_modes: int) -> None:
    size = WHOLE_SPECTRUM + 50
    values = torch.cat([torch.zeros(zero_modes), torch.tensor([-0.2, 0.01]), torch.linspace(0.5, 3.0, size - 2 - zero_modes)])
    turn = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    matrix = turn @ torch.diag(values.double()) @ turn.T
    matrix = 0.5 * (matrix + matrix.T)
    part, whole = lowest_eigenbasis(matrix), eigenbasis(matrix)
    assert len(part.values) < len(whole.values)
    assert (part.margin, part.zero_modes, part.index) == pytest.approx((whole.margin, whole.zero_modes, whole.index), rel=1e-8)
    assert part.largest == pytest.approx(whole.largest, rel=1e-6)


def test_a_loaded_run_tells_what_its_points_have(linear_run: tuple[Path, sp.PhaseDiagram]) -> None:  # noqa: F811
    diagram = sp.load(linear_run[0])
    task = linear()
    landscape = task.landscape()
    for point in diagram.points[:: max(len(diagram.points) // 5, 1)]:
        theta = diagram.at_point(point.index).theta
        found = curvature_at(landscape, theta, beta=point.beta)
        assert point.minimum.margin == pytest.approx(answer(lapack(task, theta, point.beta))[0], abs=1e-9)
        assert point.minimum.zero_modes == found.index_of_loss.zero_modes


def test_the_command_takes_one_hessian_and_tells_one_count(
    tmp_path: Path,
    linear_run: tuple[Path, sp.PhaseDiagram],  # noqa: F811
) -> None:
    run, file = linear_run[0], tmp_path / "curvature.json"
    point = sp.load(run).points[0]
    words = ["curvature", "gaussian", "--at", f"{run}:{point.index}", "--json", str(file)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(file.read_text())
    assert told["stats"]["hessians"] == 1
    assert told["stats"]["hessian_products"] == 0
    assert told["margin"] == pytest.approx(point.minimum.margin, rel=1e-9)
    assert told["curvature"]["index"]["loss"]["zero_modes"] == point.minimum.zero_modes
    assert result.output.count("Hessian products") == 1

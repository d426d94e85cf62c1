"""Networks with kinks: named at the start, softened on request, and nothing claimed between points that are no minima."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import spinodal as sp
from losses import squared
from spinodal.landscape.kinks import kinks
from spinodal.landscape.soften import Softening
from spinodal.mapping.preparing import prepare
from spinodal.phases.limit import Limit, extrapolated
from spinodal.words.in_full import answer_sentences
from test_cli import Command, command  # noqa: F401 - the fixture

F64 = torch.float64
Forward = Callable[[Tensor], Tensor]

MODULES: list[nn.Module] = [
    nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.LeakyReLU(0.2, inplace=True), nn.PReLU(3), nn.PReLU(), nn.ReLU6(),
    nn.Hardtanh(), nn.Hardtanh(-2.0, 0.5), nn.Hardswish(), nn.Hardsigmoid(), nn.Threshold(0.3, 0.3), nn.Softshrink(0.2),
    nn.SELU(), nn.ELU(1.5), nn.RReLU().eval(), nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    nn.MaxPool2d(2, 2, 0, 2), nn.MaxPool2d((2, 3), (3, 2), (1, 0), ceil_mode=True), nn.AdaptiveMaxPool2d(1),
    nn.AdaptiveMaxPool2d((4, None)), nn.MaxPool3d((1, 2, 2)),
]  # fmt: skip
CALLS: dict[str, Forward] = {
    "x.relu": lambda x: x.relu(),
    "torch.relu": torch.relu,
    "relu_": lambda x: functional.relu_(x * 1),
    "clamp": lambda x: x.clamp(min=0),
    "clamp between": lambda x: torch.clip(x, 0, 1),
    "clamp_": lambda x: (x * 1).clamp_(max=0.2),
    "clamp_min": lambda x: torch.clamp_min(x, 0.5),
    "abs": abs,
    "two-way max": lambda x: torch.max(x, 0 * x),
    "minimum": lambda x: torch.minimum(x, x**3),
    "max": lambda x: x.max(),
    "max of rows": lambda x: x.max(1)[0],
    "min of rows": lambda x: x.min(dim=2, keepdim=True).values,
    "amax": lambda x: x.amax((2, 3)),
    "amin": lambda x: torch.amin(x, 1),
    "l1_loss": lambda x: functional.l1_loss(x, 0 * x),
    "max_pool1d": lambda x: functional.max_pool1d(x[:, 0], 2),
    "adaptive_max_pool1d": lambda x: functional.adaptive_max_pool1d(x[:, 0], 3),
}


def _input() -> Tensor:
    return torch.randn(2, 3, 9, 10, dtype=F64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)


def _gap(forward: Forward, sharpness: float) -> float:
    """Return by how much softening moves the outputs."""
    given = forward(_input() * 1.0)
    with Softening(sharpness):
        soft = forward(_input() * 1.0)
    assert soft.shape == given.shape
    return float((soft - given).abs().max().detach())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_modules_with_kinks_have_counterparts_that_approach_them(module: nn.Module) -> None:
    module.double()
    assert _gap(module, 1e5) < 1e-5 < _gap(module, 2.0) < 2.0


@pytest.mark.parametrize("name", CALLS)
def test_functions_with_kinks_have_counterparts_that_approach_them(name: str) -> None:
    assert _gap(CALLS[name], 1e5) < 1e-5 < _gap(CALLS[name], 2.0) < 2.0


def test_softening_is_off_by_no_more_than_its_formulas_say() -> None:
    assert _gap(nn.ReLU(), 3.0) <= math.log(2.0) / 3.0
    assert _gap(nn.MaxPool2d(2), 3.0) <= math.log(4.0) / 3.0


def test_what_does_not_depend_on_parameters_is_left_alone() -> None:
    with Softening(1.0):
        assert torch.equal(torch.relu(torch.tensor([-1.0, 1.0])), torch.tensor([0.0, 1.0]))
        assert int(torch.tensor([-3, 2]).abs().max()) == 3


def test_bounds_that_guard_a_logarithm_are_no_kinks() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Softmax(1))
    loss = lambda model, x: -model(x).clamp(1e-7, 1 - 1e-7).log().mean()  # noqa: E731
    plain, soft = (sp.Landscape(net, loss, _data(2)[0], soften=soften) for soften in (None, 2.0))
    assert kinks(plain) == ()
    assert plain.value(plain.initial) == soft.value(plain.initial)


class Functional(nn.Module):
    """Two layers whose kinks are calls of functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.relu(self.first(x)))


def _smooth_twin(net: Functional, sharpness: float) -> nn.Module:
    return nn.Sequential(net.first, nn.Softplus(beta=sharpness, threshold=40), net.second)


def _data(inputs: int = 3, outputs: int = 2, samples: int = 30) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, inputs, generator=generator), torch.randn(samples, outputs, generator=generator)


def test_a_softened_landscape_is_that_of_the_same_network_with_softplus() -> None:
    torch.manual_seed(0)
    net, data = Functional(), _data()
    soft, twin = sp.Landscape(net, squared, data, soften=7.0), sp.Landscape(_smooth_twin(net, 7.0), squared, data)
    theta = soft.initial + 0.1
    assert soft.value(theta) == pytest.approx(twin.value(theta), rel=1e-14)
    assert torch.allclose(soft.gradient(theta), twin.gradient(theta), rtol=1e-12)
    assert torch.allclose(soft.hessian(theta), twin.hessian(theta), rtol=1e-10)
    assert torch.allclose(soft.hessian_operator(theta)(theta), twin.hessian(theta) @ theta, rtol=1e-10)
    assert soft.error_as_given(theta) == pytest.approx(sp.Landscape(net, squared, data).value(theta), rel=1e-14)


def test_gradients_without_a_graph_belong_to_the_same_function() -> None:
    net, data = Functional(), _data()
    with torch.no_grad():
        soft = sp.Landscape(net, squared, data, soften=2.0)
        value = soft.value(soft.initial)
    assert soft.remarks == (
        "E is that of smooth counterparts of sharpness 2 of what has kinks: Relu in the model (Functional)",
    )
    assert value == soft.value_and_gradient(soft.initial)[0]


@pytest.mark.parametrize(
    ("net", "named"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), ["Relu in 1 (ReLU)"]),
        (nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.Linear(4, 2), nn.ReLU6()), ["1 (LeakyReLU)", "3 (ReLU6)"]),
        (nn.Sequential(nn.Linear(3, 4), nn.SELU(), nn.Linear(4, 2)), ["1 (SELU)"]),
        (nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 4)), nn.MaxPool1d(2), nn.Flatten()), ["MaxPool"]),
        (Functional(), ["Relu in the model (Functional)"]),
    ],
    ids=["relu", "leaky", "selu", "pool", "function"],
)  # fmt: skip
def test_kinks_are_named_at_the_start_with_cost_and_remedy(net: nn.Module, named: list[str]) -> None:
    (remark,) = sp.Landscape(net, squared, _data()).remarks
    for part in (*named, "--soften", "--soften 20:160", "many times the cost"):
        assert part in remark


def test_kinks_are_told_before_any_check_that_takes_time() -> None:
    told: list[sp.Landscape] = []
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(sp.SpinodalError, match=r"scale of 0 \(a normalisation follows it\)"):
        prepare(sp.Task(net, squared, _data()), sp.MapOptions(), on_landscape=told.append)
    assert "Relu in 2 (ReLU)" in told[0].remarks[0]


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.ELU(), nn.GELU(), nn.Softplus()], ids=str)
def test_smooth_networks_have_no_kinks_and_nothing_to_soften(activation: nn.Module) -> None:
    net = nn.Sequential(nn.Linear(3, 4), activation, nn.Linear(4, 2))
    assert sp.Landscape(net, squared, _data()).remarks == ()
    assert sp.Landscape(net, squared, _data(), soften=5.0).remarks == ("E has no kinks, and softening changes nothing",)


BETWEEN: dict[str, tuple[Forward, str]] = {
    "hardswish": (functional.hardswish, "Hardswish in the model (Bent)"),
    "abs": (torch.abs, "Abs in the model (Bent)"),
    "clamp": (lambda x: x.clamp(-1, 1), "Clamp in the model (Bent)"),
    "largest": (lambda x: x.amax(1, keepdim=True).expand_as(x), "Amax in the model (Bent)"),
    "rows sorted": (lambda x: x.sort(1)[0], "Sort in the model (Bent)"),
    "median": (lambda x: x.quantile(0.5, dim=1, keepdim=True) + 0 * x, "Sort in the model (Bent)"),
    "one-norm": (lambda x: x / x.norm(p=1, dim=1, keepdim=True), "LinalgVectorNorm in the model (Bent)"),
    "early linear": (lambda x: functional.softplus(x, 1.0, 1.0), "Softplus in the model (Bent)"),
    "floor": (lambda x: x + x.floor(), "Floor in the model (Bent)"),
    "where": (lambda x: torch.where(x > 0, x, 0.1 * x), "a branch by > in the model (Bent)"),
    "times a comparison": (lambda x: x * (x >= 0), "a branch by >= in the model (Bent)"),
    "filled": (lambda x: x.masked_fill(x < 0, 0.0), "a branch by < in the model (Bent)"),
    "heaviside": (lambda x: x * torch.heaviside(x.detach(), x.new_zeros(())), "a branch by heaviside in the model (Bent)"),
    "gathered": (lambda x: x.gather(1, x.argmax(1, keepdim=True)) + 0 * x, "a branch by argmax in the model (Bent)"),
}
SMOOTH: dict[str, Forward] = {
    "gelu": functional.gelu,
    "elu": functional.elu,
    "celu": lambda x: functional.celu(x, 2.0),
    "softsign": functional.softsign,
    "leaky of slope 1": lambda x: functional.leaky_relu(x, 1.0),
    "both sides": lambda x: torch.relu(x) - torch.relu(-x),
    "complex modulus": lambda x: torch.complex(x, x + 1).abs(),
    "two-norm": lambda x: x / x.norm(dim=1, keepdim=True).clamp(min=1e-6),
    "no number": lambda x: torch.where(torch.isnan(x), 0.0, x.tanh()),
    "one of two formulas": lambda x: torch.where(x > 0, 1 / (1 + (-x).exp()), x.exp() / (1 + x.exp())),
    "a count": lambda x: x.tanh() + (0.0 if int((x > 0).sum()) < 0 else 1.0),
}
SOFTENED = {"hardswish", "abs", "clamp", "largest"}


class Bent(nn.Module):
    """Two layers with anything between them."""

    def __init__(self, between: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.between, self.second = nn.Linear(3, 5), between, nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.between(self.first(x)))


@pytest.mark.parametrize("case", BETWEEN)
def test_what_bends_is_named_and_softened_or_refused_by_name(case: str) -> None:
    between, named = BETWEEN[case]
    (remark,) = sp.Landscape(Bent(between), squared, _data()).remarks
    assert f"piecewise smooth: {named}." in remark
    assert ("soften it" in remark) == (case in SOFTENED)
    assert (f"but not {named}: replace it" in remark) == (case not in SOFTENED)
    if case in SOFTENED:
        assert f"kinks: {named}" in sp.Landscape(Bent(between), squared, _data(), soften=5.0).remarks[0]
        return
    with pytest.raises(sp.SpinodalError) as caught:
        sp.Landscape(Bent(between), squared, _data(), soften=5.0)
    assert caught.value.got == f"E has kinks that softening leaves: {named}"
    assert "torch.relu(x) for torch.where" in caught.value.do


@pytest.mark.parametrize("case", SMOOTH)
def test_what_does_not_bend_is_not_named(case: str) -> None:
    assert sp.Landscape(Bent(SMOOTH[case]), squared, _data()).remarks == ()
    assert sp.Landscape(Bent(SMOOTH[case]), squared, _data(), soften=5.0).remarks == (
        "E has no kinks, and softening changes nothing",
    )


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Hardswish(), nn.Hardtanh()], ids=str)
def test_kinks_that_no_parameter_moves_are_none(activation: nn.Module) -> None:
    trunk = nn.Sequential(nn.Linear(3, 4), activation).requires_grad_(False)
    net = nn.Sequential(trunk, nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    assert sp.Landscape(net, squared, _data()).remarks == ()
    soft = sp.Landscape(net, squared, _data(), soften=5.0)
    assert soft.remarks == ("E has no kinks, and softening changes nothing",)
    assert soft.value(soft.initial) == soft.error_as_given(soft.initial)
    net[0].requires_grad_(True)
    assert "piecewise smooth" in sp.Landscape(net, squared, _data()).remarks[0]


def test_kinks_in_a_scripted_module_are_named() -> None:
    inner = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    net = nn.Sequential(inner, nn.Linear(4, 2))
    assert "piecewise smooth: Relu in 0 (scripted)" in sp.Landscape(net, squared, _data()).remarks[0]
    with pytest.raises(sp.SpinodalError, match="in a scripted module take the plain one"):
        sp.Landscape(net, squared, _data(), soften=5.0)


def test_a_maximum_that_is_only_subtracted_is_no_kink() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        outputs = model(batch[0])
        outputs = outputs - outputs.max(1, keepdim=True)[0]
        return (outputs.exp().sum(1).log() - outputs[:, 0]).mean()

    assert sp.Landscape(nn.Linear(3, 2), loss, _data()).remarks == ()


def test_kinks_that_softening_leaves_are_refused_by_name() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0]).sort(0)[0][:5].square().mean()

    with pytest.raises(sp.SpinodalError, match=r"softening leaves: Sort in the loss"):
        sp.Landscape(nn.Linear(3, 2), loss, _data(), soften=5.0)


@pytest.mark.parametrize("soften", [0.0, -1.0, math.nan, (20.0, 20.0), (20.0, 5.0), (1.0, 2.0, 3.0), "sharp", 1e9])
def test_a_sharpness_that_means_nothing_is_refused(soften: Any) -> None:
    with pytest.raises(sp.SpinodalError, match="try 20"):
        sp.MapOptions(soften=soften)


# -- maps ------------------------------------------------------------------------------------


class Chain(nn.Module):
    """`relu(w_1) relu(w_2) relu(w_3)`, whose phase ends where that of `w_1 w_2 w_3` does: at beta = .236235."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.w).prod() * x


def _chain() -> sp.Task:
    loss = lambda model, batch: (1 - model(batch[0])).square().mean() / 2  # noqa: E731
    return sp.Task(Chain(), loss, (torch.ones(1),), initial=lambda seed: torch.ones(3, dtype=F64))


def test_the_limit_of_softened_transitions_is_the_closed_form() -> None:
    diagram = sp.map_phases(_chain(), beta=(0.1, 0.3), starts=1, soften=(4.0, 32.0))
    (limit,) = diagram.limits
    exact = 0.2362351541
    assert limit.limit is not None
    assert limit.error is not None
    assert limit.sharpness == (4.0, 8.0, 16.0, 32.0)
    assert abs(limit.beta[0] - exact) > 1e-2 > limit.error  # the softened network itself is far off
    assert abs(limit.limit - exact) <= limit.error
    assert limit.is_confirmed
    assert "confirmed by minimising it on both sides" in diagram.answer()


class Product(nn.Module):
    """`w_1 w_2 w_3`, whose distance from 1 has a kink that holds the minimiser up to beta = 1/2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.prod() * x


def _distance() -> sp.Task:
    start = torch.tensor([1.3, 0.8, 1.1], dtype=F64)
    loss = lambda model, batch: (1 - model(batch[0])).abs().mean()  # noqa: E731
    return sp.Task(Product(), loss, (torch.ones(1),), initial=lambda seed: start)


def test_nothing_is_claimed_between_points_that_stall_at_a_kink() -> None:
    diagram = sp.map_phases(_distance(), beta=(0.05, 1.0), starts=1)
    stalled = [point for point in diagram.points if point.minimum.stop == "kink"]
    ends = diagram.points[0].error, diagram.points[-1].error
    assert ends == pytest.approx((0.0, 1.0))  # E goes over all of its range,
    assert diagram.transitions == ()  # and yet no transition is claimed
    (stretch,) = diagram.incomplete
    assert (stretch.low, stretch.high) == (0.05, diagram.points[len(stalled)].beta)
    assert "stalled at a kink" in stretch.reason
    headline = f"{len(stalled)} of {len(diagram.points)} points did not converge"
    assert diagram.answer().startswith(headline)
    assert diagram.to_dict()["answer"]["text"].startswith(headline)
    assert answer_sentences(diagram)[0].startswith(headline)
    assert "transition" not in diagram.answer()


def test_a_loop_claims_no_range_of_existence_for_points_that_stall() -> None:
    diagram = sp.map_phases(_distance(), beta=(0.05, 1.0), starts=1, direction="loop")
    assert diagram.back is not None
    assert diagram.transitions == diagram.back.transitions == diagram.spinodals == diagram.coexistence == ()
    assert [phase.existence for phase in diagram.phases] == [None]


def test_a_minimiser_that_a_kink_holds_is_let_go_at_the_closed_form() -> None:
    # on w_1 w_2 w_3 = 1 the force 2 beta of the penalty must be within the subgradients [-1, 1] of the distance
    (limit,) = sp.map_phases(_distance(), beta=(0.05, 1.0), starts=1, soften=(20.0, 160.0)).limits
    assert limit.limit is not None
    assert limit.error is not None
    assert abs(limit.limit - 0.5) <= limit.error < 0.01
    assert limit.is_confirmed


def test_a_softened_map_says_so_everywhere_and_a_run_keeps_it(command: Command, tmp_path: Path) -> None:  # noqa: F811
    place = tmp_path / "chain.py"
    place.write_text(
        "import torch, spinodal as sp\nfrom torch import nn\n"
        "class Chain(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.w = nn.Parameter(torch.ones(3))\n"
        "    def forward(self, x):\n        return torch.relu(self.w).prod() * x\n"
        "def task():\n"
        "    return sp.Task(Chain(), lambda m, b: (1 - m(b[0])).square().mean() / 2, (torch.ones(1),),\n"
        "                   initial=lambda seed: torch.ones(3, dtype=torch.float64))\n"
    )
    run = tmp_path / "run"
    done = command("map", f"{place}:task", "--beta", "0.1:0.3", "--starts", "1", "--soften", "4:16", "--out", str(run))
    assert done.code == 0, done.err
    result = json.loads((run / "result.json").read_text())
    softened = result["softened"]
    assert softened["sharpness"] == 4.0
    assert softened["limits"][0]["confirmed"]
    for text in (done.out, result["answer"]["text"], (run / "report.html").read_text()):
        assert "Kinks are softened (sharpness 4)" in text
    assert "soften = [" in (run / "config.toml").read_text()
    loaded = sp.load(run)
    assert loaded.to_dict()["softened"] == softened
    gap = max(abs(point.observation.custom["error_as_given"] - point.error) for point in loaded.points)
    assert gap == pytest.approx(abs(softened["difference"]))
    again = command(
        "map", f"{place}:task", "--beta", "0.1:0.3", "--starts", "1", "--soften", "5", "--out", str(run), "--resume"
    )
    assert "map.soften" in again.err


def test_a_limit_needs_three_values_of_sharpness() -> None:
    assert extrapolated([1.0, 0.9], 0.0) is None
    limit = Limit((3, 4), (1.0, 2.0), (0.5, 0.6), reason="too few")
    assert Limit.from_dict(json.loads(json.dumps(limit.to_dict()))) == limit

"""Ways up and back: loop areas in closed form, ranges of existence, and loops that survive a kill."""

from __future__ import annotations

import functools
import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from scipy.optimize import brentq

import spinodal as sp
from conftest import area_by_loss
from diagrams import point as made_point
from small_run import lines, write_lines
from spinodal.commands.tables import phases_table, summary, transitions_table
from spinodal.errors import SpinodalError
from spinodal.mapping.progress import Progress
from spinodal.phases.answer import DEEPEST
from spinodal.phases.envelope import Part, envelope, violations
from spinodal.phases.existence import divided
from spinodal.phases.loss_curve import LossCurve
from spinodal.phases.own_part import OwnPart
from spinodal.store import RunFolder
from spinodal.sweeps.walk import Point


class Chain(torch.nn.Module):
    """The scalar chain `E = (1 - w_1 ... w_D)^2 / 2`."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(depth))


def chain(depth: int) -> sp.Landscape:
    return sp.Landscape(Chain(depth), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)


def looped(depth: int, low: float, high: float) -> sp.hysteresis.Loop:
    landscape = chain(depth)
    start = sp.minimise(landscape, beta=low, start=landscape.initial)
    return sp.sweep(landscape, start=start, to=high, direction="loop")


def chain_loss(depth: int, w: float) -> tuple[float, float]:
    """Return beta and L of the balanced branch at weights w."""
    beta = 0.5 * w ** (depth - 2) * (1 - w**depth)
    return beta, 0.5 * (1 - w**depth) ** 2 + depth * beta * w**2


@pytest.mark.parametrize("depth", [3, 4])
def test_the_loop_area_of_a_chain_is_the_integral_along_its_branch(depth: int) -> None:
    low, last = 0.05, ((depth - 2) / (2 * depth - 2)) ** (1 / depth)
    first = brentq(lambda w: chain_loss(depth, w)[0] - low, last, 1.0)
    expected = chain_loss(depth, last)[1] - chain_loss(depth, first)[1]  # the zero state has no norm
    loop = looped(depth, low, 0.4)
    assert loop.area == pytest.approx(expected, rel=2e-3)  # the walk's own steps are coarse
    assert area_by_loss(loop) == pytest.approx(expected, rel=1e-6)
    assert loop.down.transitions == ()
    assert [item.order for item in loop.up.transitions] == ["first"]


def test_a_second_order_transition_has_no_hysteresis() -> None:
    loop = looped(2, 0.1, 1.0)
    assert [item.order for item in (*loop.up.transitions, *loop.down.transitions)] == ["second", "second"]
    assert [item.beta for item in (*loop.up.transitions, *loop.down.transitions)] == pytest.approx([0.5, 0.5], rel=1e-4)
    assert abs(loop.area) < 1e-6
    assert abs(area_by_loss(loop)) < 1e-9


def test_a_loop_that_begins_at_the_top_goes_down_first() -> None:
    landscape = chain(3)
    trivial = sp.minimise(landscape, beta=0.4, start=torch.zeros(3))
    loop = sp.sweep(landscape, start=trivial, to=0.1, direction="loop")
    assert loop.betas == (0.1, 0.4)
    assert loop.down.points[0].beta == 0.4
    assert loop.area == pytest.approx(0.0, abs=1e-12)


def test_a_loop_prints_both_ways() -> None:
    text = str(looped(2, 0.1, 1.0))
    assert text.startswith("loop from beta = 0.1 to 1 and back: area ")
    assert [line.split(":")[0] for line in text.splitlines()[1:]] == ["up", "down"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"direction": "lop"}, "did you mean 'loop'"),
        ({"direction": "down"}, "a direction in which `to` lies"),
    ],
)
def test_a_direction_that_is_none_is_refused(options: dict[str, Any], text: str) -> None:
    landscape = chain(3)
    start = sp.minimise(landscape, beta=0.1, start=landscape.initial)
    with pytest.raises(SpinodalError, match=text):
        sp.sweep(landscape, start=start, to=0.4, **options)


def test_a_loop_that_is_cut_short_has_no_area() -> None:
    loop = looped(3, 0.1, 0.4)
    cut = sp.Loop(loop.up, sp.Sweep(loop.down.points[:2], (), "stopped at beta = 0.3"))
    assert math.isnan(cut.area)


# -- maps in a loop -------------------------------------------------------------------------------


def linear(hidden: tuple[int, ...], values: tuple[float, ...]) -> sp.Task:
    return sp.tasks.gaussian(
        activation="linear", hidden=hidden, singular_values=values, inputs=2, outputs=2, samples=20, bias=False
    )


@functools.cache
def nested() -> sp.PhaseDiagram:
    """Return the loop of a net of three weight matrices: two modes, two first-order transitions."""
    return sp.map_phases(linear((2, 2), (0.9, 0.5)), direction="loop", beta=(0.06, 0.5), starts=2, bracket=1e-3)


@functools.cache
def shallow() -> sp.PhaseDiagram:
    """Return the loop of a net of two weight matrices, which has second-order transitions only."""
    return sp.map_phases(linear((2,), (0.9, 0.5)), direction="loop", beta=(0.1, 1.2), starts=2)


def test_every_nested_phase_of_a_deep_linear_net_is_a_minimum_for_every_beta() -> None:
    for phase in nested().phases:
        assert phase.existence is not None
        assert phase.existence.range[0] == 0.0
        assert phase.existence.lower_reason.startswith("a minimum for every beta > 0: followed down to")
        assert "times 2 beta, so that of Hess E is not negative" in phase.existence.lower_reason
    assert "is 1 times 2 beta" in nested().phases[-1].existence.lower_reason  # dead modes feel the penalty alone


def test_phases_end_at_the_exact_spinodals() -> None:
    exact = [item.beta for item in nested().exact]
    ends = [phase.existence.range[1] for phase in nested().phases if phase.existence is not None]
    assert ends == pytest.approx([*exact, nested().range[1]], rel=1e-9)
    assert [(item.phase, item.side) for item in nested().spinodals] == [(0, "upper"), (1, "upper")]
    for item, beta in zip(nested().spinodals, exact, strict=True):
        assert item.beta == pytest.approx(beta, rel=1e-9)
        assert item.certificate is not None
        assert max(item.certificate.residual, abs(item.certificate.eigenvalue)) < 1e-10
        assert item.certificate.overlap > 0.1
    assert [transition.order for transition in nested().transitions] == ["first", "first"]
    assert nested().back is not None
    assert nested().back.transitions == ()


def test_phases_are_equally_deep_at_the_exact_coexistence_points() -> None:
    exact = [item.coexistence for item in nested().exact]
    assert [item.beta for item in nested().coexistence] == pytest.approx(exact, rel=1e-8)
    assert [item.phases for item in nested().coexistence] == [(0, 1), (1, 2)]
    for item, s in zip(nested().coexistence, (0.5, 0.9), strict=True):
        w = (s / 2.0) ** (1.0 / 3.0)  # of the live mode; the dead one has none
        assert item.latent_heat == pytest.approx(3.0 * w**2, rel=1e-6)
        assert item.saddle is not None
        assert item.saddle.index == 1
        assert item.by_area is not None
        assert abs(item.by_area.difference) < 1e-6


def test_a_phase_is_the_deepest_between_its_coexistence_points() -> None:
    low, high = (item.coexistence for item in nested().exact)
    stable = [phase.existence.stable for phase in nested().phases if phase.existence is not None]
    assert [list(part) for parts in stable for part in parts] == [
        pytest.approx([0.0, low], rel=1e-8),
        pytest.approx([low, high], rel=1e-8),
        pytest.approx([high, nested().range[1]], rel=1e-8),
    ]
    assert nested().violations == ()


def test_the_loop_area_of_a_deep_linear_net_is_the_integral_of_its_modes() -> None:
    loop = nested().loop
    assert loop is not None
    expected = 0.0
    for s in (0.9, 0.5):
        beta = lambda w, s=s: w * (s - w**3)  # noqa: E731
        value = lambda w, s=s, beta=beta: (s - w**3) ** 2 + 3.0 * beta(w) * w**2  # noqa: E731
        last = (s / 4.0) ** (1.0 / 3.0)
        first = brentq(lambda w, beta=beta: beta(w) - loop.betas[0], last, s ** (1.0 / 3.0))
        expected += value(last) - value(first)
    assert loop.area == pytest.approx(expected, rel=2e-3)
    assert area_by_loss(loop) == pytest.approx(expected, rel=1e-5)


def test_second_order_transitions_have_no_hysteresis_and_phases_touch() -> None:
    diagram = shallow()
    assert diagram.back is not None
    assert diagram.loop is not None
    assert [item.beta for item in diagram.back.transitions] == pytest.approx([0.9, 0.5], rel=1e-6)
    assert abs(diagram.loop.area) < 1e-6
    assert diagram.back_phases == (2, 1, 0)
    assert (diagram.spinodals, diagram.coexistence, diagram.violations) == ((), (), ())
    for lower, upper in itertools.pairwise(phase.existence for phase in diagram.phases):
        assert lower is not None
        assert upper is not None
        assert lower.range[1] == pytest.approx(upper.range[0], rel=1e-6)
        assert lower.metastable == ()
    edges = [(edge.phase, edge.falls_to, edge.direction) for edge in diagram.tree]
    assert edges == [(0, 1, "up"), (1, 2, "up"), (2, 1, "down"), (1, 0, "down")]


def cells(table: Any, heading: str) -> list[str]:
    return next(list(column.cells) for column in table.columns if column.header == heading)


def test_tables_of_a_loop_show_the_way_and_where_phases_exist() -> None:
    result = shallow().to_dict()
    made = transitions_table(result, 120)
    assert cells(made, "way") == ["up", "up", "down", "down"]
    assert cells(made, "rank") == ["2->1", "1->0", "0->1", "1->2"]
    phases = phases_table(result, 120)
    assert cells(phases, "a minimum in")[1:] == ["0.5 - 0.9", "0.9 - 1.2"]
    assert cells(phases, "deepest in")[1:] == ["0.5 - 0.9", "0.9 - 1.2"]
    assert "loop area" in str(summary(result))


class Wells(torch.nn.Module):
    """A coordinate."""

    def __init__(self) -> None:
        super().__init__()
        self.x = torch.nn.Parameter(torch.tensor(-2.0))


def wells(model: torch.nn.Module, batch: object) -> torch.Tensor:
    """Return an error with a deep, wide well at -2 and a shallow one at 1."""
    x: Any = model.x
    return -torch.exp(-2.0 * (x + 2.0) ** 2) - 0.5 * torch.exp(-((x - 1.0) ** 2) / 0.18)


@functools.cache
def three_wells() -> sp.PhaseDiagram:
    task = sp.Task(Wells(), wells, None, initial=lambda seed: torch.tensor([-2.0]))
    return sp.map_phases(task, direction="loop", beta=(0.05, 1.0), starts=1)


def well_ends() -> list[float]:
    """Return the beta at which the slope of E over 2 x is extreme: the folds of the right well and of the deep one."""

    def beta(x: float) -> float:
        left = 4.0 * (x + 2.0) * math.exp(-2.0 * (x + 2.0) ** 2)
        right = 0.5 * (x - 1.0) / 0.09 * math.exp(-((x - 1.0) ** 2) / 0.18)
        return -(left + right) / (2.0 * x)

    def extreme(low: float, high: float) -> float:
        slope = lambda x: (beta(x + 1e-6) - beta(x - 1e-6)) / 2e-6  # noqa: E731
        return beta(brentq(slope, low, high))

    return [extreme(0.05, 0.2), extreme(0.5, 0.75), extreme(-1.8, -1.2)]


def test_a_phase_that_only_the_way_back_meets_is_followed_to_both_of_its_ends() -> None:
    diagram = three_wells()
    lowest, right, deep = well_ends()
    assert diagram.back is not None
    assert diagram.back_phases == (1, 2)
    assert [phase.id for phase in diagram.phases] == [0, 1, 2]
    found = [phase.existence for phase in diagram.phases]
    assert [item.range[1] for item in found if item] == pytest.approx([deep, 1.0, right], rel=1e-5)
    assert found[1] is not None
    assert found[1].range[0] == pytest.approx(lowest, rel=1e-5)
    assert found[1].lower_reason == "first-order transition on the way down: it falls into phase 2"
    assert found[2] is not None
    assert found[2].upper_reason == "first-order transition on the way up: it falls into phase 1"
    assert {(edge.phase, edge.falls_to, edge.direction) for edge in diagram.tree} == {
        (0, 1, "up"), (1, 2, "down"), (2, 1, "up"),
    }  # fmt: skip
    sides = {(item.phase, item.side): item.beta for item in diagram.spinodals}
    assert sides == {
        (0, "upper"): pytest.approx(deep, rel=1e-5),
        (1, "lower"): pytest.approx(lowest, rel=1e-5),
        (2, "upper"): pytest.approx(right, rel=1e-5),
    }


class Faint(torch.nn.Module):
    """Coordinates that die at beta = .1 and .3 beside many that shrink smoothly."""

    def __init__(self) -> None:
        super().__init__()
        self.x = torch.nn.Parameter(torch.ones(2))
        self.y = torch.nn.Parameter(torch.ones(12))


def faint(model: torch.nn.Module, batch: object) -> torch.Tensor:
    """Return an error whose kinks in `||theta||^2` are faint: `x_k^2 = 2 (beta_k - beta)`, `y = .2 / (.2 + beta)`."""
    x, y = cast("torch.Tensor", model.x), cast("torch.Tensor", model.y)
    return (x**4 / 4.0 - torch.tensor([0.1, 0.3], dtype=x.dtype) * x**2).sum() + 0.2 * (1.0 - y).square().sum()


@pytest.mark.parametrize("dying", [[0.1], [0.1, 0.3]])
def test_a_phase_ends_at_a_kink_that_the_walk_down_along_it_does_not_notice(dying: list[float]) -> None:
    diagram = sp.map_phases(sp.Task(Faint(), faint, None), beta=(0.03, 1.2 * dying[-1]), starts=1, direction="loop")
    found = [phase.existence for phase in diagram.phases]
    assert len(found) == len(dying) + 1
    ends = [0.0, *dying, 1.2 * dying[-1]]
    for item, low, high in zip(found, *zip(*itertools.pairwise(ends), strict=True), strict=True):
        assert item is not None
        assert item.range == pytest.approx((low, high), rel=1e-5)
        assert item.stable == (item.range,)
    assert found[1] is not None
    assert found[1].lower_reason == "second-order transition on the way down: it joins phase 0"
    assert diagram.conclusion.depth.kind == DEEPEST


def test_a_walk_along_a_phase_is_cut_where_it_runs_along_another_one() -> None:
    points = [made_point(k, beta, level=0) for k, beta in enumerate((0.3, 0.28, 0.2, 0.1))]
    own = OwnPart.of(points, (), lambda point: point.beta < 0.25, begun=None, norm_range=1.0)
    assert own.points == (points[1],)
    assert own.end is not None
    assert (own.end.bracket, own.end.direction, own.end.order) == ((0.2, 0.28), "down", "not classified")
    assert own.end.before is points[1]
    whole = OwnPart.of(points, (), lambda point: False, begun=None, norm_range=1.0)
    assert (whole.points, whole.end) == (tuple(points[1:]), None)


def test_a_snapshot_of_the_way_back_can_be_taken() -> None:
    diagram = three_wells()
    assert diagram.back is not None
    last = diagram.back.points[-1]
    assert diagram.at_point(last.index).theta.tolist() == last.minimum.theta.tolist()


def test_the_result_of_a_loop_is_strict_json_with_both_ways() -> None:
    result = three_wells().to_dict()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [item["direction"] for item in result["transitions"]] == ["up", "down"]
    assert result["loop"]["phases"] == [1, 2]
    assert result["loop"]["back_to"] == 0.05
    assert result["certificates"]["area"] < 1e-8
    assert three_wells().to_xarray().direction.values.tolist() == ["up", "down"]


def test_branches_in_a_map_upwards_polish_its_spinodals() -> None:
    diagram = sp.map_phases(linear((2, 2), (0.9,)), branches=True, beta=(0.2, 0.5), starts=3, bracket=1e-3)
    (exact,) = diagram.exact
    assert [item.beta for item in diagram.transitions] == pytest.approx([exact.beta], rel=1e-9)
    assert "fold of the branch at beta" in diagram.transitions[0].status
    assert [item.beta for item in diagram.coexistence] == pytest.approx([exact.coexistence], rel=1e-8)
    assert diagram.loop is None
    assert sorted(diagram.branches) == [0, 1]
    assert diagram.branches[0].index[-1] == 1
    assert [edge.to_dict()["falls_to"] for edge in diagram.tree] == [1]


def test_without_dense_hessians_phases_are_equally_deep_at_the_same_beta() -> None:
    diagram = sp.map_phases(linear((30, 30), (0.9,)), branches=True, starts=1, beta=(0.1, 0.6), solver="lbfgs")
    (exact,), (found,) = diagram.exact, diagram.coexistence
    assert diagram.solver == "lbfgs"
    assert [item.beta for item in diagram.spinodals] == pytest.approx([exact.beta], rel=2e-4)
    assert [item.order for item in diagram.transitions] == ["first"]
    assert found.beta == pytest.approx(exact.coexistence, rel=1e-6)
    w = brentq(lambda w: w * (0.9 - w**3) - exact.coexistence, 1e-9, 0.225 ** (1.0 / 3.0))
    barrier = (0.9 - w**3) ** 2 + 3.0 * exact.coexistence * w**2 - 0.81
    assert found.barrier == pytest.approx((barrier, barrier), rel=1e-3)


def test_branches_downwards_are_refused() -> None:
    with pytest.raises(SpinodalError, match="branches in a map downwards"):
        sp.MapOptions(direction="down", branches=True)


# -- loops on disk --------------------------------------------------------------------------------

LOOP = {"direction": "loop", "beta": (0.25, 0.45), "starts": 3, "bracket": 1e-3}


def run(path: Path, *, resume: bool = False) -> dict[str, Any]:
    task = linear((2, 2), (0.9,))
    with RunFolder(path, {"task": {"name": task.name}, "map": {**LOOP, "beta": list(LOOP["beta"])}}, resume=resume) as folder:
        diagram = sp.map_phases(task, recorder=folder.journal, **LOOP)
        folder.save(diagram)
    return without_seconds(diagram)


def without_seconds(diagram: sp.PhaseDiagram) -> dict[str, Any]:
    result = diagram.to_dict()
    result["stats"].pop("seconds")
    return result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("loop") / "run"
    return path, run(path)


def cut_after(path: Path, target: Path, name: str) -> None:
    """Copy a run as it was when the note `name` had just been written, or half of its points."""
    shutil.copytree(path, target, ignore=shutil.ignore_patterns("result.*"))
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    names = [json.loads(line).get("key") for line in lines]
    count = names.index(name) + 1 if name else len(lines) // 2
    (target / "journal.jsonl").write_bytes(b"".join(lines[:count]))
    kept = {json.loads(line)["state"] for line in lines[:count] if b'"state"' in line}
    for state in (target / "states").iterdir():
        if f"states/{state.name}" not in kept:
            state.unlink()


@pytest.mark.parametrize("name", ["", "branch of phase 0", "branch of phase 1", "coexistence of phases 0 and 1"])
def test_a_loop_cut_anywhere_and_resumed_is_the_same(whole: tuple[Path, dict[str, Any]], tmp_path: Path, name: str) -> None:
    path, expected = whole
    cut_after(path, tmp_path / "cut", name)
    assert run(tmp_path / "cut", resume=True) == expected


def test_a_loop_is_read_back_from_its_journal(whole: tuple[Path, dict[str, Any]]) -> None:
    path, expected = whole
    loaded = sp.load(path)
    assert without_seconds(loaded) == expected
    assert loaded.loop is not None
    assert loaded.loop.area == expected["loop"]["area"]
    assert loaded.branches[0].folds[0].beta == expected["spinodals"][0]["beta"]
    assert loaded.branches[0].points[0].theta.numel() == 0  # parameters of branches are not kept


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loop", {"followed": [0], "phases": [0, 1, 2], "status": "complete"}),
        ("tree", [{"phase": 7, "falls_to": None, "beta": 0.1, "direction": "up"}]),
        ("branches", [{"phase": 0, "stop": "anything"}]),
        ("spinodals", [{"beta": -0.1, "phase": 0, "side": "upper", "certificate": None, "reason": None}]),
        ("coexistence", [{"beta": 0.1, "phases": [0, 5]}]),
    ],
)
def test_a_loop_that_was_damaged_is_refused(whole: tuple[Path, dict[str, Any]], tmp_path: Path, key: str, value: Any) -> None:
    shutil.copytree(whole[0], tmp_path / "damaged")
    changed = lines(tmp_path / "damaged")
    changed[-1]["record"][key] = value
    write_lines(tmp_path / "damaged", changed)
    with pytest.raises(SpinodalError, match=r"the result in .* is damaged"):
        sp.load(tmp_path / "damaged")


# -- the lower envelope ---------------------------------------------------------------------------


def on_curve(index: int, beta: float, loss: float, norm_squared: float) -> Point:
    """Return a point with a given L and `||theta||^2`."""
    made = made_point(index, beta, level=0)
    return replace(
        made,
        minimum=replace(made.minimum, loss=loss),
        observation=replace(made.observation, distance=math.sqrt(norm_squared)),
    )


def curve(phase: int, betas: list[float], loss: Any, slope: Any) -> LossCurve:
    return LossCurve.through(phase, [on_curve(k, beta, loss(beta), slope(beta)) for k, beta in enumerate(betas)])


def cubic(beta: float) -> float:
    return beta * (3.0 - beta) + beta**3


def test_the_interpolated_loss_is_exact_for_cubics() -> None:
    known = curve(0, [0.1, 0.3, 0.6], cubic, lambda beta: 3.0 - 2.0 * beta + 3.0 * beta**2)
    for beta in (0.1, 0.17, 0.3, 0.59, 0.6):
        assert known.loss(beta) == pytest.approx(cubic(beta), rel=1e-14)


DEEP = curve(0, [0.1, 0.2, 0.3, 0.4], lambda beta: 2.0 * beta, lambda beta: 2.0)
DEAD = curve(1, [0.15, 0.35, 0.5], lambda beta: 0.5, lambda beta: 0.0)


def test_the_deepest_phase_changes_where_the_losses_cross() -> None:
    parts = envelope([DEEP, DEAD])
    assert [(part.phase, round(part.low, 12), round(part.high, 12)) for part in parts] == [(0, 0.1, 0.25), (1, 0.25, 0.5)]
    assert violations([DEEP, DEAD], parts, error_range=1.0, norm_range=2.0) == ()


def test_a_coexistence_point_that_is_known_better_is_the_border() -> None:
    parts = envelope([DEEP, DEAD], {frozenset((0, 1)): (0.2501,)})
    assert parts == (Part(0, 0.1, 0.2501), Part(1, 0.2501, 0.5))


def test_a_norm_that_grows_along_the_envelope_tells_of_a_missed_branch() -> None:
    richer = curve(1, [0.4, 0.5, 0.6], lambda beta: 0.8 + 3.0 * (beta - 0.4), lambda beta: 3.0)
    (found,) = violations([DEEP, richer], envelope([DEEP, richer]), error_range=1.0, norm_range=3.0)
    assert found.text.startswith("a deeper branch was missed here: ||theta||^2 grows from 2 to 3 between phases 0 and 1")
    assert found.beta == pytest.approx(0.4)


def test_a_fall_of_the_envelope_tells_of_a_missed_branch() -> None:
    fallen = curve(1, [0.4001, 0.5], lambda beta: 0.5, lambda beta: 0.0)
    (found,) = violations([DEEP, fallen], envelope([DEEP, fallen]), error_range=1.0, norm_range=2.0)
    assert "L is not concave" in found.text
    assert found.beta == pytest.approx(0.4, abs=1e-3)


def test_a_range_is_divided_into_stable_and_metastable_parts() -> None:
    stable, metastable = divided((0.0, 0.9), [(0.1, 0.2), (0.4, 0.5)], known=(0.1, 0.8))
    assert stable == ((0.0, 0.2), (0.4, 0.5))
    assert metastable == ((0.2, 0.4), (0.5, 0.9))
    assert divided((0.1, 0.2), [], known=(0.1, 0.2)) == ((), ((0.1, 0.2),))


def test_phases_that_are_followed_beside_the_walk_are_told_of() -> None:
    """After the way back of a loop every phase is followed to its end, which takes longest in large networks."""

    class Heard(Progress):
        def __init__(self) -> None:
            self.walked_on, self.followed = list[float](), list[float]()

        def point(self, point: Point) -> None:
            self.walked_on.append(point.beta)

        def beside(self, point: Point) -> None:
            self.followed.append(point.beta)

    heard = Heard()
    task = sp.tasks.gaussian(activation="linear", hidden=(1, 1), singular_values=(0.5,), inputs=1, outputs=1, samples=20)
    sp.map_phases(task, beta=(0.1, 0.25), starts=1, direction="loop", progress=heard)
    assert heard.walked_on[-1] == pytest.approx(0.1)
    assert heard.followed
    assert min(heard.followed) < 0.1

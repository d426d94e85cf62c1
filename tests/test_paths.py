"""Paths between minima: exact answers of deep linear nets, dense sampling, equivariance, resuming, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal.commands.path_tables import sentences_of
from spinodal.landscape.penalty import Penalty
from spinodal.paths import graph_of_minima
from spinodal.paths.curve import bezier
from spinodal.paths.effort import Effort
from spinodal.paths.epochs import Epochs, in_batches
from spinodal.paths.found import spread
from spinodal.paths.interval import measured
from spinodal.paths.walk import Walk
from spinodal.report.path_page import render_paths
from spinodal.tasks import Task

SINGULAR_VALUES = (0.9, 0.5)
METHODS = ("l2", "walk", "straight", "bezier", "chain", "band")


@cache
def linear(hidden: tuple[int, ...], inputs: int = 3) -> tuple[Task, sp.Landscape]:
    task = sp.tasks.gaussian(
        activation="linear", hidden=hidden, bias=False, samples=100, inputs=inputs, singular_values=SINGULAR_VALUES
    )
    return task, task.landscape()


@cache
def minimum(hidden: tuple[int, ...], seed: int, inputs: int = 3, flipped: bool = False) -> Tensor:
    """Return an exact minimum: random orthogonal columns before the last layer, which makes the product the covariance."""
    task, landscape = linear(hidden, inputs)
    x, y = task.data  # type: ignore[misc]
    generator = torch.Generator().manual_seed(seed)
    layers, before = [], torch.eye(inputs, dtype=torch.float64)
    for width in hidden:
        drawn = torch.randn(max(width, len(before)), min(width, len(before)), generator=generator, dtype=torch.float64)
        weight = torch.linalg.qr(drawn)[0]
        layers.append(weight if width >= len(before) else weight.T)
        before = layers[-1] @ before
    if bool(before[:inputs, :inputs].det() < 0) != flipped:
        layers[-1][0] *= -1.0
        before[0] *= -1.0
    layers.append(y.T.double() @ x.double() / len(x) @ torch.linalg.pinv(before))
    theta = torch.cat([layer.reshape(-1) for layer in layers])
    assert landscape.value(theta) < 0.02 + 1e-12  # the noise, exactly
    return theta


@cache
def apart() -> tuple[sp.Path, sp.Path]:
    """Return the paths there and back between minima whose determinants have opposite signs, at the width of the rank."""
    a, b = minimum((2,), 0, 2), minimum((2,), 1, 2, flipped=True)
    landscape = linear((2,), 2)[1]
    return sp.connect(landscape, a, b), sp.connect(landscape, b, a)


def densely(landscape: sp.Landscape, path: sp.Path, count: int = 1501) -> float:
    return max(landscape.value(path.at(t).theta) for t in torch.linspace(0, 1, count).double().tolist())


# -- exact answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "seeds"), [((4, 4), (0, 1)), ((3,), (0, 1))])
def test_minima_of_linear_nets_wider_than_the_rank_are_joined(hidden: tuple[int, ...], seeds: tuple[int, int]) -> None:
    landscape = linear(hidden)[1]
    a, b = (minimum(hidden, seed) for seed in seeds)
    path = sp.connect(landscape, a, b)
    assert path.reached
    assert path.barrier < 1e-6
    assert path.straight > 0.05
    assert torch.equal(path.points[0], a)
    assert torch.equal(path.points[-1], b)
    assert densely(landscape, path) <= path.max_error + path.uncertainty + 1e-9


def test_opposite_determinants_are_not_joined_and_the_height_is_that_of_the_weakest_mode() -> None:
    """A path between both signs has a singular matrix on it; the lowest such point loses the weaker mode, s^2 of it."""
    path, _ = apart()
    assert not path.reached
    assert path.barrier == pytest.approx(SINGULAR_VALUES[1] ** 2, rel=1e-3)
    assert path.status == f"not joined: on the lowest path that was found E rises by {path.barrier:.6g} above its larger end"
    assert path.jumps
    assert all(jump.beta[0] < jump.beta[1] and jump.distance[0] > jump.distance[1] for jump in path.jumps)


def test_equal_determinants_are_joined_at_the_width_of_the_rank() -> None:
    path = sp.connect(linear((2,), 2)[1], minimum((2,), 0, 2), minimum((2,), 1, 2))
    assert path.straight > 0.01
    assert path.barrier < 1e-6


def test_a_walk_arrives_at_its_target_along_the_valley_of_minima() -> None:
    landscape = linear((4, 4))[1]
    ends = minimum((4, 4), 0), minimum((4, 4), 1)
    errors = landscape.value(ends[0]), landscape.value(ends[1])
    for first, last in (ends, ends[::-1]):
        walked = Walk(landscape, first, last, errors=errors, height=0.3, effort=Effort(landscape, 1000.0)).run()
        assert walked.left < 1e-2
        assert torch.equal(walked.points[-1], last)
        assert walked.jumps == []
        assert max(walked.errors) < 0.02 + 1e-2 * 0.3
        away = [float((theta - last).norm()) for theta in walked.points]
        assert all(after < before + 1e-9 for before, after in pairwise(away))
    assert len(walked.points) > 5


def test_a_jump_of_the_walk_begins_in_a_saddle_at_which_the_minimiser_ends() -> None:
    """Just below it `E + beta ||theta - target||^2` has its minimum near the saddle, just above only that at the target."""
    landscape = linear((2,), 2)[1]
    path = apart()[0]
    assert len(path.jumps) == 1
    jump = path.jumps[0]
    target = path.points[0] if jump.start == "b" else path.points[-1]
    saddle = jump.saddle
    assert saddle is not None
    assert jump.beta[0] < saddle.beta < jump.beta[1]
    assert jump.distance[1] < saddle.distance < jump.distance[0]
    assert jump.error[0] < saddle.error < jump.highest + 0.1
    before = sp.minimise(landscape, beta=0.999 * saddle.beta, start=jump.before, penalty=Penalty(centre=target))
    beyond = sp.minimise(landscape, beta=1.001 * saddle.beta, start=before.theta, penalty=Penalty(centre=target))
    assert (before.theta - target).norm() == pytest.approx(saddle.distance, rel=0.1)
    assert (beyond.theta - target).norm() < 0.1 * saddle.distance
    told = path.to_dict()
    assert told["jumps"][0]["saddle"]["beta"] == saddle.beta
    words = f"saddle at beta = {saddle.beta:.8g}"
    result = {"task": {"name": "gaussian"}, "ends": ["A", "B"], "paths": [told], "check": {"answer": "No."}}
    assert any(words in line for line in sentences_of([told]))
    assert words in render_paths(result, provenance={})


def test_the_pass_through_the_phases_is_where_the_weaker_mode_has_died() -> None:
    """At beta = s a mode of singular value s dies: the pass is as high as rank one there, and the direct one lower."""
    direct, _ = apart()
    landscape = linear((2,), 2)[1]
    ends = minimum((2,), 0, 2), minimum((2,), 1, 2, flipped=True)
    path = sp.connect(landscape, *ends, method="phases", budget=1500)
    beta = float(path.way.rsplit("= ", 1)[1])
    dies = SINGULAR_VALUES[1]
    assert dies < beta < 1.25 * dies
    assert 0.8 * (dies**2 + dies**2) < path.barrier < dies**2 + (1.25 * dies) ** 2
    assert direct.barrier < 0.6 * path.barrier
    assert torch.equal(path.points[0], ends[0])
    assert torch.equal(path.points[-1], ends[1])


# -- curves trained in batches ----------------------------------------------------------------------


@cache
def many() -> tuple[sp.Landscape, Tensor, Tensor]:
    """Return E over 640 samples, and two minima."""
    task = sp.tasks.gaussian(activation="tanh", hidden=(5, 5), samples=640)
    landscape = task.landscape()
    ends = [sp.minimise(landscape, beta=1e-4, start=task.initial(seed), solver="lbfgs", tolerance=0.1) for seed in (0, 1)]
    return landscape, ends[0].theta, ends[1].theta


def test_where_samples_are_many_the_default_is_a_curve_and_no_higher_than_any_other_method() -> None:
    landscape, a, b = many()
    paths = {method: sp.connect(landscape, a, b, method=method, budget=80) for method in ("l2", "bezier", "chain", "band")}
    assert paths["l2"].way == "curve trained in batches"
    assert all(paths["l2"].barrier <= path.barrier for path in paths.values())
    assert paths["l2"].barrier < 0.01 * paths["l2"].straight
    dense = densely(landscape, paths["l2"])
    assert dense <= paths["l2"].max_error + paths["l2"].uncertainty + 1e-9


def test_passes_over_batches_cost_what_gradients_over_all_samples_cost() -> None:
    landscape, a, b = many()
    path = sp.connect(landscape, a, b, method="bezier", budget=20)
    assert path.stats.gradient_evaluations == 20


def test_more_samples_make_batches_larger_and_not_more_of_them() -> None:
    net, x = nn.Linear(1, 1, bias=False), torch.ones(100_000, 1)
    few, many_ = (
        in_batches(sp.Landscape(net, lambda model, batch: model(batch).square().mean(), part)) for part in (x[:640], x)
    )
    assert few is not None
    assert few.batches.largest == 64
    assert many_ is not None
    assert 256 <= many_.batches.count <= 257


def test_a_curve_of_many_short_steps_goes_no_farther_than_one_of_few_long_ones() -> None:
    """On a plane slope, seen through the weight w of the control point, Adam's step is the rate times `<w> / sqrt(<w^2>)`.

    The rates of a cosine sum up to half of `REACH`, or to half of `RATE` for each step where that is less.
    """
    share = (1.0 / 3.0) / (2.0 / 15.0) ** 0.5  # of 2 t (1 - t)

    def way(passes: int) -> float:
        net, x = nn.Linear(1, 1, bias=False), torch.ones(640, 1)
        landscape = sp.Landscape(net, lambda model, batch: model(batch).mean(), x, dtype=torch.float64)
        controls = torch.tensor([[-0.5], [0.0], [0.5]], dtype=torch.float64)
        batched = in_batches(landscape)
        assert batched is not None
        return abs(float(Epochs(batched, controls, bezier, 0.0).run(passes)[1]))

    assert way(50) == pytest.approx(share * 0.04 * 500 / 2, rel=0.03)
    assert way(500) == pytest.approx(share * 60.0, rel=0.02)


@pytest.mark.parametrize(("method", "done"), [("l2", 4), ("bezier", 10), ("chain", 10)])
def test_training_that_was_killed_goes_on_from_its_last_state_to_the_same_path(method: str, done: int) -> None:
    landscape, a, b = many()
    whole = sp.connect(landscape, a, b, method=method, budget=20, tolerance=1e-9)
    notebook = Notebook(fails_at=2)
    with pytest.raises(KeyboardInterrupt):
        sp.connect(landscape, a, b, method=method, budget=20, tolerance=1e-9, recorder=notebook)
    notebook.fails_at, steps = None, list[int]()
    with pytest.MonkeyPatch.context() as patched:
        step = Epochs._step
        patched.setattr(Epochs, "_step", lambda *given: (steps.append(1), step(*given))[1])
        again = sp.connect(landscape, a, b, method=method, budget=20, tolerance=1e-9, recorder=notebook)
    assert torch.equal(again.points, whole.points)
    assert again.to_dict() == whole.to_dict()
    assert len(steps) == (whole.stats.gradient_evaluations - done) * 10


def test_an_error_that_is_no_mean_over_samples_is_not_taken_in_batches() -> None:
    net, x = nn.Linear(2, 1, bias=False), torch.randn(640, 2, generator=torch.Generator().manual_seed(0))
    assert in_batches(sp.Landscape(net, lambda model, batch: model(batch).square().mean(), x)) is not None
    assert in_batches(sp.Landscape(net, lambda model, batch: model(batch).var(), x)) is None
    assert in_batches(sp.Landscape(net, lambda model, batch: model(batch).square().mean(), x[:100])) is None


# -- what a path knows of itself ------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_how_high_its_path_is(method: str) -> None:
    landscape = linear((4, 4))[1]
    path = sp.connect(landscape, minimum((4, 4), 0), minimum((4, 4), 1), method=method, budget=150)
    dense = densely(landscape, path)
    assert dense <= path.max_error + path.uncertainty + 1e-9
    assert dense >= path.max_error - 2e-2 * path.barrier - 1e-9
    assert path.barrier <= path.straight * (1 + 1e-9)
    assert path.stats.gradient_evaluations <= 150 + 12  # one mean over the nodes of a curve more
    assert path.evaluations <= 150 + 150  # with the measurement
    assert path.method == method


def test_a_band_begins_where_it_is_told_to() -> None:
    landscape = linear((4, 4))[1]
    ends = minimum((4, 4), 0), minimum((4, 4), 1)
    barriers = [sp.connect(landscape, *ends, method="band", start=start, budget=200).barrier for start in ("straight", "chain")]
    assert barriers[0] != barriers[1]


def test_order_parameters_are_known_along_the_path() -> None:
    x = torch.tensor([[-1.0], [1.0]])
    model = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 2))
    task = Task(model, nn.CrossEntropyLoss(), (x, torch.tensor([0, 1])), held_out=(2 * x, torch.tensor([0, 1])))
    path = sp.connect(task.landscape(), task.initial(0), task.initial(1), task=task, method="straight")
    assert len(path.along.norm) == len(path.points) == 2
    assert path.along.norm[0] == pytest.approx(float(task.initial(0).norm()))
    assert path.along.held_out_error is not None
    with torch.no_grad():
        module = path.at(1.0).module()
        held_out = nn.functional.cross_entropy(module(2 * x.double()), torch.tensor([0, 1]))
    assert path.along.held_out_error[1] == pytest.approx(float(held_out))
    assert path.along.accuracy["train"] is not None
    assert path.along.accuracy["held_out"] is not None
    best = path.best()
    assert best.t == (0.0 if path.along.held_out_error[0] < path.along.held_out_error[1] else 1.0)


def test_both_barriers_follow_their_definitions() -> None:
    landscape = linear((4, 4))[1]
    a, b = minimum((4, 4), 0), torch.zeros(landscape.size, dtype=torch.float64)
    path = sp.connect(landscape, a, b, method="straight")
    first, last = landscape.value(a), landscape.value(b)
    samples = [(t, landscape.value(torch.lerp(a, b, t))) for t in torch.linspace(0, 1, 801).double().tolist()]
    assert path.barrier == pytest.approx(max(0.0, max(e for _, e in samples) - max(first, last)), abs=1e-3)
    over_mean = max(e - (1 - t) * first - t * last for t, e in samples)
    assert path.barrier_over_mean == pytest.approx(max(0.0, over_mean), abs=1e-3)


def test_places_are_measured_along_the_path() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]])
    assert spread(points, 5).tolist() == [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [3.0, 1.0]]


def test_a_narrow_peak_between_two_samples_is_found() -> None:
    found = measured(lambda t: 1.0 / (1.0 + (20.0 * (t - 0.3)) ** 2), 0.027, 0.005, below=0.0, tolerance=1e-3)
    assert found.bound == pytest.approx(1.0, abs=2e-3)


# -- many minima ----------------------------------------------------------------------------------


def test_minima_fall_apart_by_the_signs_of_their_determinants() -> None:
    signs = (False, True, False, True)
    minima = [minimum((2,), seed, 2, flipped=sign) for seed, sign in enumerate(signs)]
    graph = graph_of_minima(linear((2,), 2)[1], minima, budget=1000)
    inside, across = graph.mergers()[:2], graph.mergers()[2]
    assert {frozenset(a + b) for a, b in (merger.groups for merger in inside)} == {frozenset({0, 2}), frozenset({1, 3})}
    assert all(merger.level < 0.02 + 1e-5 for merger in inside)
    assert across.level == pytest.approx(0.02 + SINGULAR_VALUES[1] ** 2, rel=0.03)
    assert graph.level(0, 2) < graph.level(0, 1) == across.level
    assert len(graph.tree) == 3
    with pytest.raises(sp.SpinodalError, match="1 minima; two or more are allowed"):
        graph_of_minima(linear((2,), 2)[1], minima[:1])


def test_threads_that_seek_edges_change_nothing() -> None:
    signs = (False, True, False)
    minima = [minimum((2,), seed, 2, flipped=sign) for seed, sign in enumerate(signs)]
    landscape = linear((2,), 2)[1]
    alone = graph_of_minima(landscape, minima, budget=200)
    with ThreadPoolExecutor(2) as pool:
        together = graph_of_minima(landscape, minima, budget=200, executor=pool)
    assert together.tree == alone.tree
    assert {edge: path.to_dict() for edge, path in together.paths.items()} == {
        edge: path.to_dict() for edge, path in alone.paths.items()
    }


def test_a_graph_that_was_killed_ends_as_one_that_was_not() -> None:
    signs = (False, True, False)
    minima = [minimum((2,), seed, 2, flipped=sign) for seed, sign in enumerate(signs)]
    landscape = linear((2,), 2)[1]
    whole = graph_of_minima(landscape, minima, budget=200)
    notebook = Notebook(fails_at=4)
    with pytest.raises(KeyboardInterrupt):
        graph_of_minima(landscape, minima, budget=200, recorder=notebook)
    kept, notebook.fails_at = set(notebook.parts), None
    again = graph_of_minima(landscape, minima, budget=200, recorder=notebook)
    assert len(kept) == 4
    assert kept < set(notebook.parts)
    assert {edge: path.to_dict() for edge, path in again.paths.items()} == {
        edge: path.to_dict() for edge, path in whole.paths.items()
    }


# -- what changes nothing -------------------------------------------------------------------------


def test_reversed_ends_have_the_same_barrier() -> None:
    there, back = apart()
    assert there.barrier == pytest.approx(back.barrier, rel=1e-12)
    assert torch.equal(there.points, back.points.flip(0))
    assert {there.way, back.way} == {"L2 walk from a", "L2 walk from b"}


def test_reversed_ends_of_a_trained_curve_have_the_same_barrier() -> None:
    landscape, a, b = many()
    there, back = sp.connect(landscape, a, b, budget=30), sp.connect(landscape, b, a, budget=30)
    assert there.barrier == pytest.approx(back.barrier, rel=1e-12)
    assert there.highest[0] == pytest.approx(1.0 - back.highest[0])
    assert back.at(0.25).theta.sub(there.at(0.75).theta).norm() < 1e-9


def test_units_permuted_alike_change_nothing_of_a_trained_curve() -> None:
    landscape, a, b = many()
    order = torch.tensor([2, 0, 4, 3, 1])

    def permuted(theta: Tensor) -> Tensor:
        first, bias, second, *rest = landscape.parameters.unflatten(theta).values()
        return torch.cat([part.reshape(-1) for part in (first[order], bias[order], second[:, order], *rest)])

    assert landscape.value(permuted(a)) == pytest.approx(landscape.value(a))
    plain, other = (sp.connect(landscape, *ends, budget=30) for ends in ((a, b), (permuted(a), permuted(b))))
    assert other.barrier == pytest.approx(plain.barrier, rel=1e-6)


def test_units_of_both_ends_permuted_alike_change_nothing() -> None:
    landscape = linear((4, 4))[1]
    order = torch.tensor([2, 0, 3, 1])

    def permuted(theta: Tensor) -> Tensor:
        first, second, last = landscape.parameters.unflatten(theta).values()
        return torch.cat([first[order].reshape(-1), second[:, order].reshape(-1), last.reshape(-1)])

    a, b = minimum((4, 4), 0), minimum((4, 4), 1)
    plain = sp.connect(landscape, a, b)
    other = sp.connect(landscape, permuted(a), permuted(b))
    assert landscape.value(permuted(a)) == pytest.approx(landscape.value(a))
    assert other.straight == pytest.approx(plain.straight)
    assert abs(other.barrier - plain.barrier) < 1e-6


# -- resuming -------------------------------------------------------------------------------------


class Notebook:
    """Keeps parts in memory, and fails at the part of a number, as a process does that is killed then."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.parts: dict[str, tuple[dict[str, Any], dict[str, Tensor]]] = {}
        self.fails_at = fails_at

    def find(self, key: str) -> Any:
        known = self.parts.get(key)
        return None if known is None else SimpleNamespace(record=known[0], tensors=lambda: known[1])

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        if len(self.parts) == self.fails_at:
            raise KeyboardInterrupt
        self.parts[key] = dict(record), dict(tensors)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_search_that_was_killed_ends_as_one_that_was_not(part: int) -> None:
    landscape = linear((2,), 2)[1]
    ends = minimum((2,), 0, 2), minimum((2,), 1, 2, flipped=True)
    whole = sp.connect(landscape, *ends, budget=400)
    notebook = Notebook(fails_at=part)
    with pytest.raises(KeyboardInterrupt):
        sp.connect(landscape, *ends, budget=400, recorder=notebook)
    notebook.fails_at = None
    for _ in range(2):  # to its end, and what is on record whole
        again = sp.connect(landscape, *ends, budget=400, recorder=notebook)
        assert torch.equal(again.points, whole.points)
        assert again.to_dict() == whole.to_dict()


# -- refusals -------------------------------------------------------------------------------------


def refusal(*ends: object, **settings: Any) -> str:
    with pytest.raises(sp.SpinodalError) as caught:
        sp.connect(linear((4, 4))[1], *ends, **settings)
    return str(caught.value)


def test_ends_that_do_not_fit_are_refused_by_name() -> None:
    good = minimum((4, 4), 0)
    bad = good.clone()
    bad[3] = float("nan")
    assert "both ends of the path are the same point" in refusal(good, good.clone())
    assert "the end b of the path: theta is not finite" in refusal(good, bad)
    assert "the end a of the path: theta is (3,)" in refusal(good[:3], good)
    assert "the end b of the path is a str" in refusal(good, "somewhere")
    assert "the end b of the path: a module of another layout" in refusal(good, nn.Linear(3, 2))


def test_state_dicts_with_missing_or_extra_tensors_are_refused() -> None:
    task, landscape = linear((4, 4))
    state = dict(task.model.state_dict())
    names = list(state)
    good = minimum((4, 4), 0)
    assert f"has no {names[0]}" in refusal(good, {name: state[name] for name in names[1:]})
    assert "extra.weight" in refusal(good, {**state, "extra.weight": torch.ones(2, 2)})
    path = sp.connect(landscape, good, state, method="straight")
    assert torch.equal(path.points[-1], landscape.vector(task.model))


def test_settings_that_cannot_be_are_refused() -> None:
    ends = minimum((4, 4), 0), minimum((4, 4), 1)
    assert "unknown method 'spline'" in refusal(*ends, method="spline")
    assert "budget = -1" in refusal(*ends, budget=-1)
    assert "tolerance = 0" in refusal(*ends, tolerance=0)
    assert "bends = 0" in refusal(*ends, bends=0)


class Pole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))


def test_a_line_on_which_e_is_not_finite_is_refused() -> None:
    pole = sp.Landscape(Pole(), lambda model, batch: model.w.square().sum() + 1.0 / model.w.square().sum(), None)
    with pytest.raises(sp.SpinodalError, match="not a finite number at the ends or on the straight line"):
        sp.connect(pole, torch.tensor([1.0]), torch.tensor([-1.0]))


def test_places_outside_of_a_path_are_refused() -> None:
    path = sp.connect(linear((4, 4))[1], minimum((4, 4), 0), minimum((4, 4), 1), method="straight")
    with pytest.raises(sp.SpinodalError, match=r"t = 1\.5; a number from 0"):
        path.at(1.5)

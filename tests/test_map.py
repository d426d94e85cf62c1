"""The main job: deep linear nets in closed form, the default net, the JSON of the design."""

from __future__ import annotations

import functools
import itertools
import json
import math
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

import spinodal as sp
from conftest import integral_of_norm
from diagrams import diagram as by_hand
from diagrams import loop_diagram
from spinodal.errors import SpinodalError
from spinodal.words.in_full import answer_sentences
from spinodal.words.sentences import where


def drawn(matrices: int, seed: int) -> dict[str, Any]:
    """Return a random linear net: well separated singular values, and widths that let all of them live."""
    rng = random.Random(1000 * matrices + seed)
    inputs, outputs = rng.randint(2, 4), rng.randint(2, 3)
    count = rng.randint(1, min(inputs, outputs))
    values = [rng.uniform(0.3, 0.5) * 1.6**k for k in range(count)]
    return {
        "activation": "linear",
        "singular_values": values,
        "inputs": inputs,
        "outputs": outputs,
        "hidden": [rng.randint(count, 6) for _ in range(matrices - 1)],
        "bias": rng.random() < 0.5,
        "samples": rng.choice([60, 100]),
        "seed": seed,
    }


@functools.cache
def mapped(matrices: int, seed: int, direction: str = "up") -> sp.PhaseDiagram:
    return sp.map_phases(sp.tasks.gaussian(**drawn(matrices, seed)), direction=direction)


@functools.cache
def default() -> sp.PhaseDiagram:
    return sp.map_phases(sp.tasks.gaussian(samples=200), starts=2)


def exact(diagram: sp.PhaseDiagram) -> list[float]:
    return [item.beta for item in diagram.exact]


def betas(diagram: sp.PhaseDiagram) -> list[float]:
    return [transition.beta for transition in diagram.macroscopic]


DEEP = [(3, 0), (3, 1), (4, 0), (4, 1), (5, 0), pytest.param(5, 1, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("matrices", "seed"), DEEP)
def test_every_spinodal_of_a_deep_linear_net_is_found(matrices: int, seed: int) -> None:
    diagram = mapped(matrices, seed)
    assert betas(diagram) == pytest.approx(exact(diagram), rel=1e-5), drawn(matrices, seed)
    assert {transition.order for transition in diagram.transitions} == {"first"}
    assert all(lower <= t.beta <= upper for t in diagram.transitions for lower, upper in [t.bracket])
    ranks = [transition.before.observation.rank - transition.after.observation.rank for transition in diagram.transitions]
    assert ranks == [1] * len(exact(diagram))


@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_loses_its_modes_by_second_order_transitions(seed: int) -> None:
    diagram = mapped(2, seed)
    assert betas(diagram) == pytest.approx(exact(diagram), rel=1e-3), drawn(2, seed)
    assert {transition.order for transition in diagram.macroscopic} == {"second"}


def test_going_down_one_hidden_layer_finds_its_modes_where_it_lost_them() -> None:
    up, down = mapped(2, 0), mapped(2, 0, "down")
    assert betas(down) == pytest.approx(exact(up)[::-1], rel=1e-3)
    assert {transition.direction for transition in down.macroscopic} == {"down"}


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("values", [(0.4607, 0.5078), (0.7, 0.69, 0.2), (0.9, 0.7, 0.3)])
def test_modes_that_die_close_together_are_told_apart(values: tuple[float, ...], direction: str) -> None:
    task = sp.tasks.gaussian(
        activation="linear", hidden=(7,), singular_values=values, inputs=4, outputs=3, samples=60, bias=False, seed=3
    )
    diagram = sp.map_phases(task, direction=direction)
    assert sorted(betas(diagram)) == pytest.approx(sorted(values), rel=1e-4)
    assert {transition.order for transition in diagram.transitions} == {"second"}


def test_folds_that_lie_close_together_are_told_apart() -> None:
    task = sp.tasks.gaussian(
        activation="linear", hidden=(7, 5, 4), singular_values=(0.6297, 0.6267), inputs=3, outputs=2, samples=80, seed=4
    )
    diagram = sp.map_phases(task)
    assert betas(diagram) == pytest.approx(exact(diagram), rel=1e-5)
    assert {transition.order for transition in diagram.transitions} == {"first"}


def test_without_a_dense_hessian_the_same_folds_are_found() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(8, 8), singular_values=(0.9, 0.5), samples=100)
    diagram = sp.map_phases(task, solver="lbfgs")
    assert betas(diagram) == pytest.approx(exact(diagram), rel=1e-3)
    for found, beta in zip(diagram.macroscopic, exact(diagram), strict=True):
        assert abs(found.after.beta / found.before.beta - 1) <= 1.01e-3
        assert found.bracket[0] <= beta <= found.bracket[1]  # the tolerance of the searches included
        assert found.bracket[1] / found.bracket[0] - 1 <= 3e-3
        assert (found.order, found.evidence.turned, found.evidence.halved_step) == ("first", True, False)
        assert found.beta == pytest.approx(beta, rel=1e-4)  # where the branch turned
    assert [point.beta for point in diagram.points] == sorted(point.beta for point in diagram.points)


def test_without_a_dense_hessian_no_kink_is_called_a_fold() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(8,), singular_values=(0.9, 0.5), samples=100)
    diagram = sp.map_phases(task, solver="lbfgs")
    assert not any(found.order == "first" or found.evidence.turned for found in diagram.transitions)  # of second order all


def test_the_last_transitions_of_the_digits_take_the_last_ranks_and_classes() -> None:
    diagram = sp.map_phases(sp.tasks.digits(), beta=(0.14, 0.21), starts=2)
    ranks = [(t.before.observation.rank, t.after.observation.rank) for t in diagram.macroscopic]
    assert ranks == [(2, 1), (1, 0)]
    assert betas(diagram) == pytest.approx([0.155, 0.185], rel=0.05)  # a feasibility study, seeds 0-2, to 3 %
    lost = [diagram.lost_classes(transition) for transition in diagram.macroscopic]
    assert all(lost)
    assert diagram.phases[-1].classes == ()
    assert diagram.answer().count("first to go: class") == 1


def test_an_error_that_falls_without_bound_is_refused() -> None:
    class Weight(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.ones(2))

    task = sp.Task(Weight(), lambda model, batch: -(model.w**4).sum(), None)
    with pytest.raises(SpinodalError, match="L falls without bound"):
        sp.map_phases(task, beta=(0.1, 1.0))


def test_the_narrowest_width_limits_the_transitions() -> None:
    task = sp.tasks.gaussian(activation="linear", singular_values=(0.9, 0.5), hidden=(4, 1), samples=60)
    diagram = sp.map_phases(task)
    assert betas(diagram) == pytest.approx([item.beta for item in sp.theory.deep_linear([0.9], matrices=3)], rel=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_linear_regression_has_no_transition(bias: bool) -> None:
    diagram = sp.map_phases(sp.tasks.gaussian(activation="linear", hidden=(), samples=60, bias=bias))
    assert diagram.transitions == ()
    assert len(diagram.phases) == 1
    assert diagram.answer().startswith("No transition")
    for point in diagram.points:  # w = s / (1 + beta)
        shrunk = [s / (1.0 + point.beta) for s in (0.9, 0.5)]
        (values,) = point.observation.singular_values.values()
        assert list(values) == pytest.approx(shrunk, rel=1e-6)


def test_rounding_in_the_trivial_phase_is_no_transition() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(4, 4), singular_values=(0.9,), samples=50)
    diagram = sp.map_phases(task, beta=(0.45, 0.8), starts=1)
    assert diagram.transitions == ()


def test_going_down_a_deep_net_stays_trivial() -> None:
    diagram = mapped(3, 0, "down")
    assert diagram.transitions == ()
    assert all(point.norm_squared == pytest.approx(0.0, abs=1e-12) for point in diagram.points)
    assert diagram.points[-1].beta == pytest.approx(diagram.range[0])


def test_points_of_a_deep_linear_net_have_the_exact_error() -> None:
    diagram = mapped(3, 0)
    values, noise = drawn(3, 0)["singular_values"], 0.1**2 * drawn(3, 0)["outputs"]
    low = diagram.points[0]
    strengths = [sp.theory.mode_strength(low.beta, s, matrices=3) for s in values]
    assert low.error == pytest.approx(noise + sum((s - u) ** 2 for s, u in zip(values, strengths, strict=True)), rel=1e-6)
    assert diagram.points[-1].error == pytest.approx(noise + sum(s**2 for s in values), rel=1e-9)


@pytest.mark.parametrize(("matrices", "seed"), [*DEEP, (2, 0)])
def test_the_loss_is_the_integral_of_the_squared_norm_along_every_phase(matrices: int, seed: int) -> None:
    for phase in mapped(matrices, seed).phases[:-1]:
        for a, b in pairwise(phase.points):
            width, rise = b.beta - a.beta, b.minimum.loss - a.minimum.loss
            # ||theta||^2 = dL/dbeta falls along a branch, so the ends bound the rise; no quadrature error enters.
            assert width * b.norm_squared - 1e-9 <= rise <= width * a.norm_squared + 1e-9
        total = phase.points[-1].minimum.loss - phase.points[0].minimum.loss
        assert integral_of_norm(phase.points) == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize(("matrices", "seed"), DEEP)
def test_along_the_walk_error_rises_and_norm_falls(matrices: int, seed: int) -> None:
    points = mapped(matrices, seed).points
    errors, norms = [p.error for p in points], [p.norm_squared for p in points]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(errors))
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(norms))


@pytest.mark.parametrize(("matrices", "seed"), [*DEEP, (2, 0)])
def test_the_phases_partition_the_range(matrices: int, seed: int) -> None:
    diagram = mapped(matrices, seed)
    phases = diagram.phases
    assert len(phases) == len(diagram.macroscopic) + 1
    assert (phases[0].beta[0], phases[-1].beta[1]) == pytest.approx(diagram.range, rel=1e-12)
    for phase, following, transition in zip(phases[:-1], phases[1:], diagram.macroscopic, strict=True):
        assert (phase.beta[1], following.beta[0]) == pytest.approx(transition.bracket, rel=1e-12)
    assert [phase.falls_to for phase in phases] == [*range(1, len(phases)), None]
    assert [point for phase in phases for point in phase.points] == list(diagram.points)


def test_going_down_the_phases_are_still_ordered_by_rising_beta() -> None:
    phases = mapped(2, 0, "down").phases
    assert [phase.beta for phase in phases] == sorted(phase.beta for phase in phases)
    assert [phase.falls_to for phase in phases] == [None, *range(len(phases) - 1)]


@pytest.mark.parametrize("settings", [{"solver": "lbfgs"}, {"solver": "newton_cg"}], ids=lambda s: s["solver"])
def test_matrix_free_solvers_find_the_same_spinodals(settings: dict[str, str]) -> None:
    diagram = sp.map_phases(sp.tasks.gaussian(**drawn(3, 0)), **settings)
    assert betas(diagram) == pytest.approx(exact(diagram), rel=2e-3)
    assert diagram.solver == settings["solver"]


def test_a_given_range_is_walked_from_end_to_end() -> None:
    diagram = sp.map_phases(sp.tasks.gaussian(**drawn(3, 0)), beta=(0.01, 0.9))
    assert diagram.range == (0.01, 0.9)
    assert (diagram.points[0].beta, diagram.points[-1].beta) == (0.01, 0.9)
    assert betas(diagram) == pytest.approx(exact(diagram), rel=1e-5)


def test_a_wider_bracket_is_obeyed() -> None:
    diagram = sp.map_phases(sp.tasks.gaussian(**drawn(3, 0)), bracket=1e-3)
    for transition in diagram.macroscopic:
        lower, upper = transition.bracket
        assert upper - lower <= 1.02e-3 * lower
    assert betas(diagram) == pytest.approx(exact(diagram), rel=1e-3)


# -- the default net ------------------------------------------------------------------------


def test_the_default_net_has_two_macroscopic_transitions() -> None:
    found = default().macroscopic
    assert [transition.order for transition in found] == ["first", "first"]
    assert betas(default()) == pytest.approx([0.16, 0.39], rel=0.15)


# -- the JSON of the design -----------------------------------------------------------------

TOP = "schema run_status task seed range convention transitions phases spinodals coexistence stats"
TRANSITION = "beta bracket direction order minor status error norm rank margin accuracy class_accuracy"
PHASE = "id beta rank error accuracy classes falls_to"
STATS = "error_evaluations gradient_evaluations hessian_products hessians gradient_equivalents seconds"


def test_the_result_has_every_key_of_the_design() -> None:
    result = mapped(3, 0).to_dict()
    assert set(TOP.split()) <= set(result)
    assert set(STATS.split()) <= set(result["stats"])
    assert result["transitions"]
    for item in result["transitions"]:
        assert set(TRANSITION.split()) <= set(item)
        assert set(item["accuracy"]) == set(item["class_accuracy"]) == {"train", "held_out"}
        assert all(len(item[key]) == 2 for key in ("bracket", "error", "norm", "rank", "margin"))
    for item in result["phases"]:
        assert set(PHASE.split()) <= set(item)
        assert set(item["accuracy"]) == {"train", "held_out"}
    assert (result["schema"], result["run_status"], result["task"]["name"]) == (1, "complete", "gaussian")
    assert (result["spinodals"], result["coexistence"]) == ([], [])
    assert "weight_decay = 2*beta" in result["convention"]


@pytest.mark.parametrize(("matrices", "seed", "direction"), [(3, 0, "up"), (3, 0, "down"), (2, 0, "up")])
def test_the_result_is_strict_json(matrices: int, seed: int, direction: str) -> None:
    result = mapped(matrices, seed, direction).to_dict()
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def without_seconds(diagram: sp.PhaseDiagram) -> str:
    result = diagram.to_dict()
    assert result["stats"].pop("seconds") > 0
    return json.dumps(result, allow_nan=False)


def test_the_same_seed_gives_the_same_result() -> None:
    again = sp.map_phases(sp.tasks.gaussian(**drawn(3, 0)))
    assert without_seconds(again) == without_seconds(mapped(3, 0))


def test_another_seed_gives_the_same_physics() -> None:
    other = sp.map_phases(sp.tasks.gaussian(**drawn(3, 0)), seed=5)
    assert other.seed == other.to_dict()["seed"] == 5
    assert betas(other) == pytest.approx(exact(other), rel=1e-5)


def test_mapping_leaves_the_model_as_it_was() -> None:
    task = sp.tasks.gaussian(**drawn(3, 0))
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    sp.map_phases(task, beta=(0.05, 0.1), starts=1)
    assert all(value.equal(before[name]) for name, value in task.model.state_dict().items())


def test_costs_are_counted_and_weighted() -> None:
    stats = mapped(3, 0).to_dict()["stats"]
    assert all(stats[key] >= 0 for key in STATS.split())
    landscape = sp.tasks.gaussian(**drawn(3, 0)).landscape()
    assert stats["passes"] >= landscape.hessian_method.passes(landscape) * stats["hessians"] > 0
    expected = (
        0.4 * stats["error_evaluations"] + stats["gradient_evaluations"] + 2.5 * stats["hessian_products"] + stats["passes"]
    )
    assert stats["gradient_equivalents"] == pytest.approx(expected)


def test_the_nearest_point_is_found_by_beta() -> None:
    diagram = mapped(3, 0)
    for point in diagram.points:
        assert diagram.at(point.beta).point is point


def test_the_answer_names_both_conventions() -> None:
    diagram = mapped(3, 0)
    assert f"ends at {where(diagram.macroscopic[0])}" in diagram.answer()
    assert str(diagram).count("\n") == len(diagram.transitions)


def test_kinks_that_the_solver_does_not_see_are_not_denied() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    diagram = sp.map_phases(task, solver="lbfgs", beta=(0.3, 1.2), starts=1)
    assert diagram.answer() == (
        "No jump was found between beta = 0.3 and 1.2, but the rank goes from 2 to 0; "
        "lbfgs does not see kinks (second-order transitions): --solver newton_cg does."
    )


def test_a_phase_owns_what_is_known_of_it() -> None:
    made = loop_diagram()
    assert {phase.id: phase.branch for phase in made.phases if phase.branch is not None} == made.branches != {}
    assert {phase.id: phase.existence for phase in made.phases if phase.existence is not None} == made.existence != {}


def test_only_a_map_without_any_transition_or_change_of_rank_is_called_smooth() -> None:
    smooth = "No transition between beta = 0.01 and 1: the model changes smoothly."
    assert by_hand(phases=1).answer() == smooth
    assert by_hand(phases=1, minor_every=5).answer() == "No macroscopic transition between beta = 0.01 and 1."
    lost = replace(by_hand(phases=2), transitions=())
    assert lost.answer() == "No transition between beta = 0.01 and 1, but the rank goes from 3 to 2."


def test_a_map_that_begins_above_all_that_is_learnt_says_so() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    for solver in ("auto", "lbfgs"):
        diagram = sp.map_phases(task, solver=solver, beta=(1.0, 2.0), starts=1)
        assert diagram.is_trivial
        assert "the model is in its trivial phase, of rank 0, all the way" in diagram.answer()
        assert "lower LOW" in answer_sentences(diagram)[0]
        assert "smoothly" not in diagram.answer()


def test_a_model_that_goes_around_an_empty_matrix_is_not_called_trivial() -> None:
    """Beside a linear layer that learns all, a deeper way dies: rank 0 at every point, and outputs that vary."""

    class Around(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.straight, self.first, self.second = (torch.nn.Linear(2, 2, bias=False) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            deep: torch.Tensor = self.second(torch.tanh(self.first(x)))
            return self.straight(x) + deep

    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    task = sp.Task(Around(), lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), (x, 0.5 * x))
    diagram = sp.map_phases(task, beta=(0.05, 0.2), starts=1)
    assert {point.observation.rank for point in diagram.points} == {0}
    assert not diagram.is_trivial
    assert "trivial" not in diagram.answer()


@pytest.mark.parametrize("phases", [1, 3])
def test_a_walk_that_stopped_claims_no_more_than_its_points(phases: int) -> None:
    diagram = replace(by_hand(phases=phases), range=(0.01, 7.0), run_status="stopped at beta = 1.1: no minimum")
    assert diagram.answer().endswith(". The walk stopped at beta = 1.1: no minimum.")
    assert " 7" not in diagram.answer()


@pytest.mark.parametrize("downward", [False, True])
def test_without_weight_matrices_the_answer_has_no_rank(downward: bool) -> None:
    diagram = by_hand(matrices=(), downward=downward)
    assert "rank" not in str(diagram)
    last = diagram.phases[0].error[1] if downward else diagram.phases[-1].error[0]
    assert diagram.answer().endswith(f"E is at {'most' if downward else 'least'} {last:#.4g}.")


@pytest.mark.parametrize("matrices", [2, 3])
def test_the_answer_agrees_with_the_phases(matrices: int) -> None:
    diagram = mapped(matrices, 0)
    assert f"the followed phase (rank {diagram.phases[0].rank}) ends" in diagram.answer()
    assert diagram.answer().endswith(f"the model has rank {diagram.phases[-1].rank}.")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"beta": (0.0, 1.0)}, "beta = 0"),
        ({"beta": (1.0, 0.5)}, "reversed"),
        ({"beta": (0.5, 0.5)}, "reversed or empty"),
        ({"beta": (0.1, math.inf)}, "beta = inf"),
        ({"direction": "dwon"}, "did you mean 'down'"),
        ({"dtype": "float16"}, "float64"),
        ({"solver": "newtn"}, "did you mean 'newton'"),
        ({"starts": 0}, "starts = 0"),
        ({"bracket": 0.5}, "bracket = 0.5"),
        ({"tolerance": 0.0}, "tolerance = 0"),
        ({"device": "tpuu"}, "device 'tpuu' cannot be used"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_options_that_mean_nothing_are_refused(settings: dict[str, Any], text: str) -> None:
    task = sp.tasks.gaussian(**drawn(3, 0))
    with pytest.raises(SpinodalError, match=text):
        sp.map_phases(task, **settings)

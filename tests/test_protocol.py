"""The published protocol as a map on a grid: plain PyTorch's numbers, transitions beside closed forms, comparison, refusals."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import spinodal as sp
from diagrams import diagram, point, transition
from spinodal.errors import SpinodalError
from spinodal.landscape.objective import Regularised
from spinodal.mapping.grid import decays_on
from spinodal.mapping.protocol import falls
from spinodal.minima import minibatch
from spinodal.minima.minibatch import TRAINERS, Training, trainer
from spinodal.minima.solver import Search
from spinodal.phases.comparison import Comparison, Meeting
from spinodal.plots.comparison_figure import draw_comparison
from test_cli import Command, command  # noqa: F401 - the fixture


def linear(samples: int = 24) -> sp.Task:
    """Return a linear net of three matrices, whose modes fall at closed forms."""
    return sp.tasks.gaussian(
        activation="linear", hidden=(2, 2), inputs=2, singular_values=(0.9, 0.6), bias=False, samples=samples, noise=0.0
    )


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_takes_the_steps_of_pytorch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, beta, how = linear(), 0.05, Training(epochs=3, batch_size=7, learning_rate=0.01, patience=9)
    orders = [torch.randperm(24, generator=torch.Generator().manual_seed(epoch)) for epoch in range(3)]
    monkeypatch.setattr(minibatch, "_orders", lambda *_: iter(orders))
    found = trainer(name, how).run(Regularised(task.landscape(), beta), task.initial(0), Search(1e-3, 1.0))

    model = copy.deepcopy(task.model).double()
    vector_to_parameters(task.initial(0).double(), model.parameters())
    decay: dict[str, Any] = {"lr": 0.01, "weight_decay": 2.0 * beta}
    adam = name == "adam"
    optimiser = (
        torch.optim.Adam(model.parameters(), **decay) if adam else torch.optim.SGD(model.parameters(), momentum=0.9, **decay)
    )
    inputs, targets = (part.double() for part in task.data)
    for order in orders:
        for part in order.split(7):
            optimiser.zero_grad()
            (model(inputs[part]) - targets[part]).square().sum(1).mean().backward()
            optimiser.step()
    assert torch.allclose(found.theta, parameters_to_vector(model.parameters()), rtol=1e-9, atol=1e-12)


def test_training_says_that_it_ends_at_no_minimum_and_how_far_from_one() -> None:
    task = linear()
    diagram_ = on_a_grid()
    minimum = diagram_.points[0].minimum
    assert minimum.status.startswith("trained for a set number of epochs")
    assert not minimum.converged
    gradient = Regularised(task.landscape(), minimum.beta).value_and_gradient(minimum.theta)[1]
    assert minimum.residual == pytest.approx(float(gradient.norm()), rel=1e-9)


def test_training_ends_early_where_its_loss_falls_no_more() -> None:
    task = linear()
    loss = Regularised(task.landscape(), 5.0)
    at_rest = torch.zeros_like(task.initial(0))
    found = trainer("adam", Training(epochs=40, patience=4)).run(loss, at_rest, Search(1e-3, 1.0))
    assert found.iterations == 5  # the first sets the mark


@cache
def on_a_grid() -> sp.PhaseDiagram:
    how = {"epochs": 150, "patience": 150, "learning_rate": 0.01}
    return sp.map_phases(linear(), solver="adam", grid=(0.0, 1.0, 0.04), **how)  # type: ignore[arg-type]


def test_transitions_on_a_grid_lie_beside_the_closed_forms() -> None:
    found = on_a_grid()
    exact = sorted(form.beta for form in linear().exact)
    assert [step.ranks for step in found.steps] == [(2, 1), (1, 0)]
    for transition_, beta in zip(found.macroscopic, exact, strict=True):
        assert transition_.bracket[0] < beta + 0.04  # a coarse grid falls early, a slow training late
        assert transition_.bracket[1] > 0.7 * beta
        assert transition_.order == "not classified"
    assert [point_.beta for point_ in found.points] == pytest.approx([0.02 * k for k in range(1, 26)])


def test_an_order_of_samples_depends_on_seed_and_beta_alone() -> None:
    first, again, other = (next(minibatch._orders(seed, 0.1, 50)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, next(minibatch._orders(0, 0.2, 50)))


def test_noise_is_no_fall_and_a_fall_over_two_values_is_one() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.002, 60)
    smooth = np.linspace(0.0, 1.0, 60) + noise
    assert falls(smooth.tolist()) == []
    fallen = smooth.copy()
    fallen[30] += 0.1
    fallen[31:] += 0.3
    assert falls(fallen.tolist()) == [(29, 31)]


# -- beside a map ---------------------------------------------------------------------------------


def test_transitions_are_paired_nearest_first_and_placed() -> None:
    first, second = diagram(40), diagram(57)
    found = Comparison.of(first, second)
    assert [meeting.ranks for meeting in found.meetings] == [(3, 2), (2, 1)]
    assert [meeting.bracket for meeting in found.meetings] == [item.bracket for item in second.macroscopic]
    more = [point(index, beta, level=index // 2) for index, beta in enumerate((0.02, 0.03, 0.05, 0.06, 0.2, 0.21))]
    extra = replace(second, points=tuple(more), transitions=(transition(more[1], more[2]), transition(more[3], more[4])))
    alone = Comparison.of(replace(first, transitions=first.transitions[:1]), extra)
    assert len(alone.meetings) == len(alone.alone) == 1


@pytest.mark.parametrize(
    ("bracket", "coexistence", "place"),
    [
        ((0.17, 0.18), 0.16, "between coexistence and end"),
        ((0.15, 0.17), 0.16, "between coexistence and end"),
        ((0.202, 0.204), 0.16, "1 % above the end"),
        ((0.14, 0.144), 0.16, "10 % below coexistence"),
        ((0.14, 0.18), None, "10 % below the end"),
        ((0.19, 0.21), None, "at the end"),
        (None, 0.16, "not met"),
    ],
)
def test_where_a_transition_lies_is_said(bracket: Any, coexistence: float | None, place: str) -> None:
    assert Meeting(0.2, coexistence, (2, 1), bracket, None).place == place


def test_maps_of_two_tasks_are_not_compared() -> None:
    with pytest.raises(SpinodalError, match="or of other settings of a task"):
        Comparison.of(diagram(40), diagram(40, name="another"))


def test_the_figure_shows_both_and_the_brackets() -> None:
    axes = draw_comparison(Comparison.of(diagram(40), diagram(57))).axes[0]
    assert len(axes.patches) == 2
    markers = [line.get_marker() for line in axes.lines]
    assert "." in markers


def test_the_commands_train_go_on_and_compare(command: Command) -> None:  # noqa: F811
    task = ["gaussian", "--set", "activation=linear", "--set", "hidden=2", "--set", "samples=20"]
    grid = ["--solver", "sgd", "--grid", "0.6:1.6:0.2", "--epochs", "4", "--learning-rate", "0.05"]
    done = command("map", *task, *grid, "--out", "grid", "--threads", "1", "--quiet")
    assert (done.code, done.err) == (0, "")
    before = json.loads(Path("grid/result.json").read_text())
    journal = Path("grid/journal.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[: len(lines) // 2]))
    assert command("map", *task, *grid, "--out", "grid", "--threads", "1", "--quiet", "--resume").code == 0
    after = json.loads(Path("grid/result.json").read_text())
    assert after["transitions"] == before["transitions"]
    assert after["phases"] == before["phases"]
    assert command("map", *task, "--beta", "0.3:0.8", "--starts", "1", "--out", "map", "--threads", "1", "--quiet").code == 0
    done = command("compare", "map", "grid", "--json", "compared.json")
    assert (done.code, done.err) == (0, "")
    assert "newton, and sgd beside" in done.out
    assert json.loads(Path("compared.json").read_text())["solvers"] == ["newton", "sgd"]
    assert Path("grid/figures/comparison.png").exists()


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grid", [(0.1, 0.0, 0.1), (0.0, 0.1, 0.0), (-0.1, 0.1, 0.01), (0.0, 0.1, 1.0), (0.0, 1.0, 1e-9), "0:1"]
)
def test_grids_that_are_none_are_refused(grid: Any) -> None:
    with pytest.raises(SpinodalError, match="values of weight_decay are allowed"):
        decays_on(grid)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"solver": "adam"}, "without a grid"),
        ({"epochs": 10}, "without a grid"),
        ({"grid": (0.0, 0.1, 0.01)}, "a grid with solver auto"),
        ({"grid": (0.0, 0.1, 0.01), "solver": "adam", "branches": True}, "together with"),
        ({"grid": (0.0, 0.1, 0.01), "solver": "sgd", "beta": (0.1, 0.2)}, "together with"),
        ({"grid": (0.0, 0.1, 0.01), "solver": "adam", "epochs": 0}, "epochs = 0"),
        ({"grid": (0.0, 0.1, 0.01), "solver": "adam", "learning_rate": -1.0}, "learning_rate = -1.0"),
    ],
)
def test_half_a_protocol_is_refused(settings: Any, text: str) -> None:
    with pytest.raises(SpinodalError, match=text):
        sp.MapOptions(**settings)


def test_data_without_samples_is_refused() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor(1.0))

    task = sp.Task(One(), lambda model, batch: (1 - model.w) ** 2, None, name="one")
    with pytest.raises(SpinodalError, match="mini-batches are drawn from one batch"):
        sp.map_phases(task, solver="adam", grid=(0.1, 1.0, 0.1))


def test_no_model_is_placed_among_trained_ones(command: Command) -> None:  # noqa: F811
    done = command("map", "gaussian", "--solver", "adam", "--grid", "0:1:0.1", "--start", "a.pt", "--at-weight-decay", "0.1")
    assert done.code == 2
    assert "a model is placed on a map of minima" in done.err


@pytest.mark.parametrize("text", ["0:1", "a:b:c", "0:1:2:3", ""])
def test_a_grid_that_cannot_be_read_is_refused(command: Command, text: str) -> None:  # noqa: F811
    done = command("map", "gaussian", "--solver", "adam", "--grid", text)
    assert done.code == 2
    assert "START:STOP:STEP" in done.err

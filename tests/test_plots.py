"""The figure: its record holds what is shown, and it is drawn with and without classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal.plots import draw_phase_map, phase_map_record, save_phase_map


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def classifier() -> sp.Task:
    """Return three classes of six points each around the corners of a triangle."""
    labels = torch.arange(18) % 3
    corners = torch.tensor([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]], dtype=torch.float64)
    x = corners[labels] + 0.2 * torch.randn(18, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3))
    return sp.Task(model, cross_entropy, (x, labels), name="triangle")


@pytest.fixture(scope="module")
def linear() -> sp.PhaseDiagram:
    task = sp.tasks.gaussian(activation="linear", hidden=(3, 3), samples=40)
    return sp.map_phases(task, beta=(0.1, 0.6), starts=1, bracket=1e-3)


@pytest.fixture(scope="module")
def triangle() -> sp.PhaseDiagram:
    return sp.map_phases(classifier(), starts=1, bracket=1e-3)


@pytest.fixture(scope="module")
def chain() -> sp.PhaseDiagram:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

    task = sp.Task(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    return sp.map_phases(task, beta=(0.05, 0.5), bracket=1e-3)


def test_the_record_holds_what_the_diagram_found(linear: sp.PhaseDiagram) -> None:
    record = phase_map_record(linear)
    assert list(record.beta) == [point.beta for point in linear.points]
    assert list(record.error) == [point.error for point in linear.points]
    assert list(record.norm) == [point.observation.norm for point in linear.points]
    assert list(record.rank) == [point.observation.rank for point in linear.points]
    assert list(record.breaks) == [transition.beta for transition in linear.macroscopic]
    assert list(record.exact) == [item.beta for item in sp.theory.deep_linear((0.9, 0.5), matrices=3)]
    assert record.recall is None
    assert "gaussian" in record.title
    for point, row in zip(linear.points, record.singular_values, strict=True):
        assert tuple(row) == point.observation.singular_values[record.matrix]


def test_the_record_of_a_classifier_holds_the_recalls(triangle: sp.PhaseDiagram) -> None:
    record = phase_map_record(triangle)
    assert record.recall is not None
    assert [len(row) for row in record.recall] == [3] * len(record.beta)
    assert all(0.0 <= value <= 1.0 for row in record.recall for value in row)
    assert list(record.recall[0]) == [1.0, 1.0, 1.0]


def test_a_map_that_went_down_is_recorded_by_rising_beta() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(3, 3), samples=40)
    record = phase_map_record(sp.map_phases(task, beta=(0.1, 0.6), starts=1, direction="down"))
    assert list(record.beta) == sorted(record.beta)


@pytest.mark.parametrize("name", ["linear", "triangle", "chain"])
def test_the_figure_is_saved_for_screen_and_print(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    paths = save_phase_map(request.getfixturevalue(name), tmp_path / "figures")
    assert [path.suffix for path in paths] == [".png", ".pdf"]
    png, pdf = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG")
    assert pdf.startswith(b"%PDF")
    assert min(len(png), len(pdf)) > 5_000


def test_the_figure_draws_its_record(linear: sp.PhaseDiagram) -> None:
    record = phase_map_record(linear)
    figure = draw_phase_map(record)
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 2 or line.get_marker() == "."]
    drawn = [float(beta) for line in lines for beta in line.get_xdata()]
    assert drawn == list(record.beta)  # every point once, no line across a transition
    assert len(lines) == len(record.breaks) + 1
    assert figure.axes[0].get_xscale() == "log"
    assert "weight_decay" in "".join(axis.get_xlabel() for axis in [*figure.axes, *figure.axes[0].child_axes])


def test_a_classifier_gets_a_panel_more(linear: sp.PhaseDiagram, triangle: sp.PhaseDiagram) -> None:
    labels = {axis.get_ylabel() for axis in draw_phase_map(phase_map_record(triangle)).axes}
    assert "class" in labels
    assert "class" not in {axis.get_ylabel() for axis in draw_phase_map(phase_map_record(linear)).axes}


def test_drawing_leaves_the_global_state_of_matplotlib_alone(linear: sp.PhaseDiagram) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_phase_map(phase_map_record(linear))
    assert dict(matplotlib.rcParams) == before

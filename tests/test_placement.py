"""Placing an existing model on a map: by its branch, and by what training it on does."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.observe import effective_rank
from spinodal.store import Journal, placement_folder, placement_recorder, placements, save_placement
from spinodal.store.beside import Beside
from spinodal.tasks import Task, gaussian


@pytest.fixture(scope="module")
def task() -> Task:
    return gaussian(activation="linear", hidden=(4, 4), singular_values=(0.9, 0.5), samples=50)


@pytest.fixture(scope="module")
def diagram(task: Task) -> sp.PhaseDiagram:
    return sp.map_phases(task)


def trained(model: nn.Module, task: Task, weight_decay: float, epochs: int = 2000) -> nn.Module:
    """Return a copy after an ordinary training loop."""
    model = copy.deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=weight_decay)
    for _ in range(epochs):
        optimiser.zero_grad()
        task.loss(model, task.data).backward()
        optimiser.step()
    return model


def rank_of(model: nn.Module) -> int:
    matrices = [value.detach() for value in model.parameters() if value.dim() == 2]
    return min(effective_rank(torch.linalg.svdvals(matrix).tolist()) for matrix in matrices)


def test_a_trained_model_falls_where_its_placement_says(task: Task, diagram: sp.PhaseDiagram) -> None:
    torch.manual_seed(1)
    model = copy.deepcopy(task.model)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    model = trained(model, task, 0.1)
    placement = sp.place(diagram, model, weight_decay=0.1)
    assert (placement.phase, placement.point.observation.rank) == (0, 2)
    assert placement.next is not None
    assert placement.next.beta == pytest.approx(task.exact[0].beta, rel=1e-5)
    predicted = 2.0 * placement.next.beta
    assert rank_of(trained(model, task, 0.97 * predicted)) == 2
    assert rank_of(trained(model, task, 1.03 * predicted)) == 1


def test_every_model_of_a_map_is_placed_in_its_own_phase(diagram: sp.PhaseDiagram) -> None:
    for phase in diagram.phases:
        middle = phase.points[len(phase.points) // 2]
        placement = sp.place(diagram, diagram.at_point(middle.index).module(), beta=middle.beta)
        assert placement.phase == phase.id
        following = diagram.macroscopic[phase.id].beta if phase.falls_to is not None else None
        assert (placement.next and placement.next.beta) == (following and pytest.approx(following, rel=1e-5))


def test_hidden_rotations_do_not_change_the_phase(diagram: sp.PhaseDiagram) -> None:
    snapshot = diagram.at(0.1)
    model = snapshot.module()
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    with torch.no_grad():
        model[0].weight.copy_(rotation @ model[0].weight)
        model[0].bias.copy_(rotation @ model[0].bias)
        model[2].weight.copy_(model[2].weight @ rotation.T)
    placement = sp.place(diagram, model, beta=snapshot.beta)
    assert placement.start.residual < 1e-6
    assert placement.phase == 0


def test_the_trivial_model_is_metastable_where_a_mode_is_alive(diagram: sp.PhaseDiagram) -> None:
    theta = torch.zeros(diagram.points[0].minimum.theta.shape, dtype=torch.float64)
    placement = sp.place(diagram, theta, beta=0.1)
    assert placement.point.observation.rank == 0
    assert placement.deeper is not None
    assert placement.deeper.point.observation.rank == 2
    assert "metastable: a minimum of rank 2 lies deeper" in placement.answer()


def test_a_module_its_state_dict_and_its_vector_are_placed_alike(task: Task, diagram: sp.PhaseDiagram) -> None:
    model = diagram.at(0.1).module()
    starts = [model, model.state_dict(), task.landscape().vector(model)]
    answers = {sp.place(diagram, start, beta=0.1).answer() for start in starts}
    assert len(answers) == 1


def test_the_answer_is_two_sentences(diagram: sp.PhaseDiagram) -> None:
    snapshot = diagram.at(0.1)
    text = sp.place(diagram, snapshot.module(), weight_decay=snapshot.weight_decay).answer()
    assert text.startswith(f"At weight_decay = {snapshot.weight_decay:.4g} your model is in phase 0 of 3")
    assert text.count(". ") == 1
    assert "times your weight_decay (weight_decay = " in text


def test_a_model_that_still_moves_is_said_to(diagram: sp.PhaseDiagram) -> None:
    theta = 1.5 * diagram.at(0.1).theta
    assert "still on its way" in sp.place(diagram, theta, beta=0.1).remark()


def test_the_first_class_to_go_is_named() -> None:
    x = torch.eye(3, dtype=torch.float64).repeat_interleave(torch.tensor([6, 3, 1]), dim=0)
    target = x - x.mean(0)
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)).double()
    task = Task(
        model,
        lambda model, batch: (model(batch[0]) - batch[1]).square().sum(1).mean(),
        (target, target, x.argmax(1)),
        labels=lambda batch: batch[2],
    )
    diagram = sp.map_phases(task)
    first = next(found for found in diagram.macroscopic if diagram.lost_classes(found))
    placement = sp.place(diagram, diagram.at(diagram.range[0]).module(), beta=diagram.range[0])
    lost = diagram.lost_classes(first)
    assert lost
    assert f"class{'es' if len(lost) > 1 else ''} {', '.join(map(str, lost))}" in placement.answer()


def test_the_classes_to_go_are_those_that_the_map_names() -> None:
    x, y = load_iris(return_X_y=True)
    inputs, labels = torch.from_numpy(x)[::2], torch.from_numpy(y)[::2]
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    task = Task(model, lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]), (inputs, labels))
    diagram = sp.map_phases(task, beta=(0.03, 0.1), starts=2)
    (found,) = diagram.macroscopic
    placement = sp.place(diagram, diagram.at(0.03).module(), beta=0.03)
    assert diagram.lost_classes(found) == (1,)
    assert placement.lost == (1,)
    assert placement.to_dict()["lost_classes"] == [1]
    assert "first to go: class 1 at weight_decay = " in placement.answer()
    assert placement.conclusion.to_dict() == diagram.conclusion.to_dict()


def test_beyond_the_map_the_trivial_model_is_in_its_last_phase(diagram: sp.PhaseDiagram) -> None:
    placement = sp.place(diagram, diagram.points[-1].minimum.theta, beta=3.0 * diagram.range[1])
    assert (placement.phase, placement.next) == (2, None)
    assert "No transition lies above it" in placement.answer()
    assert "at rest" in placement.remark()


def test_a_model_past_its_fold_is_said_to_fall(diagram: sp.PhaseDiagram) -> None:
    fold = diagram.macroscopic[0]
    placement = sp.place(diagram, fold.before.minimum.theta, beta=1.01 * fold.beta)
    assert (placement.phase, placement.start.rank) == (1, 2)
    assert "your model (rank 2) is at no minimum yet and falls into phase 1" in placement.answer()
    assert "still on its way" in placement.remark()


@pytest.mark.parametrize("options", [{"direction": "down"}, {"beta": (0.06, 0.07), "starts": 1}])
def test_a_map_that_spans_little_does_not_invent_transitions(task: Task, diagram: sp.PhaseDiagram, options: dict) -> None:
    small = sp.map_phases(task, **options)
    placement = sp.place(small, diagram.at(0.065).theta, beta=0.065)
    assert placement.next is not None
    assert placement.next.beta == pytest.approx(task.exact[0].beta, rel=1e-5)
    assert placement.phase == (None if "direction" in options else 0)


def test_a_map_in_single_precision_places_in_single_precision(task: Task) -> None:
    diagram = sp.map_phases(task, dtype="float32", beta=(0.05, 0.3), starts=2)
    placement = sp.place(diagram, diagram.at(0.1).module(), beta=0.1)
    assert (placement.phase, placement.point.minimum.theta.dtype) == (0, torch.float32)


def test_a_task_without_predictions_is_placed_as_it_was_mapped() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

    task = Task(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    diagram = sp.map_phases(task, beta=(0.05, 0.5))
    placement = sp.place(diagram, torch.ones(3), beta=0.1)
    assert placement.phase == 0
    assert placement.next is not None
    assert placement.next.beta == pytest.approx(0.236235, rel=1e-5)


def test_parameters_outside_the_penalty_do_not_make_a_model_restless() -> None:
    x = torch.eye(2, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).double()
    task = Task(model, lambda model, b: (model(b[0]) - b[1]).square().sum(1).mean(), (x, x), exclude="*.bias")
    diagram = sp.map_phases(task)
    placement = sp.place(diagram, diagram.points[-1].minimum.theta, beta=diagram.points[-1].beta)
    assert placement.start.residual < 1e-6
    assert placement.start.moved < 1e-6


def test_a_placement_is_not_continued_with_another_model(tmp_path: Path, diagram: sp.PhaseDiagram) -> None:
    theta = diagram.at(0.1).theta
    recorder = Beside(Journal(tmp_path), "placement")
    sp.place(diagram, theta, beta=0.1, recorder=recorder)
    with pytest.raises(SpinodalError, match="those of another model"):
        sp.place(diagram, 0.0 * theta, beta=0.1, recorder=recorder)


@pytest.mark.parametrize(("beta", "decay"), [(None, None), (0.1, 0.2), (-1.0, None), (None, float("nan"))])
def test_one_strength_is_needed(diagram: sp.PhaseDiagram, beta: float | None, decay: float | None) -> None:
    with pytest.raises(SpinodalError, match="allowed"):
        sp.place(diagram, diagram.at(0.1).theta, beta=beta, weight_decay=decay)


def test_a_placement_is_kept_and_resumed(tmp_path: Path, diagram: sp.PhaseDiagram) -> None:
    checkpoint = diagram.at(0.1).save(tmp_path / "model.safetensors")
    folder = placement_folder(tmp_path, diagram.at(0.1).theta, 0.2)
    recorder = placement_recorder(Journal(tmp_path), diagram.at(0.1).theta, 0.2)
    first = sp.place(diagram, diagram.at(0.1).theta, weight_decay=0.2, recorder=recorder)
    save_placement(folder, first, checkpoint)
    journal = (tmp_path / "journal.jsonl").read_bytes()
    recorder = placement_recorder(Journal(tmp_path), diagram.at(0.1).theta, 0.2)
    again = sp.place(diagram, diagram.at(0.1).theta, weight_decay=0.2, recorder=recorder)
    assert again.to_dict() == first.to_dict()
    assert (tmp_path / "journal.jsonl").read_bytes() == journal
    (kept,) = placements(tmp_path)
    assert (kept["file"], kept["answer"]) == ("model.safetensors", first.answer())


def test_a_damaged_placement_is_left_out(tmp_path: Path, diagram: sp.PhaseDiagram) -> None:
    folder = placement_folder(tmp_path, diagram.at(0.1).theta, 0.2)
    folder.mkdir(parents=True)
    (folder / "placement.json").write_text('{"file": 3')
    assert placements(tmp_path) == []


def test_a_placement_is_plain_json(diagram: sp.PhaseDiagram) -> None:
    value = sp.place(diagram, diagram.at(0.1).theta, beta=0.1).to_dict()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["next"]["ratio"] == pytest.approx(value["next"]["beta"] / 0.1)

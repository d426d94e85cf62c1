"""The shares of basins: counted on deep linear nets, whose nested states are known, and compared with plain PyTorch."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import torch

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.phases.started import with_started
from spinodal.store import Journal, RunFolder
from spinodal.sweeps.memory import Memory
from spinodal.tasks.models import Models

BETA = (0.09, 0.12)  # the mode of .5 may live up to .1875, that of .9 up to .4105
VALUES = (0.9, 0.5)
DEEP: dict[str, Any] = {
    "activation": "linear", "hidden": (2, 2), "inputs": 2, "outputs": 2, "singular_values": VALUES, "samples": 20, "bias": False
}  # fmt: skip


def deep() -> sp.Task:
    return sp.tasks.gaussian(**DEEP)


def nested(beta: float) -> dict[tuple[float, ...], float]:
    """Return E of every state by the modes that live in it: any of them may be dead, on its own."""
    strengths = {s: sp.theory.mode_strength(beta, s, matrices=3) for s in VALUES}
    live = {s: strength for s, strength in strengths.items() if strength > 0.0}
    landscape = deep().landscape()
    floor = landscape.value(torch.zeros(landscape.size, dtype=torch.float64)) - sum(s * s for s in VALUES)
    sets = chain.from_iterable(combinations(live, count) for count in range(len(live) + 1))
    return {kept: floor + sum((s - live[s]) ** 2 if s in kept else s * s for s in VALUES) for kept in sets}


def kept_in(point: sp.Point) -> tuple[float, ...]:
    """Return the modes that live at a minimum, which is one of the nested states."""
    (found,) = [kept for kept, error in nested(point.beta).items() if abs(error - point.error) < 1e-6]
    return found


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="module")
def found(memory: Memory) -> sp.Shares:
    return sp.basin_shares(deep(), beta=BETA, starts=12, recorder=memory)


@pytest.fixture(scope="module")
def diagram() -> sp.PhaseDiagram:
    """Return a map that begins beyond the end of the mode of .5, in the state that keeps that of .9."""
    return sp.map_phases(deep(), beta=(0.25, 0.5), starts=2, bracket=1e-3)


@pytest.fixture(scope="module")
def beside(diagram: sp.PhaseDiagram, memory: Memory) -> sp.Shares:
    return sp.basin_shares(deep(), beta=BETA, starts=12, diagram=diagram, recorder=memory)


def test_every_start_is_counted_once_in_a_nested_state_of_its_own_phase(found: sp.Shares) -> None:
    for place, beta in enumerate(BETA):
        reached = found.at(beta)
        assert sum(item.count for item in reached) + found.unsettled[place] == 12
        assert sum(item.share for item in reached) + found.not_finished[place].share == pytest.approx(1.0)
        states = [kept_in(item.point) for item in reached if item.point]
        assert len(set(states)) == len(states) == len({item.phase for item in reached}) > 1


def descended(seed: int, beta: float, rate: float, epochs: int) -> float:
    """Return L where PyTorch's own SGD leads a start."""
    task = deep()
    model = Models.of(task).module(task.initial(seed)).double()
    descent = torch.optim.SGD(model.parameters(), lr=rate, weight_decay=2.0 * beta)
    for _ in range(epochs):
        descent.zero_grad()
        task.loss(model, task.data).backward()
        descent.step()
    norm = sum(float(value.detach().square().sum()) for value in model.parameters())
    return float(task.loss(model, task.data).detach()) + beta * norm


def test_starts_end_where_gradient_descent_of_pytorch_ends_one_by_one(found: sp.Shares) -> None:
    few = sp.basin_shares(deep(), beta=[0.1], starts=4, learning_rate=found.rates[0])
    alone = Counter(round(descended(seed, 0.1, found.rates[0], 400), 5) for seed in range(4))
    assert Counter({round(item.point.minimum.loss, 5): item.count for item in few.shares if item.point}) == alone


def test_the_learning_rate_is_half_of_what_is_stable_at_the_sharpest_minimum(found: sp.Shares) -> None:
    landscape = deep().landscape()
    for beta, rate in zip(BETA, found.rates, strict=True):
        known = [item.point.minimum.theta for item in found.at(beta) if item.point]
        sharpest = max(
            float(torch.linalg.eigvalsh(landscape.hessian(theta) + 2 * beta * torch.eye(landscape.size))[-1]) for theta in known
        )
        assert 0.2 < rate * sharpest < 1.1  # starts may be sharper, and a minimum that few reach a little


def test_l_bfgs_ends_are_those_of_searches_one_by_one() -> None:
    task = deep()
    landscape = task.landscape()
    ends = [sp.minimise(landscape, beta=0.1, start=task.initial(seed), solver="lbfgs") for seed in range(4)]
    alone = Counter(round(end.loss, 5) for end in ends)
    found = sp.basin_shares(task, beta=[0.1], starts=4, training="lbfgs")
    assert found.rates == ()
    assert Counter({round(item.point.minimum.loss, 5): item.count for item in found.shares if item.point}) == alone


def test_intervals_are_wilsons() -> None:
    count, of, z = 5, 16, 1.959963984540054
    share = sp.Share(0.1, 0, count, of)
    middle = (count / of + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * (count / of * (1 - count / of) / of + z * z / (4 * of * of)) ** 0.5
    assert share.interval == pytest.approx((middle - half, middle + half))


@pytest.mark.parametrize("how", [{"epochs": 2}, {"learning_rate": 50.0}], ids=["too few epochs", "a rate that diverges"])
def test_starts_that_training_leaves_at_no_minimum_are_not_finished(how: dict[str, Any]) -> None:
    lost = sp.basin_shares(deep(), beta=[0.1], starts=4, **how)
    assert lost.unsettled[0] >= 3
    assert sum(item.count for item in lost.at(0.1)) == 4 - lost.unsettled[0]
    assert "not finished" in str(lost)
    assert lost.to_dict()["not_finished"][0]["count"] == lost.unsettled[0]


# -- beside a map -----------------------------------------------------------------------------------


def test_shares_do_not_depend_on_a_map(found: sp.Shares, beside: sp.Shares) -> None:
    for beta in BETA:
        assert sorted(item.count for item in beside.at(beta)) == sorted(item.count for item in found.at(beta))


def test_a_state_that_starts_reach_below_the_walk_is_that_phase(beside: sp.Shares, diagram: sp.PhaseDiagram) -> None:
    walked = {VALUES[:1]: 0, (): 1}
    assert [phase.rank for phase in diagram.phases] == [1, 0]
    assert beside.mapped == (0, 1)
    reached = [item for item in beside.shares if item.point is not None]
    assert all(item.phase == walked.get(kept_in(item.point), 2) for item in reached if item.point)
    assert {item.beta for item in reached if item.phase == 0} == set(BETA)


def test_all_phases_of_a_whole_map_are_known_where_starts_reach_them() -> None:
    whole = sp.map_phases(deep(), beta=(0.05, 0.5), starts=2, bracket=1e-3)
    shares = sp.basin_shares(deep(), beta=[0.09], starts=16, diagram=whole, training="lbfgs")
    assert shares.new == ()
    assert {(item.phase, kept_in(item.point)) for item in shares.at(0.09) if item.point} == {(0, VALUES), (1, VALUES[:1])}
    assert shares.diagram().to_dict() == whole.to_dict()


def test_a_phase_that_only_starts_find_enters_the_diagram(beside: sp.Shares, diagram: sp.PhaseDiagram) -> None:
    assert beside.new == (2,)
    whole = beside.diagram()
    assert [phase.id for phase in whole.phases] == [0, 1, 2]
    assert whole.phases[:2] == diagram.phases
    assert whole.followed == diagram.followed
    new = whole.phases[2]
    assert {item.beta for item in beside.of(2) if item.count} <= {point.beta for point in new.points}
    assert {kept_in(point) for point in new.points} == {VALUES}
    numbers = [point.index for phase in whole.phases for point in phase.points]
    assert len(set(numbers)) == len(numbers)
    assert whole.at_point(new.points[0].index).error == new.points[0].error
    assert whole.to_dict() == {**diagram.to_dict(), "phases": whole.to_dict()["phases"], "from_starts": [2]}
    assert whole.to_dict()["phases"][:2] == diagram.to_dict()["phases"]


def test_shares_without_a_map_have_no_diagram(found: sp.Shares) -> None:
    with pytest.raises(SpinodalError, match="give diagram="):
        found.diagram()


def test_phases_of_starts_are_numbered_after_the_others_without_a_gap(diagram: sp.PhaseDiagram) -> None:
    for found in ({3: diagram.points[:1]}, {2: ()}, {1: diagram.points[:1]}):
        with pytest.raises(ValueError, match=r"\["):
            with_started(diagram, found)


# -- recorded, shared out ---------------------------------------------------------------------------


def test_what_is_journalled_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunFolder(tmp_path / "run", {"task": {"name": "gaussian"}}) as folder:
        first = sp.basin_shares(deep(), beta=[0.12], starts=3, recorder=folder.journal)
    monkeypatch.setattr("spinodal.shares.training.Runs", None)
    monkeypatch.setattr("spinodal.shares.reached.stable_rate", None)
    with RunFolder(tmp_path / "run", {"task": {"name": "gaussian"}}, resume=True) as folder:
        again = sp.basin_shares(deep(), beta=[0.12], starts=3, recorder=folder.journal)
    assert again.to_dict() == first.to_dict()
    assert again.spent == first.spent


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("after", [0, 2])
def test_a_run_that_is_stopped_ends_as_one_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    def shares(place: Path) -> dict[str, Any]:
        with RunFolder(place, {"task": {"name": "gaussian"}}, resume=True) as folder:
            made = sp.basin_shares(deep(), beta=[0.12], starts=3, learning_rate=0.25, recorder=folder.journal)
            points = [folder.journal.point(number) for number in range(folder.journal.count)]
            return {
                **made.to_dict(),
                "spent": made.spent,
                "points": [(p.beta, p.minimum.loss, p.minimum.stats) for p in points],
            }

    keep, kept = Journal.keep, list[int]()

    def stopping(journal: Journal, *what: Any) -> None:
        if len(kept) == after:
            raise StoppedError
        kept.append(1)
        keep(journal, *what)

    undisturbed = shares(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "keep", stopping)
        with pytest.raises(StoppedError):
            shares(tmp_path / "cut")
    assert shares(tmp_path / "cut") == undisturbed


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spinodal.shares.block.MOST", 2)
    alone = sp.basin_shares(deep(), beta=[0.09], starts=4)
    with ThreadPoolExecutor(2) as pool, RunFolder(tmp_path / "run", {"task": {"name": "gaussian"}}) as folder:
        shared = sp.basin_shares(deep(), beta=[0.09], starts=4, executor=pool, recorder=folder.journal)
    assert shared.to_dict() == alone.to_dict()
    assert shared.spent == alone.spent
    seen = {item.phase: item.point.minimum.loss for item in alone.at(0.09) if item.point}
    assert seen == {item.phase: item.point.minimum.loss for item in shared.at(0.09) if item.point}


def test_progress_is_told(tmp_path: Path) -> None:
    told = list[str]()
    sp.basin_shares(deep(), beta=BETA, starts=2, training="lbfgs", tell=told.append)
    assert [line.partition(":")[0] for line in told] == ["beta = 0.09", "beta = 0.09", "beta = 0.12", "beta = 0.12"]
    assert told[1].endswith("2 of 2 starts lead to a minimum")


# -- shown ------------------------------------------------------------------------------------------


def test_shares_are_json_arrays_a_figure_and_a_page(found: sp.Shares) -> None:
    assert json.loads(json.dumps(found.to_dict()))["beta"] == list(BETA)
    dataset = found.to_xarray()
    assert (dataset.share.sum("phase") + dataset.not_finished).values == pytest.approx([1.0, 1.0])
    assert "gradient descent, learning rate" in dataset.attrs["training"]
    assert len(found.plot().axes) == 1
    assert "Shares" in found._repr_html_()


def test_shares_come_back_from_their_record(beside: sp.Shares) -> None:
    points = {point.index: point for row in beside.found.values() for point in row}
    points |= {item.point.index: item.point for item in beside.shares if item.point is not None}
    again = type(beside).from_dict(json.loads(json.dumps(beside.to_dict())), points.__getitem__, beside.map)
    assert again == beside
    assert again.to_dict() == beside.to_dict()


def test_bands_stack_up_to_all_starts_below_the_map_in_the_colours_of_its_phases(beside: sp.Shares) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    figure = beside.plot(kind="shares")
    error, bands = figure.axes[0], next(axes for axes in figure.axes if axes.get_ylabel() == "share of starts")
    drawn = [band for band in bands.collections if isinstance(band, PolyCollection)]
    assert max(point[1] for band in drawn for point in band.get_paths()[0].vertices) == pytest.approx(1.0)
    lines = [to_rgba(line.get_color()) for line in error.lines if line.get_linestyle() == "-"]
    reached = [phase for phase in beside.phases if any(item.count for item in beside.of(phase))]
    assert len(lines) == len(beside.diagram().phases)
    assert [tuple(band.get_facecolor()[0]) for band in drawn[: len(reached)]] == [lines[phase] for phase in reached]


def test_the_report_of_shares_with_a_map_is_that_of_the_map_with_a_section(beside: sp.Shares, tmp_path: Path) -> None:
    page = beside.report(tmp_path / "report.html").read_text()
    assert '<section id="shares">' in page
    assert '<section id="transitions">' in page
    assert "starts only" in page
    assert '<section id="shares">' not in beside.diagram().report(tmp_path / "map.html").read_text()


# -- refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"beta": [0.0]}, {"beta": []}, {"beta": [0.1], "starts": 0}, {"beta": [0.1], "training": "sgd"},
        {"beta": [0.1], "training": "lbfgs", "learning_rate": 0.1}, {"beta": [0.1], "epochs": 0},
        {"beta": [0.1], "learning_rate": -1.0},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpinodalError):
        sp.basin_shares(deep(), **wrong)  # type: ignore[arg-type]


def test_a_map_of_another_task_or_control_is_refused() -> None:
    other = sp.tasks.gaussian(**DEEP | {"singular_values": (0.8, 0.5)})
    diagram = sp.map_phases(other, beta=(0.3, 0.5), starts=1, bracket=1e-2)
    for task, control in ((deep(), None), (other, sp.Penalty(centre=other.initial(0)))):
        with pytest.raises(SpinodalError, match="a map of the same task"):
            sp.basin_shares(task, beta=[0.2], starts=1, diagram=diagram, control=control)

"""The tree of basins over seeds: closed forms, planted minima that are not one, and its files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import networkx
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor, nn

import spinodal as sp
from diagrams import diagram, point, transition
from spinodal.basins.at_beta import fingerprint_at
from spinodal.basins.matching import matched
from spinodal.basins.over_seeds import Depth, equally_deep
from spinodal.commands.hierarchy import seeds_in
from spinodal.errors import SpinodalError
from spinodal.plots import basin_tree_record, draw_basin_tree
from spinodal.report import save_hierarchy
from spinodal.words.numbers import significant
from test_cli import Command, command  # noqa: F401 - the fixture


@cache
def comb() -> sp.Hierarchy:
    """Return the tree of a linear net with two matrices, which loses its modes at beta = s."""
    task = sp.tasks.gaussian(activation="linear", hidden=(3,), singular_values=(0.9, 0.6, 0.3), outputs=3, samples=60)
    return sp.hierarchy(task, seeds=(0, 3, 8), starts=1, beta=(0.2, 1.2))


def test_linear_nets_of_all_seeds_fall_into_the_same_nested_phases_at_the_closed_forms() -> None:
    tree = comb()
    assert [(basin.rank, basin.seeds, basin.falls_to) for basin in tree.basins] == [
        (rank, (0, 3, 8), None if rank == 0 else 4 - rank) for rank in (3, 2, 1, 0)
    ]
    assert [basin.end for basin in tree.basins[:3]] == pytest.approx([0.3, 0.6, 0.9], rel=1e-4)
    assert all(max(basin.ends.values()) - min(basin.ends.values()) < 1e-5 for basin in tree.basins[:3])
    assert tree.agreement == 1.0
    assert tree.shared == (0, 1, 2, 3)
    assert tree.ways == dict.fromkeys((0, 3, 8), (0, 1, 2, 3))


def test_seeds_that_begin_in_one_phase_are_merged_at_the_lowest_beta() -> None:
    tree = comb()
    assert [(item.basin, item.seeds) for item in tree.mergings] == [(0, ((0,), (3,))), (0, ((0, 3), (8,)))]
    assert all(item.beta <= 1.01 * tree.range[0] for item in tree.mergings)


# -- planted minima -------------------------------------------------------------------------------


class Diagonal(nn.Module):
    """Three matrices of which the diagonals count: two modes, each of which can be off on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ParameterList([nn.Parameter(torch.eye(2)) for _ in range(3)])

    def forward(self, inputs: Tensor) -> Tensor:
        for weight in self.layers:
            inputs = inputs * weight.diagonal()
        return inputs


def squared(model: nn.Module, batch: Any) -> Tensor:
    inputs, targets = batch
    return (model(inputs) - targets).square().sum(1).mean()


def started(seed: int) -> Tensor:
    """Return a start in which seeds of maps that are even have the first mode alone, odd ones the second."""
    on = torch.eye(2)[seed // 1000 % 2]
    return torch.diag(on).expand(3, 2, 2).reshape(-1).clone()


def planted(first: float, second: float, *, labels: bool = False) -> sp.Task:
    """Return a task with two minima of rank 1: `E = (first - a)^2 + (second - b)^2` for modes a and b."""
    inputs = 2**0.5 * torch.eye(2, dtype=torch.float64)
    targets = inputs @ torch.diag(torch.tensor([first, second], dtype=torch.float64))
    more: dict[str, Any] = {"labels": lambda batch: batch[1].argmax(1)} if labels else {}
    return sp.Task(Diagonal(), squared, (inputs, targets), initial=started, name="planted", **more)


def fold(s: float) -> float:
    """Return where a mode s of three matrices folds: `beta = max of w (s - w^3)`, that is `s = 4 w^3`."""
    w = (s / 4.0) ** (1.0 / 3.0)
    return w * (s - w**3)


def test_two_distinct_minima_of_rank_one_are_not_merged() -> None:
    tree = sp.hierarchy(planted(1.0, 0.9), seeds=(0, 1, 2), starts=1, beta=(0.2, 0.6), bracket=1e-4)
    assert [(basin.rank, basin.seeds) for basin in tree.basins[:2]] == [(1, (0, 2)), (1, (1,))]
    assert [tree.basins[place].end for place in (0, 1)] == pytest.approx([fold(1.0), fold(0.9)], rel=2e-4)
    assert [basin.falls_to for basin in tree.basins] == [2, 2, None]
    assert [(item.basin, item.seeds) for item in tree.mergings] == [(0, ((0,), (2,))), (2, ((0, 2), (1,)))]
    assert tree.mergings[1].beta == pytest.approx(fold(1.0), rel=1e-3)
    (level,) = [level for level in tree.ranks if level.rank == 1]
    assert (level.deepest.id, level.others) == (0, (1,))


def test_minima_that_agree_in_all_invariants_but_take_other_classes_for_one_are_not_merged() -> None:
    tree = sp.hierarchy(planted(1.0, 1.0, labels=True), seeds=(0, 1), starts=1, beta=(0.2, 0.6), bracket=1e-4)
    first, second, trivial = tree.basins
    assert (first.seeds, second.seeds, trivial.seeds) == ((0,), (1,), (0, 1))
    assert first.end == pytest.approx(second.end, rel=1e-6) == pytest.approx(fold(1.0), rel=2e-4)
    assert first.error == pytest.approx(second.error)
    assert (first.told_apart, second.told_apart, trivial.told_apart) == (((0, 1),), ((0,), (1,)), ((0, 1),))


# -- phases known at different beta ---------------------------------------------------------------


def seeded(seed: int, **of_diagram: Any) -> sp.PhaseDiagram:
    return replace(diagram(**of_diagram), seed=seed)


def test_a_fingerprint_between_points_lies_between_theirs() -> None:
    points = (point(0, 0.1, level=0), point(1, 0.4, level=0))
    middle = fingerprint_at(points, 0.2)
    assert middle.error == pytest.approx(0.5 * sum(known.error for known in points))
    assert middle.norm_squared == pytest.approx(0.5 * sum(known.norm_squared for known in points))
    assert fingerprint_at(points, 0.4).error == points[1].error


def test_phases_are_matched_whatever_points_their_maps_stepped_to() -> None:
    groups = matched([diagram(40), diagram(31), diagram(57)])
    assert groups == [((0, phase), (1, phase), (2, phase)) for phase in range(3)]


def test_the_order_of_maps_does_not_matter() -> None:
    maps = [seeded(0, count=40), seeded(1, count=31), seeded(2, count=57, phases=2)]
    assert sp.Hierarchy.of(maps).to_dict() == sp.Hierarchy.of(maps[::-1]).to_dict()


def test_phases_of_one_map_are_never_one_basin() -> None:
    repeated = [point(index, beta, level=0) for index, beta in enumerate((0.1, 0.2, 0.3, 0.4))]
    twice = replace(seeded(0), points=tuple(repeated), transitions=(transition(repeated[1], repeated[2]),))
    other = replace(twice, seed=1)
    assert [basin.seeds for basin in sp.Hierarchy.of([twice, other]).basins] == [(0, 1), (0, 1)]


def test_seeds_that_never_meet_are_said_to() -> None:
    low = replace(seeded(0), points=seeded(0).points[:10], transitions=())
    high = replace(seeded(1), points=tuple(point(k, 0.01 * 1.1**k, level=2) for k in range(10)), transitions=())
    tree = sp.Hierarchy.of([low, high])
    assert tree.mergings == ()
    assert "Some seeds never meet" in str(tree)
    assert tree.agreement is None


# -- equally deep, over all seeds -----------------------------------------------------------------


def _line(rank: int, seed: int, depth: float, norm: float, low: float = 0.1, high: float = 0.9) -> Depth:
    """Return `L = depth + norm * beta`."""
    return Depth(rank, seed, CubicHermiteSpline([low, high], [depth + norm * low, depth + norm * high], [norm, norm]))


def test_the_deepest_phases_of_two_ranks_are_equally_deep_whichever_seeds_found_them() -> None:
    upper = [_line(1, 0, 0.3, 1.0), _line(1, 1, 0.2, 1.0)]  # seed 1 is the deeper one of rank 1,
    lower = [_line(0, 0, 0.6, 0.0), _line(0, 1, 0.7, 0.0)]  # seed 0 of rank 0
    assert equally_deep(upper, lower) == pytest.approx(0.4)
    assert equally_deep(upper[:1], lower[:1]) == pytest.approx(0.3)
    assert equally_deep(upper[1:], lower[1:]) == pytest.approx(0.5)
    assert equally_deep(upper, [_line(0, 0, 0.6, 0.0, low=0.5)]) is None  # it lies below what is known
    assert equally_deep(upper, [_line(0, 0, 0.6, 0.0, low=0.4)]) == pytest.approx(0.4)  # at the end of it
    assert equally_deep(upper, []) is None


def test_over_all_seeds_of_one_tree_ranks_are_equally_deep_where_their_phases_coexist() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(2, 2), singular_values=(0.9, 0.5), inputs=2, outputs=2, samples=50)
    tree = sp.hierarchy(task, seeds=(0, 1), starts=2, beta=(0.05, 0.8), branches=True)
    upper = [level for level in tree.ranks if level.deepest.equal is not None]
    assert len(upper) == 2
    for level in upper:
        assert level.over_seeds == pytest.approx(level.deepest.equal, rel=1e-5)
        assert level.over_seeds_spread == pytest.approx(0.0, abs=1e-5)
        assert set(level.without) == {0, 1}


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maps", "text"),
    [
        ([], "no map"),
        ([seeded(0), seeded(0)], "two maps of seed 0"),
        ([seeded(0), replace(seeded(1), task={"name": "another"})], "maps of by hand, .* and of another"),
        ([seeded(0), replace(diagram(downward=True), seed=1)], "walked downwards"),
    ],
)
def test_maps_without_a_common_hierarchy_are_refused(maps: list[sp.PhaseDiagram], text: str) -> None:
    with pytest.raises(SpinodalError, match=text):
        sp.Hierarchy.of(maps)


@pytest.mark.parametrize("seeds", ["0", "1:2", "3,3", "a:b", "0:", ""])
def test_seeds_that_are_none_or_one_are_refused(seeds: str) -> None:
    with pytest.raises(SpinodalError, match="seeds"):
        seeds_in(seeds)


# -- what is written ------------------------------------------------------------------------------


def test_the_graph_can_be_written_in_every_format(tmp_path: Path) -> None:
    graph = comb().to_networkx()
    assert [beta for _, _, beta in graph.edges(data="beta")] == pytest.approx([0.3, 0.6, 0.9], rel=1e-4)
    networkx.write_graphml(graph, tmp_path / "tree.graphml")
    again = networkx.read_graphml(tmp_path / "tree.graphml")
    assert {(int(a), int(b)) for a, b in again.edges} == {(0, 1), (1, 2), (2, 3)}
    assert networkx.is_arborescence(graph.reverse())


def test_the_picture_of_a_comb_is_one_trunk_with_a_joint_at_every_transition() -> None:
    record = basin_tree_record(comb())
    assert {trunk.place for trunk in record.trunks} == {0.0}
    assert [joint.beta for joint in record.joints] == pytest.approx([0.3, 0.6, 0.9], rel=1e-4)
    figure = draw_basin_tree(record)
    assert figure.axes[0].get_ylim() == pytest.approx(record.limits)


def test_the_page_needs_nothing_else_and_tells_the_basins(tmp_path: Path) -> None:
    page = save_hierarchy(comb(), tmp_path / "tree.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert f"<td>{significant(comb().basins[1].end or 0.0, 6)}</td>" in page
    assert "4 basins of gaussian over seeds 0 3 8" in page


def test_the_command_maps_every_seed_into_a_run_of_its_own_and_shows_runs_again(
    command: Command,  # noqa: F811
) -> None:
    small = ["--set", "activation=linear", "--set", "hidden=2", "--set", "samples=20"]
    small += ["--starts", "1", "--beta", "0.45:0.6", "--bracket", "1e-3"]
    mapped = ["hierarchy", "gaussian", *small, "--seeds", "0,4", "--out", "tree", "--threads", "1"]
    done = command(*mapped)
    assert (done.code, done.err) == (0, "")
    assert "Basins" in done.out
    assert "Ranks" in done.out
    found = json.loads(Path("tree/hierarchy.json").read_text())
    assert [item["seeds"] for item in found["basins"]] == [[0, 4]] * len(found["basins"])
    runs = ["tree/seed-0", "tree/seed-4"]
    assert all(Path(run, "report.html").exists() for run in runs)
    assert command("hierarchy", *runs, "--out", "again", "--json", "again.json", "--quiet").code == 0
    assert json.loads(Path("again.json").read_text()) == found
    assert command(*mapped, "--resume").code == 0
    assert json.loads(Path("tree/hierarchy.json").read_text()) == found
    assert {path.name for path in Path("tree/figures").iterdir()} == {"hierarchy.png", "hierarchy.pdf"}

"""The shares of basins: counted on deep linear nets, whose nested states are known, and compared with more starts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.store import RunFolder

BETA = (0.1, 0.2)
DEEP = {"activation": "linear", "hidden": (2, 2), "inputs": 2, "outputs": 2, "singular_values": (0.9, 0.5), "samples": 20}


def deep() -> sp.Task:
    return sp.tasks.gaussian(**DEEP)


@pytest.fixture(scope="module")
def found() -> sp.Shares:
    return sp.basin_shares(deep(), beta=BETA, starts=8)


def test_every_start_is_counted_once_in_a_state_that_keeps_the_first_modes(found: sp.Shares) -> None:
    for beta in BETA:
        reached = found.at(beta)
        assert sum(item.count for item in reached) == 8
        assert len({item.phase for item in reached}) == len(reached)
        assert {item.point.observation.rank for item in reached if item.point} <= {0, 1, 2}


def test_ends_are_those_of_plain_descent_of_the_same_starts_one_by_one() -> None:
    task = deep()
    landscape = task.landscape()
    ends = [sp.minimise(landscape, beta=0.1, start=task.initial(seed)) for seed in range(4)]
    alone = Counter(round(end.loss, 6) for end in ends)
    found = sp.basin_shares(task, beta=[0.1], starts=4)
    assert Counter({round(item.point.minimum.loss, 6): item.count for item in found.shares if item.point}) == alone


def test_intervals_are_wilsons() -> None:
    count, of, z = 5, 16, 1.959963984540054
    share = sp.Share(0.1, 0, count, of, None)
    middle = (count / of + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * (count / of * (1 - count / of) / of + z * z / (4 * of * of)) ** 0.5
    assert share.interval == pytest.approx((middle - half, middle + half))


def test_phases_of_a_map_keep_their_numbers_and_others_come_after(found: sp.Shares) -> None:
    diagram = sp.map_phases(deep(), beta=(0.05, 0.5), starts=2, bracket=1e-3)
    with_map = sp.basin_shares(deep(), beta=BETA, starts=8, diagram=diagram)
    assert with_map.mapped == tuple(phase.id for phase in diagram.phases)
    assert all(phase >= len(diagram.phases) for phase in with_map.new)
    for beta in BETA:
        assert sorted(item.count for item in with_map.at(beta)) == sorted(item.count for item in found.at(beta))


def test_what_is_journalled_is_not_computed_again(found: sp.Shares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunFolder(tmp_path / "run", {"task": {"name": "gaussian"}}) as folder:
        first = sp.basin_shares(deep(), beta=BETA, starts=8, recorder=folder.journal)
    monkeypatch.setattr("spinodal.shares.basin_shares.lbfgs_batch", None)
    with RunFolder(tmp_path / "run", {"task": {"name": "gaussian"}}, resume=True) as folder:
        again = sp.basin_shares(deep(), beta=BETA, starts=8, recorder=folder.journal)
    assert again.to_dict() == first.to_dict() == found.to_dict()


def test_shares_are_json_arrays_a_figure_and_a_page(found: sp.Shares) -> None:
    assert json.loads(json.dumps(found.to_dict()))["beta"] == list(BETA)
    dataset = found.to_xarray()
    assert dataset.share.sum("phase").values == pytest.approx([1.0, 1.0])
    assert len(found.plot().axes) == 1
    assert "Shares" in found._repr_html_()


@pytest.mark.parametrize("wrong", [{"beta": [0.0]}, {"beta": []}, {"beta": [0.1], "starts": 0}])
def test_what_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpinodalError):
        sp.basin_shares(deep(), **wrong)  # type: ignore[arg-type]


def test_a_map_of_another_task_or_control_is_refused(found: sp.Shares) -> None:
    other = sp.tasks.gaussian(**DEEP | {"singular_values": (0.8, 0.5)})
    diagram = sp.map_phases(other, beta=(0.3, 0.5), starts=1, bracket=1e-2)
    for task, control in ((deep(), None), (other, sp.Penalty(centre=other.initial(0)))):
        with pytest.raises(SpinodalError, match="a map of the same task"):
            sp.basin_shares(task, beta=[0.2], starts=1, diagram=diagram, control=control)

"""Many maps at once: the same for any number of workers, and their transitions matched and compared."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from diagrams import diagram, loop_diagram
from spinodal.errors import SpinodalError
from spinodal.mapping.members import Member
from spinodal.parallel import Undone, shared_out
from spinodal.store import Journal
from spinodal.words.ensemble import shared_cells
from spinodal.words.rows import TERMINAL

OPTIONS: dict[str, Any] = {"beta": (0.3, 1.1), "starts": 1, "bracket": 1e-3}


def linear(*singular_values: float) -> sp.Task:
    settings = {"activation": "linear", "inputs": 2, "outputs": 2, "hidden": [2], "bias": False, "samples": 20}
    return sp.tasks.gaussian(**settings, singular_values=singular_values)


@cache
def alone() -> sp.Ensemble:
    return sp.map_ensemble(linear(0.9, 0.5), seeds=(0, 3), **OPTIONS)


def lasting(ensemble: sp.Ensemble) -> dict[str, Any]:
    """Return an ensemble without the time it took."""
    whole: dict[str, Any] = json.loads(json.dumps(ensemble.to_dict()))
    for member in whole["members"]:
        member["stats"]["seconds"] = 0.0
    return whole


def journalled(folder: Path, member: Member) -> Journal:
    place = folder / member.name
    place.mkdir(parents=True, exist_ok=True)
    return Journal(place)


# -- maps side by side ----------------------------------------------------------------------------


def test_two_workers_give_the_ensemble_of_one_bit_for_bit() -> None:
    shared = sp.map_ensemble(linear(0.9, 0.5), seeds=(0, 3), workers=2, **OPTIONS)
    assert lasting(shared) == lasting(alone())
    thetas = [[at.minimum.theta for member in found.members for at in member.points] for found in (shared, alone())]
    assert all(bool((a == b).all()) for a, b in zip(*thetas, strict=True))
    assert shared.members[1].at(0.4).module() is not None  # models are given back as of a map that was made here


def test_linear_nets_of_all_seeds_lose_their_modes_at_the_closed_forms() -> None:
    found = alone()
    assert [item.beta for item in found.transitions] == pytest.approx([0.5, 0.9], rel=1e-3)
    assert [(item.met, item.of, item.ranks, item.order) for item in found.transitions] == [
        (2, 2, (2, 1), "second"),
        (2, 2, (1, 0), "second"),
    ]
    assert all(item.deviation is not None and item.deviation < 1e-3 for item in found.transitions)
    assert str(found).startswith("2 maps of gaussian: 2 transitions, met by all of them.")
    assert str(found.transitions[0]).startswith("rank 2 -> 1 at beta = 0.5000")


def test_of_several_tasks_every_one_is_mapped_and_transitions_are_matched_by_rank_and_place() -> None:
    found = sp.map_ensemble([linear(0.9, 0.5), linear(1.0, 0.45)], **OPTIONS)
    assert found.names == ("task-0-seed-0", "task-1-seed-0")
    assert not found.by_phase
    first, second = found.transitions
    assert (first.beta, first.deviation) == pytest.approx((0.475, 0.05 / math.sqrt(2.0)), rel=1e-2)
    assert (second.met, second.beta) == (2, pytest.approx(0.95, rel=1e-2))


def test_arrays_have_a_row_for_every_member() -> None:
    dataset = alone().to_xarray()
    assert dataset.sizes["member"] == 2
    assert dataset.transition_beta.values.ravel() == pytest.approx([0.5, 0.9, 0.5, 0.9], rel=1e-3)
    assert dataset.seed.values.tolist() == [0, 3]
    for name, member in zip(alone().names, alone().members, strict=True):
        errors = dataset.error.sel(member=name).values
        assert errors[: len(member.points)].tolist() == [at.error for at in member.points]
        assert all(map(math.isnan, errors[len(member.points) :]))


def test_threads_take_turns_and_give_the_same() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert lasting(sp.map_ensemble(linear(0.9, 0.5), seeds=(0, 3), executor=executor, **OPTIONS)) == lasting(alone())


def failing(seed: int) -> Any:
    if seed // 1000 == 1:
        message = "no start today"
        raise RuntimeError(message)
    return single().initial(seed)


def single() -> sp.Task:
    settings = {"activation": "linear", "inputs": 1, "outputs": 1, "hidden": [1], "bias": False, "samples": 9}
    return sp.tasks.gaussian(**settings, singular_values=(0.9,))


def test_a_member_that_fails_is_named_and_costs_no_other(tmp_path: Path) -> None:
    task = single()
    task._initial = failing
    told: list[str] = []
    found = sp.map_ensemble(
        task,
        seeds=(3, 1),
        recorder=partial(journalled, tmp_path),
        each=lambda name, made: told.append(name),
        **{**OPTIONS, "beta": (0.5, 1.0)},
    )
    assert Journal(tmp_path / "seed-3", read_only=True).count >= len(found.members[0].points)
    assert found.names == ("seed-3",)
    (missing,) = found.missing
    assert (missing.what, "no start today" in missing.cause) == ("the map of seed-1", True)
    assert "Missing: the map of seed-1" in str(found)
    assert sorted(told) == ["seed-1", "seed-3"]


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,)])
def test_seeds_that_are_none_are_refused(seeds: Any) -> None:
    with pytest.raises(SpinodalError, match="seed"):
        sp.map_ensemble(linear(0.9, 0.5), seeds=seeds)


# -- matching -------------------------------------------------------------------------------------


def test_how_many_met_each_is_counted_and_the_order_of_maps_does_not_matter() -> None:
    maps = [replace(diagram(40), seed=0), replace(diagram(57, phases=3), seed=1), replace(diagram(40, phases=2), seed=2)]
    found = sp.Ensemble.of(maps)
    assert [item.ranks for item in found.transitions] == [(3, 2), (2, 1)]
    assert sum(item.met for item in found.transitions) == 5
    back = sp.Ensemble.of(maps[::-1])
    assert [(item.met, item.beta) for item in back.transitions] == [
        (item.met, pytest.approx(item.beta)) for item in found.transitions
    ]


def test_ends_of_different_phases_are_different_transitions_however_near() -> None:
    first = diagram(40, phases=2)
    moved = [replace(at, minimum=replace(at.minimum, error=at.error + 5.0)) for at in first.points]
    moved_transitions = [
        replace(item, before=moved[item.before.index], after=moved[item.after.index]) for item in first.transitions
    ]
    other = replace(first, seed=1, points=tuple(moved), transitions=tuple(moved_transitions))
    assert [item.met for item in sp.Ensemble.of([first, other]).transitions] == [1, 1]


def test_both_ways_of_loops_are_matched_apart_with_their_coexistence() -> None:
    made = loop_diagram()
    up, down = sp.Ensemble.of([made, replace(made, seed=1)]).transitions
    assert (up.direction, down.direction, up.met, down.met) == ("up", "down", 2, 2)
    assert (up.beta, down.beta) == pytest.approx((0.232, 0.168), rel=1e-5)
    assert up.coexistence == pytest.approx(made.coexistence[0].beta)
    assert (down.coexistence, up.spread.width) == (None, 0.0)


def test_maps_that_have_nothing_to_do_with_each_other_are_refused() -> None:
    with pytest.raises(SpinodalError, match="0 maps"):
        sp.Ensemble.of([])
    with pytest.raises(SpinodalError, match="a name of its own"):
        sp.Ensemble.of([diagram(40), diagram(41)], ["one", "one"])


def test_a_cell_is_written_to_the_digits_that_its_deviation_justifies() -> None:
    cells = shared_cells(alone().to_dict()["transitions"][0], TERMINAL)
    assert (cells["met by"], cells["rank"]) == ("2 of 2", "2->1")
    assert float(cells["mean beta"]) == pytest.approx(0.5, rel=1e-3)


# -- workers that are lost ------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A folder in which jobs leave what they did."""

    folder: str
    threads: int = 1
    token: str = "place"

    def open(self) -> Path:
        return Path(self.folder)


def tenfold(folder: Path, job: int) -> int:
    return 10 * job


class Mortal(Executor):
    """A pool that computes at once, one job after the other, until one of them kills it."""

    def __init__(self, kills: set[int]) -> None:
        self.kills, self.is_dead, self.calls = kills, False, 0

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.is_dead = self.is_dead or pickle.loads(arguments[4]) in self.kills
        future.set_exception(BrokenExecutor("killed")) if self.is_dead else future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize(("deaths", "sizes"), [(1, [2, 2]), (9, [2, 2, 1, 1])])
def test_a_pool_whose_worker_dies_is_begun_anew_until_it_is_known_which_job_kills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int, sizes: list[int]
) -> None:
    begun: list[int] = []

    @contextmanager
    def pool(workers: int) -> Iterator[Executor]:
        begun.append(workers)
        yield Mortal({1} if len(begun) <= deaths else set())

    monkeypatch.setattr("spinodal.parallel.process_pool", pool)
    told: list[str] = []
    found = dict(shared_out(tenfold, range(3), Place(str(tmp_path)), workers=2, tell=told.append))
    lost = "a worker ended before its work was done (BrokenExecutor)"
    assert found == {0: 0, 1: 10 if deaths == 1 else Undone(lost), 2: 20}
    assert begun == sizes
    assert told == [f"{lost}; what is left is begun anew"] * (len(sizes) - 1)


class Elsewhere(Executor):
    """Computes at once, but for some calls of which it says why not."""

    def __init__(self, fails: dict[int, Exception]) -> None:
        self.fails, self.calls = fails, 0

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.calls in self.fails:
            future.set_exception(self.fails[self.calls])
        else:
            future.set_result(function(*arguments, **named))
        self.calls += 1
        return future


def test_what_a_foreign_executor_could_not_do_is_told(tmp_path: Path) -> None:
    executor = Elsewhere({2: RuntimeError("the worker was lost"), 3: BrokenExecutor("all of them")})
    found = dict(shared_out(tenfold, [0, 2, 4], Place(str(tmp_path)), executor=executor))
    assert found[0] == 0
    assert {place: made.cause for place, made in found.items() if isinstance(made, Undone)} == {
        1: "RuntimeError: the worker was lost",
        2: "a worker ended before its work was done (BrokenExecutor)",
    }


def test_workers_without_the_package_or_with_another_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = Elsewhere({0: ModuleNotFoundError("No module named 'spinodal'")})
    with pytest.raises(
        SpinodalError, match=r"a worker cannot begin \(ModuleNotFoundError.*; workers that have spinodal .*torch"
    ):
        list(shared_out(tenfold, [0], Place(str(tmp_path)), executor=lacking))

    class Other(Elsewhere):
        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            with monkeypatch.context() as there:
                there.setattr("spinodal.parallel.VERSIONS", ("spinodal 0.0.1", "torch 2.0"))
                return super().submit(function, *arguments, **named)

    with pytest.raises(SpinodalError, match=r"spinodal 0\.0\.1 and torch 2\.0 at a worker, spinodal .* where the work comes"):
        list(shared_out(tenfold, [0], Place(str(tmp_path)), executor=Other({})))

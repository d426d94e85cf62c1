"""Sums over shards: those of the whole, and the same to the last bit in any number of processes, whatever becomes of them."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from processes import Nursery, Run
from spinodal import cli
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.hessian import Vectorised
from spinodal.landscape.shards import Walked
from spinodal.landscape.sums import Add, Arguments, Sums
from spinodal.minima.kronecker import kronecker
from spinodal.processes.leader import share
from spinodal.processes.messages import Request, slotted
from spinodal.processes.world import NEEDED, world

SMALL = sp.tasks.gaussian(hidden=(3,), samples=13, inputs=2, outputs=2)
TOKENS = torch.randint(0, 5, (9, 6), generator=torch.Generator().manual_seed(0))
MASK = TOKENS > 1


def draw(size: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean_over_tokens(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    tokens, mask = batch
    each = nn.functional.cross_entropy(model(tokens).transpose(1, 2), tokens.flip(1), reduction="none")
    return (each * mask).sum() / mask.sum()


def reader() -> nn.Module:
    return nn.Sequential(nn.Embedding(5, 3), nn.Tanh(), nn.Linear(3, 5))


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().sum(1).mean()


def several() -> list[tuple[Tensor, Tensor]]:
    return [(draw(3, count, seed=count), draw(2, count, seed=-count + 50)) for count in (5, 2, 7)]


def plain(shards: int | None) -> Landscape:
    return SMALL.landscape(shards=shards)


def counted(shards: int | None) -> Landscape:
    return Landscape(reader(), mean_over_tokens, (TOKENS, MASK), samples=lambda batch: int(batch[1].sum()), shards=shards)


def in_batches(shards: int | None) -> Landscape:
    return Landscape(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), squared, several(), shards=shards)


def close(one: Any, other: Any) -> bool:
    a, b = (torch.as_tensor(value, dtype=torch.float64) for value in (one, other))
    return float((a - b).norm()) <= 1e-12 * (1.0 + float(b.norm()))


# -- the same as without --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [plain, counted, in_batches])
@pytest.mark.parametrize("shards", [1, 3, 4, 9])
def test_sums_over_shards_are_those_over_the_whole(make: Callable[[int | None], Landscape], shards: int) -> None:
    torch.manual_seed(0)
    whole = make(None)
    torch.manual_seed(0)
    cut = make(shards)
    assert cut.batches.count >= shards
    theta, rows = 0.3 * draw(whole.size), draw(whole.size, 3, seed=1)
    for function in (
        lambda landscape: landscape.value(theta),
        lambda landscape: landscape.gradient(theta),
        lambda landscape: landscape.hessian_product(theta, rows),
        lambda landscape: landscape.hessian_operator(theta)(rows[0]),
        lambda landscape: landscape.third_product(theta, rows[0], rows[1]),
        lambda landscape: landscape.hessian(theta),
    ):
        assert close(function(cut), function(whole))


def test_factors_over_shards_are_those_over_the_whole() -> None:
    theta = draw(SMALL.landscape().size)
    one, other = (kronecker(plain(shards), theta) for shards in (None, 4))
    assert one is not None
    assert other is not None
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert float((a.values.sort().values - b.values.sort().values).norm()) < 0.2 * float(a.values.norm())
    spent = draw(len(theta), seed=3)
    ratio = float(other.at_beta(0.1).inverse(spent) @ spent) / float(one.at_beta(0.1).inverse(spent) @ spent)
    assert ratio == pytest.approx(1.0, abs=0.2)  # random signs are drawn batch by batch


def test_single_precision_is_added_up_in_double_precision() -> None:
    cut, precise = (SMALL.landscape(dtype=kind, shards=7) for kind in (torch.float32, torch.float64))
    theta = 0.3 * draw(cut.size)
    parts = [cut.over(theta.float(), cut.batches_of(batch))[1].double() for batch in cut.batches]
    summed = sum(weight * part for weight, part in zip(cut.batches.weights, parts, strict=True))
    assert torch.equal(cut.gradient(theta.float()), torch.as_tensor(summed).float())
    assert float((cut.gradient(theta.float()) - precise.gradient(theta)).norm()) < 1e-5


# -- the same wherever ----------------------------------------------------------------------------


class Elsewhere:
    """Other processes, as far as sums go: a landscape of their own, made again, and requests that travel without tensors."""

    def __init__(self, root: Landscape, size: int) -> None:
        self.root, self.size, self.asked = root, size, list[tuple[str | int, ...]]()
        self.theirs = root.maker()()
        assert root.shards is not None
        root.shards.servers, self.number = self, root.shards.number

    def summed(self, landscape: Walked, add: Add, theta: Tensor, arguments: Arguments, total: Sums) -> bool:
        way = landscape.batches.way_from(self.root.batches)
        if way is None or landscape.batches.count < self.number:
            return False
        self.asked.append(way)
        given, tensors = slotted((theta, arguments))
        request = Request(way, landscape.sharpness_now, 1, add, given)
        assert [slot.shape for slot in request.slots] == [tuple(tensor.shape) for tensor in tensors]
        for rank in range(self.size):
            at = landscape if rank == 0 else self.theirs.made_in(way)
            assert at is not None
            there, rest = request.filled([tensor.contiguous().clone() for tensor in tensors])
            found: list[Tensor] = []
            layout = at.shards.sum_some(  # type: ignore[attr-defined]
                share(self.number, rank, self.size), at, add, there, rest, lambda sums, found=found: found.append(sums.flat)
            )
            for flat in found:
                total.take(Sums.of(flat, layout))
        return True


def everything(landscape: Landscape, theta: Tensor) -> list[Any]:
    rows = draw(landscape.size, 2, seed=2).to(theta)
    factors = kronecker(landscape, theta)
    assert factors is not None
    found = [landscape.value(theta), *landscape.value_and_gradient(theta), landscape.hessian_product(theta, rows)]
    found += [landscape.hessian(theta), Vectorised().dense(landscape, theta)]
    return [*found, landscape.third_product(theta, rows[0], rows[1]), *(block.values for block in factors.blocks)]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_all_that_a_solver_asks_of_the_data_is_the_same_wherever_it_is_summed(size: int) -> None:
    alone, helped = SMALL.landscape(shards=5), SMALL.landscape(shards=5)
    others = Elsewhere(helped, size)
    theta = 0.3 * draw(alone.size)
    assert same(everything(alone, theta), everything(helped, theta))
    assert set(others.asked) == {()}
    part, other = alone.part(2), helped.part(2)
    assert part is not None
    assert other is not None
    assert same(everything(part, theta), everything(other, theta))
    assert others.asked[-1] == (2,)


def test_twins_that_others_cannot_make_are_summed_here() -> None:
    alone, helped = SMALL.landscape(shards=5), SMALL.landscape(shards=5)
    others = Elsewhere(helped, 2)
    theta = draw(alone.size)
    term = lambda model, batch: model(batch[0]).square().mean()  # noqa: E731
    pairs = [(E.with_loss(term), E.of_few(2), E.split(theta, pieces=2)) for E in (alone, helped)]
    for one, other in zip(*pairs, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one.gradient(theta), other.gradient(theta))
    assert others.asked == []


def test_kinks_that_are_softened_for_a_while_are_softened_elsewhere_too() -> None:
    made = [Landscape(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), squared, several(), shards=3) for _ in "ab"]
    theta = draw(made[0].size)
    seen = list[float | None]()

    class Watching(Elsewhere):
        def summed(self, landscape: Walked, add: Add, theta: Tensor, arguments: Arguments, total: Sums) -> bool:
            seen.append(landscape.sharpness_now)
            return super().summed(landscape, add, theta, arguments, total)

    Watching(made[0], 2)
    with made[0].softened(2.0):
        made[0].value(theta)
    made[0].value(theta)
    assert seen == [2.0, None]


# -- what cannot be cut ---------------------------------------------------------------------------


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.5, 1.5]))


def test_what_does_not_split_into_shards_is_refused_with_the_cause() -> None:
    x = draw(2, 6)
    with pytest.raises(SpinodalError, match=r"3 shards of an E without data; .* leave shards out"):
        Landscape(Pair(), lambda model, batch: (1 - model.w.prod()) ** 2, None, shards=3)
    with pytest.raises(SpinodalError, match="7 shards of 6 samples; at most as many shards as samples"):
        Landscape(nn.Linear(2, 2), lambda model, batch: model(batch).square().mean(), x, shards=7)
    with pytest.raises(SpinodalError, match=r"2 shards of an E that is no mean over samples: it is .* over all of them, and"):
        Landscape(nn.Linear(2, 2), lambda model, batch: (model(batch).mean(0) ** 2).sum(), x, shards=2)
    with pytest.raises(SpinodalError, match="3 shards of an E that cannot be taken over part of the samples: RuntimeError"):
        Landscape(nn.Linear(2, 2), lambda model, batch: (model(batch).view(3, 2, 2) ** 2).mean(), x, shards=3)
    norm = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(SpinodalError, match="uses batch statistics in training mode"):
        Landscape(norm, lambda model, batch: model(batch).square().mean(), x, shards=2)
    with pytest.raises(SpinodalError, match="a mean over tokens or over what is not masked"):
        Landscape(reader(), mean_over_tokens, (TOKENS, MASK), shards=3)


@pytest.mark.parametrize("shards", [0, -1, 2.5, "many"])
def test_a_number_of_shards_is_a_whole_number(shards: Any) -> None:
    with pytest.raises(SpinodalError, match=r"shards = .*; whole numbers >= 1 are allowed; try 4"):
        sp.map_phases(SMALL, shards=shards)


def test_a_training_on_a_grid_has_no_shards() -> None:
    with pytest.raises(SpinodalError, match=r"a grid together with .*shards"):
        sp.map_phases(SMALL, solver="adam", grid=(0.0, 0.1, 0.05), shards=2)


def test_as_many_batches_as_shards_are_never_cut() -> None:
    batches = [draw(2, 4, seed=seed) for seed in range(3)]
    meeting = Landscape(nn.Linear(2, 2), lambda model, batch: (model(batch).mean(0) ** 2).sum(), batches, shards=3)
    assert meeting.batches.count == 3


# -- processes ------------------------------------------------------------------------------------

OWN = """
import os, time
from pathlib import Path
import torch
from torch import nn
from spinodal import Task

calls, rank = 0, int(os.environ.get("RANK", "0"))

def loss(model, batch):
    global calls
    calls += 1
    if calls == int(os.environ.get(f"HOLD{rank}", "-1")):
        Path(f"held-{rank}").touch()
        time.sleep(60)
    return (model(batch[0]) - batch[1]).square().sum(1).mean()

def task(broken: int = -1):
    if rank == broken:
        raise OSError("no such disk")
    print("made")
    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = (x[:, :2] - 0.5 * x[:, 1:].square()).tanh()
    return Task(nn.Sequential(nn.Linear(3, 2), nn.Tanh()), loss, (x, y))
"""
HOW = {"beta": (0.1, 0.2), "starts": 1, "solver": "lbfgs", "bracket": 0.01, "shards": 3}
MAP = ["map", "own.py:task", "--beta", "0.1:0.2", "--starts", "1", "--solver", "lbfgs", "--bracket", "0.01", "--shards", "3"]
SUMS = """
import hashlib, os
import torch
import spinodal as sp
from spinodal.minima.kronecker import kronecker
from spinodal.processes.sharing import shared

made = hashlib.sha256()

def note(value):
    made.update(torch.as_tensor(value).double().numpy().tobytes())

task = sp.tasks.gaussian(hidden=(3,), samples=23, inputs=2, outputs=2)
with shared(3, lambda: task.landscape(shards=3), lambda landscape: landscape) as landscape:
    assert landscape.shards.servers is not None or "RANK" not in os.environ
    for at in (landscape, landscape.part(2)):
        theta = 0.3 * torch.randn(at.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        rows = torch.stack([theta.flip(0), theta.sin()])
        note(at.value(theta))
        note(at.gradient(theta))
        note(at.hessian_product(theta, rows.T.contiguous().T))
        note(at.third_product(theta, *rows))
        note(at.hessian(theta))
        for block in kronecker(at, theta).blocks:
            note(block.values)
print(made.hexdigest())
"""
MAPPED = f"""
import json, os, sys
from pathlib import Path
sys.path.insert(0, "")
import spinodal as sp
from own import task
from spinodal.store import RunFolder

folder = None if os.environ.get("RANK", "0") != "0" else RunFolder(Path("run"), {{"map": "own"}}, resume=True)
found = sp.map_phases(task(), recorder=folder and folder.journal, **{HOW})
Path("found.json").write_text(json.dumps([found.to_dict(), [point.minimum.theta.tolist() for point in found.points]]))
"""
SOON = 2.0  # seconds in which a loss is noticed


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def begin(nursery: Nursery, folder: Path, size: int, *words: str, program: str = "", **environment: str) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.py").write_text(OWN)
    return nursery.start(folder, size, *words, program=program, **environment)


def begin_command(nursery: Nursery, folder: Path, size: int, *words: str, **environment: str) -> Run:
    return begin(nursery, folder, size, *(words or MAP), "--out", "run", **environment)


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """Return what is found, without the time it took and without what the task is called."""
    return {**result, "stats": {**result["stats"], "seconds": 0.0}, "task": None}


def mapped(folder: Path) -> tuple[dict[str, Any], list[list[float]]]:
    result, thetas = json.loads((folder / "found.json").read_text())
    return lasting(result), thetas


@pytest.fixture(scope="module")
def alone(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[list[float]]]:
    folder = tmp_path_factory.mktemp("alone")
    run = begin(nursery, folder, 0, program=MAPPED)
    assert run.ended() == [0], run.said(0)
    result, thetas = mapped(folder)
    assert result["run_status"] == "complete"
    assert len(thetas) > 3
    return result, thetas


def wait_for(place: Path) -> None:
    end = time.monotonic() + 120
    while not place.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def points(folder: Path) -> int:
    """Return how many points the journal of a run holds."""
    return sum(json.loads(line)["kind"] == "point" for line in (folder / "run" / "journal.jsonl").read_text().splitlines())


def test_the_bits_of_sums_do_not_depend_on_the_number_of_processes(nursery: Nursery, tmp_path: Path) -> None:
    runs = [begin(nursery, tmp_path / str(size), size, program=SUMS) for size in (0, 2, 3)]
    assert [run.ended() for run in runs] == [[0], [0, 0], [0, 0, 0]], [run.said(0) for run in runs]
    alone, *others = [run.said(0) for run in runs]
    assert len(alone[0].split()) == 1
    assert others == [alone, alone]
    assert [run.said(1) for run in runs[1:]] == [("", "")] * 2


def test_a_process_that_is_killed_while_it_computes_ends_the_map_at_once(nursery: Nursery, tmp_path: Path) -> None:
    run = begin_command(nursery, tmp_path, 3, HOLD1="210")
    wait_for(tmp_path / "held-1")
    killed = run.kill(1)
    assert run.ended() == [2, -signal.SIGKILL, 0]
    assert time.monotonic() - killed < SOON
    out, err = run.said(0)
    kept = points(tmp_path)
    assert kept
    assert f"process 1 of 0 to 2 was lost: {kept} point" in out
    assert "continue with --resume --out run" in out
    assert err.startswith("error: process 1 of 0 to 2 was lost (killed, out of memory, or cut off); every process is needed")
    assert len(err.splitlines()) == 1
    assert run.said(2) == ("", "")
    config = (tmp_path / "run" / "config.toml").read_text()
    assert "shards = 3" in config
    assert "threads = 1" in config


def test_one_that_is_killed_while_the_first_one_computes_interrupts_it_and_any_number_goes_on(
    nursery: Nursery, alone: Any, tmp_path: Path
) -> None:
    run = begin(nursery, tmp_path, 2, program=MAPPED, HOLD0="210")
    wait_for(tmp_path / "held-0")
    killed = run.kill(1)
    assert run.ended() == [71, -signal.SIGKILL]
    assert time.monotonic() - killed < SOON
    assert "SpinodalError: process 1 of 0 to 1 was lost" in run.said(0)[1]
    assert points(tmp_path)
    again = begin(nursery, tmp_path, 3, program=MAPPED)
    assert again.ended() == [0, 0, 0], again.said(0)
    assert mapped(tmp_path) == alone  # the others have left, or they would have written it, too
    assert again.said(1)[1] == again.said(2)[1] == ""


def test_the_others_end_at_once_with_the_first_one(nursery: Nursery, tmp_path: Path) -> None:
    run = begin_command(nursery, tmp_path, 3, HOLD1="130")  # one at work, one that waits
    wait_for(tmp_path / "held-1")
    killed = run.kill(0)
    assert run.ended() == [-signal.SIGKILL, 1, 1]
    assert time.monotonic() - killed < SOON
    assert run.said(1) == run.said(2) == ("", "")


def test_ctrl_c_is_told_by_the_first_process_alone(nursery: Nursery, tmp_path: Path) -> None:
    run = begin_command(nursery, tmp_path, 2, HOLD0="210")
    wait_for(tmp_path / "held-0")
    for rank in (1, 0):
        run.kill(rank, signal.SIGINT)
    assert run.ended() == [130, 0]
    assert f"interrupted: {points(tmp_path)} point" in run.said(0)[0]
    assert run.said(0)[1] == ""
    assert run.said(1) == ("", "")


BAD = {
    "shards = 1 in 2 processes": [*MAP[:-1], "1"],
    "40 shards of 24 samples": [*MAP[:-1], "40"],
    "process 1 cannot open the task (": [*MAP, "--set", "broken=1"],
}


def test_bad_input_is_told_by_the_first_process_alone(nursery: Nursery, tmp_path: Path) -> None:
    runs = {told: begin_command(nursery, tmp_path / str(number), 2, *words) for number, (told, words) in enumerate(BAD.items())}
    for told, run in runs.items():
        assert run.ended()[0] == 2
        assert run.said(0)[1].startswith(f"error: {told}"), run.said(0)
        assert run.said(1) == ("", "")
        assert not (run.folder / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (MAP[:-2], r"2 processes \(WORLD_SIZE = 2\) without --shards; .*; add --shards 2 or a multiple of it"),
        ([*MAP, "--workers", "2"], "--workers with --shards in 2 processes; .* leave one out"),
        ([*MAP, "--seeds", "0:2"], "--seeds with --shards in 2 processes"),
        ([*MAP[:-1], "0"], "shards = 0; whole numbers >= 1 are allowed"),
        ([*MAP[:-1], "two"], "invalid value for '--shards'"),
    ],
)
def test_options_that_do_not_go_with_several_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["spinodal", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert re.match(f"error: {told}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE without RANK and MASTER_ADDR and MASTER_PORT in the environment"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK = 2 with WORLD_SIZE = 2"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE = 'two' in the environment"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK = '-1' in the environment"),
    ],
)
def test_half_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch, there: dict[str, str], told: str) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    if "RANK" in there:
        there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", **there}
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SpinodalError, match=told):
        world()

"""A finished walk is never lost: what builds on it may fail in any place, is named with its cause, and is tried again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

import spinodal as sp
from spinodal.commands import pictures
from spinodal.curvature.survey import survey
from spinodal.errors import unexpected
from spinodal.missing import Attempts
from spinodal.store import RunFolder
from test_cli import Command, command  # noqa: F401 - the fixture

OPTIONS: dict[str, Any] = {"beta": (0.1, 0.6), "starts": 1, "bracket": 1e-3}
ASKED: dict[str, dict[str, Any]] = {
    "loop": {"direction": "loop"},
    "branches": {"branches": True},
    "curvature": {"curvature": True},
}
SETTINGS = {"activation": "linear", "inputs": 1, "outputs": 1, "hidden": [1, 1], "bias": False, "singular_values": [0.9]}
WORDS = ["--set", "activation=linear", "--set", "inputs=1", "--set", "outputs=1", "--set", "hidden=1,1", "--set", "bias=false",
         "--set", "singular_values=0.9", "--set", "samples=20"]  # fmt: skip
LINE = ["map", "gaussian", *WORDS, "--beta", "0.1:0.6", "--starts", "1", "--bracket", "1e-3", "--out", "run"]
ERRORS: list[Callable[[], Exception]] = [
    lambda: RuntimeError("injected"),
    lambda: KeyError(2),
    lambda: np.linalg.LinAlgError("injected"),
    lambda: MemoryError(),
    lambda: ValueError("injected"),
    lambda: IndexError("injected"),
    lambda: ZeroDivisionError("injected"),
    lambda: StopIteration(),
    lambda: sp.SpinodalError("injected", "nothing is allowed", "nothing can be done"),
]
PLACES = {
    ("branches", "branches"): [
        "phases.branch_following.continue_branch", "phases.branch_following.plain", "phases.branch_following.explained",
        "phases.branch_following.special_point", "phases.branch_following.stable_part", "mapping.after_walk.branched",
    ],
    ("coexistence", "branches"): ["phases.branch_following.coexistence", "phases.branch_following.first_minima"],
    ("coexistence", "loop"): [
        "phases.branch_following.coexistence", "phases.joining.envelope", "phases.joining.violations",
        "phases.joining.divided", "phases.joining.Fingerprint.of", "phases.joining.falls_along",
    ],
    ("curvature", "curvature"): [
        "curvature.survey.curvature_at", "curvature.survey.plain", "curvature.along.Curvature.from_dict",
        "mapping.after_walk.survey",
    ],
    ("figures", "curvature"): ["plots.save.diagram_record", "plots.save.paper"],
    ("report", "curvature"): [
        "report.page.diagram_record", "report.page.transition_table", "report.page.payload", "report.page.answer_sentences",
    ],
}  # fmt: skip
COUNTS = {
    ("branches", "branches"): 12, ("coexistence", "branches"): 4, ("coexistence", "loop"): 8, ("curvature", "curvature"): 14,
    ("figures", "curvature"): 6, ("report", "curvature"): 6,
}  # fmt: skip
AGAIN = 3  # every so manieth faulty run is gone on with


def task() -> sp.Task:
    return sp.tasks.gaussian(**SETTINGS, samples=20)


class Fault:
    """Lets one call of a function fail."""

    def __init__(self, place: str, call: int, error: int) -> None:
        module, _, self.name = place.rpartition(".")
        self.module = resolve_name(f"spinodal.{module}")
        self.call, self.error, self.calls = call, error, 0
        self.whole = getattr(self.module, self.name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.call:
            raise ERRORS[self.error]()
        return self.whole(*arguments, **named)

    @property
    def is_met(self) -> bool:
        return self.calls >= self.call > 0

    def injected(self) -> Any:
        return mock.patch.object(self.module, self.name, self)


@contextmanager
def opened(path: Path, asked: str) -> Iterator[tuple[RunFolder, dict[str, Any]]]:
    """Open a folder to map into, or to go on there."""
    options = OPTIONS | ASKED[asked]
    settings = {"task": {"name": "gaussian", **task().settings}, "map": {**options, "beta": list(options["beta"])}}
    with RunFolder(path, settings, resume=True) as folder:
        yield folder, options


def mapped(path: Path, asked: str) -> dict[str, Any]:
    """Map into a folder, or go on there, and return the result."""
    with opened(path, asked) as (folder, options):
        files = Attempts()
        folder.save(sp.map_phases(task(), recorder=folder.journal, **options), files=files)
        folder.lack_files(files.missing)
        return lasting(folder.result())


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the time it took."""
    return {**json.loads(json.dumps(result)), "stats": {**result["stats"], "seconds": 0.0}}


def of_the_walk(result: dict[str, Any]) -> dict[str, Any]:
    """Return what a walk alone tells; a branch may say the order and the place of a transition more exactly."""
    up = [item for item in result["transitions"] if item["direction"] == "up"]
    own = ("bracket", "direction", "minor", "evidence", "error", "norm", "rank", "margin", "points")
    return {
        **{name: result[name] for name in ("task", "seed", "range", "solver", "run_status", "followed", "exact")},
        "transitions": [{name: item[name] for name in own} for item in up],
        "phases": [{name: item[name] for name in ("id", "beta", "rank", "error")} for item in result["phases"][: len(up) + 1]],
    }


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its folder, its result, and how often every place was met behind the walk."""

    run: Path
    result: dict[str, Any]
    calls: dict[str, int]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    return {asked: _undisturbed(tmp_path_factory.mktemp(asked), asked) for asked in ASKED}


def _undisturbed(folder: Path, asked: str) -> Whole:
    mapped(folder / "run", asked)
    again = cut(folder / "run", folder / "again")
    faults = {place: Fault(place, 0, 0) for (_, of), places in PLACES.items() if of == asked for place in places}
    with ExitStack() as stack:
        for fault in faults.values():
            stack.enter_context(fault.injected())
        result = mapped(again, asked)
    assert result["missing"] == []
    assert result == lasting(sp.load(folder / "run").to_dict())
    return Whole(folder / "run", result, {place: fault.calls for place, fault in faults.items()})


def faults(group: tuple[str, str], calls: dict[str, int]) -> Iterator[tuple[str, Fault]]:
    """Yield faults at random calls of the places of a group, with what they are."""
    rng = random.Random(str(group))
    for k in range(COUNTS[group]):
        place = PLACES[group][k % len(PLACES[group])]
        call, error = rng.randint(1, calls[place]), rng.randrange(len(ERRORS))
        yield f"{ERRORS[error]()!r} in call {call} of {calls[place]} of {place}", Fault(place, call, error)


def cut(run: Path, target: Path) -> Path:
    """Copy a run as it was when its walk was finished, and no more."""
    target.mkdir()
    for name in ("config.toml", "provenance.json"):
        shutil.copy(run / name, target)
    shutil.copytree(run / "states", target / "states")
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    last = next(k for k, line in enumerate(lines) if b'"key": "walk"' in line)
    (target / "journal.jsonl").write_bytes(b"".join(lines[: last + 1]))
    count = sum(b'"kind": "point"' in line for line in lines[: last + 1])
    for place in sorted((target / "states").iterdir())[count:]:
        place.unlink()
    return target


def test_there_are_fifty_places() -> None:
    assert sum(COUNTS.values()) == 50


@pytest.mark.parametrize("group", [group for group in PLACES if group[0] not in ("figures", "report")], ids=" of ".join)
def test_a_fault_after_the_walk_costs_what_it_hits_and_is_mended_by_resuming(
    undisturbed: dict[str, Whole], tmp_path: Path, group: tuple[str, str]
) -> None:
    asked, whole = group[1], undisturbed[group[1]]
    for number, (label, fault) in enumerate(faults(group, whole.calls)):
        run = cut(whole.run, tmp_path / str(number))
        with fault.injected():
            found = mapped(run, asked)
        assert fault.is_met, label
        assert of_the_walk(found) == of_the_walk(whole.result), label
        assert found["missing"], label
        assert "of the task raised" not in str(found["missing"]), label
        assert lasting(sp.load(run).to_dict()) == found, label
        if number % AGAIN == 0:
            final = all(item["final"] for item in found["missing"])
            assert mapped(run, asked) == (found if final else whole.result), label
            assert lasting(sp.load(run).to_dict()) == (found if final else whole.result), label


@pytest.mark.parametrize("group", [("figures", "curvature"), ("report", "curvature")], ids=" of ".join)
def test_a_fault_in_a_figure_or_the_report_costs_that_alone(
    undisturbed: dict[str, Whole], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: tuple[str, str]
) -> None:
    whole = undisturbed["curvature"]
    if group[0] == "report":
        monkeypatch.setattr(pictures, "write_figures", lambda *_, **__: None)  # which take long
    run = shutil.copytree(whole.run, tmp_path / "run")
    for label, fault in faults(group, dict.fromkeys(PLACES[group], 1)):
        with opened(run, "curvature") as (folder, _), fault.injected():
            files = Attempts()
            pictures.write_pictures(sp.load(run), folder, files)
        assert fault.is_met, label
        found = json.loads((run / "result.json").read_text())
        assert [item["what"] for item in found["missing"]] == [item.what for item in files.missing] != [], label
        assert lasting(found) == whole.result | {"missing": found["missing"]}, label
        assert lasting(sp.load(run).to_dict()) == lasting(found), label
    with opened(run, "curvature") as (folder, _):
        pictures.write_pictures(sp.load(run), folder, Attempts())
    assert lasting(json.loads((run / "result.json").read_text())) == whole.result


def test_a_map_with_something_missing_says_so_and_ends_well(
    command: Command,  # noqa: F811
) -> None:
    with Fault("phases.branch_following.continue_branch", 1, 1).injected():
        done = command(*LINE, "--branches", "--json", "result.json")
    assert done.code == 0
    what = "the branch of phase 0 (an error of spinodal itself, not of the task: KeyError: 2)"
    assert done.err.startswith(f"missing: {what}")
    assert done.err.count("\n") == 1
    assert "--branches --json result.json --resume --out run tries again, and --debug shows where" in done.err
    assert f"Missing: {what}" in done.out
    assert "the branch of phase 0 (an error of spinodal itself" in Path("run/report.html").read_text()
    result = json.loads(Path("result.json").read_text())
    assert [item["what"] for item in result["missing"]] == ["the branch of phase 0"]
    assert result == json.loads(Path("run/result.json").read_text())
    assert f"Missing: {what}" in command("show", "run").out
    with Fault("phases.branch_following.continue_branch", 1, 1).injected():
        assert "in __call__\n    raise ERRORS" in command(*LINE, "--branches", "--resume", "--debug").err
    done = command(*LINE, "--branches", "--resume", "--json", "result.json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(Path("result.json").read_text())["missing"] == []


def test_a_walk_is_written_before_its_branches_are_tried(command: Command) -> None:  # noqa: F811
    def interrupt(*_: Any, **__: Any) -> None:
        seen.append(json.loads(Path("run/result.json").read_text()))
        assert Path("run/result.nc").exists()
        assert "unfinished" in Path("run/report.html").read_text()
        raise KeyboardInterrupt

    seen: list[dict[str, Any]] = []
    with mock.patch("spinodal.mapping.after_walk.branched", interrupt):
        assert command(*LINE, "--branches").code == 130
    (result,) = seen
    assert result["run_status"] == "unfinished"
    (item,) = result["missing"]
    assert item["what"] == "branches and coexistence points"
    assert item["cause"].startswith("unfinished; go on with spinodal map gaussian --set activation=linear ")
    assert item["cause"].endswith("--resume --out run")
    assert lasting(sp.load("run").to_dict()) == lasting(result)
    assert (
        "This run is unfinished. Missing: branches and coexistence points (unfinished; go on with" in command("show", "run").out
    )
    assert command(*LINE, "--branches", "--resume", "--quiet").code == 0
    assert sp.load("run").run_status == "complete"
    assert sp.load("run").missing == ()


class Failing(nn.Module):
    """A chain of two weights whose loss can be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))


def test_code_of_the_task_that_fails_after_the_walk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = False

    def loss(model: Failing, batch: object) -> torch.Tensor:
        if fails:
            message = "no loss today"
            raise RuntimeError(message)
        return (1 - model.w.prod()) ** 2 / 2

    def begun(*arguments: Any, **named: Any) -> Any:
        nonlocal fails
        fails = True
        return survey(*arguments, **named)

    monkeypatch.setattr("spinodal.mapping.after_walk.survey", begun)
    diagram = sp.map_phases(sp.Task(Failing(), loss, None), beta=(0.05, 0.5), starts=1, bracket=1e-3, curvature=True)
    (item,) = diagram.missing
    total = len(diagram.points)
    assert item.what == f"the curvature at {total} of {total} points"
    assert item.cause.startswith("the code of the task raised RuntimeError: no loss today (test_robust_map.py, line ")
    assert not item.final
    assert len(diagram.macroscopic) == 1


def test_whose_error_it_was_is_told_by_the_place_that_raised() -> None:
    assert "an error of spinodal itself" in unexpected(KeyError(2)).allowed
    with pytest.raises(KeyError) as caught:
        raise_here()
    place = f"test_robust_map.py, line {raise_here.__code__.co_firstlineno + 1}"
    assert unexpected(caught.value).allowed == f"code of a task that does not raise is needed; this came from {place}"


def raise_here() -> None:
    raise KeyError(2)

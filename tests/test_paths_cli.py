"""`spinodal connect`: two files, whether they can be merged, the path between them, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import spinodal as sp
from spinodal.tasks.models import Models
from test_cli import Command, command  # noqa: F401 - the fixture

SET = {"activation": "linear", "hidden": "4,4", "bias": "false", "samples": "60"}
TASK = ["gaussian", *(part for key, value in SET.items() for part in ("--set", f"{key}={value}"))]


def task() -> sp.Task:
    return sp.tasks.gaussian(activation="linear", hidden=(4, 4), bias=False, samples=60)


@pytest.fixture(scope="module")
def states() -> list[dict[str, Tensor]]:
    landscape = task().landscape()
    return [
        Models.of(task()).state_dict(
            sp.minimise(landscape, beta=1e-4, start=task().initial(seed), solver="lbfgs", tolerance=0.1).theta
        )
        for seed in (0, 1)
    ]


@pytest.fixture
def ends(states: list[dict[str, Tensor]], command: Command, tmp_path: Path) -> tuple[str, str]:  # noqa: F811
    save_file(states[0], tmp_path / "one.safetensors")
    torch.save({"epoch": 3, "model": states[1]}, tmp_path / "other.pt")
    return "one.safetensors", "other.pt"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(name).read_text())
    return found


def test_the_check_says_what_straight_lines_say(command: Command, ends: tuple[str, str]) -> None:  # noqa: F811
    done = command("connect", *TASK, *ends, "--check", "--json", "check.json")
    assert done.code == 0, done.err
    assert "Can they be merged? Not by averaging (barrier of the straight line 0." in done.out
    found = read("check.json")
    assert "paths" not in found
    assert found["check"]["verdict"] == "path"
    assert found["check"]["same_phase"]
    assert found["check"]["barrier_aligned"] < found["check"]["barrier"]


def test_a_permuted_copy_can_be_merged_once_it_is_aligned(
    command: Command,  # noqa: F811
    states: list[dict[str, Tensor]],
    ends: tuple[str, str],
) -> None:
    names = list(states[0])
    order = torch.tensor([3, 1, 0, 2])
    moved = {**states[0], names[0]: states[0][names[0]][order], names[1]: states[0][names[1]][:, order].contiguous()}
    save_file(moved, "moved.safetensors")
    done = command("connect", *TASK, ends[0], "moved.safetensors", "--check")
    assert done.code == 0, done.err
    assert "Can they be merged? Yes, once the units of b are in the order of those of a" in done.out


def test_a_path_is_found_kept_merged_and_found_again(command: Command, ends: tuple[str, str]) -> None:  # noqa: F811
    words = [
        "connect",
        *TASK,
        *ends,
        "--method",
        "l2,bezier",
        "--budget",
        "300",
        "--out",
        "run",
        "--merge",
        "merged.safetensors",
    ]
    first = command(*words, "--json", "first.json")
    assert first.code == 0, first.err
    assert "E between the ends, above the larger one" in first.out
    found = read("first.json")
    assert [path["method"] for path in found["paths"]] == ["l2", "bezier"]
    assert all(0.0 <= path["barrier"] < 0.5 * path["barrier_straight"] for path in found["paths"])
    landscape = task().landscape()
    merged = sp.paths.ends.end_of(landscape, load_file("merged.safetensors"), "merged")
    assert landscape.value(merged) == pytest.approx(found["merged"]["value"])
    assert {path.name for path in Path("run/figures").iterdir()} == {"path.png", "path.pdf"}
    shown = command("show", "run", "--json", "shown.json")
    assert shown.code == 0, shown.err
    assert f"l2: {found['paths'][0]['status']}" in shown.out or f"bezier: {found['paths'][1]['status']}" in shown.out
    assert "Can they be merged? Not by averaging" in shown.out
    assert read("shown.json") == found
    before = Path("run/report.html").read_text()
    assert "data:image/svg+xml;base64," in before
    assert found["paths"][1]["status"] in before
    assert "default-src &#39;none&#39;" in before
    assert command("report", "run", "--out", "again.html").code == 0
    assert Path("again.html").read_text().count("<td>") == before.count("<td>")
    text = Path("run/path.json").read_text()
    Path("run/path.json").write_text(text[: len(text) // 2])
    assert "path.json is damaged" in command("show", "run").err
    Path("run/path.json").unlink()
    assert "is not finished: no path is complete yet" in command("show", "run").err
    again = command(*words, "--resume", "--json", "again.json")
    assert again.code == 0, again.err
    assert read("again.json") == found
    assert "already holds a run" in command(*words).err
    assert "holds another run" in command(*words, "--resume", "--bends", "5").err


def test_points_of_a_run_are_ends(command: Command, ends: tuple[str, str]) -> None:  # noqa: F811
    done = command("map", *TASK, "--starts", "1", "--beta", "0.5:0.6", "--out", "runs/one", "--quiet")
    assert done.code == 0, done.err
    done = command("connect", *TASK, "runs/one:0", ends[0], "--method", "straight", "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["check"]["error"][0] > found["check"]["error"][1]
    assert "A, runs/one: this names no point of the run" in command("connect", *TASK, "runs/one", ends[0]).err


class Mine:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("executed",)


def test_files_that_do_not_fit_are_refused_and_nothing_in_them_is_run(
    command: Command,  # noqa: F811
    states: list[dict[str, Tensor]],
    ends: tuple[str, str],
) -> None:
    names = list(states[1])
    bad = states[1] | {names[0]: torch.full_like(states[1][names[0]], float("nan"))}
    torch.save({"model": states[1], "mine": Mine()}, "code.pt")
    torch.save(bad, "nan.pt")
    torch.save({name: states[1][name] for name in names[1:]}, "missing.pt")
    torch.save(states[1] | {"head.weight": torch.ones(2, 2)}, "extra.pt")

    def told(other: str, *words: str) -> str:
        done = command("connect", *(words or TASK), ends[0], other)
        assert done.code == 2
        assert done.err.count("\n") == 1
        return done.err

    assert "could run code when it is read" in told("code.pt")
    assert not Path("executed").exists()
    assert "holds numbers that are not finite" in told("nan.pt")
    assert f"the checkpoint has no {names[0]}" in told("missing.pt")
    assert "head.weight" in told("extra.pt")
    assert "both ends of the path are the same point" in told(ends[0])
    assert "of the task's model is allowed" in told(ends[1], "gaussian")
    assert "unknown method 'foo'" in told(ends[1], *TASK, "--method", "foo")
    assert "--merge . is a folder" in told(ends[1], *TASK, "--merge", ".")
    assert "budget = nan; a finite number > 0" in told(ends[1], *TASK, "--budget", "nan")
    assert "tolerance = -1.0; a finite number > 0" in told(ends[1], *TASK, "--tolerance", "-1")
    assert "unknown start 'band'" in told(ends[1], *TASK, "--method", "band", "--start", "band")
    assert "exists and is not a run folder" in told(ends[1], *TASK, "--out", "nan.pt")
    assert "there is no folder nowhere" in told(ends[1], *TASK, "--merge", "nowhere/merged.safetensors")

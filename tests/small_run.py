"""Runs of seconds: a linear net with closed forms, and a classifier with everything a state dict can hold."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from losses import squared
from spinodal.store import RunFolder

LINEAR = {"activation": "linear", "hidden": [2], "samples": 20}
OPTIONS = {"beta": (0.3, 1.2), "starts": 1, "bracket": 1e-3}


def linear() -> sp.Task:
    return sp.tasks.gaussian(**LINEAR)


class Mixed(nn.Module):
    """BatchNorm in evaluation mode, a frozen layer, two tied layers, a buffer of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.frozen = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)
        self.once, self.again, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.again.weight = self.once.weight
        self.frozen.requires_grad_(False)
        self.norm.weight.requires_grad_(False)  # the scale of what it multiplies
        self.register_buffer("rounds", torch.tensor([1, 2]))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.tanh(self.frozen(self.norm(self.first(inputs))))
        for layer in (self.once, self.again):
            hidden = torch.tanh(layer(hidden))
        return self.last(hidden)


def mixed_model(seed: int = 0) -> Mixed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Mixed()
        model(torch.randn(50, 3))  # running statistics of its own
        return model.eval()


def mixed(dtype: torch.dtype = torch.float32) -> sp.Task:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(30, 3, generator=generator).to(dtype)
    data = (inputs, nn.functional.one_hot(inputs.argmax(1), 3))
    return sp.Task(
        mixed_model().to(dtype),
        squared,
        data,
        held_out=(inputs[:10] + 0.1, data[1][:10]),
        exclude=["norm.bias"],
        observables={"size of the bias": lambda model: float(model.last.bias.norm())},
        name="mixed",
        settings={"words": "<script>alert(1)</script>", "none": None},
    )


def mapped(task: sp.Task, path: Path, **options: Any) -> sp.PhaseDiagram:
    """Map into a run folder."""
    settings = {"task": {"name": task.name, **task.settings}, "map": {**options, "beta": list(options["beta"])}}
    with RunFolder(path, settings) as folder:
        diagram = sp.map_phases(task, recorder=folder.journal, **options)
        folder.save(diagram)
    return diagram


@pytest.fixture(scope="session")
def linear_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, sp.PhaseDiagram]]:
    yield from kept_as_it_is(tmp_path_factory.mktemp("linear") / "run", linear(), **OPTIONS)


@pytest.fixture(scope="session")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, sp.PhaseDiagram]]:
    yield from kept_as_it_is(tmp_path_factory.mktemp("mixed") / "run", mixed(), beta=(5e-3, 5.5e-3), starts=1, solver="lbfgs")


def kept_as_it_is(path: Path, task: sp.Task, **options: Any) -> Iterator[tuple[Path, sp.PhaseDiagram]]:
    """Lend a run to many tests, none of which may change it."""
    diagram = mapped(task, path, **options)
    before = digests(path)
    yield path, diagram
    assert digests(path) == before


def digests(path: Path) -> dict[str, str]:
    files = (place for place in path.rglob("*") if place.is_file())
    return {str(place.relative_to(path)): hashlib.sha256(place.read_bytes()).hexdigest() for place in files}


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]


def write_lines(run: Path, changed: list[dict[str, Any]]) -> None:
    """Write a journal by hand, which gives its lines no checksums."""
    plain = [{key: value for key, value in line.items() if key != "crc32"} for line in changed]
    (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in plain))


def without_states(run: Path, tmp_path: Path) -> Path:
    """Return a folder that holds nothing but the journal of a run."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(run / "journal.jsonl", alone)
    return alone

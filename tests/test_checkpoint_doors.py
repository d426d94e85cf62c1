"""Checkpoints come in by three doors (`map --start`, `curvature --at`, `place`), and all of them read the same."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import spinodal as sp
from spinodal.store import read_checkpoint
from test_cli import FAST, Command, command
from test_cli_models import finished, run

__all__ = ["command", "finished", "run"]

START = ("map", *FAST, "--out", "run", "--resume", "--at-weight-decay", "0.7", "--json", "-", "--start")
AT = ("curvature", "gaussian", "--set", "activation=linear", "--set", "hidden=4,4", "--set", "samples=60",
      "--at-weight-decay", "0.7")  # fmt: skip


def lightning(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    weights = {f"model._orig_mod.{name}": value for name, value in state.items()}
    return {
        "epoch": np.int64(3),
        "hyper_parameters": argparse.Namespace(lr=0.1, out=Path("out")),
        "state_dict": {**weights, "criterion.weight": torch.ones(2)},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.3)}},
    }


def sharded(folder: Path, state: dict[str, torch.Tensor]) -> None:
    folder.mkdir()
    where = {name: f"model-{number}.safetensors" for number, name in enumerate(state)}
    for name, file in where.items():
        save_file({name: state[name]}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def test_every_door_reads_what_training_left(command: Command, run: Path) -> None:
    diagram = sp.load(run)
    state = diagram.at(0.35).state_dict()
    save_file(state, run.parent / "plain.safetensors")
    torch.save(lightning(state), run.parent / "last.ckpt")
    sharded(run.parent / "whole", state)
    names = ("plain.safetensors", "last.ckpt", "whole", "whole/model.safetensors.index.json")
    placed = {name: command(*START, name) for name in names[1:3]}
    places = {name: json.loads(done.out)["placement"] for name, done in placed.items()}
    found = {name: json.loads(command(*AT, "--json", "-", "--at", name).out) for name in names}
    assert len({(place["phase"], place["answer"], place["checkpoint"]["error"]) for place in places.values()}) == 1
    assert len({(held["E"], held["curvature"]["loss"]["value"]) for held in found.values()}) == 1
    assert places["whole"]["checkpoint"]["error"] == pytest.approx(found["whole"]["E"], rel=1e-12)
    said = (
        "read from names that begin with 'model._orig_mod.' in ['state_dict']; not of the model, and left out: criterion.weight"
    )
    assert [place["checkpoint"]["read"] for place in places.values()] == [said, ""]
    assert f"checkpoint: {said}" in placed["last.ckpt"].err
    assert f"checkpoint: {said}" in command(*AT, "--at", "last.ckpt").out


def test_what_is_read_is_placed_in_python(finished: Path, tmp_path: Path) -> None:
    diagram = sp.load(finished)
    state = diagram.at(0.35).state_dict()
    torch.save(lightning(state), tmp_path / "last.ckpt")
    usual = sp.place(diagram, state, weight_decay=0.7)
    placement = sp.place(diagram, read_checkpoint(tmp_path / "last.ckpt"), weight_decay=0.7)
    assert placement.answer() == usual.answer()
    assert "left out: criterion.weight" in placement.remark()
    assert usual.start.read == ""


@pytest.mark.parametrize("door", [START, (*AT, "--at")], ids=["map", "curvature"])
def test_every_door_refuses_two_models_in_one_file(door: tuple[str, ...], command: Command, run: Path) -> None:
    state = sp.load(run).at(0.35).state_dict()
    torch.save({"model": state, "ema": {name: value + 1.0 for name, value in state.items()}}, run.parent / "two.pt")
    done = command(*door, "two.pt")
    assert done.code == 2
    assert "by ['model'] and by ['ema']" in done.err
    assert "torch.save(held['ema'], 'part.pt')" in done.err
    assert done.err.count("\n") == 1

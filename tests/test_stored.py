"""Runs and records that earlier versions wrote: they load as they did, and what is newer or damaged is refused with a way out.

`stored/` holds the journal, `result.json` and `result.nc` of two runs (a loop of a deep linear net with its curvature and a
repeat; a classifier), and records of journals, all written by version 0.1.0 before its JSON was made by one codec.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray
from torch import Tensor

import spinodal as sp
from small_run import lines, write_lines
from spinodal.codec import Record
from spinodal.curvature.along import Curvature
from spinodal.dynamics.trajectory import Trajectory
from spinodal.landscape.control_record import ControlRecord
from spinodal.paths.found import Found
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.limit import Limit
from spinodal.store import rebuild

STORED = Path(__file__).parent / "stored"
SINCE: dict[str, Any] = {"from_starts": []}  # keys of results that are newer than these, as they stand for what was not done
SINCE_EVIDENCE: dict[str, Any] = {"turned": False, "coexists": False}  # the same of the evidence of an order
RECORDS: dict[str, Any] = json.loads((STORED / "records.json").read_text())


@pytest.fixture(params=["loop", "classes"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(STORED / f"{request.param}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_a_stored_run_gives_its_result(run: Path) -> None:
    written = json.loads((run / "result.json").read_text())
    found = json.loads(json.dumps(sp.load(run).to_dict(), allow_nan=False))
    for item in written["transitions"]:
        item["evidence"] |= SINCE_EVIDENCE
    assert found == written | SINCE
    assert [key for key in found if key not in SINCE] == list(written)


def test_a_stored_run_gives_its_arrays(run: Path) -> None:
    with xarray.open_dataset(run / "result.nc") as written:
        found = sp.load(run).to_xarray()
        for name in written.variables:
            assert found[name].dims == written[name].dims, name
            assert found[name].astype(written[name].dtype).equals(written[name]), name
        assert set(found.variables) >= set(written.variables)


def test_the_result_of_a_stored_run_is_written_again_as_it_was(run: Path) -> None:
    written = (run / "result.json").read_bytes()
    rebuild(run)
    assert (run / "result.json").read_bytes() == written


KINDS: dict[str, type[Record]] = {
    "curvature": Curvature,
    "limit": Limit,
    "no limit": Limit,
    "coexistence": PhaseCoexistence,
    "control": ControlRecord,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_stored_record_comes_back(name: str) -> None:
    assert KINDS[name].from_dict(RECORDS[name]).to_dict() == RECORDS[name]


def test_a_stored_trajectory_comes_back() -> None:
    record, tensors = RECORDS["trajectory"], {"theta": torch.zeros(2, 3), "epoch": torch.tensor([40])}
    again = Trajectory.from_record(record, tensors)
    assert again.to_dict() == record
    assert {name: value.dtype for name, value in vars(again).items() if isinstance(value, Tensor) and name != "theta"} == (
        dict.fromkeys(("error", "loss", "norm", "rank", "crossings", "arrivals"), torch.float64)
    )


def test_a_stored_part_of_a_path_comes_back() -> None:
    record, tensors = RECORDS["found"], {"points": torch.zeros(3, 2), "before jump 0": torch.ones(2)}
    again = Found.from_record(record, tensors)
    assert again.to_dict() == record
    assert again.tensors.keys() == tensors.keys()


# -- what is newer or damaged ---------------------------------------------------------------------


def changed(run: Path, change: Callable[[dict[str, Any]], Any]) -> str:
    """Change the result in a journal, and return the refusal."""
    written = lines(run)
    change(next(line for line in written if line.get("key") == "result")["record"])
    write_lines(run, [*written, {"kind": "note", "key": "last", "record": {}}])  # so that it is no torn last line
    with pytest.raises(sp.SpinodalError) as refused:
        sp.load(run)
    return str(refused.value)


def test_a_result_of_a_newer_version_is_refused(run: Path) -> None:
    text = changed(run, lambda result: result.update(schema=2))
    assert "has schema 2; schema 1 is allowed; use the version of spinodal that wrote it" in text


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no phases": lambda result: result.pop("phases"),
    "a beta of words": lambda result: result["transitions"][0].update(beta="much"),
    "a direction that is none": lambda result: result["tree"][0].update(direction=3),
    "an interval of one end": lambda result: result["phases"][0]["existence"].update(stable=[[0.1]]),
    "a spinodal below zero": lambda result: result["spinodals"][0].update(beta=-1.0),
    "a branch by another method": lambda result: result["branches"][0].update(method="hope"),
    "a fold without a point": lambda result: result["branches"][0]["folds"][0].update(point=10**6),
    "a column that is shorter": lambda result: result["branches"][0]["points"]["beta"].pop(),
    "a phase that is not there": lambda result: result["coexistence"][0].update(phases=[0, 17]),
    "a repeat of words": lambda result: result["repeats"][0].update(seeds="two"),
    "a part that may be missing": lambda result: result.update(missing=[{"what": "it", "cause": "why", "final": "no"}]),
}


@pytest.mark.parametrize("run", ["loop"], indirect=True)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_refused_with_what_to_do(run: Path, damage: str) -> None:
    text = changed(run, DAMAGES[damage])
    assert "is damaged" in text
    assert "restore the file from a copy, or start anew in another folder" in text

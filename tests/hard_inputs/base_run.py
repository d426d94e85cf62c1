"""A small run of a few points, made once, damaged many times."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hard_inputs.damage import copy
from hard_inputs.program import Outcome, run

TASK = (
    "map", "gaussian", "--set", "activation=linear", "--set", "hidden=2", "--set", "samples=20", "--set", "inputs=2", "--set",
    "outputs=1",
    "--set", "singular_values=0.9", "--beta", "0.5:1.2", "--bracket", "1e-2", "--starts", "1",
)  # fmt: skip
LINE = (*TASK, "--out", "out")
SHOW = ("show", "out", "--json", "-")
RESUME = (*LINE, "--resume", "--json", "-")
MADE = ("result.json", "result.nc", "report.html", "figures")  # what the end of a map makes
VOLATILE = ("seconds", "elapsed", "crc32", "placement")  # what two runs of one command differ in


@cache
def finished(*more: str) -> Path:
    """Return the folder of a finished run."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    done = run((*LINE, *more), folder)
    assert done.code == 0, done
    return folder / "out"


def place_finished(folder: Path) -> None:
    """Put a finished run into a folder."""
    copy(finished(), folder / "out")


@cache
def placed() -> Path:
    """Return the folder of a finished run in which a model was placed."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place_finished(folder)
    assert run(("export", "out:3", "model"), folder).code == 0
    done = run((*LINE, "--resume", "--start", "model", "--at-weight-decay", "1.1"), folder)
    assert done.code == 0, done
    return folder / "out"


def place_placed(folder: Path) -> None:
    """Put a finished run with a placement into a folder."""
    copy(placed(), folder / "out")


def place_midway(folder: Path) -> None:
    """Put a run into a folder that was killed half way."""
    place_finished(folder)
    out = folder / "out"
    for name in MADE:
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink(missing_ok=True)
    lines = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (out / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) * 2 // 3]))
    kept = {record["state"] for record in records(out)}
    for state in (out / "states").iterdir():
        if f"states/{state.name}" not in kept:
            state.unlink()


def records(out: Path) -> list[dict[str, Any]]:
    """Return the points of a journal; a damaged line is none."""
    lines = [_parsed(line) for line in (out / "journal.jsonl").read_bytes().split(b"\n")]
    return [lasting(line) for line in lines if isinstance(line, dict) and line.get("kind") == "point"]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def lasting(tree: Any) -> Any:
    """Return a result or a line without what two runs differ in."""
    if isinstance(tree, dict):
        return {key: lasting(value) for key, value in tree.items() if key not in VOLATILE}
    return [lasting(item) for item in tree] if isinstance(tree, list) else tree


@cache
def expected() -> str:
    """Return the result of the unharmed run."""
    return json.dumps(lasting(json.loads((finished() / "result.json").read_text())))


def same(folder: Path, outcome: Outcome) -> str | None:
    """Judge exit code 0: the result must be that of the unharmed run, and no point of it may be gone."""
    answer = json.loads(outcome.out)
    if answer["run_status"] == "unfinished":  # a last line that is torn is no damage: the rest is shown
        return _beginning(folder, answer)
    if answer.pop("placements", []) or json.dumps(lasting(answer)) != expected():  # `show` adds them; no model was placed
        return "was accepted, and gave another result"
    if records(folder / "out") != records(finished()):
        return "was accepted, and lost a point or changed one"
    return None


def _beginning(folder: Path, answer: dict[str, Any]) -> str | None:
    """Judge what is shown of an unfinished run: the journal must be the beginning of that of the unharmed one."""
    seen, whole = records(folder / "out"), records(finished())
    if seen != whole[: len(seen)] or not set(answer["followed"]) <= set(range(len(seen))) or not answer["missing"]:
        return "was shown as the beginning of a run that it is not"
    return None


def prepared(place: Callable[[Path], None], harm: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what puts a run into a folder and harms it."""

    def prepare(folder: Path) -> None:
        place(folder)
        harm(folder / "out")

    return prepare

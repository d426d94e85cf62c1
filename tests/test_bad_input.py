"""Bad input: one line that says what was got, what is allowed, what to do; exit code 2; nothing written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from spinodal.commands import map as map_verb
from spinodal.commands.json_file import check_json, write_json_file
from spinodal.errors import SpinodalError
from spinodal.files import write_whole
from test_cli import FAST, Command, command  # noqa: F401 - the fixture
from test_cli import OWN as OWN_FILE

TASKS = """
import torch
from torch import nn
from spinodal import Task

x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
y = 0.8 * x[:, :2]

def mse(model, batch):
    return (model(batch[0]) - batch[1]).square().sum(1).mean()

def make(loss=mse, data=(x, y), model=None, **more):
    return Task(model or nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)), loss, data, **more)

value = 3
def not_a_task(): return None
def raising(): raise RuntimeError("first line\\nsecond line")
def leaving(): raise SystemExit(7)
def vector(): return make(lambda m, b: (m(b[0]) - b[1]).square())
def number(): return make(lambda m, b: mse(m, b).item())
def nan(): return make(lambda m, b: mse(m, b) * float("nan"))
def detached(): return make(lambda m, b: mse(m, b).detach())
def constant(): return make(lambda m, b: b[0].sum())
def failing_loss(): return make(lambda m, b: 1 / 0)
def empty(): return make(data=(x[:0], y[:0]))
def no_batches(): return make(data=[])
def not_finite(): return make(data=(x * float("inf"), y))
def one_pass(): return make(data=(batch for batch in [(x, y)]))
def wrong_inputs(): return make(data=(x[:, :2], y))
def wrong_targets(): return make(data=(x, y[:7]))
def held_out_empty(): return make(held_out=(x[:0], y[:0]))
def held_out_not_finite(): return make(held_out=(x * float("nan"), y))
def held_out_wrong(): return make(held_out=(x[:, :1], y))
def no_parameters(): return make(model=nn.Identity(), data=(x, x))
def dropout(): return make(model=nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 2)))
def not_a_module(): return make(model=lambda batch: batch)
def no_such_pattern(): return make(exclude=["*.nothing"])
def wrong_start(): return make(initial=lambda seed: torch.zeros(3, dtype=torch.float64))
def failing_start(): return make(initial=lambda seed: 1 / 0)
def nan_observable(): return make(observables={"mine": lambda model: float("nan")})
def failing_observable(): return make(observables={"mine": lambda model: 1 / 0})
def observable_of_words(): return make(observables={"mine": lambda model: "much"})
def uncallable_observable(): return make(observables={"mine": 3})
def held_out_labels(): return make(held_out=(x, y[:7].argmax(1)))
def odd_settings(): return make(settings={"scale": torch.tensor(1.0)})
def odd_settings_inside(): return make(settings={"layers": [{"activation": nn.Tanh}]})
def unknown_hint(width: "Nowhere" = 3): return make()
"""

GAUSSIAN = {
    "unknown argument": (["--set", "hiden=3"], "did you mean 'hidden'?"),
    "unknown activation": (["--set", "activation=tahn"], "did you mean 'tanh'?"),
    "--set without =": (["--set", "hidden"], "key=value is allowed"),
    "--set without key": (["--set", "=3"], "key=value is allowed"),
    "word for a number": (["--set", "samples=many"], "a value of type int"),
    "fraction for a whole number": (["--set", "samples=1.5"], "a value of type int"),
    "word in a list of numbers": (["--set", "hidden=10,ten"], "comma-separated int"),
    "word for a switch": (["--set", "bias=maybe"], "a value of type bool"),
    "width of zero": (["--set", "hidden=0"], "whole numbers >= 1"),
    "no inputs": (["--set", "inputs=0"], "whole numbers >= 1"),
    "more singular values than fit": (["--set", "singular_values=3,2,1"], "1 to 2 values fit"),
    "singular value of zero": (["--set", "singular_values=1,0"], "finite values > 0"),
    "singular value that is no number": (["--set", "singular_values=nan"], "finite values > 0"),
    "no singular values": (["--set", "singular_values="], "1 to 2 values fit"),
    "too few samples": (["--set", "samples=6"], "at least 7 samples"),
    "negative noise": (["--set", "noise=-1"], "noise = -1"),
    "beta of zero": (["--beta", "0:1"], "a finite beta > 0"),
    "negative beta": (["--beta=-1:1"], "a finite beta > 0"),
    "beta that is no number": (["--beta", "nan:1"], "a finite beta > 0"),
    "infinite beta": (["--beta", "0.1:inf"], "a finite beta > 0"),
    "reversed range": (["--beta", "1:0.1"], "try 0.1:1"),
    "empty range": (["--beta", "0.1:0.1"], "LOW < HIGH"),
    "words for a range": (["--beta", "low:high"], "LOW:HIGH with two numbers"),
    "half a range": (["--beta", "0.1"], "LOW:HIGH with two numbers"),
    "open range": (["--beta", "0.1:"], "LOW:HIGH with two numbers"),
    "unknown solver": (["--solver", "newtn"], "did you mean 'newton'"),
    "unknown direction": (["--direction", "dwon"], "did you mean 'down'?"),
    "unknown dtype": (["--dtype", "float46"], "did you mean 'float64'"),
    "unknown device": (["--device", "gpu"], "device 'gpu' cannot be used"),
    "no starts": (["--starts", "0"], "whole numbers >= 1"),
    "seed beyond 64 bits": (["--seed", "99999999999999999999"], "seed = 99999999999999999999"),
    "seed whose starts are beyond 64 bits": (["--seed", "9223372036854776"], "seed = 9223372036854776"),
    "coarse bracket": (["--bracket", "0.5"], "from 1e-9 to 1e-2"),
    "bracket that is no number": (["--bracket", "nan"], "from 1e-9 to 1e-2"),
    "tolerance of zero": (["--tolerance", "0"], "between 0 and 1"),
    "JSON into a missing folder": (["--json", "no/where.json"], "no/where.json cannot be written"),
    "JSON onto a folder": (["--json", "."], "cannot be written"),
}

OWN = {
    "not_a_task": "returned a NoneType",
    "raising": "raised RuntimeError: first line;",
    "leaving": "raised SystemExit: 7;",
    "value": "is a int",
    "nowhere": "unknown function",
    "vectr": "did you mean 'vector'?",
    "vector": "returned a tensor of shape (20, 2)",
    "number": "returned float",
    "nan": "returned nan",
    "detached": "has no gradient",
    "constant": "has no gradient",
    "failing_loss": "raised ZeroDivisionError",
    "empty": "data is empty",
    "no_batches": "data is empty",
    "not_finite": "data is not finite",
    "one_pass": "cannot be walked twice",
    "wrong_inputs": "check that the shapes and dtypes of data and model fit",
    "wrong_targets": "check that the shapes and dtypes of data and model fit",
    "held_out_empty": "held_out: data is empty",
    "held_out_not_finite": "held_out: data is not finite",
    "held_out_wrong": "loss on held_out raised RuntimeError",
    "no_parameters": "no trainable parameter",
    "dropout": "so E is not a function of theta",
    "not_a_module": "an nn.Module is allowed",
    "no_such_pattern": "matches no parameter",
    "wrong_start": "a tensor of shape (20,) is allowed",
    "failing_start": "initial(seed) raised ZeroDivisionError",
    "nan_observable": "observable 'mine' is nan",
    "failing_observable": "observable 'mine' raised ZeroDivisionError",
    "observable_of_words": "observable 'mine' raised ValueError",
    "uncallable_observable": "observable 'mine' raised TypeError",
    "held_out_labels": "loss on held_out raised RuntimeError",
    "odd_settings": "setting scale is a Tensor",
    "odd_settings_inside": "setting layers[0].activation is a type",
}


def refusal(command: Command, *arguments: str) -> str:  # noqa: F811
    """Run, expecting exit code 2, one line of error, and no trace on disk; return the line."""
    before = contents()
    done = command(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: "), done.err
    assert done.err.count("\n") == 1, done.err
    assert done.err.endswith("\n")
    assert contents() == before
    return done.err


def contents() -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in Path().rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.fixture
def uncomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that gets as far as computing a map."""

    def computed(*_: Any, **__: Any) -> None:
        pytest.fail("bad input was found only after computing began")

    monkeypatch.setattr(map_verb, "map_phases", computed)


@pytest.mark.usefixtures("uncomputed")
@pytest.mark.parametrize("case", GAUSSIAN)
def test_bad_options_are_refused_before_anything_is_computed(command: Command, case: str) -> None:  # noqa: F811
    arguments, text = GAUSSIAN[case]
    assert text in refusal(command, "map", "gaussian", "--set", "samples=60", *arguments)


def test_of_a_file_its_own_functions_are_offered(command: Command) -> None:  # noqa: F811
    text = "from torch import nn\nfrom spinodal import Task\nclass Net(nn.Module): ...\ndef mine(): ...\ndef _hidden(): ...\n"
    Path("own.py").write_text(text)
    assert refusal(command, "map", "own.py:mien").endswith("'mien'; known: mine; did you mean 'mine'?\n")


@pytest.mark.usefixtures("uncomputed")
@pytest.mark.parametrize("case", OWN)
def test_a_bad_task_of_ones_own_is_refused_before_anything_is_computed(command: Command, case: str) -> None:  # noqa: F811
    Path("own.py").write_text(TASKS)
    assert OWN[case] in refusal(command, "map", f"own.py:{case}")


@pytest.mark.usefixtures("uncomputed")
def test_an_annotation_that_cannot_be_resolved_is_refused_or_ignored(command: Command) -> None:  # noqa: F811
    Path("own.py").write_text(TASKS)
    assert "a value of type int is allowed" in refusal(command, "map", "own.py:unknown_hint", "--set", "width=many")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gausian", "did you mean 'gaussian'?"),
        ("mnist-but-better", "path/to/file.py:function"),
        ("nowhere.py:task", "no file nowhere.py"),
        ("nowhere.py", "names no function"),
        (".:task", "no file ."),
    ],
)
def test_an_unknown_task_is_refused(command: Command, name: str, text: str) -> None:  # noqa: F811
    assert text in refusal(command, "map", name)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1 / 0", "importing own.py raised ZeroDivisionError"),
        ("def task(:", "importing own.py raised SyntaxError"),
        ("import no_such_package", "No module named 'no_such_package'"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_task_file_that_raises_is_refused(command: Command, source: str, text: str) -> None:  # noqa: F811
    Path("own.py").write_text(source + "\n")
    assert text in refusal(command, "map", "own.py:task")


@pytest.mark.usefixtures("uncomputed")
def test_an_argument_that_ones_own_task_does_not_have_is_refused(command: Command) -> None:  # noqa: F811
    Path("own.py").write_text("def task(width=3): ...\n")
    assert "did you mean 'width'?" in refusal(command, "map", "own.py:task", "--set", "witdh=3")


@pytest.mark.usefixtures("uncomputed")
@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("hidden=0", "whole numbers >= 1"),
        ("held_out=2", "a fraction from 0 to"),
        ("activation=sigmod", "did you mean 'sigmoid'?"),
        ("outputs=3", "unknown argument of digits 'outputs'"),
    ],
)
def test_bad_arguments_of_digits_are_refused(command: Command, setting: str, text: str) -> None:  # noqa: F811
    assert text in refusal(command, "map", "digits", "--set", setting)


@pytest.mark.usefixtures("uncomputed")
def test_a_folder_that_holds_something_else_is_left_alone(command: Command) -> None:  # noqa: F811
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("years of work")
    for more in ([], ["--resume"]):
        assert "is not a run folder" in refusal(command, "map", *FAST, "--out", "out", *more)


@pytest.mark.usefixtures("uncomputed")
def test_a_file_as_run_folder_is_left_alone(command: Command) -> None:  # noqa: F811
    Path("out").write_text("years of work")
    assert "is not a run folder" in refusal(command, "map", *FAST, "--out", "out")
    assert "out/run cannot be written" in refusal(command, "map", *FAST, "--out", "out/run")


def test_a_folder_that_holds_another_run_is_left_alone(command: Command) -> None:  # noqa: F811
    command("map", *FAST, "--out", "out", "--quiet")
    assert "--resume" in refusal(command, "map", *FAST, "--out", "out")
    assert "noise: 0.1 there, 0.3 now" in refusal(command, "map", *FAST, "--set", "noise=0.3", "--out", "out", "--resume")


def test_a_damaged_configuration_is_refused(command: Command) -> None:  # noqa: F811
    Path("out").mkdir()
    Path("out/config.toml").write_text("= nothing")
    assert "config.toml is damaged" in refusal(command, "map", *FAST, "--out", "out", "--resume")


@pytest.mark.parametrize("verb", [["show", "nowhere"], ["show", "."]])
def test_showing_no_run_is_refused(command: Command, verb: list[str]) -> None:  # noqa: F811
    assert "no run in" in refusal(command, *verb)


WRONG = {
    "task": ["x", {}, None],
    "range": ["x", [1], ["low", "high"], [None, True]],
    "seed": ["x", None, 1.5],
    "transitions": [3, [3], [{}]],
    "followed": [[], [99], "x", [-1]],
    "stats": [3, {}, {"seconds": "x"}],
    "exact": [3, [{}], [{"singular_value": "x"}]],
    "solver": [None, 3],
}


def test_a_damaged_result_is_refused(command: Command) -> None:  # noqa: F811
    command("map", *FAST, "--out", "out", "--quiet")
    lines = [json.loads(line) for line in Path("out/journal.jsonl").read_text().splitlines()]
    plain = [{key: value for key, value in line.items() if key != "crc32"} for line in lines]  # as an older version wrote it
    before, note = [json.dumps(line) + "\n" for line in plain[:-1]], plain[-1]
    good = note["record"]
    wrong = [good | {key: value} for key, values in WRONG.items() for value in values]
    missing = [{name: value for name, value in good.items() if name != key} for key in WRONG]
    for value in [{}, *wrong, *missing]:
        Path("out/journal.jsonl").write_text("".join([*before, json.dumps(note | {"record": value}), "\n"]))
        assert "the result in out/journal.jsonl is damaged" in refusal(command, "show", "out"), value
        with pytest.raises(SpinodalError, match=r"journal\.jsonl is damaged"):
            sp.load("out")


@pytest.mark.parametrize("damage", [None, b"", b"not a state"], ids=["missing", "empty", "damaged"])
def test_a_finished_run_that_lost_a_state_is_refused(command: Command, damage: bytes | None) -> None:  # noqa: F811
    command("map", *FAST, "--out", "out", "--quiet")
    state = Path("out/states/000000.safetensors")
    state.unlink() if damage is None else state.write_bytes(damage)
    assert "000000.safetensors is missing or damaged" in refusal(command, "show", "out")


@pytest.mark.parametrize("name", ["journal.jsonl", "config.toml"])
def test_a_folder_in_place_of_a_file_of_a_run_is_refused(command: Command, name: str) -> None:  # noqa: F811
    command("map", *FAST, "--out", "out", "--quiet")
    Path("out", name).unlink()
    Path("out", name).mkdir()
    verb = ["map", *FAST, "--resume", "--out"] if name == "config.toml" else ["show"]
    assert f"{name} cannot be read" in refusal(command, *verb, "out")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["theory", "--singular-values", "one"], "'one' is not a list of numbers"),
        (["theory", "--singular-values", "1,-1"], "finite values > 0 are allowed"),
        (["theory", "--singular-values", ""], "comma-separated numbers are allowed"),
        (["theory", "--singular-values", ","], "comma-separated numbers are allowed"),
        (["theory", "--matrices", "0"], "matrices = 0"),
        (["theory", "--json", "no/where.json"], "no/where.json cannot be written"),
        (["tasks", "--json", "no/where.json"], "no/where.json cannot be written"),
        (["show", "nowhere", "--json", "no/where.json"], "no/where.json cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_of_the_other_verbs_are_refused(command: Command, arguments: list[str], text: str) -> None:  # noqa: F811
    assert text in refusal(command, *arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["mpa", "gaussian"],
            "unknown command 'mpa'; known: basins, claims, compare, connect, curvature, export, grok, hierarchy, map, report, "
            "show, tasks, theory; did you mean 'map' or 'compare'?",
        ),
        (["--verison"], "unknown option '--verison'; known: --help, --version; did you mean '--version'?"),
        (["map"], "missing argument 'TASK'; TASK: a built-in task"),
        (["map", "gaussian", "--bogus"], "unknown option '--bogus'; known: --at-weight-decay, --batch-size, --beta, "),
        (["map", "gaussian", "--sed", "3"], "did you mean '--seed'"),
        (["map", "gaussian", "--seed", "x"], "'--seed': "),
        (["map", "gaussian", "--seed"], "option '--seed' requires an argument"),
        (["map", "gaussian", "--quiet=yes"], "option '--quiet' does not take a value"),
        (["map", "gaussian", "--threads", "-1"], "'--threads': "),
        (["map", "gaussian", "digits"], "unexpected extra argument"),
        (
            ["show"],
            "missing argument 'RUN'; RUN: a run folder, or the folder of the maps of several seeds; see `spinodal show --help`",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_refused_in_one_line(command: Command, arguments: list[str], text: str) -> None:  # noqa: F811
    line = refusal(command, *arguments)
    assert text in line
    assert line.count("; ") >= 2


# -- text that no file can hold ------------------------------------------------------------------


def test_a_name_that_is_not_utf8_is_refused_before_there_is_a_folder(command: Command, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "n\udcff.py").write_text(OWN_FILE, encoding="utf-8")
    line = refusal(command, "map", "n\udcff.py:task", "--beta", "0.1:0.2", "--out", "run")
    assert r"the name 'n\udcff.py:task' is not valid UTF-8" in line
    assert not (tmp_path / "run").exists()


def test_a_draft_that_cannot_be_finished_is_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a", "\udcff")
    assert [(place.name, place.read_text(encoding="utf-8")) for place in tmp_path.iterdir()] == [("a", "old")]


# -- the file of --json --------------------------------------------------------------------------


def test_an_old_json_file_stays_whole_where_the_new_one_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "r.json"
    target.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SpinodalError, match=r"r\.json cannot be written: No space left on device"):
        write_json_file(str(target), {"new": True})
    assert [(place.name, place.read_text(encoding="utf-8")) for place in tmp_path.iterdir()] == [("r.json", "old")]


def test_json_goes_through_links_and_into_pipes(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "real.json", tmp_path / "link.json", tmp_path / "pipe"
    link.symlink_to(real)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for target in (link, pipe):
        check_json(str(target))
        write_json_file(str(target), [1])
    assert json.loads(os.read(reader, 100)) == json.loads(real.read_text(encoding="utf-8")) == [1]
    os.close(reader)
    assert link.is_symlink()
    assert pipe.is_fifo()


def test_a_name_too_long_for_its_draft_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    check_json(str(tmp_path / ("a" * 250)))
    with pytest.raises(SpinodalError, match="File name too long"):
        check_json(str(tmp_path / ("a" * 252)))

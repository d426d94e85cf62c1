"""What the campaign found, once each, so that it stays mended."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import spinodal as sp
from hard_inputs.base_run import RESUME, SHOW, expected, finished, lasting, place_finished, place_midway
from hard_inputs.case import complaint_about, contents
from hard_inputs.program import run
from hard_inputs.run_folders import foreign_line, other_ends, swapped_lines
from hard_inputs.task_files import HEAD, RUN

Harm = Callable[[Path], object]


def refusal(folder: Path, *arguments: str) -> str:
    """Run, expecting a refusal that leaves the folder as it was; return what it said."""
    before = contents(folder)
    done = run(arguments, folder)
    assert (done.code, done.out, complaint_about(done.err)) == (2, "", None), done
    assert contents(folder) == before
    return done.err


def on_journal(change: Callable[[bytes], bytes]) -> Harm:
    return lambda out: (out / "journal.jsonl").write_bytes(change((out / "journal.jsonl").read_bytes()))


def set_byte(path: Path, index: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[index] ^= 1
    path.write_bytes(raw)


def exchanged_states(out: Path) -> None:
    first, second = out / "states" / "000003.safetensors", out / "states" / "000004.safetensors"
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


HARMS: dict[str, tuple[Harm, str]] = {
    "a line of another run": (on_journal(lambda raw: foreign_line(raw, 20_000)), "is damaged"),
    "lines in another order": (on_journal(lambda raw: swapped_lines(raw, 20_000, 30_000)), "is damaged"),
    "a digit of a result": (on_journal(lambda raw: raw.replace(b'"beta": 0.5,', b'"beta": 0.6,', 1)), "is damaged"),
    "states that changed places": (exchanged_states, "is damaged"),
    "a bit of a state": (lambda out: set_byte(out / "states" / "000003.safetensors", -3), "is damaged"),
    "no journal beside the states": (lambda out: (out / "journal.jsonl").unlink(), "is missing or empty"),
    "an empty journal beside the states": (on_journal(lambda raw: b""), "is missing or empty"),
    "a journal without line breaks": (on_journal(lambda raw: other_ends(raw, b" ")), "is not a journal"),
    "nonsense for a journal": (on_journal(lambda raw: b"?"), "is not a journal"),
    "settings nested deeper than Python goes": (
        lambda out: (out / "config.toml").write_text("a = " + "[" * 3000),
        "is damaged",
    ),
    "a setting of too many digits": (lambda out: (out / "config.toml").write_text("seed = " + "9" * 5000), "is damaged"),
}


@pytest.mark.parametrize("place", [place_finished, place_midway], ids=["finished", "midway"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_run_is_refused_and_left_alone(tmp_path: Path, harm: str, place: Harm) -> None:
    damage, text = HARMS[harm]
    place(tmp_path)
    damage(tmp_path / "out")
    assert text in refusal(tmp_path, *RESUME)


def test_a_journal_of_an_older_version_without_checksums_is_continued(tmp_path: Path) -> None:
    place_midway(tmp_path)
    journal = tmp_path / "out" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    plain = [{key: value for key, value in line.items() if "crc32" not in key} for line in lines]
    journal.write_text("".join(json.dumps(line) + "\n" for line in plain))
    assert run(RESUME, tmp_path).code == 0
    assert b'crc32": ' not in journal.read_bytes().split(b"\n")[0]
    assert json.dumps(lasting(json.loads((tmp_path / "out" / "result.json").read_text()))) == expected()
    assert run(SHOW, tmp_path).code == 0


@pytest.mark.parametrize(
    "body",
    [
        "def fails(m, b): raise SystemExit(7)\ndef task(): return make(loss=fails)",
        "def fails(m, b): raise Base('x')\ndef task(): return make(loss=fails)",
        "def fails(m, b): raise Odd\ndef task(): return make(loss=fails)",
        "def fails(b): raise GeneratorExit\ndef task(): return make(labels=fails)",
        "def fails(m): exit(3)\ndef task(): return make(observables={'mine': fails})",
        "class Model(Fails):\n    def __deepcopy__(self, memo): raise EOFError\ndef task(): return make(model=Model())",
        "class Model(Fails):\n    def named_parameters(self, *_, **__): raise Base\ndef task(): return make(model=Model())",
        "class Data(Walked):\n    def __iter__(self): 1 / 0\ndef task(): return make(data=Data((x, y)))",
        "def task(): raise Base",
        "raise Base",
    ],
)
def test_whatever_the_code_of_a_task_raises_is_refused(tmp_path: Path, body: str) -> None:
    (tmp_path / "own.py").write_text(f"{HEAD}\n{body}\n")
    assert "raised" in refusal(tmp_path, *RUN)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("map", "a" * 5000 + ".py:task"), "no file aaa"),
        (("tasks", "--json", "a" * 300), "File name too long"),
        (("tasks", "--json", "loop/x"), "levels of symbolic links"),
        (("map", "\x1b[31m\n\u2028x"), r"unknown task '\x1b[31m\n\u2028x'"),
        (("show", "a\nb\x85\xad"), r"no run in a\nb\x85\xad"),
        (("export", "out:3", ""), "cannot be written"),
        (("export", "out:" + "a" * 5000, "model"), "RUN:POINT"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_names_that_no_file_can_have_are_refused_in_one_line(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    place_finished(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert text in refusal(tmp_path, *arguments)


def test_the_state_of_a_point_is_checked_where_it_is_given_back(tmp_path: Path) -> None:
    place_finished(tmp_path)
    diagram = sp.load(tmp_path / "out")
    index = diagram.at(0.6).point.index
    set_byte(tmp_path / "out" / "states" / f"{index:06d}.safetensors", -3)
    with pytest.raises(sp.SpinodalError, match="is missing or damaged"):
        sp.load(tmp_path / "out").at(0.6).state_dict()


def test_every_state_has_its_checksum_in_the_journal() -> None:
    lines = [json.loads(line) for line in (finished() / "journal.jsonl").read_bytes().splitlines()]
    points = [line for line in lines if line["kind"] == "point"]
    assert len(points) > 5
    assert all(math.isfinite(line["state_crc32"]) for line in points)
    assert len({line["crc32"] for line in lines}) == len(lines)


def test_a_complex_model_is_refused_instead_of_cast(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"{HEAD}\ndef task(): return make(model=filled(1.0, torch.complex128))\n")
    done = run(RUN, tmp_path)
    assert done.code == 2
    assert complaint_about(done.err.splitlines(keepends=True)[-1]) is None
    assert "0.weight of the model is complex (complex128)" in done.err

"""The journal: whole after every failure, and never trusted where it is damaged."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray

import spinodal as sp
from small_run import linear_run, lines, mixed_run, without_states, write_lines  # noqa: F401 - the fixtures
from spinodal.errors import SpinodalError
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import Journal, RunFolder, rebuild
from spinodal.store.record import read_point
from spinodal.sweeps.request import Request

Run = tuple[Path, PhaseDiagram]
Lines = list[dict[str, Any]]
FIRST = 5  # line of a point, behind what is known before
REQUEST = Request("find", 0.3, None, "walk")


@pytest.fixture
def alone(linear_run: Run, tmp_path: Path) -> Path:  # noqa: F811
    return without_states(linear_run[0], tmp_path)


# -- what it holds ------------------------------------------------------------------------------


def test_a_journal_tells_its_run_from_the_beginning_to_the_result(linear_run: Run) -> None:  # noqa: F811
    path, diagram = linear_run
    kinds = [line["key"] if line["kind"] == "note" else line["kind"] for line in lines(path)]
    assert kinds[:5] == ["header", "provenance", "settings", "control", "first start"]
    assert kinds[-2:] == ["layout", "result"]
    assert set(kinds[5:-2]) == {"point", "transition 0", "transition 1"}  # a range of beta was given, so none was found
    assert lines(path)[-1]["record"] == diagram.to_dict() == json.loads((path / "result.json").read_text())


def test_every_line_has_a_checksum_as_its_last_key(linear_run: Run) -> None:  # noqa: F811
    assert all(list(line)[-1] == "crc32" for line in lines(linear_run[0]))


@pytest.mark.parametrize("fixture", ["linear_run", "mixed_run"])
def test_a_point_survives_json(fixture: str, request: pytest.FixtureRequest) -> None:
    for point in request.getfixturevalue(fixture)[1].points:
        record, state = json.loads(json.dumps(point.to_dict())), (point.minimum.theta, point.tangent)
        again = read_point(record, *state, index=point.index, origin=point.origin, key=point.key)
        assert repr(again) == repr(point)


# -- damage -------------------------------------------------------------------------------------


def outcome(path: Path) -> str | dict[str, Any]:
    """Load, and return the result, or the refusal, which is one line."""
    try:
        return sp.load(path).to_dict()
    except SpinodalError as error:
        return str(error).replace("\n", "a second line")


def test_a_flipped_bit_is_found_or_changes_nothing(alone: Path, linear_run: Run) -> None:  # noqa: F811
    journal, expected = alone / "journal.jsonl", linear_run[1].to_dict()
    whole, generator = journal.read_bytes(), random.Random(0)
    found = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        journal.write_bytes(damaged)
        seen = outcome(alone)
        assert "a second line" not in seen
        noticed = isinstance(seen, str) or seen["run_status"] == "unfinished"  # as a last line that is torn leaves it
        found += noticed
        assert noticed or seen == expected
    assert found > 290  # the others write the same number in another way, 1E-05 for 1e-05


def test_a_journal_cut_anywhere_is_unfinished_and_shows_what_is_there(alone: Path) -> None:
    journal, generator = alone / "journal.jsonl", random.Random(0)
    whole = journal.read_bytes()
    first, shown = whole.index(b"\n") + 1, 0
    for _ in range(50):
        journal.write_bytes(whole[: generator.randrange(first, len(whole))])
        seen = outcome(alone)
        if isinstance(seen, str):  # not one point is there yet
            assert "is not finished" in seen
            continue
        assert seen["run_status"] == "unfinished"
        assert [item["what"].split(" = ")[0] for item in seen["missing"]] == ["the walk beyond beta"]
        shown += 1
    assert shown > 20


@pytest.mark.parametrize("seed", range(5))
def test_lines_in_another_order_are_refused(alone: Path, seed: int) -> None:
    mixed = (alone / "journal.jsonl").read_bytes().splitlines(keepends=True)
    points = [place for place, line in enumerate(mixed) if b'"kind": "point"' in line]
    a, b = random.Random(seed).sample(points, 2)
    mixed[a], mixed[b] = mixed[b], mixed[a]
    (alone / "journal.jsonl").write_bytes(b"".join(mixed))
    assert f"line {min(a, b) + 1} of" in str(outcome(alone))


@pytest.mark.parametrize("change", ["twice", "left out"])
@pytest.mark.parametrize("place", [3, 10, -1])
def test_lines_twice_or_left_out_are_refused(alone: Path, change: str, place: int) -> None:
    changed = (alone / "journal.jsonl").read_bytes().splitlines(keepends=True)
    changed[place : place + 1 or None] = 2 * [changed[place]] if change == "twice" else []
    (alone / "journal.jsonl").write_bytes(b"".join(changed))
    text = str(outcome(alone))
    if place == -1:  # a second result is taken for a torn line, as what comes last may be
        assert ("'run_status': 'unfinished'" in text) == (change == "left out")
    else:
        assert "is damaged" in text


WRONG: dict[str, Callable[[Lines], Any]] = {
    "a beta of words": lambda new: new[FIRST]["record"].update(beta="much"),
    "a beta of zero": lambda new: new[FIRST]["record"].update(beta=0),
    "a beta beyond all numbers": lambda new: new[FIRST]["record"].update(beta=10**400),
    "a number of truth": lambda new: new[FIRST + 1].update(number=True),
    "another number": lambda new: new[FIRST + 1].update(number=7),
    "the key of another request": lambda new: new[FIRST + 1].update(key=new[FIRST]["key"][::-1]),
    "a state outside the folder": lambda new: new[FIRST].update(state="../../secret.safetensors"),
    "another state": lambda new: new[FIRST].update(state="states/000001.safetensors"),
    "no observation": lambda new: new[FIRST]["record"].pop("observation"),
    "an observation of words": lambda new: new[FIRST]["record"].update(observation="none"),
    "singular values of words": lambda new: new[FIRST]["record"]["observation"].update(singular_values={"a": "b"}),
    "an unknown end of the search": lambda new: new[FIRST]["record"]["minimum"].update(stop="tired"),
    "counts of another kind": lambda new: new[FIRST]["record"]["minimum"]["stats"].update(hessians=0.5),
    "an unknown count": lambda new: new[FIRST]["record"]["minimum"]["stats"].update(prayers=1),
    "time that is none": lambda new: new[FIRST].update(elapsed="long"),
    "time before time": lambda new: new[FIRST].update(elapsed=-1.0),
    "a note of words": lambda new: new[2].update(record="words"),
    "a note without a key": lambda new: new[2].pop("key"),
    "a note known by a number": lambda new: new[2].update(key=3),
    "another kind": lambda new: new[FIRST + 1].update(kind="pint"),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_line_that_means_nothing_is_refused_with_its_number(alone: Path, change: str) -> None:
    changed = lines(alone)
    WRONG[change](changed)
    write_lines(alone, changed)
    assert "journal.jsonl is damaged" in str(outcome(alone))


@pytest.mark.parametrize("check", [1, "x", None, 1.5])
def test_a_wrong_checksum_is_refused_with_the_number_of_its_line(alone: Path, check: Any) -> None:
    changed = lines(alone)
    changed[FIRST]["crc32"] = check
    (alone / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert re.search(r"line 6 of .*journal.jsonl is damaged", str(outcome(alone)))


def test_a_journal_of_a_newer_version_is_refused(alone: Path) -> None:
    changed = lines(alone)
    changed[0]["schema"] = 3
    write_lines(alone, changed)
    assert "has schema 3" in str(outcome(alone))


def older(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line as schema 1 had it, in which points were known by their numbers."""
    more = {key: line[key] for key in ("state", "state_crc32", "elapsed") if key in line}
    if line["kind"] == "header":
        return line | {"schema": 1}
    if line["kind"] == "note":
        return {"kind": "note", "name": line["key"], "value": line["record"], **more}
    record = {key: value for key, value in line["record"].items() if key != "request"}
    return {"kind": "point", "index": line["number"], "origin": line["origin"], **record, **more}


def test_a_run_of_an_older_version_is_read_and_not_gone_on_with(linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    run, config = shutil.copytree(linear_run[0], tmp_path / "run"), RunFolder(linear_run[0]).config
    new = lines(run)
    numbers = {line["key"]: line["number"] for line in new if line["kind"] == "point"}
    origins = [{"origin": numbers.get(line.get("record", {}).get("request", {}).get("origin"))} for line in new]
    write_lines(run, [older(line | origin) for line, origin in zip(new, origins, strict=True)])
    assert sp.load(run).to_dict() == linear_run[1].to_dict()
    whole, again = linear_run[1].points, sp.load(run).points
    assert all(a.minimum.theta.equal(b.minimum.theta) and a.origin == b.origin for a, b in zip(whole, again, strict=True))
    text = "has schema 1, of an older version of spinodal; schema 2 can be gone on with; older runs can be shown, .*; finish it"
    with pytest.raises(SpinodalError, match=text):
        RunFolder(run, config, resume=True)


def test_an_entry_comes_back_by_its_key_with_its_tensors(tmp_path: Path) -> None:
    journal, tensors = Journal(tmp_path), {"images": torch.eye(3), "times": torch.tensor([1, 2])}
    added = journal.add("path", "path 0 to 1", {"barrier": 0.5}, tensors)
    for found in (added, Journal(tmp_path).find("path 0 to 1"), Journal(tmp_path, read_only=True).find("path 0 to 1")):
        assert found is not None
        assert (found.kind, found.record) == ("path", {"barrier": 0.5})
        assert {name: value.tolist() for name, value in found.tensors().items()} == {
            name: value.tolist() for name, value in tensors.items()
        }
    assert journal.find("path 1 to 2") is None
    with pytest.raises(ValueError, match="path 0 to 1"):
        journal.add("path", "path 0 to 1", {})


@pytest.mark.parametrize("content", [None, b"", b"no tensors"], ids=["missing", "empty", "damaged"])
def test_lost_tensors_of_an_entry_are_refused_unless_it_was_the_last(tmp_path: Path, content: bytes | None) -> None:
    journal = Journal(tmp_path)
    state = journal.add("path", "one", {}, {"images": torch.eye(2)}).state
    assert state is not None
    journal.note("two", dict)
    state.unlink() if content is None else state.write_bytes(content)
    with pytest.raises(SpinodalError, match=r"line 2 of .* is damaged"):
        Journal(tmp_path)
    whole = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(whole[:2]))
    assert Journal(tmp_path).find("one") is None


def test_a_point_that_was_computed_ahead_has_its_number_once_the_walk_comes_to_it(
    linear_run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    journal, (one, two) = Journal(tmp_path), linear_run[1].points[:2]
    later = replace(REQUEST, value=two.beta, origin=REQUEST.key, verb="follow")
    journal.take(later, two)
    assert (journal.count, journal.recall(REQUEST, 0)) == (0, None)
    journal.keep(REQUEST, replace(one, index=0))
    for _ in range(2):
        found = journal.recall(later, 1)
        assert found is not None
        assert (found.index, found.origin, found.key, journal.count) == (1, 0, later.key, 2)
        assert found.minimum.theta.equal(two.minimum.theta)
        journal = Journal(tmp_path)
    assert [line["kind"] for line in lines(tmp_path)] == ["header", "point", "point", "number"]
    with pytest.raises(SpinodalError, match=r"point 1 of .* was computed at beta = .*, but this run asks for"):
        journal.recall(later, 2)
    with pytest.raises(SpinodalError, match=r"point 0 of .* was computed at beta = .*, but this run asks for 7.0"):
        journal.recall(replace(REQUEST, value=7.0), 0)


@pytest.mark.parametrize("text", ["[" * 100_000 + "\n", "[]\n", "\x00\n", '{"kind": NaN}\n', "\n\n\n"])
def test_lines_that_are_no_json_of_ours_are_refused(alone: Path, text: str) -> None:
    whole = (alone / "journal.jsonl").read_text()
    (alone / "journal.jsonl").write_text(whole + text + whole)
    assert "is damaged" in str(outcome(alone))


# -- failures while writing ---------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let the next flush to the disk fail, once."""
    real = os.fsync

    def once(file: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", once)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_failed_write_leaves_whole_lines_and_the_next_one_follows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    journal = Journal(tmp_path)
    journal.note("one", lambda: {"value": 1})
    before = (tmp_path / "journal.jsonl").read_bytes()
    failing(monkeypatch, code)
    with pytest.raises(SpinodalError, match=rf"journal.jsonl cannot be written: {os.strerror(code)}; .*; .*--resume"):
        journal.note("two", lambda: {"value": 2})
    assert (tmp_path / "journal.jsonl").read_bytes() == before
    assert journal.note("two", lambda: {"value": 3}) == {"value": 3}
    assert Journal(tmp_path).recorded("two") == {"value": 3}


def test_a_point_whose_state_cannot_be_written_is_not_in_the_journal(
    linear_run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal, point = Journal(tmp_path), linear_run[1].points[0]
    failing(monkeypatch, errno.ENOSPC)
    with pytest.raises(SpinodalError, match=r"000000.safetensors cannot be written: No space left"):
        journal.keep(REQUEST, point)
    assert (journal.count, list((tmp_path / "states").iterdir())) == (0, [])
    journal.keep(REQUEST, point)
    assert Journal(tmp_path).point(0).minimum.theta.equal(point.minimum.theta)


@pytest.mark.parametrize("where", ["result.json", "result.nc", "states/fixed.safetensors"])
def test_a_result_that_cannot_be_written_is_written_later_as_it_was(
    mixed_run: Run,  # noqa: F811
    tmp_path: Path,
    where: str,
) -> None:
    run = shutil.copytree(mixed_run[0], tmp_path / "run")
    config = RunFolder(run).config
    (run / where).unlink()
    (run / where).mkdir()
    (run / where / "in the way").touch()
    with RunFolder(run, config, resume=True) as folder:
        if where == "states/fixed.safetensors":  # it is there, so it is not written; models miss it
            folder.save(mixed_run[1])
            with pytest.raises(SpinodalError, match="is missing or damaged"):
                sp.load(run).at(5e-3).state_dict()
        else:
            with pytest.raises(SpinodalError, match=f"{where} cannot be written"):
                folder.save(mixed_run[1])
        (run / where / "in the way").unlink()
        (run / where).rmdir()
        folder.save(mixed_run[1])
    assert (run / where).read_bytes() == (mixed_run[0] / where).read_bytes()
    assert not list(run.rglob("*.part"))


def test_a_finished_run_keeps_its_result(linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    run = shutil.copytree(linear_run[0], tmp_path / "run")
    before = (run / "journal.jsonl").read_bytes()
    with RunFolder(run, RunFolder(run).config, resume=True) as folder:
        assert folder.journal.seconds(1e9) == linear_run[1].seconds
        folder.save(linear_run[1])
        with pytest.raises(SpinodalError, match=r"was finished with another result .*; a finished run stays as it is; .*show"):
            folder.save(replace(linear_run[1], run_status="another"))
    assert (run / "journal.jsonl").read_bytes() == before
    assert (run / "result.nc").read_bytes() == (linear_run[0] / "result.nc").read_bytes()


@pytest.mark.parametrize("lost", ["config.toml", "provenance.json", "result.json", "result.nc", "states/fixed.safetensors"])
def test_a_lost_copy_comes_back_when_the_run_is_resumed(mixed_run: Run, tmp_path: Path, lost: str) -> None:  # noqa: F811
    run = shutil.copytree(mixed_run[0], tmp_path / "run")
    config = RunFolder(run).config
    (run / lost).unlink()
    assert RunFolder(run).config == config
    with RunFolder(run, config, resume=True) as folder:
        folder.save(mixed_run[1])
    assert (run / lost).read_bytes() == (mixed_run[0] / lost).read_bytes()


def test_other_settings_are_refused_where_only_the_journal_tells_them(alone: Path) -> None:
    with pytest.raises(SpinodalError, match=r"holds another run \(map.beta: \[0.3, 1.2\] there, None now"):
        RunFolder(alone, {"task": {"name": "gaussian"}}, resume=True)
    with pytest.raises(SpinodalError, match="already holds a run"):
        RunFolder(alone, {})


@pytest.mark.parametrize("place", ["a file/run", "/proc/nowhere/run"])
def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    with pytest.raises(SpinodalError, match=r"cannot be (written|read): .*; .*; "):
        RunFolder(Path(place), {"task": "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_run_at_work_is_not_rebuilt(linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    run = shutil.copytree(linear_run[0], tmp_path / "run")
    with (
        RunFolder(run, RunFolder(run).config, resume=True),
        pytest.raises(SpinodalError, match="another process is at work"),
    ):
        rebuild(run)
    rebuild(run)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"spinodal": NaN}', '{"spinodal": 1e999}', "[]", "\xff"])
def test_a_damaged_provenance_of_a_run_just_begun_is_made_anew(linear_run: Run, tmp_path: Path, text: str) -> None:  # noqa: F811
    config = RunFolder(linear_run[0]).config
    shutil.copy(linear_run[0] / "config.toml", tmp_path)
    (tmp_path / "provenance.json").write_text(text, encoding="latin-1")
    with RunFolder(tmp_path, config, resume=True) as folder:
        recorded = folder.journal.recorded("provenance")
    assert recorded is not None
    assert recorded["packages"]["xarray"] == xarray.__version__

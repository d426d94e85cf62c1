"""Checkpoints that are none, or not of this model, and points that cannot be exported."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from safetensors.torch import save
from torch import nn

from hard_inputs.base_run import RESUME, finished, place_finished, place_placed
from hard_inputs.case import Case
from hard_inputs.command_lines import WORDS
from hard_inputs.damage import ON_FILES, PLACE, Named, byte_damage, json_damage
from hard_inputs.program import Outcome
from hard_inputs.run_folders import Payload, long_header, other_header

Change = Callable[[bytes], bytes]
PLACED = (*RESUME, "--start", "model", "--at-weight-decay", "1.1")
NAMES = ("model.pt", "model.safetensors")


@cache
def good() -> dict[str, torch.Tensor]:
    """Return a state dict of the task's model."""
    from spinodal.store import load

    return {name: value.clone() for name, value in load(finished()).at(0.6).state_dict().items()}


def torch_file(value: Any, **options: Any) -> bytes:
    """Return what `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@cache
def good_file(name: str) -> bytes:
    """Return a good checkpoint in either format."""
    return save(good()) if name.endswith(".safetensors") else torch_file(good())


# -- state dicts of another model ----------------------------------------------------------------


def _changed(kind: str, place: int) -> dict[str, Any]:
    """Return a state dict in which one tensor is not what the model needs."""
    state: dict[str, Any] = dict(good())
    name = sorted(state)[place % len(state)]
    value = state[name]
    shape = value.shape
    others: dict[str, Any] = {
        "missing": None, "nan": value * float("nan"), "infinite": value + float("inf"),
        "transposed": value.reshape(*reversed(shape), 1),
        "longer": torch.zeros(place % 7 + 5, *shape[1:]), "scalar": torch.tensor(1.0), "empty": torch.zeros(0),
        "complex": value.to(torch.complex64),
        "one more axis": value[None],
        "one nan": value.masked_fill(torch.arange(value.numel()).reshape(shape) == place % value.numel(), float("nan")),
    }  # fmt: skip
    if kind == "renamed":
        state[f"{name}_{place}"] = state.pop(name)
    elif kind == "unexpected":
        state[f"extra_{place}"] = torch.zeros(place % 5)
    elif kind == "none":
        state = {}
    else:
        state[name] = others[kind]
        state = {key: item for key, item in state.items() if item is not None}
    return state


KINDS = (
    "missing",
    "nan",
    "infinite",
    "transposed",
    "longer",
    "scalar",
    "empty",
    "complex",
    "one more axis",
    "one nan",
    "renamed",
    "unexpected",
    "none",
)


def other_state(_: bytes, kind: str, place: int, name: str) -> bytes:
    """Return the file of a state dict of another model."""
    state = _changed(kind, place)
    return (
        save({key: value.contiguous() for key, value in state.items()}) if name.endswith(".safetensors") else torch_file(state)
    )


# -- other things that torch writes ----------------------------------------------------------------


def _script() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what PyTorch calls old, but still reads
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


VALUES: dict[str, Callable[[], Any]] = {
    "a module": lambda: nn.Linear(2, 2),
    "a payload": lambda: Payload(),
    "a payload among tensors": lambda: {**good(), "more": Payload()},
    "a payload in a checkpoint": lambda: {"model": good(), "epoch": Payload()},
    "a payload as a key": lambda: {"model": {**good()}, 3: [Payload()]},
    "a list": lambda: list(good().values()),
    "a tensor": lambda: torch.zeros(3),
    "a number": lambda: 3.0,
    "nothing": lambda: None,
    "words": lambda: "words",
    "an empty dict": dict,
    "numbers by name": lambda: dict.fromkeys(good(), 1.0),
    "lists by name": lambda: {name: value.tolist() for name, value in good().items()},
    "tensors by number": lambda: dict(enumerate(good().values())),
    "a nested dict": lambda: {"model": {"model": good()}},
    "an optimiser": lambda: torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1).state_dict(),
    "a function": lambda: print,
    "a type": lambda: dict,
    "a set": lambda: {1, 2},
    "two state dicts": lambda: {"model": good(), "ema": {name: value + 1.0 for name, value in good().items()}},
    "two prefixes": lambda: {f"{prefix}.{name}": value * factor for prefix, factor in (("a", 1), ("b", 2))
    for name, value in good().items()},
    "a deeper model": lambda: {**good(), "9.weight": torch.zeros(2, 2)},
    "a larger model": lambda: {f"encoder.{name}": value for name, value in good().items()} | {"head.weight": torch.zeros(2, 2)},
    "arrays by name": lambda: {name: value.numpy() for name, value in good().items()},
    "sparse tensors": lambda: {name: value.to_sparse() for name, value in good().items()},
    "tensors without numbers": lambda: {name: value.to("meta") for name, value in good().items()},
    "whole numbers by name": lambda: {name: value.long() for name, value in good().items()},
    "an object of a module": lambda: {"state_dict": good(), "config": nn.ReLU()},
    "a dict that holds itself": lambda: _endless(),
}  # fmt: skip


def _endless() -> dict[str, Any]:
    value: dict[str, Any] = {"epoch": 3}
    value["again"] = value
    return value


def training_file(_: bytes, key: str, prefix: str, damage: Change | None) -> bytes:
    """Return what a training loop leaves, perhaps damaged."""
    state = {prefix + name: value for name, value in good().items()} | {"criterion.weight": torch.ones(2)}
    beside = {"args": argparse.Namespace(lr=np.float64(0.1), out=Path("out")), "epoch": np.int64(3)}
    raw = torch_file({key: state, **beside, "optimizer": torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1).state_dict()})
    return damage(raw) if damage else raw


@cache
def odd_files() -> dict[str, bytes]:
    """Return files that somebody may take for a checkpoint, by what they are."""
    files = {name: torch_file(make()) for name, make in VALUES.items()}
    files |= {f"{name}, of old": torch_file(make(), _use_new_zipfile_serialization=False) for name, make in VALUES.items()}
    files |= {f"a pickle, protocol {number}": pickle.dumps(Payload(), protocol=number) for number in range(6)}
    files |= {f"a pickled dict, protocol {number}": pickle.dumps({"w": Payload()}, protocol=number) for number in range(6)}
    files |= {"a program": _script(), "a state dict of old": torch_file(good(), _use_new_zipfile_serialization=False)}
    files |= {
        "an archive": _tar(),
        "a bomb": _bomb(zipfile.ZIP_DEFLATED, 50_000_000),
        "an empty zip": _zip({}),
        "a text": b"weights\n",
    }
    files |= {"a zip of a payload": _zip({"archive/data.pkl": pickle.dumps(Payload(), protocol=2), "archive/version": b"3\n"})}
    files |= {
        "a zip of nonsense": _zip({"archive/data.pkl": b"nonsense", "archive/version": b"3\n"}),
        "a zip of texts": _zip({"a.txt": b"x"}),
    }
    files |= {"a zip with a way out": _zip({"../../executed": b"x", "archive/data.pkl": b"\x80\x02}."})}
    files |= {
        "a calling pickle": _zip(
            {"archive/data.pkl": b"\x80\x02cos\nsystem\nX\x0e\x00\x00\x00touch executed\x85R.", "archive/version": b"3\n"}
        )
    }
    return files | {
        "nothing": b"",
        "zeros": bytes(5000),
        "a page": b"<html></html>",
        "an image": b"\x89PNG\r\n\x1a\n",
        "arrays": b"\x93NUMPY\x01\x00",
    }


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _bomb(kind: int, size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        archive.writestr("archive/data.pkl", bytes(size))
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        content = pickle.dumps(Payload())
        entry = tarfile.TarInfo("pickle")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def odd_file(_: bytes, name: str, damage: Change | None) -> bytes:
    """Return an odd file, perhaps damaged as well."""
    raw = odd_files()[name]
    return damage(raw) if damage else raw


def inside_zip(raw: bytes, place: int, change: Change) -> bytes:
    """Change an entry of a zip file, checksums and all."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = sorted(entries)[place % len(entries)]
    return _zip({**entries, name: change(entries[name])})


# -- cases -----------------------------------------------------------------------------------------


def _start(change: Change, name: str = "model.pt", arguments: tuple[str, ...] = PLACED) -> Case:
    def prepare(folder: Path) -> None:
        place_finished(folder)
        (folder / "model").write_bytes(change(good_file(name)))

    return Case(f"start {name}: {change!r} {arguments[len(RESUME) :]}", arguments, prepare, _placed)


def _placed(folder: Path, _: Outcome) -> str | None:
    """Judge exit code 0: what is left are parameters of this model, and nothing was run."""
    return "was accepted, and ran what was in it" if (folder / "executed").exists() else None


def _exchanged(change: Callable[[Path], None]) -> Case:
    def prepare(folder: Path) -> None:
        place_finished(folder)
        (folder / "model").write_bytes(good_file(NAMES[0]))
        change(folder / "model")

    return Case(f"start: {change.__name__}", PLACED, prepare)


DECAYS = WORDS.filter(lambda text: not _positive(text))


def _positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < float("inf")
    except ValueError:
        return False


SHARDS = (*RESUME, "--start", "model.safetensors.index.json", "--at-weight-decay", "1.1")
NAMES_OF_SHARDS = st.one_of(
    st.sampled_from(("../model", "/etc/passwd", "", ".", "model.safetensors.index.json", "nowhere", "out", "a\0b")), WORDS
)


def _sharded(change: Change) -> Case:
    """Return the case of a checkpoint in several files whose index is changed."""

    def prepare(folder: Path) -> None:
        place_finished(folder)
        where = {}
        for number, (name, value) in enumerate(good().items()):
            where[name] = f"model-{number}.safetensors"
            (folder / where[name]).write_bytes(save({name: value}))
        (folder / SHARDS[-3]).write_bytes(change(json.dumps({"metadata": {}, "weight_map": where}).encode()))

    return Case(f"shards: {change!r}", SHARDS, prepare, _placed)


def other_shard(raw: bytes, name: str, place: int) -> bytes:
    """Give another name to one of the files of an index."""
    index = json.loads(raw)
    tensors = sorted(index["weight_map"])
    index["weight_map"][tensors[place % len(tensors)]] = name
    return json.dumps(index).encode()


STARTS: SearchStrategy[Case] = st.one_of(
    st.one_of(byte_damage(), json_damage()).map(_sharded),
    st.tuples(NAMES_OF_SHARDS, PLACE).map(lambda drawn: _sharded(Named(other_shard, *drawn))),
    st.tuples(st.sampled_from(("state_dict", "model", "net")), st.sampled_from(("", "module.", "model.")),
    st.one_of(st.none(), byte_damage())).map(lambda drawn: _start(Named(training_file, *drawn))),
    st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.sampled_from(NAMES)).map(lambda drawn: _start(Named(other_state,
    *drawn), drawn[2])),
    st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.sampled_from(NAMES)).map(lambda drawn: _start(Named(other_state,
    *drawn), drawn[2])),
    st.deferred(lambda: st.sampled_from(sorted(odd_files()))).map(lambda name: _start(Named(odd_file, name, None))),
    st.tuples(st.deferred(lambda: st.sampled_from(sorted(odd_files()))),
    byte_damage()).map(lambda drawn: _start(Named(odd_file, *drawn))),
    st.tuples(byte_damage(), st.sampled_from(NAMES)).map(lambda drawn: _start(drawn[0], drawn[1])),
    st.tuples(PLACE, byte_damage()).map(lambda drawn: _start(Named(inside_zip, *drawn))),
    json_damage().map(lambda change: _start(Named(other_header, change), NAMES[1])),
    st.sampled_from((0, 1, 7, 10**6, 10**9, 2**40, 2**63, 2**64 - 1)).map(lambda size: _start(Named(long_header, size),
    NAMES[1])),
    DECAYS.map(lambda word: _start(Named(_as_it_is), arguments=(*RESUME, "--start=model", f"--at-weight-decay={word}"))),
    st.sampled_from(ON_FILES).map(_exchanged),
    st.sampled_from((("--start", "model"), ("--at-weight-decay", "1.0"), ("--start", "nowhere", "--at-weight-decay", "1.0"),
    ("--start=", "--at-weight-decay=1"))).map(
        lambda more: _start(Named(_as_it_is), arguments=(*RESUME, *more))
    ),
)  # fmt: skip


def _as_it_is(raw: bytes) -> bytes:
    return raw


# -- export and report -------------------------------------------------------------------------------

# More points than the run has, or words that are no number.
POINTS = st.one_of(st.integers(1000, 10**12).map(str), WORDS.filter(lambda text: not text.strip().isdecimal()))
TARGETS = ("nowhere/model", "out", "", "a" * 300, "out/journal.jsonl/x")


def _export(words: tuple[str, ...]) -> Case:
    return Case(f"export {words}", ("export", *words), place_finished)


EXPORTS = st.one_of(
    POINTS.map(lambda point: _export(("--", f"out:{point}", "model"))),
    st.tuples(st.sampled_from(("--at-beta", "--at-weight-decay")), DECAYS).map(lambda drawn: _export((f"{drawn[0]}={drawn[1]}",
    "--", "out", "model"))),
    st.sampled_from(TARGETS).map(lambda target: _export(("--", "out:3", target))),
    st.sampled_from(TARGETS).map(lambda target: Case(f"report to {target}", ("report", "out", f"--out={target}"),
    place_finished)),
    WORDS.map(lambda word: _export(("--", f"nowhere{word}", "model"))),
    WORDS.map(lambda word: Case(f"report of {word!r}", ("report", "--", f"nowhere{word}"), place_finished)),
    st.sampled_from((("out",), (), ("out:3", "model", "more"), ("out:3", "--at-beta=0.6", "model"), ("out", "--at-beta=1",
    "--at-weight-decay=1", "model"))).map(_export),
)  # fmt: skip


def _on_placement(change: Change) -> Case:
    """Return the case of a damaged placement; it may be left out, since the command that made it makes it again."""

    def prepare(folder: Path) -> None:
        place_placed(folder)
        (path,) = (folder / "out").glob("placements/*/placement.json")
        path.write_bytes(change(path.read_bytes()))

    return Case(f"show with a placement: {change!r}", ("show", "out"), prepare, lambda folder, outcome: outcome.err or None)


PLACEMENTS = st.one_of(byte_damage(), json_damage()).map(_on_placement)

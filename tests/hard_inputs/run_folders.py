"""Run folders that were damaged: settings, provenance, result, journal, states."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from safetensors.torch import save

from hard_inputs import damage
from hard_inputs.base_run import LINE, RESUME, SHOW, finished, place_finished, place_midway, prepared, same
from hard_inputs.case import Case
from hard_inputs.damage import FULL, IN_PLACE, ON_FILES, PLACE, Named, byte_damage, json_damage

VERBS = (("show", SHOW, place_finished), ("resume", RESUME, place_finished), ("resume midway", RESUME, place_midway))
RESUMED = (*VERBS[1:], *VERBS[1:], *VERBS)  # what `show` does not need may be damaged
LATE = ("result.json: folder", "result.json: full_folder")  # found when the result is to be written
Harm = Callable[[Path], object]


def _cases(harms: SearchStrategy[tuple[str, Harm]], verbs: tuple[Any, ...] = VERBS) -> SearchStrategy[Case]:
    """Return every harm under every verb."""

    def case(drawn: tuple[tuple[str, Harm], tuple[str, tuple[str, ...], Callable[[Path], None]]]) -> Case:
        (name, harm), (verb, arguments, place) = drawn
        return Case(f"{verb}: {name}", arguments, prepared(place, harm), same, compute=True, late=name in LATE)

    return st.tuples(harms, st.sampled_from(verbs)).map(case)


def _edited(name: str, change: Callable[[bytes], bytes]) -> tuple[str, Harm]:
    """Return the harm that changes the bytes of a file."""

    def harm(out: Path) -> None:
        path = out / name
        if path.exists():
            path.write_bytes(change(path.read_bytes()))

    return f"{name}: {change!r}", harm


def _exchanged(name: str, change: Callable[[Path], None]) -> tuple[str, Harm]:
    """Return the harm that puts something else in the place of a file."""

    def harm(out: Path) -> None:
        if (out / name).exists():
            change(out / name)

    return f"{name}: {change.__name__}", harm


# -- settings, provenance, result --------------------------------------------------------------

TOML = st.sampled_from((b"", b"\n", b"= 1", b"[map]\n", b"[task]\n[task]\n", b"a = " + b"[" * 3000, b"\xff\xfe", b"\0" * 100,
b"seed = 1\n",
                        b"[map]\nseed = 1e999\n", b"map = 3\ntask = 4\n", b"a.b.c = 1\na.b = 2\n", b"\xef\xbb\xbf[map]\n",
                        b"x = 2026-11-25\n"))  # fmt: skip
FILES = ("config.toml", "config.toml", "provenance.json", "result.json", "result.json")


def _set_toml(raw: bytes, place: int, value: str) -> bytes:
    """Give another value to a setting."""
    lines = raw.decode().splitlines()
    chosen = [index for index, line in enumerate(lines) if "=" in line]
    index = chosen[place * len(chosen) // FULL]
    lines[index] = f"{lines[index].split('=')[0]}= {value}"
    return "\n".join(lines).encode()


VALUES = st.one_of(
    st.sampled_from(('""', "[]", "{}", "nan", "1e999", "true", "'x'", "[[1]]", "-1", "2026-11-25", '"""', "0x", "9" * 5000)),
    st.integers().map(str),
)
SETTINGS = _cases(
    st.one_of(
        st.tuples(st.sampled_from(FILES), byte_damage()).map(lambda drawn: _edited(*drawn)),
        st.tuples(st.sampled_from(FILES), st.sampled_from(ON_FILES)).map(lambda drawn: _exchanged(*drawn)),
        st.tuples(st.sampled_from(("provenance.json", "result.json", "result.json")),
        json_damage()).map(lambda drawn: _edited(*drawn)),
        TOML.map(lambda raw: _edited("config.toml", Named(damage.replaced, 0, 0, raw))),
        st.tuples(PLACE, VALUES).map(lambda drawn: _edited("config.toml", Named(_set_toml, *drawn))),
        st.tuples(PLACE, VALUES).map(lambda drawn: _edited("config.toml", Named(_set_toml, *drawn))),
    ),
    RESUMED,
)  # fmt: skip

OTHERS = st.sampled_from(
    (
        ("--seed", "1"), ("--set", "noise=0.2"), ("--set", "seed=3"), ("--solver", "lbfgs"), ("--solver", "newton"), ("--beta",
        "0.5:1.3"), ("--starts", "2"),
        ("--bracket", "1e-3"), ("--tolerance", "1e-6"), ("--dtype", "float32"), ("--direction", "down"), ("--set", "hidden=3"),
        ("--set", "bias=false"),
    )
)  # fmt: skip
OTHER_SETTINGS = st.tuples(st.lists(OTHERS, min_size=1, max_size=4, unique=True), st.sampled_from((place_finished,
place_midway))).map(
    lambda drawn: Case(
        f"other settings: {drawn[0]} {drawn[1].__name__}", (*LINE, "--resume", "--json", "-",
        *(word for pair in drawn[0] for word in pair)), drawn[1]
    )
)  # fmt: skip

# -- journal -----------------------------------------------------------------------------------


def _lines(raw: bytes) -> list[bytes]:
    return raw.splitlines(keepends=True)


def _one(lines: list[bytes], place: int) -> int:
    return place * len(lines) // FULL


def dropped_line(raw: bytes, place: int) -> bytes:
    """Take a line out."""
    lines = _lines(raw)
    del lines[_one(lines, place)]
    return b"".join(lines)


def repeated_line(raw: bytes, place: int, other: int) -> bytes:
    """Repeat a line somewhere."""
    lines = _lines(raw)
    lines.insert(_one(lines, other), lines[_one(lines, place)])
    return b"".join(lines)


def swapped_lines(raw: bytes, place: int, other: int) -> bytes:
    """Let two lines change places."""
    lines = _lines(raw)
    a, b = _one(lines, place), _one(lines, other)
    lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def shuffled_lines(raw: bytes, place: int, other: int) -> bytes:
    """Move the beginning to the end."""
    lines = _lines(raw)
    a = _one(lines, place)
    return b"".join([*lines[a:], *lines[:a]]) if other % 2 else b"".join(reversed(lines))


def foreign_line(raw: bytes, place: int) -> bytes:
    """Put the same line of another run in the place of one."""
    lines, others = _lines(raw), _lines((finished("--seed", "1") / "journal.jsonl").read_bytes())
    index = min(_one(lines, place), len(others) - 1)
    lines[index] = others[index]
    return b"".join(lines)


def strange_line(raw: bytes, place: int, line: bytes) -> bytes:
    """Put a line in between that no run writes."""
    lines = _lines(raw)
    lines.insert(_one(lines, place), line + b"\n")
    return b"".join(lines)


def edited_line(raw: bytes, place: int, change: Callable[[bytes], bytes]) -> bytes:
    """Change the JSON of a line."""
    lines = _lines(raw)
    index = _one(lines, place)
    lines[index] = change(lines[index]) + b"\n"
    return b"".join(lines)


def recoded(raw: bytes, coding: str) -> bytes:
    """Write the text in another coding."""
    return raw.decode().encode(coding)


def other_ends(raw: bytes, end: bytes) -> bytes:
    """End the lines otherwise."""
    return raw.replace(b"\n", end)


STRANGE = st.one_of(
    st.sampled_from(
        (b"", b"null", b"[]", b"{}", b"3", b'"x"', b"NaN", b'{"kind": "point"}', b'{"kind": "header"}',
        b'{"kind": "note", "name": "range"}',
         b'{"kind": "point", "index": 10000000000000000000}', b'{"kind": []}', b'{"kind": {}}', b"[" * 100_000,
         b'{"a":' * 100_000, b"9" * 5000,
         b'{"kind": "note", "name": [], "value": {}}', b'{"kind": "note", "name": "x", "value": 1e999}', b"\xff", b"\0",
         b"\xef\xbb\xbf{}")
    ),
    st.binary(min_size=1, max_size=20).map(lambda raw: raw.replace(b"\n", b"")),
)  # fmt: skip
JOURNALS = _cases(
    st.one_of(
        byte_damage(),
        byte_damage(),
        PLACE.map(lambda place: Named(dropped_line, place)),
        st.tuples(PLACE, PLACE).map(lambda drawn: Named(repeated_line, *drawn)),
        st.tuples(PLACE, PLACE).map(lambda drawn: Named(swapped_lines, *drawn)),
        st.tuples(PLACE, PLACE).map(lambda drawn: Named(shuffled_lines, *drawn)),
        PLACE.map(lambda place: Named(foreign_line, place)),
        st.tuples(PLACE, STRANGE).map(lambda drawn: Named(strange_line, *drawn)),
        st.tuples(PLACE, json_damage()).map(lambda drawn: Named(edited_line, *drawn)),
        st.tuples(PLACE, json_damage()).map(lambda drawn: Named(edited_line, *drawn)),
        st.sampled_from(("utf-16", "utf-32", "utf-8-sig", "utf-7")).map(lambda coding: Named(recoded, coding)),
        st.sampled_from((b"\r\n", b"\r", b" ", b"\n\n", b"\0")).map(lambda end: Named(other_ends, end)),
    ).map(lambda change: _edited("journal.jsonl", change))
)  # fmt: skip
JOURNAL_FILES = _cases(st.sampled_from(ON_FILES).map(lambda change: _exchanged("journal.jsonl", change)))

# -- states ------------------------------------------------------------------------------------


class Payload:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("executed", "w")


def _theta(raw: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return load(raw)


def other_shape(raw: bytes, place: int) -> bytes:
    """Give theta another shape."""
    state = _theta(raw)
    shapes = (torch.zeros(0), torch.zeros(3), torch.zeros(2, 3), torch.zeros(10_000), torch.tensor(1.0), state["theta"][None])
    return save({**state, "theta": shapes[place % len(shapes)].to(torch.float64)})


def other_type(raw: bytes, place: int) -> bytes:
    """Give theta another type of numbers."""
    types = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    state = _theta(raw)
    return save({**state, ("theta", "tangent")[place % 2]: state["theta"].to(types[place % len(types)])})


def other_names(raw: bytes, name: str) -> bytes:
    """Give the tensors other names."""
    state = _theta(raw)
    return save({name: state["theta"], "tangent": state["tangent"]})


def other_values(raw: bytes, place: int, value: float) -> bytes:
    """Give an entry of theta or the tangent another value."""
    state = _theta(raw)
    tensor = state[("theta", "tangent")[place % 2]]
    tensor[place % len(tensor)] = value
    return save(state)


def pickled(_: bytes, protocol: int) -> bytes:
    """Put a pickle in its place that would make a file."""
    return pickle.dumps(Payload(), protocol=protocol)


def long_header(raw: bytes, size: int) -> bytes:
    """Let the header claim any length."""
    return size.to_bytes(8, "little") + raw[8:]


def other_header(raw: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change the JSON of the header."""
    size = int.from_bytes(raw[:8], "little")
    header = change(raw[8 : 8 + size])
    return len(header).to_bytes(8, "little") + header + raw[8 + size :]


STATE = st.one_of(
    byte_damage(),
    byte_damage(),
    byte_damage(),
    PLACE.map(lambda place: Named(other_shape, place)),
    PLACE.map(lambda place: Named(other_type, place)),
    st.sampled_from(("x", "", "Theta", "a" * 1000)).map(lambda name: Named(other_names, name)),
    st.tuples(PLACE, st.floats()).map(lambda drawn: Named(other_values, *drawn)),
    st.integers(0, 5).map(lambda protocol: Named(pickled, protocol)),
    st.sampled_from((0, 1, 7, 10**6, 10**9, 2**40, 2**63, 2**64 - 1)).map(lambda size: Named(long_header, size)),
    json_damage().map(lambda change: Named(other_header, change)),
)


def _on_state(drawn: tuple[int, Callable[[bytes], bytes]]) -> tuple[str, Harm]:
    place, change = drawn

    def harm(out: Path) -> None:
        states = sorted((out / "states").iterdir())
        path = states[place * len(states) // FULL]
        path.write_bytes(change(path.read_bytes()))

    return f"state {place}: {change!r}", harm


def _in_place(drawn: tuple[int, Callable[[Path], None]]) -> tuple[str, Harm]:
    place, change = drawn

    def harm(out: Path) -> None:
        states = sorted((out / "states").iterdir())
        change(states[place * len(states) // FULL])

    return f"state {place}: {change.__name__}", harm


def _exchange(places: tuple[int, int]) -> tuple[str, Harm]:
    """Let two states change places."""

    def harm(out: Path) -> None:
        states = sorted((out / "states").iterdir())
        a, b = (states[place * len(states) // FULL] for place in places)
        first, second = a.read_bytes(), b.read_bytes()
        a.write_bytes(second)
        b.write_bytes(first)

    return f"states exchanged: {places}", harm


STATES = _cases(
    st.one_of(
        st.tuples(PLACE, STATE).map(_on_state),
        st.tuples(PLACE, STATE).map(_on_state),
        st.tuples(PLACE, STATE).map(_on_state),
        st.tuples(PLACE, st.sampled_from(IN_PLACE)).map(_in_place),
        st.tuples(PLACE, PLACE).filter(lambda pair: pair[0] * 12 // FULL != pair[1] * 12 // FULL).map(_exchange),
    ),
    RESUMED,
)

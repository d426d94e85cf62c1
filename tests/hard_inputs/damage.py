"""Ways to damage a file: its bytes, a value in its JSON, or the file itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

FULL = 2**16
PLACE = st.integers(0, FULL - 1).map(
    lambda number: number * 40503 % FULL
)  # in parts of FULL of a file; small numbers are spread
BYTES = st.binary(min_size=1, max_size=6)

Damage = tuple[Any, ...]


def at(raw: bytes, place: int) -> int:
    """Return the offset of a place."""
    return place * len(raw) // FULL


def truncated(raw: bytes, place: int, _: int, __: bytes) -> bytes:
    """Keep the beginning."""
    return raw[: at(raw, place)]


def flipped(raw: bytes, place: int, other: int, _: bytes) -> bytes:
    """Flip one bit."""
    index = at(raw, place)
    return raw[:index] + bytes([raw[index] ^ (1 << other % 8)]) + raw[index + 1 :] if raw else raw


def overwritten(raw: bytes, place: int, _: int, new: bytes) -> bytes:
    """Write other bytes over some."""
    index = at(raw, place)
    return raw[:index] + new + raw[index + len(new) :]


def inserted(raw: bytes, place: int, _: int, new: bytes) -> bytes:
    """Put bytes in between."""
    index = at(raw, place)
    return raw[:index] + new + raw[index:]


def cut(raw: bytes, place: int, other: int, _: bytes) -> bytes:
    """Take a stretch out."""
    first, last = sorted((at(raw, place), at(raw, other)))
    return raw[:first] + raw[last:]


def zeroed(raw: bytes, place: int, other: int, _: bytes) -> bytes:
    """Fill a stretch with zeros, as a lost block of a disk is."""
    first, last = sorted((at(raw, place), at(raw, other)))
    return raw[:first] + bytes(last - first) + raw[last:]


def doubled(raw: bytes, place: int, other: int, _: bytes) -> bytes:
    """Repeat a stretch."""
    first, last = sorted((at(raw, place), at(raw, other)))
    return raw[:last] + raw[first:]


def prolonged(raw: bytes, _: int, __: int, new: bytes) -> bytes:
    """Add bytes at the end."""
    return raw + new


def replaced(_: bytes, __: int, ___: int, new: bytes) -> bytes:
    """Write something else altogether."""
    return new


ON_BYTES: tuple[Callable[[bytes, int, int, bytes], bytes], ...] = (
    truncated, flipped, flipped, flipped, overwritten, inserted, cut, zeroed, doubled, prolonged, replaced,
)  # fmt: skip


def byte_damage() -> SearchStrategy[Callable[[bytes], bytes]]:
    """Return any damage to bytes, with a name that tells it."""
    return st.tuples(st.sampled_from(ON_BYTES), PLACE, PLACE, BYTES).map(lambda drawn: Named(drawn[0], *drawn[1:]))


class Named:
    """A function of a file's bytes with its arguments bound, printed as what it does."""

    def __init__(self, function: Callable[..., bytes], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self, raw: bytes) -> bytes:
        return self.function(raw, *self.arguments)

    def __repr__(self) -> str:
        return f"{self.function.__name__}{self.arguments!r:.200}"


# -- JSON -------------------------------------------------------------------------------------

DEEP = {"@lists@": "[" * 20_000 + "]" * 20_000, "@mappings@": '{"a":' * 20_000 + "1" + "}" * 20_000, "@long@": "9" * 5000,
        "@nan@": "NaN", "@inf@": "-Infinity", "@huge@": "1e999", "@surrogate@": '"\\ud800"', "@open@": '"',
        "@nothing@": ""}  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, "", "x", "<script>", "\x1b[31m", -1, 0, 3, 1.5, 1e308, -1e-308, 10**30, 10**400, [], {}, [[]], [None],
    {"a": 1}, [0] * 300, *DEEP,
)  # fmt: skip
JUNKS = st.one_of(st.sampled_from(JUNK), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8))


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Walk every (container, key) of a tree."""
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from places(tree[key])


def set_value(raw: bytes, place: int, value: Any) -> bytes:
    """Give another value to a key, or to an item of a list."""
    tree = json.loads(raw)
    found = list(places(tree))
    container, key = found[place * len(found) // FULL]
    container[key] = value
    return written(tree)


def without(raw: bytes, place: int) -> bytes:
    """Take a key, or an item of a list, out."""
    tree = json.loads(raw)
    found = list(places(tree))
    container, key = found[place * len(found) // FULL]
    del container[key]
    return written(tree)


def renamed(raw: bytes, place: int, name: str) -> bytes:
    """Give a key another name."""
    tree = json.loads(raw)
    found = [(container, key) for container, key in places(tree) if isinstance(container, dict)]
    container, key = found[place * len(found) // FULL]
    container[name] = container.pop(key)
    return written(tree)


def written(tree: Any) -> bytes:
    """Return JSON, with what no JSON library writes put in the place of its name."""
    text = json.dumps(tree)
    for name, what in DEEP.items():
        text = text.replace(json.dumps(name), what)
    return text.encode()


def json_damage() -> SearchStrategy[Callable[[bytes], bytes]]:
    """Return any damage to a value, a key or an item of a JSON text."""
    return st.one_of(
        st.tuples(PLACE, JUNKS).map(lambda drawn: Named(set_value, *drawn)),
        PLACE.map(lambda place: Named(without, place)),
        st.tuples(PLACE, st.sampled_from(("x", "", "index", "beta", "kind"))).map(lambda drawn: Named(renamed, *drawn)),
    )


# -- the file itself --------------------------------------------------------------------------


def deleted(path: Path) -> None:
    """Take the file away."""
    path.unlink()


def folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def full_folder(path: Path) -> None:
    """Put a folder with a file in its place."""
    folder(path)
    (path / "thesis.txt").write_text("years of work")


def dangling(path: Path) -> None:
    """Put a link to nowhere in its place."""
    path.unlink()
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    """Put a link to itself in its place."""
    path.unlink()
    path.symlink_to(path.name)


def linked_folder(path: Path) -> None:
    """Put a link to a folder in its place."""
    path.unlink()
    path.symlink_to("..")


IN_PLACE: tuple[Callable[[Path], None], ...] = (deleted, dangling, loop, linked_folder)
ON_FILES: tuple[Callable[[Path], None], ...] = (*IN_PLACE, folder, full_folder)


def copy(source: Path, target: Path) -> None:
    """Copy a folder, links as links."""
    shutil.copytree(source, target, symlinks=True)

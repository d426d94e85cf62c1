"""Command lines that mean nothing: every verb, every option, words from the whole of Unicode."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hard_inputs.case import Case
from hard_inputs.program import Outcome

NASTY = (
    "", " ", "-", "=", "==", "\n", "a\nb", "\r", "\x1b[31mred", "\x00"[:0], "\x07", "\x7f", "\x85", "\u2028",
    "\u202e", "\ufeff",
    "[bold]x[/]", "[/]", "%s%n", "{0}", "{", "$(x)", "`x`", "<script>alert(1)</script>", "../../x", "~", "*", "?",
    "nan", "-nan",
    "inf", "-inf", "1e999", "1e-999", "-1", "0", "0x10", "1_0", "1,,2", ",", "1;2", "None", "null", "true", "\u0661\u0662", "½",
    "\U0001f4a5", "é", "e\u0301", "\udcff", "\udc80x", "a" * 300, "a" * 5000, "/" * 3000, "9" * 5000, "; ", "a; b; c",
)  # fmt: skip
WORDS = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_characters="\0"), max_size=20),
    st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=12),
    st.integers().map(str),
    st.floats().map(repr),
)
VERBS = ("map", "show", "tasks", "theory", "report", "export", "curvature")
TINY = ("--set", "hidden=2", "--set", "samples=20", "--starts", "1")
ENDING = ("--help", "--version")


def _fails(kind: Callable[[str], object]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return True
        return False

    return test


def _outside(low: float, high: float) -> Callable[[str], bool]:
    """Tell texts of numbers outside an open interval, and of no number."""

    def test(text: str) -> bool:
        try:
            return not low < float(text) < high
        except ValueError:
            return True

    return test


def _no_range(text: str) -> bool:
    low, _, high = text.partition(":")
    try:
        return not 0 < float(low) < float(high) < math.inf
    except ValueError:
        return True


def _not_in(*known: str) -> Callable[[str], bool]:
    return lambda text: text.strip().lower() not in known


def _whole(text: str) -> int:
    """Return a whole number in any spelling that somebody may take for one."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if number.is_integer():
            return int(number)
        raise


def _less_than_one(text: str) -> bool:
    return _fails(_whole)(text) or _whole(text) < 1


LISTS = st.lists(WORDS, min_size=1, max_size=4).map(",".join)
RANGES = st.one_of(
    WORDS, st.tuples(WORDS, WORDS).map(":".join), st.tuples(st.floats(), st.floats()).map("{0[0]}:{0[1]}".format)
)
OPTIONS: dict[str, SearchStrategy[str]] = {
    "--seed": WORDS.filter(_fails(_whole)),
    "--starts": WORDS.filter(_less_than_one),
    "--threads": WORDS.filter(lambda text: _fails(_whole)(text) or _whole(text) < 0),
    "--tolerance": WORDS.filter(_outside(0, 1)),
    "--bracket": WORDS.filter(_outside(0, 0.0100001)),
    "--beta": RANGES.filter(_no_range),
    "--direction": WORDS.filter(_not_in("up", "down", "loop")),
    "--dtype": WORDS.filter(_not_in("float64", "float32")),
    "--solver": WORDS.filter(_not_in("auto", "newton", "newton_cg", "lbfgs")),
    "--device": WORDS,
}
SETTINGS: dict[str, SearchStrategy[str]] = {
    "hidden": LISTS.filter(lambda text: any(_less_than_one(part) for part in text.split(",") if part.strip())),
    "samples": WORDS.filter(_less_than_one),
    "inputs": WORDS.filter(_less_than_one),
    "outputs": WORDS.filter(_less_than_one),
    "noise": WORDS.filter(_outside(-1e-300, math.inf)),
    "seed": WORDS.filter(lambda text: _fails(_whole)(text) or _whole(text) < 0),
    "bias": WORDS.filter(_not_in("true", "yes", "1", "false", "no", "0")),
    "activation": WORDS.filter(lambda text: not text.strip().isascii() or len(text) > 30 or " " in text.strip()),
    "singular_values": LISTS.filter(lambda text: any(_outside(0, math.inf)(part) for part in text.split(",") if part.strip())),
}


def _option() -> SearchStrategy[tuple[str, ...]]:
    """Return a map whose one option has a value that it cannot have."""
    one = st.sampled_from(sorted(OPTIONS)).flatmap(lambda name: OPTIONS[name].map(lambda value: (name, value)))
    joined = st.booleans().flatmap(lambda equals: one.map(lambda pair: (f"{pair[0]}={pair[1]}",) if equals else pair))
    return joined.map(lambda words: ("map", "gaussian", *TINY, *words))


def _setting() -> SearchStrategy[tuple[str, ...]]:
    """Return a map with an argument of the task that is unknown, or whose value does not fit."""
    known = st.sampled_from(sorted(SETTINGS)).flatmap(lambda name: SETTINGS[name].map(lambda value: f"{name}={value}"))
    unknown = st.tuples(WORDS.filter(lambda text: text.split("=")[0].strip() not in SETTINGS), WORDS).map("=".join)
    bare = WORDS.filter(lambda text: "=" not in text)
    return st.one_of(known, unknown, bare).map(lambda text: ("map", "gaussian", *TINY, "--set", text))


def _unknown() -> SearchStrategy[tuple[str, ...]]:
    """Return lines with a verb, an option, a task or a run that there is not."""
    words = WORDS.filter(lambda text: text not in ("--", *ENDING, *VERBS))
    options = words.filter(lambda text: text.lstrip("-") != "" and f"--{text}".split("=")[0] not in ENDING).map(
        lambda text: f"--{text}x"
    )
    tasks = words.filter(lambda text: text.strip() not in ("gaussian", "digits", "autoencoder") and text not in ("-", ""))
    return st.one_of(
        words.map(lambda word: (word,)),
        st.tuples(words, WORDS).map(lambda pair: (pair[0] if pair[0].startswith("-") is False else f"x{pair[0]}", pair[1])),
        st.tuples(st.sampled_from(("map", "show", "tasks", "theory")), options),
        tasks.map(lambda word: ("map", "--", word)),
        tasks.map(lambda word: ("map", "--", f"{word}.py:{word}")),
        tasks.map(lambda word: ("map", "--", f"{word}:task")),
        words.map(lambda word: ("show", "--", f"nowhere{word}")),
        st.tuples(st.sampled_from(("tasks", "theory")), words).map(lambda pair: (pair[0], "--", pair[1])),
        st.tuples(words, WORDS).map(lambda pair: ("map", "--", "gaussian", *pair)),
    )


def _missing() -> SearchStrategy[tuple[str, ...]]:
    """Return lines that end before their last value."""
    needing = ("--seed", "--set", "--beta", "--json", "--out", "--device", "--threads", "--bracket", "--solver", "--dtype")
    ends = st.sampled_from(needing)
    before = st.lists(st.sampled_from(("--quiet", "--resume", "--seed=3", "--dtype=float32", "--starts=2")), max_size=3)
    return st.one_of(
        st.tuples(before, ends).map(lambda pair: ("map", "gaussian", *pair[0], pair[1])),
        st.tuples(st.sampled_from(("map", "show")), before).map(lambda pair: (pair[0], *(pair[1] if pair[0] == "map" else ()))),
        st.sampled_from(("tasks", "theory")).map(lambda verb: (verb, "--json")),
        st.sampled_from(("--quiet", "--resume", "--debug")).flatmap(
            lambda name: WORDS.map(lambda word: ("map", "gaussian", f"{name}={word}"))
        ).filter(lambda words: not words[2].startswith("--debug")),
    )  # fmt: skip


def _theory() -> SearchStrategy[tuple[str, ...]]:
    """Return closed forms that there are not."""
    numbers = LISTS.filter(lambda text: any(_outside(0, math.inf)(part) for part in text.split(",") if part.strip()))
    return st.one_of(
        numbers.map(lambda text: ("theory", f"--singular-values={text}")),
        WORDS.filter(_less_than_one).map(lambda text: ("theory", f"--matrices={text}")),
    )


PLACES = ("file/below", "no/such/place", "folder", "file", "dangling/x", "\udcff/x", "a" * 300, "loop/x", "")


def _place() -> SearchStrategy[tuple[str, ...]]:
    """Return places where nothing can be written, or that hold other things."""
    jsons = st.sampled_from([place for place in PLACES if place not in ("file",)])
    outs = st.sampled_from(["file/below", "folder", "file", "dangling", "a" * 300, "loop"])
    more = st.lists(st.sampled_from(("--quiet", "--resume", "--seed=3", "--dtype=float32", "--direction=down")), max_size=3)
    verbs = st.sampled_from((("tasks",), ("theory",), ("show", "folder"), ("map", "gaussian", *TINY)))
    return st.one_of(
        st.tuples(verbs, jsons).map(lambda pair: (*pair[0], f"--json={pair[1]}")),
        st.tuples(outs, more).map(lambda pair: ("map", "gaussian", *TINY, "--beta=0.5:1.2", *pair[1], f"--out={pair[0]}")),
    )


def _places(folder: Path) -> None:
    (folder / "file").write_text("years of work")
    (folder / "folder").mkdir()
    (folder / "folder" / "thesis.txt").write_text("years of work")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")


TOKENS = (
    "map", "show", "tasks", "theory", "gaussian", "digits", "--", "-", "--json", "--out", "--set", "--seed", "--beta",
    "--resume",
    "--quiet", "--debugging", "--device", "cpu", "--dtype", "float32", "--solver", "newton", "0.1:1", "3", "hidden=2", "x",
)  # fmt: skip


def _soup() -> SearchStrategy[tuple[str, ...]]:
    """Return any words in any order; some lines are good ones."""
    return st.lists(st.one_of(st.sampled_from(TOKENS), WORDS), min_size=1, max_size=7).map(tuple).filter(
        lambda words: "--debug" not in words
    )  # fmt: skip


def _good(folder: Path, outcome: Outcome) -> str | None:
    return None if outcome.err == "" else f"ended well, but said {outcome.err[:200]!r}"


def _case(words: tuple[str, ...], *, good: bool = False) -> Case:
    return Case(repr(words), words, _places, _good if good else None)


def _device_may_be_there(words: tuple[str, ...]) -> bool:
    return any(word.startswith("--device") for word in words)


CERTAIN = st.one_of(_option(), _setting(), _unknown(), _missing(), _theory(), _place())
CASES = st.one_of(
    CERTAIN.map(lambda words: _case(words, good=_device_may_be_there(words))),
    CERTAIN.map(lambda words: _case(words, good=_device_may_be_there(words))),
    _soup().map(lambda words: _case(words, good=True)),
)

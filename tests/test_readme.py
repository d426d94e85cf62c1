"""The README does what it says: every command parses, every file it names is there, its Python runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from documents import README, ROOT, VERBS, blocks, commands, options, used_options
from spinodal.store import placements
from test_cli import Command, command  # noqa: F401 - the fixture

TEXT = README.read_text(encoding="utf-8")
BLOCKS = [block.text for block in blocks(README) if block.language == "python"]


def block(text: str) -> str:
    (found,) = [source for source in BLOCKS if text in source]
    return found


def test_there_are_commands_to_check() -> None:
    assert len(commands(README)) >= 2
    assert any(line.startswith("map digits") for line in commands(ROOT / "Makefile"))


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_in_the_help_parse(verb: str) -> None:
    for line in re.findall(r"^\s+spinodal (.*)$", VERBS[verb].help or "", flags=re.MULTILINE):
        assert used_options(line) <= options(line.split()[0])


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(target: str) -> None:
    assert target.startswith("http") or (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", TEXT, flags=re.MULTILINE))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.findall(r"<<.*?>>|TODO|FIXME|XXX", TEXT)


STEP = re.compile(
    r"^```python\n(?P<python>.*?)^```|^    \.venv/bin/spinodal (?P<line>.*?)$|`\.venv/bin/spinodal (?P<quoted>[^`]*)`",
    flags=re.DOTALL | re.MULTILINE,
)
NARROW = ["--beta", "0.004:0.3", "--starts", "1", "--bracket", "1e-2"]


def steps(text: str) -> list[tuple[str, str]]:
    """Return Python blocks and commands in the order in which they stand; `make` makes and tests the environment."""
    found = [next((kind, value) for kind, value in match.groupdict().items() if value) for match in STEP.finditer(text)]
    return [("python" if kind == "python" else "command", value) for kind, value in found]


def section(first: str, last: str) -> str:
    return TEXT[TEXT.index(f"## {first}") : TEXT.index(f"## {last}")]


def follow(text: str, command: Command, *cheaper: str) -> None:  # noqa: F811
    """Do what a part of the README says, in order, in the current folder."""
    for kind, value in steps(text):
        if kind == "command" and "digits" not in value:  # the map of `make map`
            done = command(*shlex.split(value), *(cheaper if value.startswith("map ") else ()))
            assert (done.code, done.err) == (0, ""), (value, done)
        elif "def wine(" in value:
            Path("wine.py").write_text(value)
        elif kind == "python":
            exec(compile(value, "README.md", "exec"), {})  # each stands for itself


def test_the_task_and_the_model_of_ones_own_are_mapped_and_placed_as_the_readme_says(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    text = section("Your own network", "From Python").replace("--set hidden=12 --out runs/wine-12", "--out runs/wine --resume")
    follow(text, command, *NARROW, "--quiet")
    assert json.loads(Path("wine.json").read_text())["phases"][0]["classes"] == [0, 1, 2]
    (placement,) = placements(Path("runs/wine"))
    assert placement["file"] == "model.pt"
    assert placement["weight_decay"] == 0.01


def test_the_readme_is_done_in_order_in_a_fresh_folder(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.syspath_prepend(str(Path.cwd()))
    follow(section("Two commands", "From Python"), command)
    assert {path.name for path in Path("runs").iterdir()} >= {"wine", "wine-12", "loop", "curvature"}
    for option in (["--direction", "down"], ["--branches"]):  # what else is advertised; a loop and curvature were done
        done = command("map", "wine.py:wine", *option, *NARROW, "--out", "runs/" + "-".join(option))
        assert (done.code, done.err) == (0, "")


def test_a_phase_that_is_followed_as_what_another_falls_into_may_end_in_a_second_order_transition(
    command: Command,  # noqa: F811
) -> None:
    Path("wine.py").write_text(block("def wine("))
    line = ["map", "wine.py:wine", "--beta", "0.25:0.56", "--starts", "1", "--bracket", "1e-3", "--branches", "--quiet"]
    done = command(*line, "--out", "run", "--json", "wine.json")
    assert (done.code, done.err) == (0, "")
    result = json.loads(Path("wine.json").read_text())
    found = [item for item in result["transitions"] if not item["minor"]]
    *_, first, second = found
    assert (first["order"], second["order"]) == ("first", "second")
    last = len(found) - 1  # the phase that ends in the second one
    assert last in [item["phase"] for item in result["branches"]]
    assert "fold of the branch at beta = " in first["status"]
    assert "branch point of the branch at beta = " in second["status"]
    upper = [item["phase"] for item in result["spinodals"] if item["side"] == "upper"]
    assert last - 1 in upper
    assert last not in upper
    beta = float(second["status"].rpartition(" = ")[2])
    assert second["bracket"][0] * (1 - 1e-4) <= beta <= second["bracket"][1] * (1 + 1e-4)
    (branch,) = [item for item in result["branches"] if item["phase"] == last]
    assert min(abs(item["beta"] / beta - 1) for item in branch["branch_points"]) < 1e-9


def test_the_python_of_the_readme_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [source.replace('activation="linear")', 'activation="linear", samples=60)') for source in BLOCKS]
    code = "\n".join(source for source in sources if "wine(" not in source)
    assert "sp.map_phases" in code
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "first 0.1875" in out
    assert "first 0.410548634" in out
    assert "transition at beta = 0.41054" in out

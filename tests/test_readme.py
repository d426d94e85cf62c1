"""The README does what it says: every command parses, every file it names is there, its Python runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from spinodal import cli
from test_cli import Command, command  # noqa: F401 - the fixture

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "Makefile", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
VERBS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def commands() -> list[tuple[str, str]]:
    """Return (document, line) of every indented or back-quoted line that calls spinodal with a verb."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        lines = re.findall(r"^(?: {4}|\t)\S*?\bspinodal (?=[a-z])(.*)$", text, flags=re.MULTILINE)
        quoted = re.findall(r"`(?:\.venv/bin/)?spinodal ((?:map|show|tasks|theory)[^`]*)`", text)
        found += [(path.name, line.split("  #")[0].strip()) for line in [*lines, *quoted]]
    return found


def block(text: str) -> str:
    (found,) = [source for source in BLOCKS if text in source]
    return found


def test_there_are_commands_to_check() -> None:
    assert len([line for name, line in commands() if name == "README.md"]) >= 2
    assert any(line.startswith("map digits") for _, line in commands())


@pytest.mark.parametrize(("document", "line"), commands(), ids=lambda value: value)
def test_every_documented_command_has_its_verb_and_options(document: str, line: str) -> None:
    verb, *arguments = shlex.split(line)
    assert verb in VERBS
    known = {option for parameter in VERBS[verb].params for option in parameter.opts}
    used = {argument.split("=")[0] for argument in arguments if argument.startswith("--") and argument != "--help"}
    assert used <= known


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_in_the_help_parse(verb: str) -> None:
    known = {option for parameter in VERBS[verb].params for option in parameter.opts}
    for line in re.findall(r"^\s+spinodal (.*)$", VERBS[verb].help or "", flags=re.MULTILINE):
        assert {part.split("=")[0] for part in shlex.split(line) if part.startswith("--")} <= known


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert target.startswith("http") or (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", README, flags=re.MULTILINE))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.findall(r"<<.*?>>|TODO|FIXME|XXX", README)


def test_the_task_of_ones_own_is_mapped_as_the_readme_says(command: Command) -> None:  # noqa: F811
    Path("wine.py").write_text(block("def wine("))
    (line,) = [
        line for name, line in commands() if name == "README.md" and line.startswith("map wine.py:wine --out runs/wine ")
    ]
    cheap = ["--set", "hidden=2", "--starts", "1", "--bracket", "1e-2", "--beta", "0.05:0.5", "--quiet"]
    assert command(*shlex.split(line), *cheap).code == 0
    result = json.loads(Path("wine.json").read_text())
    assert Path("runs/wine/result.json").exists()
    assert result["phases"][0]["classes"] == [0, 1, 2]
    assert result["task"]["hidden"] == 2


def test_the_python_of_the_readme_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [source.replace('activation="linear")', 'activation="linear", samples=60)') for source in BLOCKS]
    code = "\n".join(source for source in sources if "def wine(" not in source)
    assert "sp.map_phases" in code
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "first 0.1875" in out
    assert "first 0.410548634" in out
    assert "transition at beta = 0.41054" in out

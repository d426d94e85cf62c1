"""The README does what it says: every command parses, every file it names is there, its Python runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from documents import README, ROOT, VERBS, blocks, commands, options, used_options
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
        assert used_options(line) <= options(verb)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(target: str) -> None:
    assert target.startswith("http") or (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^    make (\w+)", TEXT, flags=re.MULTILINE))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.findall(r"<<.*?>>|TODO|FIXME|XXX", TEXT)


def test_the_task_of_ones_own_is_mapped_as_the_readme_says(command: Command) -> None:  # noqa: F811
    Path("wine.py").write_text(block("def wine("))
    (line,) = [line for line in commands(README) if line.startswith("map wine.py:wine --out runs/wine --json ")]
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

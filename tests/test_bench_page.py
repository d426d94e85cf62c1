"""bench/README.md is made of results and prose; what a script prints, or a hand pastes, becomes a result and comes back."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import pages  # noqa: E402 - a script of the folder, as the page's own command imports it
import script  # noqa: E402
from hardware import print_table  # noqa: E402

HARDWARE = "Some Processor (2 cores), 1 thread(s) used, torch 2.13.0+cpu, spinodal 0.1.0, Python 3.11.7, 2026-11-30"
TABLE = "| net | ms |\n| --- | --- |\n| 3-4-2 | 0.5 |\n| [1, 2] |  |\n"
PAGE = f"""# Measurements

| script | question |
| --- | --- |
| `hessian.py` | What is left alone? |

## hessian.py

    OMP_NUM_THREADS=1 python bench/hessian.py --quick     # a comment

{HARDWARE}, beside other work

Before.

{TABLE}
Between.

{TABLE}
{HARDWARE}

{TABLE}
After.

## In words

Nothing is measured.
"""


def test_the_page_is_what_results_and_prose_give() -> None:
    page = pages.rendered(pages.SOURCE.read_text(encoding="utf-8"))
    hint = "write bench/README.in.md and run `python bench/render.py`; of an edited README.md, `python bench/render.py --take`"
    assert pages.PAGE.read_text(encoding="utf-8") == page, hint


def test_every_number_of_a_table_of_the_page_is_in_a_result() -> None:
    _, *sections = pages.SOURCE.read_text(encoding="utf-8").split("\n## ")
    assert [section.partition("\n")[0] for section in sections if pages.TABLE.search(section)] == []
    assert len(pages.PLACE.findall("\n".join(sections))) > 50


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    return tmp_path


def test_a_page_that_is_taken_apart_comes_back_bit_for_bit(results: Path) -> None:
    source = pages.taken(PAGE)
    assert pages.rendered(source) == PAGE
    assert [line for line in source.splitlines() if "{{" in line] == [
        "{{hessian}}, beside other work", "{{hessian.1}}", "{{hessian.2}}", "{{hessian-2}}", "{{hessian-2.1}}"
    ]  # fmt: skip
    first = json.loads((results / "hessian.json").read_text())
    assert (first["command"], first["date"], first["hardware"]) == ("python bench/hessian.py --quick", "2026-11-30", HARDWARE)
    assert first["tables"][1] == {"title": "", "header": ["net", "ms"], "rows": [["3-4-2", "0.5"], ["[1, 2]", ""]]}
    assert "What is left alone?" in source


def test_what_was_kept_before_stays_where_the_page_shows_the_same(results: Path) -> None:
    source = pages.taken(PAGE)
    kept = json.loads((results / "hessian.json").read_text()) | {"notes": ["of the script"]}
    (results / "hessian.json").write_text(json.dumps(kept))
    assert pages.taken(PAGE) == source
    assert json.loads((results / "hessian.json").read_text()) == kept
    pages.taken(PAGE.replace("0.5", "0.6"))
    assert json.loads((results / "hessian.json").read_text())["tables"][0]["rows"][0] == ["3-4-2", "0.6"]


def test_a_script_keeps_what_it_printed(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def main(options: argparse.Namespace) -> bool:
        sys.stdout.write("Nets\n\n")
        print_table(["net", "ms"], [["3-4-2", str(options.ms)]])
        sys.stdout.write("\n1 of 1 agree\n")
        return True

    monkeypatch.setattr(script, "use_threads", lambda threads: None)
    monkeypatch.setattr(sys, "argv", ["bench/nets.py", "--ms", "0.5", "--keep"])
    with pytest.raises(SystemExit) as ended:
        script.run(main, lambda parser: parser.add_argument("--ms", type=float) and None)
    assert ended.value.code == 1
    found = json.loads((results / "nets.json").read_text())
    assert found["command"] == "python bench/nets.py --ms 0.5"
    assert found["tables"] == [{"title": "Nets", "header": ["net", "ms"], "rows": [["3-4-2", "0.5"]]}]
    assert found["notes"] == ["1 of 1 agree"]
    assert found["hardware"].endswith(found["date"])
    assert "| 3-4-2 | 0.5 |" in capsys.readouterr().out
    assert pages.rendered("{{nets.1}}\n") == "| net | ms |\n| --- | --- |\n| 3-4-2 | 0.5 |\n"

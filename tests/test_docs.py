"""The documentation does what it says: its commands and files run, its site builds, and it leaves nothing out."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import reduce
from html.parser import HTMLParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

import spinodal
from documents import DOCS, PAGES, README, ROOT, VERBS, Block, Call, agrees, blocks, calls, commands, options, used_options
from test_cli import Command, command  # noqa: F401 - the fixture

ROOMS = ("tasks", "theory", "observe", "branches", "curvature", "paths", "dynamics", "plots", "report")
WIDTH = "100"  # columns of the terminal in which the pages were made
DOCUMENTS = [README, ROOT / "Makefile", ROOT / "CONTRIBUTING.md", *PAGES]
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md")))
COMMAND_LINE = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_session(page: Path) -> bool:
    return any(block.language == "console" for block in blocks(page))


# -- what the pages show --------------------------------------------------------------------------


class Reader:
    """Does what a page says, in an empty folder, and compares what is printed with what the page shows."""

    def __init__(self, command: Command, capsys: pytest.CaptureFixture[str], folder: Path) -> None:  # noqa: F811
        self.command, self.capsys, self.folder = command, capsys, folder

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            if block.title:
                self.folder.joinpath(block.title).write_text(block.text)
            elif block.language == "console":
                self.type(block)

    def type(self, block: Block) -> None:
        for call in calls(block):
            self.capsys.readouterr()
            printed = self.run(call)
            assert agrees(call.shown, printed) or not call.shown.strip(), f"$ {call.line}\n{printed}"

    def run(self, call: Call) -> str:
        program, *words = shlex.split(call.line)
        if program == "spinodal":
            done = self.command(*words)
            assert done.code == (2 if call.shown.startswith("error:") else 0), f"$ {call.line}\n{done.err}"
            return done.out + done.err
        if program == "python":
            runpy.run_path(words[0], run_name="__main__")
            return self.capsys.readouterr().out
        return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def reader(
    command: Command,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Reader]:
    monkeypatch.setenv("COLUMNS", WIDTH)
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield Reader(command, capsys, tmp_path)
    for name in set(sys.modules) - known:  # what a page imports of its own files is forgotten with it
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("page", [page for page in PAGES if is_session(page)], ids=name_of)
def test_a_page_prints_what_it_shows(reader: Reader, page: Path) -> None:
    reader.follow(page)


def test_a_page_that_shows_something_else_is_found_out(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="digits"):
        reader.type(Block("console", "", "$ spinodal tasks\nnothing\n"))
    with pytest.raises(AssertionError):
        reader.type(Block("console", "", "$ spinodal show nowhere\n"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_python_runs(page: Path) -> None:
    for block in blocks(page):
        assert block.language in ("python", "console", "toml", "json", "text", "math")
        assert block.language != "python" or block.title or block.text.lstrip().startswith(">>> ")
        assert ">>>" not in block.text or block.language == "python"


@pytest.mark.parametrize(
    ("page", "line"), [(page, line) for page in DOCUMENTS for line in commands(page)], ids=lambda value: str(value)[-60:]
)
def test_every_documented_command_has_its_verb_and_options(page: Path, line: str) -> None:
    verb, *_ = shlex.split(line)
    assert verb in VERBS
    assert used_options(line) <= options(verb)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_nothing_in_a_page_is_left_to_fill_in(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"<<.*?>>|TODO|FIXME|XXX", text)
    assert len(text.split()) > 10


def test_ten_questions_have_a_command_each_that_answers_in_words() -> None:
    text = (DOCS / "how-to-choose.md").read_text(encoding="utf-8").partition("## Ten questions")[2].partition("\n## ")[0]
    parts = re.split(r"^\*\*(\d+)\. ", text, flags=re.MULTILINE)[1:]
    assert parts[::2] == [str(number) for number in range(1, 11)]
    for asked in parts[1::2]:
        assert "?" in asked.partition("\n")[0]
        (block,) = re.findall(r"^```console\n(.*?)^```$", asked, flags=re.DOTALL | re.MULTILINE)
        answers = [call.shown for call in calls(Block("console", "", block)) if call.shown.strip()]
        assert len(re.findall(r"[a-z]{3,}", answers[0])) > 3  # what is shown is compared with what is printed above


FIRST = (("local minimum", "minimiser"), ("jump", "bracket"))


@pytest.mark.parametrize("page", [README, DOCS / "index.md", DOCS / "glossary.md", DOCS / "concepts" / "index.md"], ids=name_of)
def test_a_word_comes_before_those_that_build_on_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8").lower()
    for word, later in FIRST:
        places = [re.search(rf"\b{known}", text) for known in (word, later)]
        assert places[1] is None or (places[0] is not None and places[0].start() < places[1].start()), later


def test_every_heading_of_a_table_is_in_the_glossary() -> None:
    from diagrams import diagram
    from spinodal.labelled.result import phase_record, transition_record
    from spinodal.words.rows import PAGE, phase_cells, transition_cells

    made = diagram(count=12, classes=3)
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    headings = {
        *transition_cells(transition_record(made, made.macroscopic[0]), PAGE),
        *phase_cells(phase_record(made, made.phases[0]), PAGE),
    }
    assert not [heading for heading in headings if heading.lower() not in text.lower()]


def test_formulas_are_typeset_and_unknown_ones_refused() -> None:
    formulas = runpy.run_path(str(ROOT / "hooks" / "formulas.py"))
    mathml, typeset = formulas["mathml"], formulas["on_page_markdown"]
    found = [block.text for page in PAGES for block in blocks(page) if block.language == "math"]
    assert len(found) > 15
    for tex in found:
        drawn = ElementTree.fromstring(mathml(tex.strip()))
        assert drawn.get("alttext") == tex.strip()
        assert "\\" not in "".join(drawn.find(".//mtable").itertext())  # type: ignore[union-attr]
    assert mathml(r"\beta^2").partition("<mtd>")[2].startswith("<mrow><msup><mi>β</mi><mn>2</mn></msup></mrow>")
    assert "<munder>" in mathml(r"\sum_{b} x")
    assert "<msubsup>" in mathml(r"\int_a^b x")
    assert typeset("a\n\n```math\nx < y\n```\n\nb").count(">&lt;</mo>") == 1
    for wrong in (r"\unknown", "{a", "a}", "x^", r"\frac{a}", r"\text{a", r"\text a"):
        with pytest.raises(ValueError, match=r"known|closed|place|end|braces"):
            mathml(wrong)


# -- what the pages leave out ---------------------------------------------------------------------


@pytest.mark.parametrize("module", ["spinodal", *(f"spinodal.{room}" for room in ROOMS)])
def test_every_public_name_is_in_the_reference(module: str) -> None:
    shown = [named(path) for path in re.findall(r"^::: (\S+)$", REFERENCE, flags=re.MULTILINE)]
    home = import_module(module)
    public = {name: getattr(home, name) for name in home.__all__}
    assert not [name for name, value in public.items() if not isinstance(value, ModuleType) and value not in shown]


def named(path: str) -> object:
    """Return what a dotted name means to the reference: a module before what its package calls by the same name."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        with suppress(ModuleNotFoundError):
            value: object = import_module(".".join(parts[:count]))
            return reduce(getattr, parts[count:], value)
    raise LookupError(path)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_explained(verb: str) -> None:
    (section,) = re.findall(rf"^## `spinodal {verb}\b.*?$(.*?)(?=^## |\Z)", COMMAND_LINE, flags=re.DOTALL | re.MULTILINE)
    explained = set(re.findall(r"^\| `(--[\w-]+)", section, flags=re.MULTILINE))
    assert explained == options(verb)


def test_every_key_of_the_result_is_explained() -> None:
    from spinodal.tasks import gaussian

    result = spinodal.map_phases(gaussian(activation="linear", hidden=(2,), samples=20), beta=(0.4, 0.6), starts=1).to_dict()
    text = (DOCS / "json.md").read_text(encoding="utf-8")
    keys = {*result, *result["stats"], *result["transitions"][0], *result["phases"][0]}
    assert not [key for key in sorted(keys) if f"`{key}`" not in text]


# -- the site -------------------------------------------------------------------------------------


class Loaded(HTMLParser):
    """Collects what a browser loads on its own when it opens a page."""

    LOADING = ("script", "img", "iframe", "source", "video", "audio", "embed", "object")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        named = {key: values.get(key) for key in ("src", "srcset", "data")} if tag in self.LOADING else {}
        if tag == "link" and values.get("rel") not in ("canonical", "prev", "next", "alternate"):
            named["href"] = values.get("href")
        self.found += [value for value in named.values() if value]


def loaded(html: str) -> list[str]:
    parser = Loaded()
    parser.feed(html)
    return parser.found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not all(map(find_spec, ("mkdocs", "material", "mkdocstrings"))):
        pytest.skip("the site is built by mkdocs, of the extra `docs`, which is not installed")
    target = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return target


def test_the_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    assert {page.relative_to(DOCS).with_suffix(".html") for page in PAGES} <= {
        page.relative_to(site) for page in site.rglob("*.html")
    }


def test_the_site_loads_nothing_from_a_network(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    targets = [(page, target) for page in pages for target in loaded(page.read_text(encoding="utf-8"))]
    assert targets
    for page, target in targets:
        assert not re.match(r"(\w+:)?//", target), f"{page}: {target}"
        if page.name != "404.html":  # whose paths are those of a server's root
            assert (page.parent / target.partition("?")[0]).exists(), f"{page}: {target}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"""(url\(|@import)\s*["']?(\w+:)?//""", sheet.read_text(encoding="utf-8"))


def test_a_page_that_loads_from_a_network_is_found_out() -> None:
    page = '<link rel=stylesheet href="https://a/b.css"><script src=//c></script><a href="https://d">'
    assert loaded(page) == ["https://a/b.css", "//c"]


def test_make_docs_says_what_is_missing(tmp_path: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run([make, "docs", "--old-file=.venv/.developed"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "'.[docs]'" in done.stdout + done.stderr

"""Every public result fits on a line and shows itself in a notebook; options are known to completion and type checkers."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_type_hints

import matplotlib
import pytest
import torch
from matplotlib.figure import Figure

import spinodal as sp
from diagrams import diagram, point, transition
from spinodal.mapping.options import MapOptions, MapSettings
from spinodal.phases.existence import Existence
from spinodal.shown import Drawn, Shown
from spinodal.tasks import gaussian

VOID = ("img", "br", "hr", "meta", "link")
NASTY = "<script>alert('&')</script>"


class Checker(HTMLParser):
    """Refuses tags that are not closed in the order in which they were opened, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """Return one result of every kind, from a network of a few parameters."""
    task = gaussian(activation="linear", hidden=(2, 2), singular_values=(0.5,), inputs=1, outputs=1, samples=20)
    landscape = task.landscape()
    mapped = sp.map_phases(task, branches=True, beta=(0.1, 0.25), starts=1, bracket=1e-2)
    start = mapped.points[0].minimum
    walk = sp.sweep(landscape, start=start, to=0.2, bracket=1e-2)
    back = sp.sweep(landscape, start=walk.points[-1].minimum, to=0.1, bracket=1e-2)
    branch = mapped.branches[0]
    other = sp.minimise(landscape, beta=0.05, start=task.initial(seed=1))
    tree = sp.Hierarchy.of([mapped, mapped_again(mapped)])
    theta = start.theta
    return {
        "PhaseDiagram": mapped,
        "Phase": mapped.phases[0],
        "Transition": mapped.transitions[0],
        "Point": mapped.points[0],
        "Observation": mapped.points[0].observation,
        "Snapshot": mapped.at(0.1),
        "Existence": Existence((0.1, 0.2), "the lower end of the map", "a fold", ((0.1, 0.15),)),
        "Loop": sp.Loop(walk, back),
        "Sweep": walk,
        "Minimum": start,
        "Branch": branch,
        "Fold": branch.folds[0],
        "StationaryPoint": branch.points[0],
        "Coexistence": sp.coexistence(landscape, branch, sp.continue_branch(landscape, branch.folds[0].fall, to=0.05)),
        "Basin": tree.basins[0],
        "Hierarchy": tree,
        "Ensemble": sp.Ensemble.of([mapped, mapped_again(mapped)]),
        "Placement": sp.place(mapped, theta, beta=start.beta),
        "Path": sp.connect(landscape, theta, other.theta),
        "Trajectory": sp.train(landscape, task.initial(seed=0), beta=0.05, learning_rate=0.05, epochs=30),
        "Diagnosis": sp.diagnose(landscape, theta, 0.05),
        "WayOut": sp.escape(landscape, torch.zeros(landscape.size).double(), 0.05),
        "Reach": sp.reachable(mapped, 0.1),
        "Slowing": sp.Slowing(0.1, 2.0),
        "Estimate": sp.scalar_curvature(landscape, theta),
        "SaddleIndex": sp.saddle_index(landscape, theta),
        "SpectralDensity": sp.spectral_density(landscape, theta),
        "Curvature": sp.curvature_at(landscape, theta, beta=0.05),
        "Surface": sp.Surface(torch.zeros(2).double(), torch.eye(2).double()),
        "Shares": sp.basin_shares(task, beta=[0.1], starts=2),
        "Penalty": sp.Penalty(centre=torch.zeros(500)),
        "Task": task,
    }


def mapped_again(found: sp.PhaseDiagram) -> sp.PhaseDiagram:
    """Return the same map as if it had been made with another seed."""
    return replace(found, seed=found.seed + 1)


def test_every_result_fits_on_a_line_and_names_itself(small: dict[str, Any]) -> None:
    for kind, result in small.items():
        assert kind in type(result).__name__
        assert 15 < len(repr(result)) < 500, repr(result)
        assert "\n" not in repr(result)
        assert repr(result).startswith(f"<{kind}: "), repr(result)


def test_every_public_result_is_among_those_that_are_checked(small: dict[str, Any]) -> None:
    public = {name for name in sp.__all__ if isinstance(getattr(sp, name), type) and issubclass(getattr(sp, name), Shown)}
    assert public <= set(small)
    for name in public - {"PhaseDiagram"}:
        assert isinstance(small[name], getattr(sp, name))


def test_every_result_is_valid_html_that_says_what_it_is(small: dict[str, Any]) -> None:
    for kind, result in small.items():
        if isinstance(result, Shown):
            page = checked(result._repr_html_())
            assert len(page.text.split()) > 2, kind
            assert ("img" in page.seen) == isinstance(result, Drawn), kind


def test_the_page_of_a_map_has_answer_and_tables(small: dict[str, Any]) -> None:
    page = checked(small["PhaseDiagram"]._repr_html_())
    assert small["PhaseDiagram"].answer() in page.text
    assert {"table", "img"} <= page.seen
    for heading in ("Transitions", "Phases", "Coexistence"):
        assert heading in page.text


def test_texts_of_others_are_escaped() -> None:
    html = replace(diagram(count=12), run_status=NASTY)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "alert" in checked(html).text


def test_a_map_along_another_control_has_tables_and_no_weight_decay() -> None:
    plain = diagram(count=12)
    turned = replace(plain, control=replace(plain.control, name="kl", convention="E + kl*divergence"))
    page = checked(turned._repr_html_())
    assert "img" not in page.seen
    assert "weight_decay" not in page.text.partition("Transitions")[2]


@pytest.mark.parametrize("kind", ["error", "norm", "margin", "rank", "singular_values"])
def test_one_panel_is_drawn_on_axes_that_are_given(kind: str) -> None:
    figure = Figure()
    axes = figure.subplots()
    assert diagram(count=12).plot(kind, ax=axes) is figure
    assert axes.lines
    assert axes.get_xscale() == "log"
    assert "matplotlib.pyplot" not in sys.modules or not matplotlib.pyplot.get_fignums()


def test_a_figure_shows_itself_without_pyplot(small: dict[str, Any]) -> None:
    for result in small.values():
        if isinstance(result, Drawn):
            assert result.plot()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_kinds_that_are_not_there_are_refused_with_those_that_are() -> None:
    with pytest.raises(sp.SpinodalError, match="did you mean 'error'"):
        diagram(count=12).plot("eror")
    with pytest.raises(sp.SpinodalError, match="several panels; kinds of one panel are allowed: error"):
        diagram(count=12).plot("phase_map", ax=Figure().subplots())
    with pytest.raises(sp.SpinodalError, match="nothing to draw"):
        diagram(count=12).plot("s_curves")


def test_every_result_is_written_as_a_page(small: dict[str, Any], tmp_path: Path) -> None:
    for kind in ("Minimum", "Path", "Trajectory", "Hierarchy"):
        target = small[kind].report(tmp_path / f"{kind}.html")
        page = target.read_text()
        assert page.startswith("<!DOCTYPE html>")
        assert "default-src &#39;none&#39;" in page
        checked(page)
    whole = small["PhaseDiagram"].report(tmp_path / "map.html").read_text()
    assert "plotly" in whole
    assert len(whole) < 2_000_000


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [sp.map_phases, sp.hierarchy, sp.map_ensemble])
def test_options_are_keywords_with_types_and_defaults_where_completion_looks(verb: Callable[..., Any]) -> None:
    shown = inspect.signature(verb).parameters
    for name, default in vars(MapOptions()).items():
        assert (shown[name].default, shown[name].kind) == (default, inspect.Parameter.KEYWORD_ONLY)
    assert not [item for item in shown.values() if item.kind is inspect.Parameter.VAR_KEYWORD]


def test_the_typed_keywords_are_the_fields_of_the_options() -> None:
    assert get_type_hints(MapSettings) == get_type_hints(MapOptions)


def test_a_type_checker_knows_every_option(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import spinodal as sp\n\ntask = sp.tasks.gaussian()\nsp.map_phases(task, starts=2, seed=1)\n"
        "sp.map_phases(task, strats=2)\nsp.map_phases(task, starts='two')\n"
    )
    package = Path(sp.__file__).parent
    through = [package / "__init__.py", *(package / "mapping" / f"{name}.py" for name in ("map", "options", "keywords"))]
    line = [sys.executable, "-m", "mypy", "--no-incremental", "--follow-imports=skip", "--ignore-missing-imports", "user.py"]
    environment = {**os.environ, "MYPYPATH": str(package.parent)}
    said = subprocess.run([*line, *through], cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert 'user.py:5: error: Unexpected keyword argument "strats" for "map_phases"; did you mean "starts"?' in said
    assert 'user.py:6: error: Argument "starts" to "map_phases" has incompatible type "str"; expected "int"' in said
    assert said.count("error:") == 2


def test_a_name_in_place_of_a_task_is_refused_with_the_way_to_one() -> None:
    with pytest.raises(sp.SpinodalError, match=r"the text 'gaussian' in place of a task; a Task is allowed; give sp\.tasks"):
        sp.map_phases("gaussian")  # type: ignore[arg-type]
    with pytest.raises(sp.SpinodalError, match=r"the text 'my_net' in place of a task.*autoencoder, digits"):
        sp.map_phases("my_net")  # type: ignore[arg-type]
    with pytest.raises(sp.SpinodalError, match=r"a Linear in place of a task.*Task\(model, loss, data\)"):
        sp.map_phases(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(sp.SpinodalError, match=r"a function in place of a task.*call it"):
        sp.hierarchy(gaussian)  # type: ignore[arg-type]


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(sp.SpinodalError, match=r"unknown option 'strats'.*did you mean 'starts'"):
        sp.map_phases(gaussian(), strats=2)  # type: ignore[call-arg]


def test_progress_true_tells_range_and_transitions_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    task = gaussian(activation="linear", hidden=(2,), singular_values=(0.9, 0.5), inputs=2, samples=20)
    sp.map_phases(task, progress=True, beta=(0.4, 0.6), starts=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "beta from 0.4 to 0.6" in err
    assert "second-order transition at beta = 0.5" in err


def test_a_point_and_a_side_of_a_transition_are_shown_beside_each_other() -> None:
    page = checked(transition(point(0, 0.1, level=0), point(1, 0.11, level=1))._repr_html_())
    for text in ("before", "after", "margin"):
        assert text in page.text
    assert len(repr(Existence((0.1, 0.2), "x" * 900, "y"))) < 500

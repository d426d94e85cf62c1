"""The figures: their record holds what the diagram found, and they are drawn with and without everything optional."""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

import spinodal as sp
from diagrams import Curve, chain_curve, diagram, loop_coexistence, loop_curve, loop_diagram, point
from losses import cross_entropy
from spinodal.phases.tree import Fall
from spinodal.plots import (
    diagram_record,
    draw_accuracy,
    draw_error,
    draw_margin,
    draw_phase_map,
    draw_rank,
    draw_recall,
    draw_s_curves,
    draw_singular_values,
    draw_tree,
    save_figures,
    save_phase_map,
)
from spinodal.plots.lowest import Level, Piece
from spinodal.plots.panel import MOST_SINGULAR_VALUES, norm_panel
from spinodal.plots.s_curve import s_curve_record
from spinodal.plots.save import FIGURES
from spinodal.plots.style import new_figure, paper, set_axes
from spinodal.plots.view import first_view


def classifier() -> sp.Task:
    """Return three classes of six points each around the corners of a triangle."""
    labels = torch.arange(18) % 3
    corners = torch.tensor([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]], dtype=torch.float64)
    x = corners[labels] + 0.2 * torch.randn(18, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3))
    return sp.Task(model, cross_entropy, (x, labels), name="triangle")


@pytest.fixture(scope="module")
def linear() -> sp.PhaseDiagram:
    task = sp.tasks.gaussian(activation="linear", hidden=(3, 3), samples=40)
    return sp.map_phases(task, beta=(0.1, 0.6), starts=1, bracket=1e-3)


@pytest.fixture(scope="module")
def triangle() -> sp.PhaseDiagram:
    return sp.map_phases(classifier(), starts=1, bracket=1e-3)


@pytest.fixture(scope="module")
def chain() -> sp.PhaseDiagram:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

    task = sp.Task(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    return sp.map_phases(task, beta=(0.05, 0.5), bracket=1e-3)


def test_the_record_holds_what_the_diagram_found(linear: sp.PhaseDiagram) -> None:
    record = diagram_record(linear)
    views = [point.observation for point in linear.points]
    assert list(record.axis.beta) == [point.beta for point in linear.points]
    assert list(record.error.curves[0].values) == [point.error for point in linear.points]
    assert list(record.norm.curves[0].values) == [view.norm for view in views]
    assert list(record.margin.curves[0].values) == [point.minimum.margin for point in linear.points]
    assert list(record.rank.curves[0].values) == [view.rank for view in views]
    assert list(record.axis.transitions) == [transition.beta for transition in linear.macroscopic]
    assert list(record.axis.exact) == [item.beta for item in sp.theory.deep_linear((0.9, 0.5), matrices=3)]
    assert record.accuracy is None
    assert record.recall == ()
    assert "gaussian" in record.title


def test_every_weight_matrix_has_its_singular_values_and_its_rank(linear: sp.PhaseDiagram) -> None:
    record = diagram_record(linear)
    views = [point.observation for point in linear.points]
    names = [panel.label.rpartition("of ")[2] for panel in record.singular_values]
    assert sorted(names) == sorted(views[0].singular_values)
    for name, panel in zip(names, record.singular_values, strict=True):
        drawn = list(zip(*(curve.values for curve in panel.curves), strict=True))
        assert drawn == [view.singular_values[name] for view in views]
    for curve in record.rank.curves[1:]:
        assert list(curve.values) == [view.ranks[curve.name] for view in views]


def test_the_matrix_of_the_smallest_rank_comes_first(triangle: sp.PhaseDiagram) -> None:
    ranks = triangle.points[0].observation.ranks
    first = diagram_record(triangle).singular_values[0].label.rpartition("of ")[2]
    assert ranks[first] == min(ranks.values())


def test_the_record_of_a_classifier_holds_recalls_and_accuracy(triangle: sp.PhaseDiagram) -> None:
    record = diagram_record(triangle)
    assert record.accuracy is not None
    assert list(record.accuracy.curves[0].values) == [p.observation.accuracy["train"] for p in triangle.points]
    (recall,) = record.recall
    columns = list(zip(*recall.rows, strict=True))
    assert columns == [p.observation.class_accuracy["train"] for p in triangle.points]
    assert recall.classes == ("0", "1", "2")


def test_pieces_are_the_phases(linear: sp.PhaseDiagram) -> None:
    axis = diagram_record(linear).axis
    assert [axis.beta[start] for start, _ in axis.pieces] == [phase.beta[0] for phase in linear.phases]
    assert [axis.beta[stop - 1] for _, stop in axis.pieces] == [phase.beta[1] for phase in linear.phases]


def test_a_downward_walk_gives_the_record_of_the_same_points_walked_up() -> None:
    up, down = diagram_record(diagram(classes=3)), diagram_record(diagram(classes=3, downward=True))
    assert down.axis == up.axis
    assert (down.error, down.rank, down.recall) == (up.error, up.rank, up.recall)


def test_held_out_data_get_curves_of_their_own() -> None:
    made = diagram(classes=3)
    points = []
    for item in made.points:
        seen = item.observation
        both = {"train": seen.accuracy["train"], "held_out": 0.25}
        rows = {"train": seen.class_accuracy["train"], "held_out": (0.25, None, 0.5)}
        points.append(replace(item, observation=replace(seen, accuracy=both, class_accuracy=rows)))
    record = diagram_record(replace(made, points=tuple(points), transitions=()))
    assert record.accuracy is not None
    assert [curve.name for curve in record.accuracy.curves] == ["train", "held out"]
    assert [recall.key for recall in record.recall] == ["recall", "recall_held_out"]
    assert math.isnan(record.recall[1].rows[1][0])  # no sample of this class: missing, not zero
    assert record.recall[1].rows[2][0] == 0.5


def test_margins_that_a_logarithm_does_not_show_are_counted_in_the_note() -> None:
    made = diagram(10, phases=1)
    wrong = {2: -0.1, 5: math.nan, 6: math.inf}
    points = [
        replace(item, minimum=replace(item.minimum, margin=wrong.get(item.index, item.minimum.margin))) for item in made.points
    ]
    panel = diagram_record(replace(made, points=tuple(points))).margin
    assert panel.scale == "log"
    assert "1 of 10 points have a margin ≤ 0" in panel.note
    assert "2 of 10 points have no margin" in panel.note
    assert [math.isnan(value) for value in panel.curves[0].values].count(True) == 2


def test_no_more_singular_values_are_drawn_than_can_be_told_apart() -> None:
    wide = point(0, 0.1, level=0)
    values = tuple(float(100 - k) for k in range(100))
    seen = replace(wide.observation, singular_values={"0.weight": values}, ranks={"0.weight": 100})
    made = replace(diagram(1, phases=1), points=(replace(wide, observation=seen),))
    panel = diagram_record(made).singular_values[0]
    assert [curve.values[0] for curve in panel.curves] == list(values[:MOST_SINGULAR_VALUES])
    assert panel.note == f"the {MOST_SINGULAR_VALUES} largest of 100"


@pytest.mark.parametrize("name", ["linear", "triangle", "chain"])
def test_the_phase_map_is_saved_for_screen_and_print(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    paths = save_phase_map(request.getfixturevalue(name), tmp_path / "figures")
    assert [path.name for path in paths] == ["phase_map.png", "phase_map.pdf"]
    png, pdf = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG")
    assert pdf.startswith(b"%PDF")
    assert min(len(png), len(pdf)) > 5_000


def test_all_figures_that_apply_are_saved(triangle: sp.PhaseDiagram, tmp_path: Path) -> None:
    paths = save_figures(triangle, tmp_path / "figures")
    names = {path.stem for path in paths}
    assert names == {"phase_map", "error", "norm", "margin", "singular_values", "rank", "accuracy", "recall"}
    assert paths[0] == tmp_path / "figures" / "phase_map.png"
    assert {path.suffix for path in paths} == {".png", ".pdf"}
    assert len(paths) == 2 * len(names)
    assert all(path.stat().st_size > 3_000 for path in paths)


def test_the_same_diagram_gives_the_same_files(tmp_path: Path) -> None:
    made = diagram(10)
    first, second = (save_phase_map(made, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_old_figure_stays_whole_where_the_new_one_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = save_phase_map(diagram(10), tmp_path)[0].read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_phase_map(diagram(11), tmp_path)
    assert (tmp_path / "phase_map.png").read_bytes() == old
    assert {place.name for place in tmp_path.iterdir()} == {"phase_map.png", "phase_map.pdf"}


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(diagram(1, phases=1, classes=3, custom={"a$b_{": 1.0}, name="$\\frac{ 漢 \udc80 <b>"), id="one point"),
        pytest.param(diagram(2, phases=2, classes=1, margin=math.nan), id="phases of one point, no margins"),
        pytest.param(diagram(5, phases=1, matrices=(), margin=-1.0), id="no transitions, no matrices, negative margins"),
        pytest.param(diagram(60, minor_every=3, classes=30, downward=True), id="downward, many minor ones, many classes"),
        pytest.param(diagram(9, matrices=tuple(f"block.{k}.weight" for k in range(11))), id="many matrices"),
    ],
)
def test_odd_diagrams_are_drawn_without_a_warning(made: sp.PhaseDiagram) -> None:
    record = diagram_record(made)
    drawn = {name for name, draw in FIGURES.items() if is_drawn(draw(record))}
    seen = made.points[0].observation
    assert drawn >= {"phase_map", "error", "norm", "margin", "rank"}
    assert ("recall" in drawn) == ("accuracy" in drawn) == (seen.accuracy["train"] is not None)
    assert ("singular_values" in drawn) == bool(seen.singular_values)
    assert ("observables" in drawn) == bool(seen.custom)


def is_drawn(figure: Figure | None) -> bool:
    """Draw a figure coarsely, with every warning an error; False if there is none."""
    if figure is None:
        return False
    figure.set_layout_engine(None)  # what is drawn is tested here, not where
    with paper():
        figure.draw_without_rendering()
    return True


def test_no_line_crosses_a_transition(linear: sp.PhaseDiagram) -> None:
    record = diagram_record(linear)
    lines = draw_error(record).axes[0].get_lines()
    assert [len(line.get_xdata()) for line in lines] == [stop - start for start, stop in record.axis.pieces]
    assert [float(beta) for line in lines for beta in line.get_xdata()] == list(record.axis.beta)
    assert [float(value) for line in lines for value in line.get_ydata()] == list(record.error.curves[0].values)


def test_beta_is_below_and_weight_decay_above(linear: sp.PhaseDiagram) -> None:
    below = draw_error(diagram_record(linear)).axes[0]
    (above,) = below.child_axes
    assert below.get_xscale() == "log"
    assert "β‖θ‖²" in below.get_xlabel()
    assert "weight_decay = 2β" in above.get_xlabel()
    below.figure.draw_without_rendering()
    assert above.get_xlim() == pytest.approx([2 * value for value in below.get_xlim()])


@pytest.mark.parametrize("high", [0.1003, 0.13, 0.21, 0.45, 0.6, 1.2, 4.9, 7.0, 90.0, 1e4])
def test_numbers_along_beta_do_not_run_into_each_other(high: float) -> None:
    with paper():
        figure, axes = new_figure(1)
        set_axes(figure, axes, "", (0.1, high))
        FigureCanvasAgg(figure).draw()
        below, above = axes[0], axes[0].child_axes[0]
        for axis in (below.xaxis, above.xaxis):
            low, most = sorted(axis.get_view_interval())
            shown = [
                text for text in axis.get_ticklabels(which="both") if text.get_text() and low <= text.get_position()[0] <= most
            ]
            boxes = sorted((box.x0, box.x1) for box in (text.get_window_extent() for text in shown))
            assert len(boxes) >= 2
            assert all(left[1] < right[0] for left, right in pairwise(boxes))


def test_transitions_minor_ones_and_closed_forms_are_told_apart(linear: sp.PhaseDiagram) -> None:
    assert [text.get_text() for text in draw_error(diagram_record(linear)).legends[0].get_texts()] == [
        "transition",
        "closed form",
    ]
    with_minor = draw_error(diagram_record(diagram(20, minor_every=2)))
    assert [text.get_text() for text in with_minor.legends[0].get_texts()] == ["transition", "minor transition"]
    assert draw_error(diagram_record(diagram(5, phases=1))).legends == []


def test_a_classifier_gets_a_panel_more(linear: sp.PhaseDiagram, triangle: sp.PhaseDiagram) -> None:
    labels = {axis.get_ylabel() for axis in draw_phase_map(diagram_record(triangle)).axes}
    assert "class (training data)" in labels
    assert not any("class" in axis.get_ylabel() for axis in draw_phase_map(diagram_record(linear)).axes)


def test_figures_that_do_not_apply_are_not_drawn(chain: sp.PhaseDiagram) -> None:
    record = diagram_record(chain)
    assert draw_recall(record) is None
    assert draw_accuracy(record) is None
    assert draw_singular_values(record) is None


def test_the_ranks_of_all_matrices_are_named(triangle: sp.PhaseDiagram) -> None:
    texts = [text.get_text() for text in draw_rank(diagram_record(triangle)).axes[0].get_legend().get_texts()]
    assert texts == ["model", *triangle.points[0].observation.ranks]


def test_the_margin_has_a_logarithmic_axis_that_holds_it(linear: sp.PhaseDiagram) -> None:
    axes = draw_margin(diagram_record(linear)).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert all(low < point.minimum.margin < high for point in linear.points if point.minimum.margin > 0)


def test_drawing_leaves_the_global_state_of_matplotlib_alone(linear: sp.PhaseDiagram, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    save_phase_map(linear, tmp_path / "figures")
    assert dict(matplotlib.rcParams) == before


def test_ten_thousand_points_are_drawn_into_a_file_of_moderate_size(tmp_path: Path) -> None:
    paths = save_phase_map(diagram(10_000, classes=10, minor_every=100), tmp_path / "figures")
    assert all(3_000 < path.stat().st_size < 1_000_000 for path in paths)


def test_where_some_parameters_are_not_penalised_the_norm_of_the_others_stands_beside_it() -> None:
    x = torch.eye(2, dtype=torch.float64)
    task = sp.Task(nn.Linear(2, 2), lambda model, b: (model(b[0]) - b[1] - 1.0).square().sum(1).mean(), (x, x), exclude="bias")
    points = sp.map_phases(task, beta=(0.1, 0.2), starts=1)
    curves = diagram_record(points).norm.curves
    assert [curve.name for curve in curves] == ["in the penalty", "all"]
    assert all(part < whole for part, whole in zip(curves[0].values, curves[1].values, strict=True))


def test_free_parameters_that_run_off_leave_the_norm_of_the_penalised_ones_to_be_seen() -> None:
    made = diagram(8)
    panel = norm_panel([replace(p, observation=replace(p.observation, norm=300.0, distance=2.0)) for p in made.points])
    assert [curve.values for curve in panel.curves] == [(2.0,) * 8]
    assert panel.note == "of all trainable parameters: 300 to 300"


# -- S-curves -------------------------------------------------------------------------------


def test_a_diagram_without_branches_and_way_back_has_neither_s_curves_nor_a_tree(tmp_path: Path) -> None:
    made = diagram()
    record = diagram_record(replace(made, tree=(Fall(0, 1, made.transitions[0].beta, "up"),)))
    assert (record.s_curves, record.tree) == (None, None)
    assert draw_s_curves(record) is draw_tree(record) is None
    assert {path.stem for path in save_phase_map(diagram(10), tmp_path)} == {"phase_map"}


def test_a_branch_is_cut_at_its_folds_and_nowhere_else() -> None:
    record = diagram_record(loop_diagram()).s_curves
    assert record is not None
    (branch,) = record.branches
    assert [index for _, _, index in branch.stretches] == [0, 1, 0]
    upper, lower = (branch.beta.index(loop_curve().beta(x)) for x in loop_curve().folds)
    assert [(start, stop - 1) for start, stop, _ in branch.stretches] == [
        (0, upper), (upper, lower), (lower, len(branch.beta) - 1)
    ]  # fmt: skip


@pytest.mark.parametrize("said", [0, 1, 2])
def test_what_rounding_makes_of_the_index_at_a_fold_changes_no_stretch(said: int) -> None:
    made = loop_diagram(back=False)
    branch = made.branches[0]
    odd = {id(fold.point): replace(fold.point, index=said) for fold in branch.folds}
    folds = tuple(replace(fold, point=odd[id(fold.point)]) for fold in branch.folds)
    points = tuple(odd.get(id(item), item) for item in branch.points)
    record = diagram_record(replace(made, branches={0: replace(branch, points=points, folds=folds)})).s_curves
    assert record is not None
    assert [index for _, _, index in record.branches[0].stretches] == [0, 1, 0]


def test_saddles_of_higher_index_are_drawn_alike() -> None:
    made = loop_diagram(back=False)
    branch = made.branches[0]
    points = tuple(replace(item, index=7) if item.index else item for item in branch.points)
    record = diagram_record(replace(made, branches={0: replace(branch, points=points)})).s_curves
    assert record is not None
    assert max(record.branches[0].index) == 7
    assert [index for _, _, index in record.branches[0].stretches] == [0, 2, 0]


def test_of_two_phases_the_deeper_one_has_no_excess() -> None:
    record = diagram_record(loop_diagram()).s_curves
    assert record is not None
    (branch,) = record.branches
    coexistence = loop_coexistence()
    for beta, index, norm_squared, excess in zip(
        branch.beta, branch.index, branch.values["norm_squared"], branch.values["excess"], strict=True
    ):
        if index == 0:
            deepest = (beta < coexistence) == (norm_squared > 1)
            assert (excess == pytest.approx(0.0, abs=1e-6)) == deepest
        else:
            assert excess > 0.01


def test_the_excess_is_that_of_the_closed_form() -> None:
    record = diagram_record(loop_diagram(count=60)).s_curves
    assert record is not None
    curve = loop_curve()
    (spinodal, _) = [mark for mark in record.marks if mark.kind == "spinodal"]
    deep, dead = curve.at(1.2), curve.at(curve.x_at(0.232, 1e-9, 0.8))
    assert spinodal.values["excess"] == pytest.approx(deep.loss - dead.loss, rel=1e-4)


def test_coexistence_is_marked_in_both_phases_and_on_the_saddle_between() -> None:
    record = diagram_record(loop_diagram(count=60)).s_curves
    assert record is not None
    curve, beta = loop_curve(), loop_coexistence()
    deep, dead, saddle = (curve.at(curve.x_at(beta, *bounds)) for bounds in ((1.2, 1.7), (1e-9, 0.8), (0.8, 1.2)))
    found = [mark for mark in record.marks if mark.kind in ("coexistence", "barrier")]
    for mark, point_there in zip(found, (deep, dead, saddle), strict=True):
        assert mark.values["error"] == pytest.approx(point_there.error, rel=1e-4)
        assert mark.values["norm_squared"] == pytest.approx(point_there.norm_squared, rel=1e-4)
        assert f"barrier from phase 1: {saddle.loss - dead.loss:.4g}" in mark.text
    assert found[0].values["excess"] == pytest.approx(0.0, abs=1e-6)
    assert found[2].values["excess"] == pytest.approx(saddle.loss - dead.loss, rel=1e-3)
    assert record.coexistence == (beta,)


def test_coexistence_lies_on_the_curve_where_a_walk_was_coarse_and_ends_close_to_a_fold() -> None:
    record = diagram_record(loop_diagram(count=2)).s_curves
    assert record is not None
    curve, beta = loop_curve(), loop_coexistence()
    found = [mark for mark in record.marks if mark.kind == "coexistence"]
    for mark, bounds in zip(found, ((1.2, 1.7), (1e-9, 0.8)), strict=True):
        there = curve.at(curve.x_at(beta, *bounds))
        assert mark.values["norm_squared"] == pytest.approx(there.norm_squared, rel=0.05)
        assert mark.values["error"] == pytest.approx(there.error, rel=0.05)


def test_an_interpolated_norm_does_not_overshoot_before_a_fold() -> None:
    fold = [Level(beta, 0.0, 0.4 + math.sqrt(0.3 - beta), -0.5 / math.sqrt(0.3 - beta)) for beta in (0.26, 0.3 - 1e-10)]
    values = [Piece(fold).values(0.26 + 0.001 * k)["norm_squared"] for k in range(40)]
    assert values == sorted(values, reverse=True)
    assert values[-1] >= 0.4
    assert values[0] <= fold[0].norm_squared


def test_a_figure_is_not_stretched_by_what_lies_below_its_range() -> None:
    made = loop_diagram()
    first = made.phases[0]
    deep = replace(first.points[0], minimum=replace(first.points[0].minimum, beta=1e-4))
    record = s_curve_record(replace(made, beyond={0: (deep,)}))
    assert record is not None
    (extension,) = record.extensions
    assert min(extension.beta) == first.points[0].beta >= record.limits[0]


def test_a_way_is_cut_at_its_transitions() -> None:
    record = diagram_record(loop_diagram(branches=False)).s_curves
    assert record is not None
    assert [way.direction for way in record.ways] == ["up", "down"]
    for way, fall in zip(record.ways, (0.232, 0.168), strict=True):
        first, behind = way.starts
        assert first == 0
        assert way.beta[behind] == pytest.approx(fall, rel=1e-5)
    assert record.branches == ()


def test_a_phase_followed_beyond_the_ways_is_drawn_within_their_range() -> None:
    made = loop_diagram(branches=False)
    assert made.back is not None
    further = tuple(item for item in made.back.points[::-1] if 0.168 < item.beta < 0.232)
    lowest = replace(further[0], minimum=replace(further[0].minimum, beta=1e-6))
    record = diagram_record(replace(made, beyond={1: (lowest, *further)})).s_curves
    assert record is not None
    (extension,) = record.extensions
    assert extension.phase == 1
    assert extension.beta == tuple(item.beta for item in (*further, *made.phases[1].points))  # within their range
    assert record.limits == pytest.approx((0.08, 0.4))
    figure = draw_s_curves(diagram_record(replace(made, beyond={1: further})))
    assert figure is not None
    assert "phase, followed further" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_area_of_the_record_is_that_of_the_loop() -> None:
    made = loop_diagram()
    record = diagram_record(made).s_curves
    assert record is not None
    curve = loop_curve()
    losses = [curve.at(x).loss for x in (1.2, curve.x_at(0.232, 1e-9, 0.8), 0.8, curve.x_at(0.168, 1.2, 1.7))]
    assert record.area == pytest.approx(losses[0] - losses[1] + losses[2] - losses[3], rel=1e-4)  # lost in both falls


def test_folds_are_marked_as_what_they_are() -> None:
    made = replace(loop_diagram(), coexistence=())
    minor = loop_curve().branch(1.3, 0.5, minor=True)
    saddle = replace(made.branches[0].folds[0], index=(1, 2))
    rest = replace(made.branches[0], folds=(saddle, made.branches[0].folds[1]))
    record = diagram_record(replace(made, branches={0: minor, 1: rest})).s_curves
    assert record is not None
    assert [(mark.phase, mark.kind) for mark in record.marks] == [(0, "minor"), (0, "minor"), (1, "fold"), (1, "spinodal")]
    assert "index: 1 → 2" in record.marks[2].text


@pytest.mark.parametrize("curve", [loop_curve(), chain_curve()], ids=["loop", "chain"])
def test_a_mark_says_beta_and_weight_decay_of_its_fold(curve: Curve) -> None:
    made = replace(loop_diagram(), branches={0: curve.branch(1.1 * curve.folds[0], 0.9 * curve.folds[0])})
    record = diagram_record(made).s_curves
    assert record is not None
    beta = curve.beta(curve.folds[0])
    assert f"β: {beta:.8g}\nweight_decay: {2 * beta:.8g}" in record.marks[0].text


def test_stable_parts_are_solid_and_saddles_dashed() -> None:
    figure = draw_s_curves(diagram_record(loop_diagram(back=False)))
    assert figure is not None
    drawn = [line for line in figure.axes[0].get_lines() if line.get_color() == "black" and len(line.get_xdata()) > 1]
    assert [line.is_dashed() for line in drawn] == [False, True, False]
    assert figure.axes[0].get_ylabel() == "error E"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "stable (index 0)", "saddle of index 1", "spinodal", "way up"
    ]  # fmt: skip


def test_lower_bounds_of_the_index_are_named_as_such() -> None:
    made = loop_diagram(back=False)
    bounded = tuple(replace(item, index_is_exact=False) for item in made.branches[0].points)
    figure = draw_s_curves(diagram_record(replace(made, branches={0: replace(made.branches[0], points=bounded)})))
    assert figure is not None
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["index ≥ 0", "saddle of index ≥ 1"]


def test_a_loop_has_arrows_both_ways_and_its_area() -> None:
    figure = draw_s_curves(diagram_record(loop_diagram()))
    assert figure is not None
    assert len([item for item in figure.axes[0].texts if item.arrow_patch is not None]) == 6  # two falls, two phases each way
    assert "loop area ∮‖θ‖²dβ = 0.0864" in [text.get_text() for text in figure.axes[1].texts]
    assert len(figure.axes[0].patches) == 1


def test_phases_that_only_the_way_back_met_leave_the_other_figures_as_they_were() -> None:
    made = loop_diagram()
    assert made.back is not None
    stranger = replace(made, back_phases=(1, 2))
    assert [phase.id for phase in stranger.phases] == [0, 1, 2]
    assert diagram_record(stranger).axis == diagram_record(made).axis == diagram_record(loop_diagram(back=False)).axis
    assert draw_s_curves(diagram_record(stranger)) is not None


# -- the tree -------------------------------------------------------------------------------


def test_the_tree_holds_ranges_ends_and_falls() -> None:
    made = loop_diagram()
    tree = diagram_record(made).tree
    assert tree is not None
    assert [bar.phase for bar in tree.bars] == [0, 1]
    assert [bar.range for bar in tree.bars] == [made.existence[phase].range for phase in (0, 1)]
    assert [(fall.phase, fall.falls_to, fall.direction) for fall in tree.falls] == [(0, 1, "up"), (1, 0, "down")]
    assert tree.limits == pytest.approx(made.range)


def test_phases_of_the_tree_stand_by_rising_error() -> None:
    made = loop_diagram()
    tree = diagram_record(replace(made, back_phases=(1, 2), tree=())).tree
    assert tree is not None
    assert [bar.phase for bar in tree.bars] == [2, 0, 1]
    assert [tree.row(phase) for phase in (2, 0, 1)] == [0, 1, 2]


def test_a_phase_that_lasts_to_zero_reaches_the_edge() -> None:
    made = loop_diagram()
    for_ever = replace(made.existence[1], range=(0.0, 0.4), metastable=((0.0, 0.2),))
    figure = draw_tree(diagram_record(replace(made, existence={**made.existence, 1: for_ever})))
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_xlim() == pytest.approx(made.range)
    (edge,) = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "<"]
    assert edge == pytest.approx(made.range[0])
    assert "◂ a minimum for every β > 0" in [text.get_text() for text in axes.texts]


def test_a_fall_into_the_unknown_ends_in_a_cross() -> None:
    made = loop_diagram()
    lost = replace(made.tree[0], falls_to=None)
    figure = draw_tree(diagram_record(replace(made, tree=(lost, made.tree[1]))))
    assert figure is not None
    assert [line.get_marker() for line in figure.axes[0].get_lines() if line.get_marker() in "ox"] == ["x", "o"]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(loop_diagram(), id="loop"),
        pytest.param(loop_diagram(branches=False), id="without branches"),
        pytest.param(loop_diagram(back=False, name="$\\frac{ 漢 \udc80 <b>"), id="without the way back"),
        pytest.param(replace(loop_diagram(), branches={k: loop_curve().branch(1.3, 0.7, 9) for k in range(12)}), id="many"),
    ],
)
def test_s_curves_and_tree_are_drawn_without_a_warning(made: sp.PhaseDiagram) -> None:
    record = diagram_record(made)
    assert is_drawn(draw_s_curves(record))
    assert is_drawn(draw_tree(record))


def test_a_map_saves_its_s_curves_at_once_and_a_report_its_tree_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spinodal.plots.save.save_figure", lambda figure, folder, name: [folder / name])
    assert [path.name for path in save_phase_map(loop_diagram(), tmp_path)] == ["phase_map", "s_curves"]
    assert [path.name for path in save_figures(loop_diagram(), tmp_path)][-2:] == ["s_curves", "tree"]


def test_the_first_view_gives_transitions_in_a_corner_half_of_the_width() -> None:
    made = diagram(count=60, phases=10)
    early = [point(60 + place, 10 ** (-5 + 0.3 * place), level=0) for place in range(10)]
    slow = [replace(item, minimum=replace(item.minimum, error=0.5 * math.log10(100 * item.beta))) for item in early]
    whole = replace(made, points=(*slow, *made.points), range=(1e-5, 1.0))  # E rises from the lowest beta on
    first, *_, last = sorted(found.beta for found in whole.macroscopic)
    low, high = first_view(whole, (1e-5, 1.0))
    assert 1e-4 < low < first < last < high <= 1.0
    assert math.log(last / first) > 0.4 * math.log(high / low)
    assert first_view(made, (0.01, 1.0)) == (0.01, 1.0)  # a map that changes everywhere is shown whole

"""The figure of a map: data -> record -> render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinodal.errors import SpinodalError
from spinodal.penalty import CONVENTION
from spinodal.phases import PhaseDiagram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's palette: told apart by colour-blind readers and in grey.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


@dataclass(frozen=True)
class PhaseMapRecord:
    """What the figure shows; all sequences run over points by rising beta.

    Attributes
    ----------
    beta, error, norm, rank : sequences, one value per point
    singular_values : sequence of sequences
        Of the weight matrix with the smallest rank at the first point, one row per point.
    matrix : str
        Its name ("" without matrices).
    breaks : betas at which lines are interrupted (macroscopic transitions)
    minor : betas of minor transitions
    exact : betas of closed-form transitions
    recall : sequence of sequences or None
        Per point the recall of every class.
    title : str
    """

    beta: Sequence[float]
    error: Sequence[float]
    norm: Sequence[float]
    rank: Sequence[int]
    singular_values: Sequence[Sequence[float]]
    matrix: str
    breaks: Sequence[float]
    minor: Sequence[float]
    exact: Sequence[float]
    recall: Sequence[Sequence[float]] | None
    title: str


def phase_map_record(diagram: PhaseDiagram) -> PhaseMapRecord:
    """Return the data of the figure of a diagram."""
    points = sorted(diagram.points, key=lambda point: point.beta)
    views = [point.observation for point in points]
    ranks = views[0].ranks
    matrix = min(ranks, key=lambda name: (ranks[name], len(views[0].singular_values[name]))) if ranks else ""
    recalls = [view.class_accuracy["train"] for view in views]
    known = None if any(recall is None for recall in recalls) else [[v or 0.0 for v in recall or ()] for recall in recalls]
    return PhaseMapRecord(
        beta=[point.beta for point in points],
        error=[point.error for point in points],
        norm=[view.norm for view in views],
        rank=[view.rank for view in views],
        singular_values=[view.singular_values.get(matrix, ()) for view in views],
        matrix=matrix,
        breaks=sorted(transition.beta for transition in diagram.macroscopic),
        minor=sorted(transition.beta for transition in diagram.transitions if transition.minor),
        exact=[item.beta for item in diagram.exact],
        recall=known,
        title=f"Phases of {diagram.task['name']}",
    )


def draw_phase_map(record: PhaseMapRecord) -> Figure:
    """Draw error, norm, singular values, rank and (for classifiers) recall against beta."""
    try:
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise SpinodalError(
            got="matplotlib is not installed", allowed="figures need it", do="pip install matplotlib"
        ) from cause
    rows = 4 if record.recall is not None else 3
    figure = Figure(figsize=(8, 2.1 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True)
    _lines(axes[0], record, [record.error], "error E", BLUE)
    _lines(axes[1], record, [record.norm], r"norm $\|\theta\|$", GREEN)
    _lines(axes[2], record, _columns(record), f"singular values\nof {record.matrix}", ORANGE)
    _rank(axes[2], record)
    if record.recall is not None:
        _recall(figure, axes[3], record)
    for axis in axes:
        _marks(axis, record)
    _labels(axes, record)
    return figure


def save_phase_map(diagram: PhaseDiagram, folder: Path) -> list[Path]:
    """Write the figure as PNG and PDF into a folder and return the paths."""
    folder.mkdir(exist_ok=True)
    figure = draw_phase_map(phase_map_record(diagram))
    paths = [folder / "phase_map.png", folder / "phase_map.pdf"]
    for path in paths:
        figure.savefig(path, dpi=150)
    return paths


def _pieces(record: PhaseMapRecord) -> list[slice]:
    """Return the runs of points between macroscopic transitions."""
    cuts = [sum(beta <= border for beta in record.beta) for border in record.breaks]
    edges = [0, *cuts, len(record.beta)]
    return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]


def _columns(record: PhaseMapRecord) -> list[list[float]]:
    return [list(column) for column in zip(*record.singular_values, strict=True)]


def _lines(axis: Axes, record: PhaseMapRecord, curves: Sequence[Sequence[float]], label: str, colour: str) -> None:
    for curve in curves:
        for piece in _pieces(record):
            axis.plot(record.beta[piece], curve[piece], color=colour, marker=".", markersize=3, linewidth=1.2)
    axis.set_ylabel(label)
    highest = max((value for curve in curves for value in curve), default=1.0)
    axis.set_ylim(-0.03 * highest, 1.06 * highest)


def _rank(axis: Axes, record: PhaseMapRecord) -> None:
    from matplotlib.ticker import MaxNLocator

    twin = axis.twinx()
    for piece in _pieces(record):
        twin.plot(record.beta[piece], record.rank[piece], color=GREY, linewidth=1, linestyle="--")
    twin.set_ylabel("rank (dashed)", color=GREY)
    highest = max(*record.rank, 1)
    twin.set_ylim(-0.03 * highest, 1.06 * highest)
    twin.yaxis.set_major_locator(MaxNLocator(integer=True))


def _recall(figure: Figure, axis: Axes, record: PhaseMapRecord) -> None:
    """Draw the recall of every class as a heat map over beta, each point reaching half way to its neighbours."""
    import numpy as np

    logs = np.log(record.beta)
    middles = 0.5 * (logs[1:] + logs[:-1])
    edges = np.exp(np.concatenate([logs[:1], middles, logs[-1:]]))
    rows = np.array(record.recall).T
    mesh: Any = axis.pcolormesh(edges, np.arange(len(rows) + 1) - 0.5, rows, cmap="cividis", vmin=0, vmax=1)
    axis.set_ylabel("class")
    axis.set_yticks(range(len(rows)))
    figure.colorbar(mesh, ax=axis, label="recall (train)", pad=0.02)


def _marks(axis: Axes, record: PhaseMapRecord) -> None:
    for beta in record.breaks:
        axis.axvline(beta, color="black", linewidth=0.7)
    for beta in record.minor:
        axis.axvline(beta, color=GREY, linewidth=0.5, linestyle=":")
    for beta in record.exact:
        axis.axvline(beta, color=ORANGE, linewidth=2.5, alpha=0.35)


def _doubled(beta: Any) -> Any:
    return 2.0 * beta


def _halved(decay: Any) -> Any:
    return 0.5 * decay


def _labels(axes: Sequence[Axes], record: PhaseMapRecord) -> None:
    axes[0].set_xscale("log")
    axes[0].set_xlim(record.beta[0], record.beta[-1])
    axes[-1].set_xlabel(rf"$\beta$   ({CONVENTION.replace('*', '·')})")
    above = axes[0].secondary_xaxis("top", functions=(_doubled, _halved))
    above.set_xlabel("PyTorch weight_decay")
    legend = "solid: transitions; dotted: minor ones" + ("; orange: closed form" if record.exact else "")
    axes[0].set_title(f"{record.title}  ({legend})", fontsize=10)

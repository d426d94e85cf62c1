"""Shares of basins as bands over beta, beside the map where there is one, each phase in one colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spinodal.basins.at_beta import known_points
from spinodal.conventions import is_l2
from spinodal.phases.diagram import Diagram
from spinodal.plots.axis import ALONE, beta_axis, padded
from spinodal.plots.style import DASHES, EMPTY, GREY, HEIGHT, PALETTE, draw_marks, new_figure, paper, plain, set_axes, set_beta
from spinodal.sweeps.point import Point
from spinodal.words.shares import NOT_FINISHED

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spinodal.shares.share import Share
    from spinodal.shares.shares import Shares

HATCHES = ("", "////", "....", "xxxx")  # of bands, where there are more phases than colours
MANY = 3  # names side by side in the legend
BESIDE = 1.01  # factor in beta from the whisker of one band to that of the next


def draw_shares(shares: Shares) -> Figure:
    """Draw the share of every phase that any start reaches as a band over beta, on top of each other up to all starts.

    Whiskers, at the top of a band, are the interval of its share. Where a map was given, E along its phases, and along those
    that only starts found, is drawn above in the same colours.
    """
    diagram = None if shares.map is None else shares.diagram()
    with paper():
        figure, axes = new_figure(1 if diagram is None else 2, height=HEIGHT if diagram is None else 0.85 * HEIGHT)
        draw_bands(axes[-1], shares)
        if diagram is not None:
            _draw_error(axes[0], diagram, shares)
            for place in axes:
                draw_marks(place, beta_axis(diagram))
        title = f"{shares.task}: {len(shares.seeds)} starts at each β\n{shares.how}"
        _set_axes(figure, axes, title, _limits(shares, diagram), shares.convention)
        figure.legend(handles=_handles(shares, diagram), loc="outside lower center", ncols=MANY)
    return figure


def draw_bands(axes: Axes, shares: Shares) -> None:
    """Draw the bands."""
    base = [0.0] * len(shares.beta)
    look: dict[str, Any] = {"ecolor": "black", "elinewidth": 0.6, "capsize": 1.5}
    for number, (phase, row) in enumerate(_bands(shares)):
        top = [low + item.share for low, item in zip(base, row, strict=True)]
        betas, low, high = _wide(shares.beta, base, top)
        axes.fill_between(betas, low, high, linewidth=0.4, edgecolor="white", zorder=1, **_look(phase))
        aside = [beta * BESIDE**number for beta in shares.beta]  # so that whiskers do not lie on each other
        axes.errorbar(aside, top, yerr=_whiskers(row), fmt="none", zorder=3, **look)
        base = top
    axes.vlines(shares.beta, 0.0, 1.0, color="white", linewidth=0.4, zorder=2)
    axes.set_ylim(0.0, 1.0)
    axes.set_ylabel("share of starts")


def _bands(shares: Shares) -> Iterator[tuple[int | None, Sequence[Share]]]:
    """Yield the phases that any start reaches, in order, and last what is not finished."""
    for phase in shares.phases:
        if any(item.count for item in shares.of(phase)):
            yield phase, shares.of(phase)
    if any(shares.unsettled):
        yield None, shares.not_finished


def _wide(
    beta: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Return a band, which has a width where there is one beta only."""
    if len(beta) > 1:
        return beta, low, high
    return (beta[0] / ALONE, beta[0] * ALONE), (*low, *low), (*high, *high)


def _whiskers(row: Sequence[Share]) -> tuple[list[float], list[float]]:
    """Return how far the interval reaches below and above the share; nowhere where there are no starts."""
    known = [item.interval if item.count else (item.share, item.share) for item in row]
    below = [item.share - low for item, (low, _) in zip(row, known, strict=True)]
    return below, [high - item.share for item, (_, high) in zip(row, known, strict=True)]


def _look(phase: int | None) -> Mapping[str, Any]:
    """Return colour and hatch of a band."""
    if phase is None:
        return {"facecolor": EMPTY, "hatch": ""}
    turn, place = divmod(phase, len(PALETTE))
    return {"facecolor": PALETTE[place], "hatch": HATCHES[turn % len(HATCHES)]}


def _line(phase: int) -> Mapping[str, Any]:
    """Return colour and dashes of a line, those of the band of its phase."""
    turn, place = divmod(phase, len(PALETTE))
    return {"color": PALETTE[place], "linestyle": DASHES[turn % len(DASHES)]}


def _draw_error(axes: Axes, diagram: Diagram, shares: Shares) -> None:
    """Draw E along every phase, with a dot where starts reached it, dotted to where no walk met it."""
    for phase in diagram.phases:
        points, look = known_points(phase), _line(phase.id)
        axes.plot([point.beta for point in points], [point.error for point in points], linewidth=1.1, **look)
        met = [item.point for item in (shares.of(phase.id) if phase.id in shares.phases else ()) if item.point is not None]
        axes.plot([point.beta for point in met], [point.error for point in met], "o", color=look["color"], markersize=3)
        for beyond in _beyond(points, met):
            axes.plot([p.beta for p in beyond], [p.error for p in beyond], ":", color=look["color"], linewidth=0.8)
    axes.set_ylabel("error E")


def _beyond(points: Sequence[Point], met: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Yield the points at which starts met a phase below and above its own, each with the end that they join."""
    below = [point for point in met if point.beta < points[0].beta]
    above = [point for point in met if point.beta > points[-1].beta]
    yield from filter(lambda way: len(way) > 1, ([*below, points[0]], [points[-1], *above]))


def _limits(shares: Shares, diagram: Diagram | None) -> tuple[float, float]:
    return padded([*shares.beta, *(() if diagram is None else diagram.range)])


def _set_axes(figure: Figure, axes: Sequence[Axes], title: str, limits: tuple[float, float], convention: str) -> None:
    """Set beta below and, of the L2 penalty, weight_decay above; the name of another control below."""
    if is_l2(convention):
        set_axes(figure, axes, title, limits)
        return
    set_beta(axes[-1], limits)
    axes[-1].set_xlabel(plain(f"β of L = {convention}"))
    figure.suptitle(plain(title), fontsize=9)


def _handles(shares: Shares, diagram: Diagram | None) -> list[Artist]:
    """Return the names of the phases that starts reach, and what the lines are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = []
    for phase, _ in _bands(shares):
        new = ", starts only" if diagram is not None and phase in shares.new else ""
        label = NOT_FINISHED if phase is None else f"phase {phase}, rank {shares.rank(phase)}{new}"
        handles.append(Patch(label=label, **_look(phase)))
    handles.append(Line2D([], [], color="black", linewidth=0.6, marker="_", markersize=4, label="95 % interval"))
    if diagram is not None and diagram.macroscopic:
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, label="transition of the map"))
    return handles

"""Shares of basins over beta, each with its interval as a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spinodal.plots.style import PALETTE, new_figure, paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from spinodal.shares.shares import Shares


def draw_shares(shares: Shares) -> Figure:
    """Draw the share of every phase that any start reaches; new phases are dashed."""
    with paper():
        figure, axes = new_figure(1)
        place = axes[0]
        reached = [phase for phase in shares.phases if any(item.count for item in shares.of(phase))]
        for number, phase in enumerate(reached):
            found, colour = shares.of(phase), PALETTE[number % len(PALETTE)]
            low, high = zip(*(item.interval for item in found), strict=True)
            name = f"phase {phase}, rank {shares.rank(phase)}" + (", new" if phase in shares.new and shares.mapped else "")
            line = "--" if phase in shares.new and shares.mapped else "-"
            place.fill_between(shares.beta, low, high, color=colour, alpha=0.2, linewidth=0)
            place.plot(shares.beta, [item.share for item in found], line, color=colour, marker="o", label=name)
        place.set(xscale="log", xlabel="beta", ylabel="share of starts", ylim=(0.0, 1.0))
        place.set_title(f"{shares.task}: {len(shares.seeds)} starts at each beta")
        place.legend()
    return figure

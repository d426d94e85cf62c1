"""From a model of some classes to one of the others: which are lost and gained, and at which beta?

    python bench/distinct_classes.py mnist.npz                            # 10,000 images, three pairs of seeds
    python bench/distinct_classes.py mnist.npz --images 1000 --pairs 1 --figures folder

A model of digits 0-4 is minimised at the lowest beta; the digits 5-9 are mapped around it, and the held-out images show
the recall of all ten. Prints every transition with the classes lost and gained, for each pair of seeds (2k for the
centre, 2k + 1 for the map).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hardware import print_table
from script import run

import spinodal as sp
from spinodal.plots import diagram_record, draw_recall, save_figure

LOW, HIGH = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
HEADER = ["pair", "beta", "E", "rank", "recall 0-4", "recall 5-9", "classes lost", "classes gained", "minor"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=10_000, help="of each five digits together")
    parser.add_argument("--held-out", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--beta", type=float, nargs=2, default=(1e-3, 0.3), metavar=("LOW", "HIGH"))
    parser.add_argument("--figures", type=Path)


def main(options: argparse.Namespace) -> None:
    """Map every pair, and print its transitions."""
    rows = [row for pair in range(options.pairs) for row in mapped(pair, options)]
    print_table(HEADER, rows)


def mapped(pair: int, options: argparse.Namespace) -> list[list[str]]:
    """Map one pair, and return a row for every transition."""
    common = {"data": options.data, "samples": options.images, "held_out": options.held_out}
    low, high = options.beta
    first = sp.tasks.mnist(classes=LOW, **common)
    landscape = first.landscape()
    centre = sp.minimise(landscape, beta=low, start=first.initial(2 * pair))
    second = sp.tasks.mnist(classes=HIGH, held_out_classes=LOW + HIGH, **common)
    diagram = sp.map_phases(second, beta=(low, high), starts=1, seed=2 * pair + 1, control=sp.Penalty(centre=centre.theta))
    if options.figures:
        figure = draw_recall(diagram_record(diagram))
        assert figure is not None
        save_figure(figure, options.figures, f"recall-{pair}")
    return [row(pair, diagram, transition) for transition in diagram.transitions]


def row(pair: int, diagram: sp.PhaseDiagram, transition: sp.Transition) -> list[str]:
    """Return what one transition loses and gains: of a minor one, the classes whose recall passes one half."""
    sides = transition.before, transition.after
    recalls = [side.observation.class_accuracy["held_out"] or () for side in sides]
    alive = [{label for label, recall in enumerate(known) if (recall or 0.0) >= 0.5} for known in recalls]
    step = diagram.step_of(transition)
    lost, gained = (step.lost, step.gained) if step else (sorted(alive[0] - alive[1]), sorted(alive[1] - alive[0]))
    return [
        str(pair),
        f"{transition.beta:.6g}",
        " -> ".join(f"{side.error:.4f}" for side in sides),
        " -> ".join(str(side.observation.rank) for side in sides),
        *(" -> ".join(f"{sum(known[label] or 0.0 for label in part) / 5:.2f}" for known in recalls) for part in (LOW, HIGH)),
        " ".join(map(str, lost)) or "none",
        " ".join(map(str, gained)) or "none",
        "yes" if transition.minor else "",
    ]


if __name__ == "__main__":
    run(main, arguments, threads=2)

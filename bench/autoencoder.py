"""The map of the linear autoencoder of the digits against its closed form.

    python bench/autoencoder.py                # ten units: the ten strongest transitions
    python bench/autoencoder.py --hidden 3     # seconds

Prints every transition beside the eigenvalue of the covariance at which it should lie, and compares
rank, E and `||theta||^2` with the closed form at every point of the map.
"""

from __future__ import annotations

import argparse

import torch
from hardware import print_table
from script import run

import spinodal as sp
from spinodal.observe import effective_rank
from spinodal.tasks.digits import centred_images
from spinodal.theory import LinearAutoencoder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--hidden", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)


def main(options: argparse.Namespace) -> None:
    """Print one row per transition, and the agreement at the points."""
    diagram = sp.map_phases(sp.tasks.autoencoder(hidden=options.hidden), seed=options.seed)
    images = centred_images()
    eigenvalues = torch.linalg.eigvalsh(images.T @ images / len(images)).clamp(min=0).tolist()
    exact = LinearAutoencoder(eigenvalues, hidden=options.hidden)
    found = sorted(diagram.transitions, key=lambda transition: transition.beta)
    print_table(["eigenvalue", "beta found", "relative error", "bracket", "order"], [*rows(found, exact)])
    print(f"\n{len(found)} found, {len(exact.transitions)} exact; " + agreement(diagram, exact))
    print(f"{diagram.spent.gradient_equivalents:,.0f} gradient-equivalents, {diagram.seconds:.1f} s, solver {diagram.solver}")


def rows(found: list[sp.Transition], exact: LinearAutoencoder) -> list[list[str]]:
    """Return the table, each eigenvalue beside the nearest transition."""
    table = []
    for item in exact.transitions:
        near = min(found, key=lambda transition: abs(transition.beta - item.beta))
        width = (near.bracket[1] - near.bracket[0]) / near.beta
        table.append([f"{item.beta:.5f}", f"{near.beta:.5f}", f"{near.beta / item.beta - 1:+.1e}", f"{width:.0e}", near.order])
    return table


def agreement(diagram: sp.PhaseDiagram, exact: LinearAutoencoder) -> str:
    """Say at how many points the effective rank is the exact one, and how far E and the squared norm are off."""
    same, worst_error, worst_norm = 0, 0.0, 0.0
    for point in diagram.points:
        expected = effective_rank(exact.singular_values(point.beta))
        same += all(rank == expected for rank in point.observation.ranks.values())
        worst_error = max(worst_error, abs(point.error / exact.error(point.beta) - 1))
        worst_norm = max(worst_norm, abs(point.norm_squared - exact.norm_squared(point.beta)))
    return (
        f"rank as in the closed form at {same} of {len(diagram.points)} points; "
        f"worst relative error of E {worst_error:.1e}, worst error of ||theta||^2 {worst_norm:.1e}"
    )


if __name__ == "__main__":
    run(main, arguments)

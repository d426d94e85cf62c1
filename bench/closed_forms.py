"""Maps of deep linear nets with random singular values against their exact transitions.

    python bench/closed_forms.py                    # N = 2, 3, 4, 5 weight matrices, seeds 0-2
    python bench/closed_forms.py --seeds 7 8 --matrices 3 5 --modes 3
    python bench/closed_forms.py --quick            # one seed, N = 2 and 3

Singular values (uniform on .3 to 1.2), widths of hidden layers and data are drawn from the seed.
Prints found/exact transitions, the worst relative error of beta, the widest relative bracket,
whether every bracket holds the exact value, the orders, and the cost.
"""

from __future__ import annotations

import argparse

import torch
from hardware import print_table
from script import run

import spinodal as sp


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--matrices", type=int, nargs="+", default=[2, 3, 4, 5], help="numbers N of weight matrices")
    parser.add_argument("--modes", type=int, default=2, help="singular values per net (default 2)")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="one seed, N = 2 and 3")


def main(options: argparse.Namespace) -> None:
    """Print one row per net."""
    matrices, seeds = ([2, 3], options.seeds[:1]) if options.quick else (options.matrices, options.seeds)
    header = ["N", "seed", "widths", "singular values", "found", "worst relative error", "widest bracket", "exact inside"]
    rows = [row(count, seed, options.modes, options.samples) for count in matrices for seed in seeds]
    print_table([*header, "order", "gradient-equivalents", "seconds"], rows)


def row(matrices: int, seed: int, modes: int, samples: int) -> list[str]:
    """Map one random net and compare it with the closed form."""
    task, widths, strengths = random_net(matrices, seed, modes, samples)
    diagram = sp.map_phases(task, seed=seed)
    found = sorted(diagram.macroscopic, key=lambda transition: transition.beta)
    exact = task.exact
    print(f"N = {matrices}, seed {seed}: done in {diagram.seconds:.1f} s", flush=True)
    fits = len(found) == len(exact)
    pairs = list(zip(found, exact, strict=True)) if fits else []
    inside = sum(t.bracket[0] <= truth.beta <= t.bracket[1] for t, truth in pairs)
    return [
        str(matrices),
        str(seed),
        "-".join(map(str, widths)),
        ", ".join(f"{value:.4f}" for value in strengths),
        f"{len(found)}/{len(exact)}",
        f"{max(abs(t.beta / truth.beta - 1) for t, truth in pairs):.1e}" if fits else "-",
        f"{max((t.bracket[1] - t.bracket[0]) / t.beta for t in found):.1e}" if found else "-",
        f"{inside}/{len(exact)}" if fits else "-",
        ", ".join(sorted({transition.order for transition in found})),
        f"{diagram.spent.gradient_equivalents:,.0f}",
        f"{diagram.seconds:.1f}",
    ]


def random_net(matrices: int, seed: int, modes: int, samples: int) -> tuple[sp.Task, list[int], list[float]]:
    """Return a linear net with random widths on data with random singular values."""
    generator = torch.Generator().manual_seed(1000 * matrices + seed)
    drawn = 0.3 + 0.9 * torch.rand(modes, generator=generator, dtype=torch.float64)
    strengths = sorted(drawn.tolist(), reverse=True)
    hidden = torch.randint(max(4, modes), 11, (matrices - 1,), generator=generator).tolist()
    inputs, outputs = modes + 1, modes
    data = {"singular_values": strengths, "inputs": inputs, "outputs": outputs, "samples": samples, "seed": seed}
    task = sp.tasks.gaussian(hidden=hidden, activation="linear", **data)
    return task, [inputs, *hidden, outputs], strengths


if __name__ == "__main__":
    run(main, arguments)

"""Shares of basins of a deep linear net: those of 64 starts lie within their intervals of those of 1,000.

python bench/shares.py [--quick]
python bench/shares.py --data mnist.npz     # 16 starts of MNIST with 10,000 images at five values of beta
"""

from __future__ import annotations

import argparse
import time

import spinodal as sp

DEEP = {"activation": "linear", "hidden": (2, 2), "inputs": 2, "outputs": 2, "singular_values": (0.9, 0.5), "samples": 20}
BETA, MNIST_BETA = (0.05, 0.1, 0.15, 0.2), (1e-3, 3e-3, 1e-2, 2e-2, 4e-2)


def deep(few: int, many: int) -> None:
    """Compare the shares of few starts with those of many others, phase by phase, at each beta."""
    task = sp.tasks.gaussian(**DEEP)
    small = sp.basin_shares(task, beta=BETA, starts=few)
    large = sp.basin_shares(task, beta=BETA, starts=many, seed=1)
    covered = total = 0
    for beta in BETA:
        for item in small.at(beta):
            same = [other for other in large.at(beta) if abs(other.point.minimum.loss - item.point.minimum.loss) < 1e-6]
            share = sum(other.share for other in same)
            low, high = item.interval
            total, covered = total + 1, covered + (low <= share <= high)
            print(f"beta {beta:<5} rank {item.point.observation.rank}: {item.share:.3f} ({low:.3f} to {high:.3f}); {share:.3f}")
    print(f"{covered} of {total} intervals of {few} starts cover the share of {many} (95 % each)")


def mnist(path: str, starts: int) -> None:
    """Print the shares of MNIST with 10,000 images."""
    began = time.process_time()
    print(sp.basin_shares(sp.tasks.mnist(data=path, samples=10_000), beta=MNIST_BETA, starts=starts))
    print(f"{time.process_time() - began:.0f} s of processors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 starts against 64")
    parser.add_argument("--data", help="a file of MNIST")
    arguments = parser.parse_args()
    if arguments.data:
        mnist(arguments.data, 4 if arguments.quick else 16)
    else:
        deep(*((16, 64) if arguments.quick else (64, 1000)))

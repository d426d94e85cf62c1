"""Is a transformer that normalises first mapped as a whole, once the blocks that share a scale are left out of the penalty?

    python bench/pre_norm.py

A reader of the size of the gallery's, on the gallery's sequences, with its embedding trained: two blocks add to a stream that
a normalisation ends, so that E does not feel the common scale of the embedding and of all that writes to the stream. The
first table compares the block that is named with that; the second is the map with the mask that is offered. Columns: points
of the map and how many of them converged, gradients and processor time; for each transition beta, its order, E and the
training accuracy on either side.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import torch
from hardware import print_table
from script import run
from torch import Tensor, nn

import spinodal as sp
from spinodal.mapping.preparing import prepare

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from transformer import CLASSES, sequences

WIDTH, HIDDEN, BLOCKS = 8, 16, 2
WRITERS = ("out", "down", "value")  # the last as `out @ value` is one matrix: either could shrink in place of the other
STREAM = ("embed.weight", *(f"blocks.{k}.{writer}.weight" for k in range(BLOCKS) for writer in WRITERS))


class Block(nn.Module):
    """Attention and a feed-forward part, each of which reads the normalised stream and adds to the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        read = self.norm(stream)
        scores = self.query(read) @ self.key(read).mT / WIDTH**0.5
        attention = scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
        stream = stream + self.out(attention @ self.value(read))
        return stream + self.down(nn.functional.gelu(self.up(self.norm(stream))))


class Reader(nn.Module):
    """Blocks whose stream is normalised at its end, and read at the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(2 * CLASSES + 1, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm, self.head = nn.LayerNorm(WIDTH, elementwise_affine=False), nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        stream = self.embed(tokens)
        for block in self.blocks:
            stream = block(stream, mask)
        return self.head(self.norm(stream)[:, 0])


def task(exclude: tuple[str, ...] = (), samples: int = 150) -> sp.Task:
    """Return the task of the gallery, with this network."""

    def cross_entropy(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(batch["tokens"], batch["mask"]), batch["labels"])

    return sp.Task(Reader(), cross_entropy, sequences(samples, 6, 0), held_out=sequences(1000, 6, 1), exclude=exclude)


def offered(refused: sp.Task) -> tuple[str, ...]:
    """Return the names that the refusal of a task says to leave out of the penalty."""
    try:
        prepare(refused, sp.MapOptions())
    except sp.SpinodalError as error:
        return tuple(re.findall(r"'([^']+)'", error.do))
    return ()


def main(options: argparse.Namespace) -> None:
    """Print what is named, and the map."""
    names = offered(task())
    print_table(["named", "as built", "the same"], [[", ".join(names), ", ".join(STREAM), str(set(names) == set(STREAM))]])
    began = time.process_time()
    diagram = sp.map_phases(task(names))
    seconds = time.process_time() - began
    converged = sum(point.minimum.converged for point in diagram.points)
    low, high = (f"{beta:.3g}" for beta in diagram.range)
    size, spent = len(diagram.points[0].minimum.theta), diagram.spent.gradient_evaluations
    counts = size, f"{low} to {high}", len(diagram.points), converged, len(diagram.macroscopic), spent, f"{seconds:.0f}"
    print()
    print_table(["parameters", "range", "points", "converged", "transitions", "gradients", "seconds"], [list(map(str, counts))])
    print()
    print_table(["beta", "order", "E", "accuracy"], [_row(found) for found in diagram.macroscopic])


def _row(found: sp.Transition) -> list[str]:
    ends = found.before, found.after
    errors, accuracies = ([f"{value:.3f}" for value in pair] for pair in ([end.error for end in ends], map(_accuracy, ends)))
    return [f"{found.beta:.6g}", found.order, " to ".join(errors), " to ".join(accuracies)]


def _accuracy(point: sp.Point) -> float:
    return point.observation.accuracy["train"] or 0.0


if __name__ == "__main__":
    run(main)

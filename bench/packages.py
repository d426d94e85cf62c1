"""Are models of other packages read as what they are? E, gradient, products, accuracy and weights beside plain PyTorch.

    pip install -c constraints.txt -e '.[bench-models]'
    python bench/packages.py

Tiny networks with random weights, nothing is downloaded. Each is made a task as its users would write it. Its E, gradient, a
Hessian product, accuracy and the weights of its batches are compared with those of the package's own model, cast to the
landscape's dtype and differentiated by plain PyTorch; or the task is refused, and the refusal has to name the true cause.
Exit code 1 if a number differs by more than the bar or a refusal says something else.

Columns: E, and the relative differences of E, of its gradient and of a Hessian product; accuracy here and by hand; the sizes
by which batches are weighed. `refused` and the words of the refusal in place of numbers. A package that cannot be imported is
said to be missing, with the reason.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from hardware import print_table
from packages_cases import CASES, Case, Made
from script import run
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from spinodal.errors import SpinodalError
from spinodal.landscape.penalty import Penalty
from spinodal.landscape.structure import mapped
from spinodal.observe import Observer
from spinodal.tasks import Task

BARS = {torch.float64: 1e-8, torch.float32: 1e-4}  # relative; in single precision the order of sums shows
HEADER = ["package", "network", "dtype", "E", "of E", "of gradient", "of product", "accuracy", "by hand", "batches", "verdict"]
MISSING = "not installed"


@dataclass(frozen=True)
class Truth:
    """A case by plain PyTorch."""

    error: float
    gradient: Tensor
    product: Tensor
    accuracy: float | None


def truth(made: Made, dtype: torch.dtype, direction: Tensor) -> Truth:
    """Return E, its gradient, a Hessian product and the accuracy of the package's own model, by hand."""
    model = copy.deepcopy(made.model).to(dtype)
    batches = [cast(batch, dtype) for batch in made.batches]
    total = sum(made.sizes)
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivatives
        error = sum(size / total * made.loss(model, batch) for size, batch in zip(made.sizes, batches, strict=True))
    trained = [value for value in model.parameters() if value.requires_grad]
    gradient = joined(torch.autograd.grad(error, trained, create_graph=True, materialize_grads=True))
    product = joined(torch.autograd.grad(gradient @ direction, trained, materialize_grads=True))
    right = [made.right(model, batch) for batch in batches] if made.right else []
    accuracy = float(torch.cat(right).double().mean()) if right else None
    return Truth(float(error.detach()), gradient.detach(), product, accuracy)


def joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def cast(batch: object, dtype: torch.dtype) -> object:
    return mapped(lambda leaf: leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf, batch)


def row(case: Case) -> tuple[list[str], bool]:
    """Return the row of a case, and whether it is as it should be."""
    head = [case.package, case.name, str(case.dtype).removeprefix("torch.")]
    torch.manual_seed(0)
    try:
        made = case.make()
    except (ImportError, RuntimeError) as cause:  # RuntimeError: a build of torchvision that does not fit this one of torch
        return [*head, *[""] * 7, f"{MISSING}: {cause}"], True
    try:
        return judged(head, case, made)
    except SpinodalError as refusal:
        expected = bool(case.refusal) and case.refusal in str(refusal)
        return [*head, *[""] * 7, f"{'' if expected else 'WRONGLY '}refused: {refusal.got}"], expected


def judged(head: list[str], case: Case, made: Made) -> tuple[list[str], bool]:
    task = Task(made.model, made.loss, made.batches)
    landscape = task.landscape(dtype=case.dtype)
    theta = landscape.initial
    direction = torch.randn(landscape.size, generator=torch.Generator().manual_seed(1)).to(theta)
    known = truth(made, case.dtype, direction)
    error, gradient = landscape.value_and_gradient(theta)
    gaps = [abs(error - known.error) / abs(known.error), away(gradient, known.gradient)]
    gaps.append(away(landscape.hessian_product(theta, direction), known.product))
    accuracy = Observer(landscape, Penalty(), task)(theta).accuracy["train"]
    good = case.refusal == "" and max(gaps) <= BARS[case.dtype] and landscape.batches.sizes == made.sizes
    good = good and (accuracy is None) == (known.accuracy is None)
    good = good and (accuracy is None or known.accuracy is None or abs(accuracy - known.accuracy) < 1e-12)
    numbers = [f"{error:.6g}", *(f"{gap:.0e}" for gap in gaps), shown(accuracy), shown(known.accuracy)]
    return [*head, *numbers, " + ".join(map(str, landscape.batches.sizes)), "as it is" if good else "WRONG"], good


def away(found: Tensor, known: Tensor) -> float:
    return float((found - known).norm() / known.norm())


def shown(accuracy: float | None) -> str:
    return "none" if accuracy is None else f"{accuracy:.4f}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--only", default="", help="cases whose package or network contains this word")


def main(options: argparse.Namespace) -> int:
    warnings.simplefilter("ignore")  # the packages' own
    chosen = [case for case in CASES if options.only in f"{case.package} {case.name}"]
    rows = [row(case) for case in chosen]
    print_table(HEADER, [cells for cells, _ in rows])
    return 0 if all(good for _, good in rows) else 1


if __name__ == "__main__":
    run(main, arguments)

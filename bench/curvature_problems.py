"""Networks and matrices whose Hessians `curvature.py` measures, in the form that every package takes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal import Landscape
from spinodal.tasks.gaussian import network

HIDDEN = -0.05  # the eigenvalue that is looked for below the bulk
LARGEST = 10.0
MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels of MNIST


@dataclass(frozen=True)
class Problem:
    """E at one theta: `criterion(model(x), y)` for the other packages, a landscape for this one.

    Attributes
    ----------
    title : str
    landscape : Landscape
    theta : Tensor, shape (n,)
    model : nn.Module
        At theta.
    criterion : nn.Module
    data : tuple of Tensor
    """

    title: str
    landscape: Landscape
    theta: Tensor
    model: nn.Module
    criterion: nn.Module
    data: tuple[Tensor, Tensor]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the model, in the order of theta."""
        return list(self.model.parameters())


class SquaredError(nn.Module):
    """The mean over samples of the sum over outputs; curvlinops reads `reduction`."""

    reduction = "mean"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum(1).mean()


class Itself(nn.Module):
    """The loss of a model that returns its own energy."""

    reduction = "mean"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs


class Quadratic(nn.Module):
    """`w^T M w / 2`, whose Hessian is M."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix, self.w = matrix, nn.Parameter(torch.zeros_like(matrix[0]))

    def forward(self, inputs: Tensor) -> Tensor:
        return 0.5 * (self.w @ (self.matrix @ self.w))


# -- networks ---------------------------------------------------------------------------------


def digits_minima(betas: Iterable[float], hidden: Sequence[int]) -> dict[float, Problem]:
    """Return the digits net at minimisers for every beta, each started at the one for the next larger beta."""
    task = sp.tasks.digits(hidden=hidden)
    theta, found = task.initial(seed=0), {}
    for beta in sorted(betas, reverse=True):
        theta = sp.minimise(task.landscape(), beta=beta, start=theta).theta
        title = f"digits {'-'.join(map(str, (64, *hidden, 10)))}, beta = {beta:g}"
        found[beta] = of_network(title, task.model, SquaredError(), task.data, theta)
    return found


def random_network(widths: list[int], samples: int, dtype: torch.dtype) -> Problem:
    """Return a tanh net on random data."""
    torch.manual_seed(0)
    data = torch.randn(samples, widths[0], dtype=dtype), torch.randn(samples, widths[-1], dtype=dtype)
    model = network(widths, nn.Tanh, bias=True).to(dtype)
    title = "-".join(map(str, widths)) + f" {str(dtype).removeprefix('torch.')}"
    return of_network(title, model, SquaredError(), data, nn.utils.parameters_to_vector(model.parameters()).detach())


def mnist(path: str, images: int, epochs: int) -> Problem:
    """Return a net of 1.2 million parameters, float32, after epochs of Adam on the first images."""
    torch.manual_seed(0)
    with np.load(path) as data:
        x, y = data["x_train"][:images], data["y_train"][:images]
    inputs = torch.from_numpy(x.reshape(len(x), -1)).float().div_(255).sub_(MEAN).div_(DEVIATION)
    targets = torch.from_numpy(y.astype(np.int64))
    model = network([784, 1024, 400, 10], nn.Tanh, bias=True).float()
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    for indices in (part for _ in range(epochs) for part in torch.randperm(len(x)).split(100)):
        adam.zero_grad()
        nn.functional.cross_entropy(model(inputs[indices]), targets[indices]).backward()
        adam.step()
    adam.zero_grad()
    theta = nn.utils.parameters_to_vector(model.parameters()).detach()
    return of_network(f"MNIST, {images:,} images", model, nn.CrossEntropyLoss(), (inputs, targets), theta)


def of_network(title: str, model: nn.Module, criterion: nn.Module, data: tuple[Tensor, Tensor], theta: Tensor) -> Problem:
    """Return a problem from a network, its loss and its data."""
    at = copy.deepcopy(model).to(theta.dtype)
    nn.utils.vector_to_parameters(theta.clone(), at.parameters())
    landscape = Landscape(at, lambda net, batch: criterion(net(batch[0]), batch[1]), data, dtype=theta.dtype)
    return Problem(title, landscape, theta, at, criterion, data)


# -- matrices ---------------------------------------------------------------------------------


def of_spectrum(title: str, eigenvalues: Tensor, seed: int = 0) -> Problem:
    """Return `E = w^T M w / 2`, where M has these eigenvalues, shape (n,), in random directions."""
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    rotation = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator)).Q
    matrix = rotation * eigenvalues @ rotation.T
    model = Quadratic(0.5 * (matrix + matrix.T))
    landscape = Landscape(model, lambda energy, batch: energy(batch), None)
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    return Problem(title, landscape, landscape.initial, model, Itself(), (nothing, nothing))


def spectra(size: int) -> dict[str, Tensor]:
    """Return two spectra for the trace: as a network has it, and one that decays."""
    few, many = torch.linspace(2.0, LARGEST, 10), torch.linspace(-0.05, 0.15, size - 10)
    decaying = LARGEST * 0.9 ** torch.arange(size, dtype=torch.float64)
    return {"ten outliers, a bulk": torch.cat([few, many]).double(), "10 x .9^k": decaying}


def hidden_spectrum(size: int) -> Tensor:
    """Return `HIDDEN`, numbers evenly spaced from 0 to 1, and ten from 2 to `LARGEST`, as a trained network has them."""
    bulk = torch.linspace(0.0, 1.0, size - 11, dtype=torch.float64)
    return torch.cat([bulk.new_tensor([HIDDEN]), bulk, torch.linspace(2.0, LARGEST, 10, dtype=torch.float64)])

"""A linear autoencoder of the handwritten digits, whose phases are known in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spinodal.arguments import whole_number
from spinodal.landscape.batches import Batch
from spinodal.tasks.digits import centred_images
from spinodal.tasks.gaussian import UNITS, network
from spinodal.tasks.task import Task
from spinodal.theory import LinearAutoencoder

ROUNDING = 1e-12  # of the largest eigenvalue: what lies below is zero


def autoencoder(*, hidden: int = 10) -> Task:
    """Return the linear autoencoder 64 - hidden - 64, without biases, of the handwritten digits.

    Images are centred and scaled as in `digits`. `E = mean ||x - W2 W1 x||^2` (sum over pixels) depends
    on the 1,797 images through their covariance alone, so it is evaluated, without any approximation, on
    64 rows that have the same covariance. Mode i dies at `beta = sigma_i^2`, the i-th eigenvalue of the
    covariance: a cascade of second-order transitions (see `spinodal.theory.LinearAutoencoder`).

    Parameters
    ----------
    hidden : width of the code. Default 10.

    Raises
    ------
    SpinodalError
        For a width below 1.

    Examples
    --------
    >>> task = autoencoder(hidden=2)
    >>> [round(item.beta, 4) for item in task.exact]
    [8.716, 9.53]
    """
    width = whole_number("hidden", hidden, least=1, do=UNITS)
    rows = equivalent_rows(centred_images())
    eigenvalues = torch.linalg.eigvalsh(rows.T @ rows / len(rows))
    alive = eigenvalues[eigenvalues > ROUNDING * eigenvalues.max()].tolist()  # some pixels never change
    return Task(
        network([64, width, 64], nn.Identity, False),
        reconstruction_error,
        rows,
        name="autoencoder",
        settings={"hidden": width},
        exact=LinearAutoencoder(alive, hidden=width).transitions,
        solver="newton_cg",  # sees kinks, and a product with the Hessian costs little here
    )


def reconstruction_error(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over samples of the squared distance between input and output."""
    residual: Tensor = model(batch) - batch
    return residual.square().sum(1).mean()


def equivalent_rows(samples: Tensor) -> Tensor:
    """Return as many rows as there are columns (or samples, if these are fewer), with the same `X^T X / n_samples`.

    >>> x = torch.randn(9, 2, dtype=torch.float64)
    >>> y = equivalent_rows(x)
    >>> tuple(y.shape), bool(torch.allclose(y.T @ y / 2, x.T @ x / 9))
    ((2, 2), True)
    """
    triangle: Tensor = torch.linalg.qr(samples).R
    return triangle * math.sqrt(len(triangle) / len(samples))

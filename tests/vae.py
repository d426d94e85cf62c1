"""A linear variational autoencoder whose phases along the weight of its divergence are known in closed form.

    E = mean_x [ ||x - D W x||^2 + tr(D S D^T) ],    C = mean_x KL( N(W x, S) || N(0, 1) ),    S = diag(s)

with encoder W, decoder D and variances s of the latent variables, which are all learned. Along an eigenvector of the
covariance of x, with eigenvalue lambda, one latent variable with weights w and d has

    E = lambda (1 - d w)^2 + d^2 s,    C = (s + lambda w^2 - 1 - log s) / 2.

Stationary in w and s: `w = 2 d / (beta + 2 d^2)`, `s = beta / (beta + 2 d^2)`; then in d: `d = 0`, or `d^2 = lambda - beta/2`.
A latent variable is alive while `beta < 2 lambda`, and collapses there continuously. With the decoder noise sigma^2 written
out, `E = (...) / (2 sigma^2)`, that is `beta sigma^2 < lambda`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import spinodal as sp


class LinearVAE(nn.Module):
    """Encoder, decoder and the logarithms of the variances of latent variables."""

    def __init__(self, inputs: int, latents: int, seed: int = 1) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.encoder = nn.Parameter(0.5 * torch.randn(latents, inputs, generator=draw))
        self.decoder = nn.Parameter(0.5 * torch.randn(inputs, latents, generator=draw))
        self.log_variance = nn.Parameter(torch.full((latents,), -1.0))


def reconstruction(model: LinearVAE, x: Tensor) -> Tensor:
    """Return the expected squared error of the reconstruction."""
    missed = x - x @ model.encoder.T @ model.decoder.T
    return missed.square().sum(1).mean() + model.decoder.square().sum(0) @ model.log_variance.exp()


def divergence(model: LinearVAE, x: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from the prior."""
    mean = x @ model.encoder.T
    return 0.5 * (model.log_variance.exp() + mean.square() - 1.0 - model.log_variance).sum(1).mean()


def data(eigenvalues: Sequence[float], samples: int = 24) -> Tensor:
    """Return centred data whose covariance has these eigenvalues, exactly, in a rotated basis."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(samples, len(eigenvalues), dtype=torch.float64, generator=draw)
    orthonormal, _ = torch.linalg.qr(x - x.mean(0))
    rotation, _ = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), dtype=torch.float64, generator=draw))
    return orthonormal * (samples * torch.tensor(eigenvalues, dtype=torch.float64)).sqrt() @ rotation


def task(eigenvalues: Sequence[float], latents: int, *, batches: Sequence[int] = (), **settings: object) -> sp.Task:
    """Return the task of a variational autoencoder that turns the weight of the divergence."""
    x = data(eigenvalues)
    return sp.Task(
        LinearVAE(len(eigenvalues), latents),
        reconstruction,
        list(x.split(list(batches))) if batches else x,
        predict=lambda model, batch: batch @ model.encoder.T @ model.decoder.T,
        control=sp.Weight(divergence, name="kl"),
        name="vae",
        **settings,
    )


def exact(eigenvalues: Sequence[float], beta: float) -> tuple[float, float]:
    """Return E and C of the global minimiser at a weight."""
    error = sum(min(value, 0.5 * beta) for value in eigenvalues)
    alive = [value for value in eigenvalues if value > 0.5 * beta]
    return error, sum(0.5 * math.log(2.0 * value / beta) for value in alive)

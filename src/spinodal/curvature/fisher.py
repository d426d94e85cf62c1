"""The trace of the Fisher information of the model, as E is normalised."""

from __future__ import annotations

from torch import Tensor

from spinodal.curvature.by_sample.outputs import capture
from spinodal.curvature.gauss_newton import PROBES, GaussNewton
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.spectrum.estimate import Estimate


def fisher_trace(landscape: Landscape, theta: Tensor, *, method: str = "auto", probes: int = PROBES, seed: int = 0) -> Estimate:
    """Return the trace of the Gauss-Newton matrix of E at theta, which is that of the Fisher information up to a factor.

    The factor belongs to the loss: with E the mean over samples of the **sum** over outputs of squared errors, GGN
    is **twice** the Fisher information per sample of a Gaussian likelihood of unit variance; with E the mean
    cross-entropy in nats, it **is** the Fisher information per sample of the softmax model. Nothing is divided out:
    the number has the units of the trace of the Hessian of E, with which it agrees at a minimum of squared error
    that interpolates (`H = GGN` there).

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,), or a module of the same layout
    method : "auto", "exact" or "probes"
        See `GaussNewton.trace`. Default "auto".
    probes : int
        Default `PROBES`; only where the trace is not exact.
    seed : int
        Of the probes. Default 0.

    Raises
    ------
    SpinodalError
        Where the Gauss-Newton matrix is not defined, see `GaussNewton`, and where it is zero because the loss is linear in the
        outputs.

    Notes
    -----
    *What it is not:* the empirical Fisher information, which has the data's labels in place of the model's
    (F. Kunstner et al., NeurIPS 2019); and for losses that are no negative log-likelihood of an exponential
    family in its natural parameters it is the trace of GGN and no Fisher information.

    Examples
    --------
    `E = ((w x - y)^2)` averaged over x = 1, 2: twice the Fisher information per sample, `mean x^2 = 2.5`.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> batch = (torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [7.0]]))
    >>> E = Landscape(line, lambda model, b: (model(b[0]) - b[1]).square().sum(1).mean(), batch)
    >>> print(fisher_trace(E, E.initial))
    5 (exact, 0 products)
    """
    found = GaussNewton(landscape, theta).trace(method=method, probes=probes, seed=seed)
    if found.value == 0.0:
        _refuse_linear(landscape, landscape.vector(theta))
    return found


def _refuse_linear(landscape: Landscape, theta: Tensor) -> None:
    """Refuse a loss that is linear in what the model returns: its GGN is zero whatever the information is."""
    if any(capture(landscape, theta, batch).hessian.is_linear for batch in landscape.batches):
        raise SpinodalError(
            got="the loss is linear in the outputs of the model, so its Gauss-Newton matrix is zero and no Fisher information",
            allowed="outputs that are the natural parameters of a likelihood, as logits, are allowed",
            do="let the model return its logits or predictions, and compute the error of them in the loss",
        )

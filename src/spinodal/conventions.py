"""How the strength of the L2 penalty is written: beta of `E + beta ||theta||^2`, and PyTorch's `weight_decay`."""

from __future__ import annotations

from spinodal.errors import SpinodalError, positive_beta

CONVENTION = "E + beta*||theta||^2, weight_decay = 2*beta"
CENTRED = "E + beta*||theta - centre||^2, weight_decay = 2*beta"


def is_l2(convention: str) -> bool:
    """Tell the convention of the L2 penalty, of which PyTorch's `weight_decay` is twice the value.

    Examples
    --------
    >>> is_l2(CENTRED), is_l2("E + weight_decay*term")
    (True, False)
    """
    return convention.endswith("weight_decay = 2*beta")


def weight_decay(beta: float) -> float:
    """Return the `weight_decay` of `torch.optim.SGD` or `Adam` that adds the same gradient.

    PyTorch adds `weight_decay * theta` to the gradient; the penalty adds `2 * beta * theta`.
    AdamW's decoupled decay is the gradient of no energy and has no beta.

    Examples
    --------
    >>> weight_decay(0.05)
    0.1
    """
    return 2.0 * beta


def beta_of(weight_decay: float) -> float:
    """Return the beta of a PyTorch `weight_decay` (coupled, as in SGD and Adam).

    Examples
    --------
    >>> beta_of(0.1)
    0.05
    """
    return 0.5 * weight_decay


def one_beta(beta: float | None, weight_decay: float | None) -> float:
    """Return the beta that one of the two names says, or refuse neither, both, and what is not positive.

    Examples
    --------
    >>> one_beta(None, 0.1)
    0.05
    """
    if beta is not None and weight_decay is None:
        return positive_beta(beta)
    if beta is None and weight_decay is not None:
        return beta_of(positive_beta(weight_decay, "weight_decay"))
    raise SpinodalError(
        got="neither beta nor weight_decay" if beta is None else "both beta and weight_decay",
        allowed="one of the two is allowed",
        do="give beta, or weight_decay as SGD and Adam take it",
    )

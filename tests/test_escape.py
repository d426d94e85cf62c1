"""`escape`: dead modes made alive lead out of plateaus, slow and metastable, and nowhere where nothing is deeper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spinodal import Landscape, SpinodalError, escape, minimise, train
from spinodal.dynamics.raising import raised
from spinodal.dynamics.residual import amplitudes
from spinodal.theory import mode_strength, saddle_amplitude
from test_dynamics import balanced, linear_chain

BETA = 0.02


def at(amplitude: float) -> torch.Tensor:
    """Return weights of three layers with the mode .9 alive and the mode .5 at an amplitude."""
    return balanced(linear_chain(3), [mode_strength(BETA, 0.9, matrices=3) ** (1.0 / 3.0), amplitude])


def test_what_is_raised_has_the_amplitude_and_what_is_alive_stays() -> None:
    landscape, theta = linear_chain(3), at(0.01)
    moved = raised(landscape, theta[None], 0.3)
    torch.testing.assert_close(amplitudes(landscape, moved)[0], torch.stack([amplitudes(landscape, theta[None])[0, 0],
                                                                              torch.tensor(0.3).double()]))  # fmt: skip
    torch.testing.assert_close(moved[0], at(0.3))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.5])
def test_a_dead_mode_comes_alive_and_descent_from_there_reaches_the_deepest_phase(share: float) -> None:
    landscape, theta = linear_chain(3), at(share * saddle_amplitude(BETA, 0.5, matrices=3))
    out = escape(landscape, theta, BETA)
    alive = [mode_strength(BETA, s, matrices=3) ** (1.0 / 3.0) for s in (0.9, 0.5)]
    assert out.found
    assert out.minimum.loss == pytest.approx(landscape.value(balanced(landscape, alive)) + BETA * 3 * sum(w**2 for w in alive))
    history = train(landscape, out.theta, beta=BETA, learning_rate=0.1, epochs=400)
    assert history.error[0, -1].item() == pytest.approx(out.minimum.error, rel=1e-3)
    assert "descent leads from" in str(out)


def test_there_is_no_way_out_of_the_deepest_phase() -> None:
    landscape = linear_chain(3)
    best = minimise(landscape, beta=BETA, start=at(0.7))
    out = escape(landscape, best, BETA)
    assert not out.found
    assert torch.equal(out.theta, best.theta)
    assert str(out).startswith("No way out of E = ")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SpinodalError, match=r"amplitude = -1\.0"):
        escape(linear_chain(3), at(0.1), BETA, amplitude=-1.0)
    with pytest.raises(SpinodalError, match=r"beta = 0\.0"):
        escape(linear_chain(3), at(0.1), 0.0)

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

    with pytest.raises(SpinodalError, match="a model without weight matrices"):
        escape(Landscape(Chain(), lambda model, batch: (1.0 - model.w.prod()) ** 2, None), torch.ones(3), BETA)

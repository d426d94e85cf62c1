"""What people write into models and losses: numbers beside plain PyTorch, or a refusal with the true cause."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.backends import cuda
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from spinodal.curvature import fisher_trace
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape

SAMPLES = 24


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


def sequences() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SAMPLES, 5, 4, generator=generator), torch.randint(0, 2, (SAMPLES,), generator=generator)


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def net(*between: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), *between, nn.Linear(5, 2))


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def by_hand(model: nn.Module, loss: Callable[[nn.Module, Any], Tensor], batch: Any) -> tuple[float, Tensor, Tensor, Tensor]:
    """Return E, its gradient, a direction and the Hessian product with it, by plain PyTorch in double precision."""
    own = copy.deepcopy(model).double()
    trained = [value for value in own.parameters() if value.requires_grad]
    error = loss(own, tuple(value.double() if value.is_floating_point() else value for value in batch))
    gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(error, trained, create_graph=True)])
    direction = torch.randn(len(gradient), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = torch.autograd.grad(gradient @ direction, trained, materialize_grads=True)
    return float(error.detach()), gradient.detach(), direction, torch.cat([part.reshape(-1) for part in parts])


def agrees(model: nn.Module, loss: Callable[[nn.Module, Any], Tensor], batch: Any) -> None:
    error, gradient, direction, product = by_hand(model, loss, batch)
    landscape = Landscape(model, loss, batch)
    found, slope = landscape.value_and_gradient(landscape.initial)
    assert found == pytest.approx(error, rel=1e-9)
    torch.testing.assert_close(slope, gradient, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(landscape.hessian_product(landscape.initial, direction), product, rtol=1e-8, atol=1e-10)


# -- attention ---------------------------------------------------------------------------------


class Attends(nn.Module):
    """Attention as PyTorch computes it unless it is told otherwise: fused."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.out = nn.Linear(4, 12), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.mix(x).chunk(3, -1)
        out: Tensor = self.out(functional.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0, -1])
        return out


def switches() -> tuple[bool, ...]:
    return (
        cuda.flash_sdp_enabled(),
        cuda.mem_efficient_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
        cuda.math_sdp_enabled(),  # type: ignore[no-untyped-call]
    )


def test_attention_that_would_be_fused_has_second_derivatives() -> None:
    before = switches()
    with sdpa_kernel(SDPBackend.MATH):
        error, gradient, direction, product = by_hand(Attends(), cross_entropy, sequences())
    landscape = Landscape(Attends(), cross_entropy, sequences())
    assert landscape.value_and_gradient(landscape.initial)[0] == pytest.approx(error, rel=1e-12)
    torch.testing.assert_close(landscape.gradient(landscape.initial), gradient, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(landscape.hessian_product(landscape.initial, direction), product, rtol=1e-9, atol=1e-11)
    assert switches() == before


def test_a_user_who_turned_the_plain_attention_off_keeps_it_off() -> None:
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        before = switches()
        landscape = Landscape(Attends(), cross_entropy, sequences())
        landscape.require_second_derivatives()
        assert switches() == before
    assert switches() != before


# -- precision ---------------------------------------------------------------------------------


class Rotates(nn.Module):
    """Turns its inputs by angles in single precision, as language models do with positions."""

    def forward(self, x: Tensor) -> Tensor:
        angles = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device).float() / 7.0
        return x * angles.cos().to(x.dtype)


class Normalises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x.float(), dim=-1).to(x.dtype)


def test_not_the_rounded_constant_but_the_rounded_activation_is_named() -> None:
    with pytest.raises(SpinodalError, match=r"3 \(Normalises\) computes in float32"):
        Landscape(net(Rotates(), Normalises()), cross_entropy, data())


def test_a_rounded_constant_is_not_blamed_for_a_cut_gradient() -> None:
    with pytest.raises(SpinodalError, match="the gradient of E is not that of its value"):
        Landscape(net(Rotates(), Applied(lambda x: x * x.detach())), cross_entropy, data())


def test_activations_rounded_without_a_graph_are_named_too() -> None:
    class Quantised(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                rest = (2.0 * x).half().to(x.dtype) / 2.0 - x
            return x + rest

    with pytest.raises(SpinodalError, match=r"2 \(Quantised\) computes in float16"):
        Landscape(net(Quantised()), cross_entropy, data())


# -- kinks where a model starts -----------------------------------------------------------------


def zeroed(model: nn.Module, *names: str) -> nn.Module:
    for name, value in model.named_parameters():
        if name in names:
            nn.init.zeros_(value)
    return model


def rectified() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))


def perceptron(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.relu(-model(batch[0])[:, 0] * (2 * batch[1] - 1)).mean()


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (zeroed(rectified(), "0.weight", "0.bias"), cross_entropy),
        (zeroed(nn.Linear(4, 1), "weight", "bias"), perceptron),
    ],
    ids=["rectified layer of zeros", "perceptron of zeros"],
)
def test_weights_of_zero_at_which_e_bends_are_taken(model: nn.Module, loss: Callable[..., Tensor]) -> None:
    landscape = Landscape(model, loss, data())
    own = copy.deepcopy(model).double()
    error = loss(own, (data()[0].double(), data()[1]))
    slopes = torch.autograd.grad(error, list(own.parameters()))
    found, gradient = landscape.value_and_gradient(landscape.initial)
    assert found == pytest.approx(float(error.detach()), rel=1e-12)
    torch.testing.assert_close(gradient, torch.cat([slope.reshape(-1) for slope in slopes]), rtol=1e-9, atol=1e-12)


def test_a_cut_gradient_where_e_bends_is_refused_nearby() -> None:
    model = zeroed(rectified(), "0.weight", "0.bias")
    cut = Applied(lambda x: functional.relu(x) * (1.0 + x.detach()))
    with pytest.raises(SpinodalError, match="the gradient of E is not that of its value"):
        Landscape(nn.Sequential(model[0], cut, model[2]), cross_entropy, data())  # type: ignore[index]


# -- one module at two places --------------------------------------------------------------------


class Recurrent(nn.Module):
    """A layer that is applied twice, registered twice, beside a matrix that two modules share."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(4, 4)] * 2)
        self.first, self.last, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.layers, self.first, self.last):
            x = torch.tanh(layer(x))
        out: Tensor = self.out(x)
        return out


def test_a_module_that_is_registered_twice_keeps_its_parameters() -> None:
    agrees(Recurrent(), cross_entropy, data())


def test_gradients_of_samples_leave_a_module_that_is_registered_twice_alone() -> None:
    landscape = Landscape(Recurrent(), cross_entropy, data())
    before = landscape.value(landscape.initial)
    trace = fisher_trace(landscape, landscape.initial, method="probes")
    assert landscape.value(landscape.initial) == before
    exact = fisher_trace(landscape, landscape.initial, method="exact")
    assert trace.value == pytest.approx(exact.value, abs=5 * trace.stderr)

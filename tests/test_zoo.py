"""The kinds of networks people have: E, gradient, accuracy and weights of batches are those of plain PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from spinodal.landscape.penalty import Penalty
from spinodal.observe import Observer
from spinodal.tasks import Task

SAMPLES, CLASSES = 24, 3
Loss = Callable[[nn.Module, Any], Tensor]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rows(*shape: int) -> Tensor:
    return torch.randn(SAMPLES, *shape, generator=generator())


def labels(classes: int = CLASSES) -> Tensor:
    return torch.randint(0, classes, (SAMPLES,), generator=generator())


def table() -> tuple[Tensor, Tensor]:
    return rows(4), labels()


def sequences() -> tuple[Tensor, Tensor]:
    return rows(5, 4), labels()


def images() -> tuple[Tensor, Tensor]:
    return rows(2, 6, 6), labels()


def words() -> tuple[Tensor, Tensor]:
    return torch.randint(0, 7, (SAMPLES, 5), generator=generator()), labels()


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor], **options: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], **options)


def layers(*between: nn.Module, width: int = 5) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), *between, nn.Linear(width, CLASSES))


class Net(nn.Module):
    """Modules and a function of them and of the input."""

    def __init__(self, run: Callable[..., Tensor], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def last_state(net: Any, x: Tensor) -> Tensor:
    out: Tensor = net.out(net.body(x)[0][:, -1])
    return out


class Unrolled(nn.Module):
    """A recurrence by hand, with a hidden state that is written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.RNNCell(4, 5), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states = x.new_zeros(len(x), x.shape[1] + 1, 5)
        for step in range(x.shape[1]):
            states = states.index_copy(1, torch.tensor([step + 1]), self.cell(x[:, step], states[:, step])[:, None])
        out: Tensor = self.out(states[:, -1])
        return out


class Tied(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.tanh(self.mix(self.embed(x).mean(1))))
        return out


class Frozen(nn.Module):
    """A trunk that stays, a factor of rank one beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.out = nn.Linear(4, 5).requires_grad_(False), nn.Linear(5, CLASSES)
        self.a, self.b = nn.Parameter(0.1 * torch.randn(1, 4)), nn.Parameter(0.1 * torch.randn(5, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.tanh(self.trunk(x) + x @ self.a.T @ self.b.T))
        return out


class Lists(nn.Module):
    """Parameters in lists and dicts, chosen by control flow."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(4, 4)) for _ in range(3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(4, CLASSES), "b": nn.Linear(4, CLASSES)})

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = torch.tanh(x @ weight) if x.square().mean() > 0.01 else x
        out: Tensor = self.heads["a"](x) + self.heads["b"](x)
        return out


def attention(net: Any, x: Tensor) -> Tensor:
    mixed, _ = net.body(x, x, x, need_weights=False)
    out: Tensor = net.out(mixed.mean(1))
    return out


def spectrum(net: Any, x: Tensor) -> Tensor:
    waves = torch.fft.rfft(net.body(x))
    out: Tensor = net.out(torch.cat([waves.real, waves.imag], -1))
    return out


def in_eval(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return model.eval()


def one_logit(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1].double().to(batch[0]))


def log_likelihood(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.nll_loss(model(batch[0]), batch[1])


def by_name(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch["x"]), batch["y"])


def cut(batch: tuple[Tensor, Tensor], *ends: int) -> list[tuple[Tensor, Tensor]]:
    starts = (0, *ends)
    stops = (*ends, len(batch[0]))
    return [(batch[0][a:b], batch[1][a:b]) for a, b in zip(starts, stops, strict=True)]


@dataclass(frozen=True)
class Case:
    """A model, its data, its loss, and what is right to predict."""

    model: Callable[[], nn.Module]
    data: Callable[[], Any] = table
    loss: Loss = cross_entropy
    classes: Callable[[Tensor], Tensor] = lambda outputs: outputs.argmax(1)
    counts: Callable[[Tensor], Tensor] = lambda labels: torch.ones_like(labels, dtype=torch.bool)


ZOO: dict[str, Case] = {
    "layers": Case(layers),
    "LSTM": Case(lambda: Net(last_state, body=nn.LSTM(4, 5, batch_first=True), out=nn.Linear(5, CLASSES)), sequences),
    "GRU of two layers": Case(lambda: Net(last_state, body=nn.GRU(4, 5, 2, batch_first=True), out=nn.Linear(5, 3)), sequences),
    "recurrence by hand": Case(Unrolled, sequences),
    "tied embedding": Case(Tied, lambda: (words()[0], labels(7))),
    "in place": Case(lambda: layers(nn.Linear(5, 5), nn.ReLU(inplace=True))),
    "BatchNorm in evaluation mode": Case(lambda: in_eval(layers(nn.BatchNorm1d(5)))),
    "convolutions": Case(
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, CLASSES)), images
    ),
    "channels last": Case(
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)).to(
            memory_format=torch.channels_last
        ),
        lambda: (images()[0].to(memory_format=torch.channels_last), labels()),
    ),
    "transposed convolution": Case(
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.GELU(), nn.Flatten(), nn.Linear(147, CLASSES)), images
    ),
    "attention": Case(
        lambda: Net(attention, body=nn.MultiheadAttention(4, 2, batch_first=True), out=nn.Linear(4, CLASSES)), sequences
    ),
    "encoder layer": Case(
        lambda: Net(
            lambda net, x: net.out(net.body(x).mean(1)),
            body=nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, activation="gelu"),
            out=nn.Linear(4, CLASSES),
        ).eval(),
        sequences,
    ),
    "frozen trunk": Case(Frozen),
    "complex inside": Case(lambda: Net(spectrum, body=nn.Linear(4, 6), out=nn.Linear(8, CLASSES))),
    "weight norm": Case(lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3))),
    "orthogonal": Case(lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 3))),
    "spectral norm in evaluation mode": Case(
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)).eval()
    ),
    "weighted cross-entropy": Case(
        layers, loss=lambda model, batch: cross_entropy(model, batch, weight=torch.tensor([1.0, 2.0, 5.0]).to(batch[0]))
    ),
    "smoothed cross-entropy": Case(layers, loss=partial(cross_entropy, label_smoothing=0.2)),
    "ignored labels": Case(
        layers,
        lambda: (rows(4), labels().where(torch.arange(SAMPLES) % 5 > 0, torch.tensor(-100))),
        counts=lambda labels: labels >= 0,
    ),
    "bilinear": Case(lambda: Net(lambda net, x: net.body(x[:, :2], x[:, 2:]), body=nn.Bilinear(2, 2, CLASSES))),
    "half": Case(lambda: layers().half()),
    "bfloat16": Case(lambda: layers().bfloat16()),
    "uneven batches": Case(layers, lambda: cut(table(), 15, 22)),
    "uneven batches of dicts": Case(
        layers, lambda: [{"x": x, "y": y} for x, y in cut(table(), 3)], lambda model, batch: by_name(model, batch)
    ),
    "LayerNorm and GLU": Case(lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GLU(), nn.Linear(3, CLASSES))),
    "GroupNorm": Case(
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(64, CLASSES)), images
    ),
    "RMSNorm": Case(lambda: nn.Sequential(nn.Linear(4, 6), nn.RMSNorm(6), nn.Tanh(), nn.Linear(6, CLASSES))),
    "bag of words": Case(lambda: nn.Sequential(nn.EmbeddingBag(7, 4, mode="mean"), nn.Linear(4, CLASSES)), words),
    "sparse bag of words": Case(lambda: nn.Sequential(nn.EmbeddingBag(7, 4, sparse=True), nn.Linear(4, CLASSES)), words),
    "lists of parameters": Case(Lists),
    "PReLU and a padded embedding": Case(
        lambda: Net(
            lambda net, x: net.out(net.bend(net.body(x)).mean(1)),
            body=nn.Embedding(7, 4, padding_idx=0),
            bend=nn.PReLU(),
            out=nn.Linear(4, CLASSES),
        ),
        words,
    ),
    "one logit": Case(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)),
        lambda: (rows(4), labels(2)),
        one_logit,
        classes=lambda outputs: (outputs[:, 0] > 0).long(),
    ),
    "log-probabilities": Case(lambda: nn.Sequential(layers(), nn.LogSoftmax(1)), loss=log_likelihood),
}


def batches_of(data: Any) -> list[Any]:
    return data if isinstance(data, list) else [data]


def in_double(batch: Any) -> Any:
    values = batch.values() if isinstance(batch, dict) else batch
    cast = [value.double() if value.is_floating_point() else value for value in values]
    return dict(zip(batch, cast, strict=True)) if isinstance(batch, dict) else tuple(cast)


def inputs_and_labels(batch: Any) -> tuple[Tensor, Tensor]:
    return tuple(batch.values()) if isinstance(batch, dict) else batch


def plain(case: Case, model: nn.Module, data: Any) -> tuple[float, Tensor, float]:
    """Return E, its gradient and the accuracy by hand."""
    model = copy.deepcopy(model).double()
    given = [in_double(batch) for batch in batches_of(data)]
    total = sum(len(inputs_and_labels(batch)[0]) for batch in given)
    error = sum(len(inputs_and_labels(batch)[0]) / total * case.loss(model, batch) for batch in given)
    assert isinstance(error, Tensor)
    trained = [value for value in model.parameters() if value.requires_grad]
    slopes = torch.autograd.grad(error, trained, allow_unused=True)
    gradient = torch.cat(
        [
            (torch.zeros_like(v) if s is None else s.to_dense() if s.is_sparse else s).reshape(-1)
            for s, v in zip(slopes, trained, strict=True)
        ]
    )
    right = counted = 0
    for batch in given:
        x, y = inputs_and_labels(batch)
        counts = case.counts(y)
        right += int((case.classes(model(x)) == y)[counts].sum())
        counted += int(counts.sum())
    return float(error.detach()), gradient, right / counted


@pytest.mark.parametrize("name", ZOO)
def test_error_gradient_accuracy_and_weights_are_those_of_plain_pytorch(name: str) -> None:
    case = ZOO[name]
    torch.manual_seed(0)
    model, data = case.model(), case.data()
    error, gradient, accuracy = plain(case, model, data)
    task = Task(model, case.loss, data)
    landscape = task.landscape()
    theta = landscape.initial
    found, slope = landscape.value_and_gradient(theta)
    assert found == landscape.value(theta) == pytest.approx(error, rel=1e-8)
    torch.testing.assert_close(slope, gradient, rtol=1e-8, atol=1e-10)
    sizes = [len(inputs_and_labels(batch)[0]) for batch in batches_of(data)]
    assert landscape.batches.weights == pytest.approx([size / sum(sizes) for size in sizes], rel=1e-12)
    assert Observer(landscape, Penalty(), task)(theta).accuracy["train"] == pytest.approx(accuracy, rel=1e-12)


def test_a_convolution_in_half_precision_inside_a_model_of_single_precision_keeps_its_weights() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5).half(), nn.Tanh(), nn.Linear(5, CLASSES))
    landscape = Task(model, cross_entropy, table()).landscape()
    exact = torch.cat([value.detach().double().reshape(-1) for value in model.parameters()])
    assert torch.equal(landscape.initial, exact)

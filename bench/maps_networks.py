"""The networks whose maps `maps.py` measures: built-in tasks, examples, three whose dense Hessians are dear, random ones."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

import spinodal as sp
from spinodal.tasks.registry import make_task

EXAMPLES = Path(__file__).parents[1] / "examples"
DIGITS = 4  # classes of the small convolutional network


def _labelled(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def convolutions() -> sp.Task:
    """Return two small convolutions on digits of four classes, 362 parameters, for which dense Hessians are dear."""
    digits = load_digits()
    kept = digits.target < DIGITS
    images = torch.tensor(digits.images[kept][:600] / 16.0, dtype=torch.float64)[:, None]
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, DIGITS)]
    return sp.Task(nn.Sequential(*layers), _labelled, (images, torch.tensor(digits.target[kept][:600])))


class Encoder(nn.Module):
    """A sequence of bits through one encoder layer, averaged and read out."""

    def __init__(self, width: int = 8, length: int = 6) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(2, width), nn.Linear(width, 2)
        self.position = nn.Parameter(0.1 * torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, activation="gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return two logits for every sequence, shape (samples, 2)."""
        logits: Tensor = self.head(self.layer(self.embed(x) + self.position).mean(1))
        return logits


def encoder() -> sp.Task:
    """Return an encoder layer that learns whether the first and the last bit agree, 682 parameters."""
    torch.manual_seed(0)
    bits = torch.randint(0, 2, (128, 6), generator=torch.Generator().manual_seed(0))
    return sp.Task(Encoder(), _labelled, (bits, bits[:, 0] ^ bits[:, -1]))


class MaskedEncoder(nn.Module):
    """Padded sequences through one encoder layer, averaged over all positions."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 2, width, dropout=0.1, batch_first=True, activation="gelu")
        self.inputs, self.encoder, self.out = nn.Linear(3, width), nn.TransformerEncoder(layer, 1), nn.Linear(width, 2)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """Return two logits for every sequence, shape (samples, 2)."""
        logits: Tensor = self.out(self.encoder(self.inputs(x), src_key_padding_mask=padding).mean(1))
        return logits


def _masked(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return cross_entropy(model(batch["x"], batch["padding"]), batch["labels"])


def masked_encoder() -> sp.Task:
    """Return an encoder with a padding mask, 162 parameters, which normalises behind its sums."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, 3, generator=generator)
    padding = torch.arange(6)[None] >= torch.randint(2, 7, (40,), generator=generator)[:, None]
    torch.manual_seed(0)
    torch.backends.mha.set_fastpath_enabled(False)
    return sp.Task(MaskedEncoder().eval(), _masked, {"x": x, "padding": padding, "labels": (x[:, 0, 0] > 0).long()})


def random_net(k: int) -> sp.Task:
    """Return a network of 200 to 2,000 parameters on 200 samples: depth, widths, activation and loss by its number."""
    draw, generator = random.Random(k), torch.Generator().manual_seed(k)
    activation = draw.choice([nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Softplus])
    while True:
        inputs, outputs, depth = draw.randint(4, 12), draw.randint(2, 6), draw.randint(1, 2)
        widths = [inputs, *(draw.randint(8, 36) for _ in range(depth)), outputs]
        size = sum((a + 1) * b for a, b in pairwise(widths))
        if 200 <= size <= 2000:
            break
    torch.manual_seed(k)
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), activation()]
    x = torch.randn(200, inputs, generator=generator)
    teacher = torch.tanh(x @ torch.randn(inputs, outputs, generator=generator))
    if draw.random() < 0.5:
        return sp.Task(nn.Sequential(*layers[:-1]), _labelled, (x, teacher.argmax(1)))
    return sp.Task(nn.Sequential(*layers[:-1]), _squared, (x, teacher))


def _squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().sum(1).mean()


def example(name: str, function: str = "task") -> sp.Task:
    """Return a task of an example."""
    sys.path.insert(0, str(EXAMPLES))
    return make_task(f"{EXAMPLES / name}.py:{function}", {})


NETWORKS: dict[str, Callable[[], sp.Task]] = {
    "gaussian, tanh": lambda: sp.tasks.gaussian(),
    "gaussian, gelu": lambda: sp.tasks.gaussian(activation="gelu"),
    "gaussian, linear": lambda: sp.tasks.gaussian(activation="linear"),
    "digits": lambda: sp.tasks.digits(),
    "autoencoder": lambda: sp.tasks.autoencoder(hidden=3),
    "perceptron (gallery)": lambda: example("mlp"),
    "convolutions (gallery)": lambda: example("cnn"),
    "transformer (gallery)": lambda: example("transformer"),
    "batch normalisation (gallery)": lambda: example("batchnorm", "task_masked"),
    "convolutions, 362": convolutions,
    "encoder layer, 682": encoder,
    "masked encoder, 162": masked_encoder,
    **{f"random net {k}": lambda k=k: random_net(k) for k in range(20)},  # type: ignore[misc]
}

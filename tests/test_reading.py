"""What is read from the user's own call, against plain PyTorch: E, weights, accuracy and recalls of many batches and losses."""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.observe import Observation, Observer
from spinodal.tasks import Task

SAMPLES, UNEVEN = 70, (64, 6)
Loss = Callable[[nn.Module, Any, Any], Tensor]
Truth = Callable[[nn.Module, Any, Any], tuple[Tensor, Tensor, int] | None]

# -- batches -----------------------------------------------------------------------------------

Pair = namedtuple("Pair", "x y")


class Encoding(UserDict):
    """As the tokenizers of transformers give batches."""


@dataclass
class Sample:
    x: Any
    y: Any
    name: str = "sample"


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    y: Any


class Store(OrderedDict):
    """Where a graph keeps its tensors; it knows the graph."""


class Graph:
    """As libraries of graphs give batches: attributes that lie in a store of their own."""

    def __init__(self, x: Any, y: Any) -> None:
        store = Store(x=x, y=y)
        self.__dict__["store"] = store
        store.owner = weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["store"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["store"][name] = value


def by_key(batch: Any) -> tuple[Any, Any]:
    return batch["x"], batch["y"]


def by_name(batch: Any) -> tuple[Any, Any]:
    return batch.x, batch.y


KINDS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], tuple[Any, Any]]]] = {
    "a tuple": (lambda x, y: (x, y), lambda b: (b[0], b[1])),
    "a list": (lambda x, y: [x, y], lambda b: (b[0], b[1])),
    "a dict": (lambda x, y: {"x": x, "y": y}, by_key),
    "labels first": (lambda x, y: (y, x), lambda b: (b[1], b[0])),
    "a mask last": (lambda x, y: (x, y, torch.ones(len(x), dtype=torch.long)), lambda b: (b[0], b[1])),
    "an ordered dict": (lambda x, y: OrderedDict(x=x, y=y), by_key),
    "a UserDict": (lambda x, y: Encoding(x=x, y=y), by_key),
    "a named tuple": (Pair, by_name),
    "a data class": (Sample, by_name),
    "a frozen data class with slots": (Frozen, by_name),
    "a namespace": (lambda x, y: SimpleNamespace(x=x, y=y, name="batch"), by_name),
    "nested": (lambda x, y: {"in": [Sample(x, None)], "out": (y, None)}, lambda b: (b["in"][0].x, b["out"][0])),
    "a graph": (Graph, by_name),
    "a number first": (lambda x, y: (torch.tensor(2.0), x, y), lambda b: (b[1] * (b[0] / 2), b[2])),
    "constants first": (lambda x, y: (torch.ones(3), x, y), lambda b: (b[1] * b[0][0], b[2])),
    "arrays": (lambda x, y: (x.numpy(), y.numpy()), lambda b: (torch.from_numpy(b[0]), torch.from_numpy(b[1]))),
}

# -- losses ------------------------------------------------------------------------------------


def inputs() -> Tensor:
    return torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(0))


def three() -> Tensor:
    x = inputs()
    return (x[:, 0] > 0).long() + (x[:, 1] > 0.3).long()


def two() -> Tensor:
    return (inputs()[:, 0] > 0.2).long()


def net(outputs: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs))


def tokens() -> Tensor:
    return torch.randint(0, 4, (SAMPLES, 3), generator=torch.Generator().manual_seed(1))


class Reader(nn.Module):
    """Tokens to logits at every position, shape (samples, positions, 4)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.mix, self.head = nn.Embedding(4, 3), nn.Linear(9, 9), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.head(h + torch.tanh(self.mix(h.flatten(1))).view(h.shape))


def argmax(classes: int) -> Truth:
    return lambda model, x, y: (model(x).argmax(1), y.reshape(-1).long(), classes)


def above(threshold: float) -> Truth:
    return lambda model, x, y: ((model(x).reshape(-1) > threshold).long(), (y.reshape(-1) > 0.5).long(), 2)


def known(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, int]:
    keep = y >= 0
    return model(x).argmax(-1)[keep], y[keep], model(x).shape[-1]


def with_unknown(labels: Tensor, unknown: int = -100) -> Tensor:
    labels = labels.clone()
    labels.view(-1)[::5] = unknown
    return labels


def one_hot(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, int]:
    return model(x).argmax(1), y.argmax(1), y.shape[1]


def none(model: nn.Module, x: Tensor, y: Tensor) -> None:
    return None


def masked(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    each = F.cross_entropy(model(x).transpose(1, 2), y.clamp(min=0), reduction="none")
    return (each * (y >= 0)).sum() / (y >= 0).sum()


def by_hand(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits = model(x)
    return (logits.logsumexp(1) - logits.gather(1, y[:, None]).squeeze(1)).mean()


def margins(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x) - 0.3 * F.one_hot(y, 3), y)


Case = tuple[Callable[[], nn.Module], Callable[[], Tensor], Callable[[], Tensor], Loss, Truth]
LOSSES: dict[str, Case] = {
    "cross-entropy": (lambda: net(3), inputs, three, lambda m, x, y: F.cross_entropy(m(x), y), argmax(3)),
    "its module": (lambda: net(3), inputs, three, lambda m, x, y: nn.CrossEntropyLoss()(input=m(x), target=y), argmax(3)),
    "column labels": (
        lambda: net(3), inputs, lambda: three()[:, None], lambda m, x, y: F.cross_entropy(m(x), y[:, 0]), argmax(3),
    ),
    "float labels": (
        lambda: net(3), inputs, lambda: three().float(), lambda m, x, y: F.cross_entropy(m(x), y.long()), argmax(3),
    ),
    "true and false": (
        lambda: net(2), inputs, lambda: two().bool(), lambda m, x, y: F.cross_entropy(m(x), y.long()), argmax(2),
    ),
    "weighted": (
        lambda: net(3), inputs, three,
        lambda m, x, y: F.cross_entropy(m(x), y, torch.tensor([1.0, 2.0, 3.0], dtype=m(x).dtype)), argmax(3),
    ),
    "smoothed": (
        lambda: net(3), inputs, three, lambda m, x, y: F.cross_entropy(m(x), y, label_smoothing=0.1), argmax(3),
    ),
    "ignored": (
        lambda: net(3), inputs, lambda: with_unknown(three()), lambda m, x, y: F.cross_entropy(m(x), y), known,
    ),
    "ignored by another label": (
        lambda: net(3), inputs, lambda: with_unknown(three(), -1),
        lambda m, x, y: F.cross_entropy(m(x), y, ignore_index=-1), known,
    ),
    "soft targets": (
        lambda: net(3), inputs, lambda: 0.9 * F.one_hot(three(), 3) + 0.1 / 3,
        lambda m, x, y: F.cross_entropy(m(x), y), one_hot,
    ),
    "log-likelihood": (
        lambda: net(3), inputs, three, lambda m, x, y: F.nll_loss(m(x).log_softmax(1), y), argmax(3),
    ),
    "margins of many": (lambda: net(3), inputs, three, lambda m, x, y: F.multi_margin_loss(m(x), y), argmax(3)),
    "gather": (lambda: net(3), inputs, three, by_hand, argmax(3)),
    "index": (
        lambda: net(3), inputs, three, lambda m, x, y: -m(x).log_softmax(1)[torch.arange(len(x)), y].mean(), argmax(3),
    ),
    "a product with one-hot rows": (
        lambda: net(3), inputs, three,
        lambda m, x, y: -(m(x).log_softmax(1) * F.one_hot(y, 3)).sum(1).mean(), argmax(3),
    ),
    "a distribution": (
        lambda: net(3), inputs, three,
        lambda m, x, y: -torch.distributions.Categorical(logits=m(x)).log_prob(y).mean(), argmax(3),
    ),
    "one logit in a column": (
        lambda: net(1), inputs, lambda: two()[:, None].float(),
        lambda m, x, y: F.binary_cross_entropy_with_logits(m(x), y), above(0.0),
    ),
    "one logit in a row": (
        lambda: net(1), inputs, two,
        lambda m, x, y: F.binary_cross_entropy_with_logits(m(x)[:, 0], y.to(m(x).dtype)), above(0.0),
    ),
    "one probability": (
        lambda: nn.Sequential(net(1), nn.Sigmoid()), inputs, lambda: two()[:, None].float(),
        lambda m, x, y: nn.BCELoss()(m(x), y), above(0.5),
    ),
    "smoothed truth of one logit": (
        lambda: net(1), inputs, lambda: 0.1 + 0.8 * two()[:, None].float(),
        lambda m, x, y: F.binary_cross_entropy_with_logits(m(x), y), above(0.0),
    ),
    "logits of one-hot rows": (
        lambda: net(3), inputs, lambda: F.one_hot(three(), 3).float(),
        lambda m, x, y: F.binary_cross_entropy_with_logits(m(x), y), one_hot,
    ),
    "several labels at once": (
        lambda: net(3), inputs, lambda: (inputs()[:, :3] > 0).float(),
        lambda m, x, y: F.binary_cross_entropy_with_logits(m(x), y), none,
    ),
    "squared error of one-hot rows": (
        lambda: net(3), inputs, lambda: F.one_hot(three(), 3).float(),
        lambda m, x, y: (m(x) - y).square().sum(1).mean(), one_hot,
    ),
    "its function, given in the other order": (
        lambda: net(3), inputs, lambda: F.one_hot(three(), 3).float(), lambda m, x, y: F.mse_loss(y, m(x)), one_hot,
    ),
    "squared error of numbers": (
        lambda: net(3), inputs, lambda: inputs()[:, :3].clone(), lambda m, x, y: F.mse_loss(m(x), y), none,
    ),
    "squared error of whole numbers": (
        lambda: net(1), inputs, three, lambda m, x, y: F.mse_loss(m(x)[:, 0], y.to(m(x).dtype)), none,
    ),
    "labels that are never compared": (
        lambda: net(3), inputs, three, lambda m, x, y: m(x).square().mean() + 0.0 * y.sum(), none,
    ),
    "margins beside the true class": (
        lambda: net(3), inputs, three, margins,
        lambda m, x, y: ((m(x) - 0.3 * F.one_hot(y, 3)).argmax(1), y, 3),
    ),
    "the last position": (
        Reader, tokens, lambda: tokens().sum(1) % 4, lambda m, x, y: F.cross_entropy(m(x)[:, -1], y),
        lambda m, x, y: (m(x)[:, -1].argmax(1), y, 4),
    ),
    "all positions, flattened": (
        Reader, tokens, lambda: with_unknown(tokens().flip(1)),
        lambda m, x, y: F.cross_entropy(m(x).flatten(0, 1), y.flatten()), known,
    ),
    "all positions, classes on axis 1": (
        Reader, tokens, lambda: with_unknown(tokens().flip(1)),
        lambda m, x, y: F.cross_entropy(m(x).transpose(1, 2), y), known,
    ),
    "all positions under a mask": (Reader, tokens, lambda: with_unknown(tokens().flip(1)), masked, known),
    "the next token": (
        Reader, tokens, tokens, lambda m, x, y: F.cross_entropy(m(x)[:, :-1].flatten(0, 1), y[:, 1:].flatten()),
        lambda m, x, y: (m(x)[:, :-1].argmax(-1).flatten(), y[:, 1:].flatten(), 4),
    ),
    "two labels of one kind": (
        Reader, tokens, lambda: torch.stack([tokens().sum(1) % 4, tokens()[:, 0]], 1),
        lambda m, x, y: F.cross_entropy(m(x)[:, 0], y[:, 0]) + F.cross_entropy(m(x)[:, 1], y[:, 1]),
        lambda m, x, y: (m(x)[:, :2].argmax(-1).flatten(), y.flatten(), 4),
    ),
    "two heads of one label": (
        Reader, tokens, lambda: tokens().sum(1) % 4,
        lambda m, x, y: F.cross_entropy(m(x)[:, 0], y) + 0.3 * F.cross_entropy(m(x)[:, 1], y), none,
    ),
    "a metric that is no part of the loss": (
        lambda: net(3), inputs, three,
        lambda m, x, y: [F.cross_entropy(m(x), y), F.cross_entropy(m(x), (y + 1) % 3)][0], argmax(3),
    ),
    "signs": (
        lambda: net(1), inputs, lambda: 2.0 * two() - 1, lambda m, x, y: F.soft_margin_loss(m(x)[:, 0], y), above(0.0),
    ),
}  # fmt: skip
TABLE = [(kind, "cross-entropy") for kind in KINDS] + [(list(KINDS)[place % 13], loss) for place, loss in enumerate(LOSSES)]


def cast(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def in_batches(kind: str, x: Tensor, y: Tensor) -> list[Any]:
    make, _ = KINDS[kind]
    return [make(*pair) for pair in zip(x.split(UNEVEN), y.split(UNEVEN), strict=True)]


def task_of(kind: str, loss: str) -> Task:
    model, x, y, function, _ = LOSSES[loss]
    get = KINDS[kind][1]
    return Task(model(), lambda m, batch: function(m, *get(batch)), in_batches(kind, x(), y()))


def observed(task: Task) -> Observation:
    landscape = task.landscape()
    return Observer(landscape, sp.Penalty(), task)(landscape.initial)


def recalls(chosen: Tensor, right: Tensor, classes: int) -> list[float | None]:
    places = [right == label for label in range(classes)]
    return [float((chosen[place] == right[place]).double().mean()) if place.any() else None for place in places]


@pytest.mark.parametrize(("kind", "loss"), TABLE)
def test_error_weights_accuracy_and_recalls_are_those_of_plain_pytorch(kind: str, loss: str) -> None:
    task = task_of(kind, loss)
    landscape, model = task.landscape(), LOSSES[loss][0]().double()
    x, y = cast(LOSSES[loss][1]()), cast(LOSSES[loss][2]())
    assert landscape.batches.weights == [size / SAMPLES for size in UNEVEN]
    parts = zip(x.split(UNEVEN), y.split(UNEVEN), landscape.batches.weights, strict=True)
    error = sum(weight * float(LOSSES[loss][3](model, part, label).detach()) for part, label, weight in parts)
    assert landscape.value(landscape.initial) == pytest.approx(error, rel=1e-12)
    seen = Observer(landscape, sp.Penalty(), task)(landscape.initial)
    with torch.no_grad():
        truth = LOSSES[loss][4](model, x, y)
    if truth is None:
        assert seen.accuracy["train"] is None
        assert seen.class_accuracy["train"] is None
        assert seen.reading["accuracy"] is None
        assert seen.reading["no_accuracy"]
    else:
        assert seen.accuracy["train"] == pytest.approx(float((truth[0] == truth[1]).double().mean()))
        assert list(seen.class_accuracy["train"] or ()) == pytest.approx(recalls(*truth))
        assert seen.reading["accuracy"]
        assert seen.reading["no_accuracy"] is None
    assert seen.output_variance is not None
    assert seen.output_variance > 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a list"])
def test_one_batch_of_any_kind_is_one_batch(kind: str) -> None:
    make, get = KINDS[kind]
    model, x, y, function, _ = LOSSES["cross-entropy"]
    landscape = sp.Landscape(model(), lambda m, batch: function(m, *get(batch)), make(x(), y()))
    assert landscape.batches.count == 1
    assert landscape.value(landscape.initial) == pytest.approx(
        float(function(model().double(), x().double(), y()).detach()), rel=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_is_found_wherever_it_lies(kind: str) -> None:
    x = inputs()
    x[3, 1] = math.nan
    with pytest.raises(SpinodalError, match="data is not finite: 1 of 256 entries"):
        sp.Landscape(
            net(3), lambda m, batch: F.cross_entropy(m(KINDS[kind][1](batch)[0]), three()), in_batches(kind, x, three())
        )


def test_the_batches_of_the_user_are_left_alone() -> None:
    batch = Graph(inputs(), three())
    landscape = sp.Landscape(net(3), lambda m, b: F.cross_entropy(m(b.x), b.y), batch)
    (own,) = landscape.batches
    assert batch.x.dtype == torch.float32
    assert own.x.dtype == torch.float64
    assert own.store.owner() is own
    assert batch.store.owner() is batch


# -- the number of samples ---------------------------------------------------------------------


class Recurrent(nn.Module):
    """A recurrent net, which takes (time, samples, features)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.GRU(2, 3), nn.Linear(3, 3)

    def forward(self, x: Any) -> Tensor:
        return self.head(self.body(x)[0])


def series(samples: int, time: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(samples)
    x = torch.randn(time, samples, 2, generator=generator)
    return x, (x.sum(0)[:, 0] > 0).long() + (x.sum(0)[:, 1] > 0).long()


def test_with_time_first_the_labels_in_the_loss_count_the_samples() -> None:
    batches = [series(9), series(4)]
    task = Task(Recurrent(), lambda m, b: F.cross_entropy(m(b[0])[-1], b[1]), batches)
    landscape = task.landscape()
    assert landscape.batches.weights == [9 / 13, 4 / 13]
    assert landscape.batches.sized_by == "the first axis of what cross_entropy is given in the loss"
    right = sum(int((Recurrent().double()(x.double())[-1].argmax(1) == y).sum()) for x, y in batches)
    assert observed(task).accuracy["train"] == pytest.approx(right / 13)


def test_with_time_first_in_all_tensors_the_axis_that_e_is_a_mean_over_counts_the_samples() -> None:
    def loss(model: nn.Module, x: Tensor) -> Tensor:
        return (model(x[:-1])[..., :2] - x[1:]).square().mean()

    landscape = sp.Landscape(Recurrent(), loss, [series(9)[0], series(4)[0]])
    assert landscape.batches.weights == [9 / 13, 4 / 13]
    assert landscape.batches.sized_by == "the second axis of the tensors"


def test_packed_sequences_are_weighed_by_their_number() -> None:
    def packed(samples: int) -> tuple[Any, Tensor]:
        x, y = series(samples)
        lengths = torch.arange(samples) % 5 + 3
        return pack_padded_sequence(x, lengths, enforce_sorted=False), y

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body, self.head = nn.GRU(2, 3), nn.Linear(3, 3)

        def forward(self, x: Any) -> Tensor:
            return self.head(self.body(x)[1][0])

    batches = [packed(9), packed(4)]
    landscape = sp.Landscape(Last(), lambda m, b: F.cross_entropy(m(b[0]), b[1]), batches)
    assert landscape.batches.weights == [9 / 13, 4 / 13]
    with torch.no_grad():
        plain = [float(F.cross_entropy(Last().double()(x.to(torch.float64)), y)) for x, y in batches]
    assert landscape.value(landscape.initial) == pytest.approx((9 * plain[0] + 4 * plain[1]) / 13, rel=1e-12)


def graphs(count: int, nodes: int) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(count)
    return SimpleNamespace(
        edge_index=torch.randint(0, nodes, (2, 3 * nodes), generator=generator),
        x=torch.randn(nodes, 4, generator=generator),
        batch=torch.arange(nodes) % count,
        y=torch.arange(count) % 3,
    )


def test_graphs_are_weighed_by_their_number_and_not_by_edges_or_nodes() -> None:
    def pooled(model: nn.Module, b: Any) -> Tensor:
        h = model(b.x)
        h = h.index_add(0, b.edge_index[0], h[b.edge_index[1]])
        return F.cross_entropy(h.new_zeros(len(b.y), 3).index_add(0, b.batch, h), b.y)

    landscape = sp.Landscape(net(3), pooled, [graphs(6, 20), graphs(3, 17)])
    assert landscape.batches.weights == [6 / 9, 3 / 9]


def test_nodes_under_a_mask_are_weighed_by_their_number() -> None:
    def masked_nodes(model: nn.Module, b: Any) -> Tensor:
        return F.cross_entropy(model(b.x)[b.batch < 2], (b.batch % 3)[b.batch < 2])

    landscape = sp.Landscape(net(3), masked_nodes, [graphs(6, 20), graphs(3, 17)])
    assert landscape.batches.weights == [8 / 20, 12 / 20]


def together(model: nn.Module, b: Any) -> Tensor:
    return model(b.x.flatten(0, 1)).mean(0).square().sum() / len(b.y)


def test_batches_whose_samples_nothing_tells_are_refused_and_taken_when_told() -> None:
    batches = [SimpleNamespace(x=b.x[:12].view(2, 6, 4), y=b.y) for b in (graphs(6, 20), graphs(3, 17))]
    with pytest.raises(SpinodalError) as refusal:
        sp.Landscape(net(3), together, batches)
    assert refusal.value.got == (
        "nothing tells how many samples batch 0 has, and batches differ: its tensors begin with axes x of 2, y of 6"
    )
    assert "samples=lambda batch" in refusal.value.do
    told = sp.Landscape(net(3), together, batches, samples=lambda b: len(b.y))
    assert told.batches.weights == [6 / 9, 3 / 9]
    assert Task(net(3), together, batches, samples=lambda b: len(b.y)).landscape().batches.weights == [6 / 9, 3 / 9]


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ([(1.0, 2.0)], "batch 0 is a tuple of float, without a tensor"),
        ([3], "batch 0 is a int, without a tensor"),
        ([{"x": object()}], "batch 0 is a dict of object, without a tensor"),
        (SimpleNamespace(x=3), "data is a SimpleNamespace without tensors"),
        (TensorDataset(inputs(), three()), "data is a TensorDataset, a data set of single samples"),
    ],
)
def test_data_without_tensors_are_refused_and_never_of_size_one(data: object, got: str) -> None:
    with pytest.raises(SpinodalError) as refusal:
        sp.Landscape(net(3), lambda m, b: m(inputs().double()).square().mean(), data)
    assert refusal.value.got == got


@pytest.mark.parametrize("samples", [lambda batch: 1.5, lambda batch: -1, lambda batch: "many"])
def test_a_number_of_samples_that_is_none_is_refused(samples: Callable[[Any], Any]) -> None:
    with pytest.raises(SpinodalError, match=r"samples\(batch\) raised"):
        sp.Landscape(net(3), lambda m, b: m(b).square().mean(), inputs(), samples=samples)


def test_parts_of_batches_keep_the_weights_that_were_told() -> None:
    batches = list(zip(inputs().split(UNEVEN), three().split(UNEVEN), strict=True))
    E = sp.Landscape(net(3), lambda m, b: F.cross_entropy(m(b[0]), b[1]), batches, samples=lambda b: 1)  # noqa: N806
    parts = E.split(E.initial, pieces=3)
    assert parts is not None
    assert parts.batches.count == 6
    assert parts.value(E.initial) == pytest.approx(E.value(E.initial), rel=1e-12)


# -- the call, and what the task says itself ---------------------------------------------------


class Pool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(12, 6), nn.Linear(6, 3)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.embed(tokens)
        weights = torch.ones_like(tokens) if mask is None else mask
        return self.head((h * weights[..., None]).sum(1) / weights.sum(1)[:, None])


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        return self.inner(*arguments, **keywords)


def sentences() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids, length = torch.randint(0, 12, (60, 8), generator=generator), torch.randint(1, 9, (60,), generator=generator)
    return {"ids": ids, "mask": torch.arange(8)[None] < length[:, None], "labels": ids[:, 0] % 3}


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped, nn.DataParallel])
def test_the_mask_in_the_call_is_part_of_the_prediction(wrap: Callable[[nn.Module], nn.Module]) -> None:
    def loss(model: nn.Module, b: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(model(tokens=b["ids"], mask=b["mask"]), b["labels"])

    b, few = sentences(), {key: value[:20] for key, value in sentences().items()}
    seen = observed(Task(wrap(Pool()), loss, b, held_out=few))
    outputs = Pool()(b["ids"], b["mask"]).argmax(1)
    assert float((Pool()(b["ids"]).argmax(1) == b["labels"]).double().mean()) != seen.accuracy["train"]
    assert seen.accuracy["train"] == pytest.approx(float((outputs == b["labels"]).double().mean()))
    assert seen.accuracy["held_out"] == pytest.approx(float((outputs == b["labels"])[:20].double().mean()))


def test_what_the_task_says_of_predictions_and_labels_wins() -> None:
    def loss(model: nn.Module, b: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(b[0]), b[1])

    x, y = inputs(), three()
    model = net(3).double()
    outputs = model(x.double())
    own = {
        "predict": ({"predict": lambda m, b: -m(b[0])}, (-outputs).argmax(1), y),
        "labels": ({"labels": lambda b: (b[1] + 1) % 3}, outputs.argmax(1), (y + 1) % 3),
        "both": ({"predict": lambda m, b: -m(b[0]), "labels": lambda b: F.one_hot(b[1], 3)}, (-outputs).argmax(1), y),
    }
    for arguments, chosen, right in own.values():
        seen = observed(Task(net(3), loss, (x, y), **arguments))
        assert seen.accuracy["train"] == pytest.approx(float((chosen == right).double().mean()))


def test_the_result_says_which_tensor_was_read_as_what() -> None:
    seen = observed(task_of("a tuple", "ignored"))
    error = seen.reading["error"]
    assert error is not None
    assert "the loss of a batch is no mean over its samples" in error  # as labels are ignored
    assert {name: text for name, text in seen.reading.items() if name != "error"} == {
        "outputs": "what the model returns, in the loss",
        "accuracy": "argmax over axis 1 of the samples x 3 given to cross_entropy against its target, ignored entries left out",
        "no_accuracy": None,
        "samples": "the first axis of the tensors",
        "rank": None,
        "unused": None,
    }


class Keyed(nn.Module):
    """A model that returns what its outputs are made of beside them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        keys = self.first(x)
        return {"keys": keys, "logits": self.second(torch.tanh(keys)), "aside": self.first(2 * x)}


def test_outputs_are_those_that_e_is_made_of_last() -> None:
    seen = observed(Task(Keyed(), lambda m, b: F.cross_entropy(m(b[0])["logits"], b[1]), (inputs(), three())))
    assert seen.reading["outputs"] == "what the model returns as logits, in the loss"
    logits = Keyed().double()(inputs().double())["logits"]
    assert seen.output_variance == pytest.approx(float(logits.var(0, correction=0).sum().detach()), rel=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch, where a scripted model is copied and cast
def test_a_scripted_model_has_the_accuracy_of_its_loss() -> None:
    model = torch.jit.script(nn.Sequential(nn.Linear(4, 3)))
    seen = observed(Task(model, lambda m, b: F.cross_entropy(m(b[0]), b[1]), (inputs(), three())))
    assert seen.accuracy["train"] == pytest.approx(float((model(inputs()).argmax(1) == three()).double().mean()))
    assert seen.output_variance is not None


def test_without_data_there_are_neither_outputs_nor_accuracy() -> None:
    model = nn.Bilinear(3, 3, 3)
    seen = observed(Task(model, lambda m, b: (m.weight[0] @ m.weight[1] - torch.eye(3).double()).square().sum(), None))
    assert (seen.output_variance, seen.accuracy["train"]) == (None, None)
    assert seen.reading["no_accuracy"] == "there are no data"


def test_a_vocabulary_has_an_accuracy_but_no_recalls() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1001)
    seen = observed(Task(model, lambda m, b: F.cross_entropy(m(b[0]), b[1]), (inputs(), three())))
    assert seen.accuracy["train"] is not None
    assert seen.class_accuracy["train"] is None


def test_a_reading_costs_no_gradient_and_changes_nothing() -> None:
    task = task_of("a dict", "cross-entropy")
    landscape = task.landscape()
    observe, before, error = (
        Observer(landscape, sp.Penalty(), task),
        landscape.counts.copy(),
        landscape.value(landscape.initial),
    )
    before = landscape.counts.copy()
    first, second = observe(landscape.initial), observe(landscape.initial)
    assert landscape.counts == before
    assert first == second
    assert landscape.value(landscape.initial) == error
    assert not landscape.model._forward_hooks
    assert not landscape.model._forward_pre_hooks


def test_batches_of_sequences_of_other_lengths_have_outputs() -> None:
    batches = [(tokens()[:40], tokens()[:40]), (tokens()[40:, :2], tokens()[40:, :2])]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4))
    seen = observed(Task(model, lambda m, b: F.cross_entropy(m(b[0]).flatten(0, 1), b[1].flatten()), batches))
    right = torch.cat([(model(x).argmax(-1) == y).flatten() for x, y in batches])
    assert seen.accuracy["train"] == pytest.approx(float(right.double().mean()))
    assert seen.output_variance is not None
    assert seen.output_variance > 0


def test_a_constant_predictor_has_no_variance_even_with_time_first() -> None:
    task = Task(Recurrent(), lambda m, b: F.cross_entropy(m(b[0])[-1], b[1]), [series(9), series(4)])
    landscape = task.landscape()
    seen = Observer(landscape, sp.Penalty(), task)(torch.zeros(landscape.size, dtype=torch.float64))
    assert seen.output_variance == 0.0


# -- outputs in objects, and errors inside the model -------------------------------------------


@dataclass
class Out:
    sample: Tensor
    loss: Tensor | None = None


class Answer(dict):
    """As the outputs of transformers are."""

    __getattr__ = dict.__getitem__


OUTPUTS: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = {
    "a data class": (Out, lambda out: out.sample),
    "a dict's subclass": (lambda o: Answer(sample=o, scale=1.0), lambda out: out.sample),
    "a namespace": (lambda o: SimpleNamespace(sample=o), lambda out: out.sample),
    "a named tuple": (lambda o: Pair(o, None), lambda out: out.x),
    "a distribution": (lambda o: torch.distributions.Categorical(logits=o), lambda out: out.logits),
    "nested": (lambda o: {"a": [Out(o)]}, lambda out: out["a"][0].sample),
}


class Boxed(nn.Module):
    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body, self.make = net(3), make

    def forward(self, x: Tensor) -> Any:
        return self.make(self.body(x))


@pytest.mark.parametrize(
    ("kind", "method"), [*((kind, "probes") for kind in OUTPUTS), *((kind, "exact") for kind in list(OUTPUTS)[:4])]
)
def test_outputs_in_objects_have_the_fisher_trace_of_plain_ones(kind: str, method: str) -> None:
    make, take = OUTPUTS[kind]
    data = (inputs(), three())
    boxed = sp.Landscape(Boxed(make), lambda m, b: F.cross_entropy(take(m(b[0])), b[1]), data)
    plain = sp.Landscape(net(3), lambda m, b: F.cross_entropy(m(b[0]).log_softmax(1), b[1]), data)
    settings = {"method": method, "probes": 1000}
    found, known = (sp.fisher_trace(E, E.initial, **settings).value for E in (boxed, plain))
    assert known > 0.1
    assert found == pytest.approx(known, rel=1e-10)


class Inner(nn.Module):
    """A model that computes its error, as those of transformers do."""

    def __init__(self, error: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.error = net(3), error

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
        logits = self.body(x)
        return Answer(loss=None if labels is None else self.error(logits, labels), logits=logits)


def inner(error: Callable[[Tensor, Tensor], Tensor], outer: Callable[[Tensor], Tensor] = lambda value: value) -> sp.Landscape:
    data = {"x": inputs(), "labels": three()}
    return sp.Landscape(Inner(error), lambda m, b: outer(m(**b).loss), data)


def fisher_by_hand() -> float:
    """Return the mean over samples of tr(S_i J_i J_i^T), from Jacobians of the logits and covariances of the softmax."""
    model, total = net(3).double(), 0.0
    for row in inputs().double():
        logits = model(row)
        rows = [
            torch.cat([part.reshape(-1) for part in torch.autograd.grad(logit, list(model.parameters()), retain_graph=True)])
            for logit in logits
        ]
        p, jacobian = logits.softmax(0).detach(), torch.stack(rows)
        total += float(((torch.diag(p) - torch.outer(p, p)) * (jacobian @ jacobian.T)).sum())
    return total / SAMPLES


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_an_error_inside_the_model_has_the_fisher_trace_of_the_logits(reduction: str) -> None:
    E = inner(lambda logits, y: F.cross_entropy(logits, y, reduction=reduction), torch.mean)  # noqa: N806
    exact = fisher_by_hand()
    found = sp.fisher_trace(E, E.initial)
    assert (found.status, found.value) == ("exact", pytest.approx(exact, rel=1e-10))
    assert float(sp.GaussNewton(E, E.initial).dense().trace()) == pytest.approx(exact, rel=1e-10)
    assert sp.curvature_at(E, E.initial, beta=0.1).fisher_trace.value == pytest.approx(exact, rel=1e-10)


def test_gauss_newton_of_an_error_inside_the_model_is_that_of_one_outside() -> None:
    inside = inner(lambda logits, y: F.cross_entropy(logits, y))
    outside = sp.Landscape(net(3), lambda m, b: F.cross_entropy(m(b[0]), b[1]), (inputs(), three()))
    torch.testing.assert_close(*(sp.GaussNewton(E, E.initial).dense() for E in (inside, outside)), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(inside.hessian(inside.initial), outside.hessian(outside.initial), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "error",
    [
        lambda logits, y: -logits.log_softmax(1).gather(1, y[:, None]).mean(),
        lambda logits, y: F.cross_entropy(logits, y) + 0.1 * logits.square().mean(),
    ],
)
def test_an_error_inside_the_model_that_shows_no_outputs_has_no_fisher_trace_and_says_so(
    error: Callable[[Tensor, Tensor], Tensor],
) -> None:
    E = inner(error)  # noqa: N806
    with pytest.raises(SpinodalError, match="the model returns the error itself"):
        sp.fisher_trace(E, E.initial)
    found = sp.curvature_at(E, E.initial, beta=0.1)
    assert found.fisher_trace is None
    assert any("no Fisher trace: the model returns the error itself" in text for text in found.caveats)


def test_a_map_says_why_there_is_no_fisher_trace() -> None:
    def shown(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y) + 0.1 * logits.square().mean()

    task = Task(Inner(shown), lambda m, b: m(**b).loss, {"x": inputs(), "labels": three()})
    result = sp.map_phases(task, beta=(0.02, 0.03), starts=1, solver="newton", curvature=True).to_dict()["curvature"]
    assert result["failed"] == []
    assert set(result["points"]["fisher_trace"]["value"]) == {None}
    texts = result["points"]["caveats"]
    assert any(text.startswith("no Fisher trace: the model returns the error itself") for text in texts)


def test_outputs_that_cannot_be_seen_are_no_zero() -> None:
    def hidden(output: Tensor) -> Callable[[], Tensor]:
        return lambda: output

    E = sp.Landscape(Boxed(hidden), lambda m, b: F.cross_entropy(m(b[0])(), b[1]), (inputs(), three()))  # noqa: N806
    with pytest.raises(SpinodalError, match="the model returns a function, in which no tensor"):
        sp.fisher_trace(E, E.initial)


class Keeps(nn.Module):
    """A model that keeps a term of its error, as variational layers and mixtures of experts do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net(3)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.body(x)
        self.term = logits.square().mean()
        return logits


def test_a_term_that_the_model_keeps_is_not_passed_over() -> None:
    E = sp.Landscape(Keeps(), lambda m, b: F.cross_entropy(m(b[0]), b[1]) + m.term, (inputs(), three()))  # noqa: N806
    with pytest.raises(SpinodalError, match="the loss uses parameters beside the outputs of the model"):
        sp.fisher_trace(E, E.initial)


def test_logarithms_of_probabilities_have_the_trace_of_the_logits() -> None:
    model = nn.Sequential(net(3), nn.LogSoftmax(1))
    E = sp.Landscape(model, lambda m, b: F.nll_loss(m(b[0]), b[1]), (inputs(), three()))  # noqa: N806
    for method in ("exact", "probes"):
        assert sp.fisher_trace(E, E.initial, method=method, probes=1000).value == pytest.approx(fisher_by_hand(), rel=1e-10)


def test_a_loss_that_is_linear_in_the_outputs_has_no_fisher_trace_of_zero() -> None:
    def loss(model: nn.Module, b: tuple[Tensor, Tensor]) -> Tensor:
        return -model(b[0]).log_prob(b[1]).mean()

    E = sp.Landscape(Boxed(OUTPUTS["a distribution"][0]), loss, (inputs(), three()))  # noqa: N806
    with pytest.raises(SpinodalError, match="the loss is linear in the outputs of the model"):
        sp.fisher_trace(E, E.initial)
    assert sp.curvature_at(E, E.initial, beta=0.1).fisher_trace is None


# -- rank --------------------------------------------------------------------------------------


class Partly(nn.Module):
    """A net with a layer that the loss never touches, and a token of shape (1, 1, 4)."""

    def __init__(self, *, zero: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.pooler = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 4)
        self.token = nn.Parameter(torch.full((1, 1, 4), 0.1))
        self.gate = nn.Parameter(torch.zeros(1))
        self.zero = zero

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x) + self.token[0])
        return self.head(h) + self.gate * h[:, :3] + (0.0 * self.pooler(h)[:, :3] if self.zero else 0.0)


@pytest.mark.parametrize("zero", [False, True])
def test_rank_is_over_matrices_that_e_depends_on_and_that_have_one(zero: bool) -> None:
    task = Task(Partly(zero=zero), lambda m, b: F.cross_entropy(m(b[0]), b[1]), (inputs(), three()))
    landscape = task.landscape()
    assert landscape.idle == ("pooler.weight", "pooler.bias")  # and not the gate, though the head behind it is felt through it
    theta = landscape.initial
    for slot in landscape.parameters.slots:
        theta[slot.start : slot.stop] *= 0.0 if slot.name in landscape.idle else 1.0
    seen = Observer(landscape, sp.Penalty(), task)(theta)
    assert seen.ranks == {"token": 1, "body.weight": seen.ranks["body.weight"], "head.weight": 3, "pooler.weight": 0}
    assert seen.rank == min(seen.ranks["body.weight"], 3) > 1
    assert seen.reading["rank"] == "left out: pooler.weight, which E does not depend on, and token, of one row or column"
    assert seen.reading["unused"] == "pooler.weight, pooler.bias"


def test_where_all_matrices_have_one_row_their_rank_counts() -> None:
    task = Task(net(1)[0:0].append(nn.Linear(4, 1)), lambda m, b: m(b).square().mean(), inputs())
    assert observed(task).rank == 1


def test_the_rank_of_a_map_is_not_that_of_a_layer_without_use() -> None:
    task = Task(Partly(), lambda m, b: F.cross_entropy(m(b[0]), b[1]), (inputs(), three()))
    result = sp.map_phases(task, beta=(0.02, 0.03), starts=1).to_dict()
    assert result["phases"][0]["rank"] == 2
    assert result["reading"]["unused"] == "pooler.weight, pooler.bias"
    assert result["reading"]["accuracy"].startswith("argmax over axis 1 of the samples x 3 given to cross_entropy")


def test_a_loader_of_named_tuples_is_a_loader() -> None:
    def collate(rows: Sequence[tuple[Tensor, Tensor]]) -> Pair:
        return Pair(*(torch.stack(column) for column in zip(*rows, strict=True)))

    loader = DataLoader(TensorDataset(inputs(), three()), batch_size=64, collate_fn=collate)
    landscape = sp.Landscape(net(3), lambda m, b: F.cross_entropy(m(b.x), b.y), loader)
    assert landscape.batches.weights == [size / SAMPLES for size in UNEVEN]
    whole = F.cross_entropy(net(3).double()(inputs().double()), three()).detach()
    assert landscape.value(landscape.initial) == pytest.approx(float(whole), rel=1e-12)


def test_arrays_keep_their_type_and_take_the_precision_of_the_landscape() -> None:
    landscape = sp.Landscape(net(3), lambda m, b: m(torch.as_tensor(b)).square().mean(), inputs().numpy(), dtype=torch.float32)
    (own,) = landscape.batches
    assert isinstance(own, np.ndarray)
    assert own.dtype == np.float32

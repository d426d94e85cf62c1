"""What people write into models and losses: numbers beside plain PyTorch, or a refusal with the true cause."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.backends import cuda
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from losses import cross_entropy
from spinodal.curvature import fisher_trace
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.embedding import bags
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.map import map_phases
from spinodal.observe import Observation, Observer
from spinodal.tasks import Task

SAMPLES = 24


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


def sequences() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SAMPLES, 5, 4, generator=generator), torch.randint(0, 2, (SAMPLES,), generator=generator)


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


# -- functions that a module keeps ---------------------------------------------------------------


class Captures(nn.Module):
    """A module that keeps its features by a hook that knows it."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.features = net(), dict[str, Tensor]()
        self.body[1].register_forward_hook(lambda module, given, output: self.features.update(last=output))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def with_features(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    outputs = model(batch[0])
    features: Tensor = model.features["last"]  # type: ignore[index]
    return functional.cross_entropy(outputs, batch[1]) + 0.1 * features.square().mean()


def by_parts(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    body: nn.Sequential = model.body  # type: ignore[assignment]
    return functional.cross_entropy(body(batch[0]), batch[1]) + 0.1 * body[:2](batch[0]).square().mean()


def test_a_hook_that_knows_its_module_writes_into_the_copy() -> None:
    model = Captures()
    model(data()[0])  # so that something is kept already
    landscape, truth = Landscape(model, with_features, data()), Landscape(model, by_parts, data())
    theta = truth.initial + 0.1
    assert landscape.value(theta) == pytest.approx(truth.value(theta), rel=1e-12)
    torch.testing.assert_close(landscape.gradient(theta), truth.gradient(theta), rtol=1e-12, atol=1e-14)


class Delegates(nn.Module):
    """A module whose function calls a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net()
        self.run: Callable[[Tensor], Tensor] = lambda x: torch.tanh(self.body(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def test_a_function_that_calls_a_part_of_its_module_calls_that_of_the_copy() -> None:
    model = Delegates()
    landscape = Landscape(model, cross_entropy, data())
    own = net().double()
    error = functional.cross_entropy(torch.tanh(own(data()[0].double())), data()[1])
    gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(error, list(own.parameters()))])
    torch.testing.assert_close(landscape.gradient(landscape.initial), gradient, rtol=1e-12, atol=1e-14)
    assert model.run.__closure__[0].cell_contents is model  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of PyTorch, where such a model is copied
@pytest.mark.parametrize("compiled", [torch.jit.script, lambda model: torch.jit.trace(model, data()[0])])
def test_a_compiled_model_of_several_layers_has_parameters_of_its_own(compiled: Callable[[nn.Module], nn.Module]) -> None:
    error, gradient, _, _ = by_hand(net(), cross_entropy, data())
    landscape = Landscape(compiled(net()), cross_entropy, data())
    assert landscape.value(landscape.initial) == pytest.approx(error, rel=1e-12)
    torch.testing.assert_close(landscape.gradient(landscape.initial), gradient, rtol=1e-10, atol=1e-12)


def test_hooks_on_gradients_of_parameters_are_left_out_and_said() -> None:
    model = net()
    model[0].weight.register_hook(lambda slope: 2.0 * slope)  # type: ignore[union-attr]
    landscape = Landscape(model, cross_entropy, data())
    torch.testing.assert_close(landscape.gradient(landscape.initial), by_hand(net(), cross_entropy, data())[1])
    assert "hooks on the gradients of 0.weight" in " ".join(landscape.remarks)


# -- embeddings ----------------------------------------------------------------------------------


class Scaled(nn.Embedding):
    """As language models scale their embeddings."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * 2.0


class Words(nn.Module):
    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.words, self.out = embedding, nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.tanh(self.words(x)))
        return out


def sentences() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(0, 7, (SAMPLES, 5), generator=generator)
    return words, torch.randint(0, 2, (SAMPLES,), generator=generator)


def mean_over_words(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]).mean(1), batch[1])


def test_the_row_of_padding_of_a_class_of_ones_own_is_a_constant() -> None:
    torch.manual_seed(0)
    model = Words(Scaled(7, 4, padding_idx=0))
    nn.init.normal_(model.words.weight)  # type: ignore[arg-type]
    agrees(model, mean_over_words, sentences())


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_words_are_differentiated_twice(mode: str) -> None:
    torch.manual_seed(0)
    model = Words(nn.EmbeddingBag(7, 4, mode=mode, padding_idx=0))
    error, gradient = (found := Landscape(model, cross_entropy, sentences())).value_and_gradient(found.initial)
    own = copy.deepcopy(model).double()
    known = cross_entropy(own, sentences())
    slopes = torch.autograd.grad(known, list(own.parameters()))
    assert error == pytest.approx(float(known.detach()), rel=1e-12)
    torch.testing.assert_close(gradient, torch.cat([part.reshape(-1) for part in slopes]), rtol=1e-10, atol=1e-12)
    direction = torch.randn(found.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    up, down = (found.gradient(found.initial + sign * 1e-6 * direction) for sign in (1.0, -1.0))
    torch.testing.assert_close(found.hessian_product(found.initial, direction), (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("options", list(itertools.product(("sum", "mean", "max"), (None, 2), (True, False))), ids=str)
def test_bags_are_those_of_pytorch(options: tuple[str, int | None, bool]) -> None:
    mode, padding, last = options
    torch.manual_seed(0)
    module = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=padding, include_last_offset=last).double()
    words, begins = torch.randint(0, 7, (18,)), torch.tensor([0, 2, 2, 5, 9, 10] + [18] * last)
    weights = torch.rand(18, dtype=torch.float64) if mode == "sum" else None
    known, found = module(words, begins, weights), bags(module, words, begins, weights)
    torch.testing.assert_close(found, known)
    slopes = [torch.autograd.grad(value.square().sum(), module.weight)[0] for value in (known, found)]
    torch.testing.assert_close(*slopes)
    torch.testing.assert_close(bags(module, words.reshape(6, 3)), module(words.reshape(6, 3)))


def test_gradients_that_are_scaled_by_frequency_are_refused_by_name() -> None:
    with pytest.raises(SpinodalError, match=r"words \(Embedding\) has scale_grad_by_freq"):
        Landscape(Words(nn.Embedding(7, 4, scale_grad_by_freq=True)), mean_over_words, sentences())


# -- dense Hessians ------------------------------------------------------------------------------


class OfGraph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        out: Tensor = self.second(torch.sparse.mm(edges, torch.tanh(self.first(torch.sparse.mm(edges, x)))))
        return out


def bent_by_inputs(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    slopes = torch.func.vmap(torch.func.jacrev(lambda x: model(x[None])[0]))(batch[0])
    return functional.cross_entropy(model(batch[0]), batch[1]) + 0.1 * slopes.square().mean()


def test_sparse_matrices_have_a_dense_hessian() -> None:
    edges = (torch.rand(SAMPLES, SAMPLES, generator=torch.Generator().manual_seed(0)) < 0.2).float().to_sparse()

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(model(batch[0], batch[2]), batch[1])

    landscape = Landscape(OfGraph(), loss, (*data(), edges))
    theta = landscape.initial
    rows = torch.eye(landscape.size, dtype=torch.float64)
    torch.testing.assert_close(landscape.hessian(theta), landscape.hessian_product(theta, rows), rtol=1e-9, atol=1e-12)


def test_derivatives_by_torch_func_inside_have_a_dense_hessian() -> None:
    landscape = Landscape(net(), bent_by_inputs, data())
    theta = landscape.initial
    rows = torch.eye(landscape.size, dtype=torch.float64)
    torch.testing.assert_close(landscape.hessian(theta), landscape.hessian_product(theta, rows), rtol=1e-9, atol=1e-12)


# -- words ---------------------------------------------------------------------------------------


def test_time_first_is_no_reason_to_say_that_e_is_no_mean_over_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, SAMPLES, 4, generator=generator), torch.randint(0, 2, (6, SAMPLES), generator=generator)
    batches = [(x[:, :15], y[:, :15]), (x[:, 15:], y[:, 15:])]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(model(batch[0])[0].flatten(0, 1), batch[1].flatten())

    torch.manual_seed(0)
    landscape = Landscape(nn.RNN(4, 2), loss, batches)
    assert landscape.batches.sizes == [15, SAMPLES - 15]
    assert landscape.remarks == ()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda model, batch: functional.cross_entropy(model(batch[0].float()), batch[1]), "--dtype float32"),
        (
            lambda model, batch: torch.tensor(float(model(batch[0]).mean().detach()), requires_grad=True),
            "numpy between its outputs",
        ),
    ],
    ids=["cast to single precision", "a number made anew"],
)
def test_what_a_loss_does_wrong_is_refused_with_its_remedy(loss: Callable[..., Tensor], words: str) -> None:
    with pytest.raises(SpinodalError, match=words):
        Landscape(net(), loss, data())


# -- how much a batch weighs, and what a list is -----------------------------------------------------


class Reads(nn.Module):
    """The last state of one sequence, without an axis of samples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.out = nn.GRU(4, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.body(x)[0][-1])
        return out


def one_by_one(kind: Callable[[Tensor], Any]) -> list[tuple[Tensor, Any]]:
    generator = torch.Generator().manual_seed(0)
    lengths, values = (5, 2, 7, 3), torch.randn(4, generator=generator)
    return [(torch.randn(length, 4, generator=generator), kind(value)) for length, value in zip(lengths, values, strict=True)]


def of_number(model: nn.Module, one: tuple[Tensor, Any]) -> Tensor:
    return functional.cross_entropy(model(one[0]), torch.as_tensor(one[1]))


SINGLE: dict[str, tuple[Callable[[Tensor], Any], Callable[[nn.Module, Any], Tensor]]] = {
    "label without an axis": (lambda value: (value > 0).long(), of_number),
    "label that is no tensor": (lambda value: int(value > 0), of_number),
    "value": (lambda value: value, lambda model, one: (model(one[0])[0] - one[1]) ** 2),
    "outputs given an axis": (
        lambda value: (value > 0).long(),
        lambda model, one: functional.cross_entropy(model(one[0])[None], one[1][None]),
    ),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_sequences_one_by_one_weigh_the_same_whatever_their_length(kind: str) -> None:
    made, loss = SINGLE[kind]
    given, model = one_by_one(made), Reads()
    landscape = Landscape(model, loss, given)
    own = copy.deepcopy(model).double()
    exact = [float(loss(own, (x.double(), y.double() if kind == "value" else y)).detach()) for x, y in given]
    assert landscape.batches.weights == [0.25] * 4
    assert landscape.value(landscape.initial) == pytest.approx(sum(exact) / 4, rel=1e-12)


def test_tokens_of_sequences_one_by_one_weigh_the_same() -> None:
    given = [(x, torch.arange(len(x)) % 2) for x, _ in one_by_one(float)]
    landscape = Landscape(net(), cross_entropy, given)
    assert landscape.batches.sizes == [5, 2, 7, 3]


def squares(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0])[..., :1] - batch[1][..., :1]).square().mean()


def test_a_list_of_inputs_and_labels_is_one_batch_where_the_loss_takes_it_as_one() -> None:
    as_tuple, as_list = Landscape(net(), cross_entropy, data()), Landscape(net(), cross_entropy, list(data()))
    assert as_list.value(as_list.initial) == as_tuple.value(as_tuple.initial)
    assert as_list.batches.count == 1
    assert "a list of 2 tensors, are one batch" in " ".join(as_list.remarks)
    assert as_list.batches_of(list(data())).count == 1


def test_a_list_of_tensors_is_a_list_of_batches_where_the_loss_takes_each() -> None:
    halves = list(data()[0].split(SAMPLES // 2))
    of = Landscape(nn.Linear(4, 4), lambda model, x: (model(x) - x).square().mean(), halves)
    assert of.batches.sizes == [SAMPLES // 2] * 2


def test_a_list_that_may_be_either_is_refused() -> None:
    with pytest.raises(SpinodalError, match="with the list and with each of them"):
        Landscape(net(), squares, [data()[0], data()[0].flip(0)])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([data(), (data()[0][:0], data()[1][:0])], "batch 1 is empty"),
        ({"x": data()[0], "mask": data()[0], "labels": data()[1]}, "of 2 tensors, of which nothing tells the inputs"),
        ((*data(), torch.ones(SAMPLES)), "of 3 tensors, of which nothing tells the inputs"),
        (((data()[0], data()[0]), data()[1]), "of 3 tensors, of which nothing tells the inputs"),
    ],
    ids=["an empty batch", "a dict of more", "weights behind labels", "two inputs"],
)
def test_batches_that_are_not_understood_are_refused(given: object, words: str) -> None:
    with pytest.raises(SpinodalError, match=words):
        Landscape(net(), nn.CrossEntropyLoss(), given)


def test_a_loss_of_outputs_and_labels_is_told_what_it_is_called_with() -> None:
    with pytest.raises(SpinodalError, match=r"takes \(model, batch\), not \(outputs, labels\)"):
        Landscape(net(), lambda outputs, labels: (outputs - labels).square().mean(), data())


class OfBatch(nn.Module):
    """A loss of (model, batch) as a module, with class weights."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([1.0, 3.0]))

    def forward(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(network(batch[0]), batch[1], weight=self.weights)


def test_a_loss_that_is_a_module_has_its_weights_in_the_dtype_of_the_model() -> None:
    loss = OfBatch()
    landscape = Landscape(net(), loss, data())
    exact = functional.cross_entropy(net().double()(data()[0].double()), data()[1], weight=loss.weights.double())
    assert landscape.value(landscape.initial) == pytest.approx(float(exact.detach()), rel=1e-12)
    assert loss.weights.dtype == torch.float32


class Clips(nn.Module):
    """A module that clips its weights when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net()

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.body[0].weight.clamp_(-9.0, 9.0)  # type: ignore[operator, union-attr]
        out: Tensor = self.body(x)
        return out


def test_weights_that_are_clipped_in_place_are_named_as_the_cause() -> None:
    with pytest.raises(SpinodalError, match="change no parameter in place"):
        Landscape(Clips(), cross_entropy, data())


class Rows:
    """Samples by their place, as data sets of one's own have them."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return data()[0][place], data()[1][place]


def test_samples_by_their_place_are_known_as_such() -> None:
    with pytest.raises(SpinodalError, match="a data set of single samples"):
        Landscape(net(), cross_entropy, Rows())


# -- what is right -------------------------------------------------------------------------------


def observed(loss: Callable[[nn.Module, Any], Tensor], batch: Any) -> Observation:
    task = Task(net(), loss, batch)
    landscape = task.landscape()
    return Observer(landscape, Penalty(), task)(landscape.initial)


def hardest(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], reduction="none").topk(8).values.mean()


def above(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.relu(functional.cross_entropy(model(batch[0]), batch[1], reduction="none") - 0.6).mean()


@pytest.mark.parametrize("loss", [hardest, above])
def test_entries_that_the_outputs_choose_are_no_mask(loss: Callable[[nn.Module, Any], Tensor]) -> None:
    right = net()(data()[0]).argmax(1) == data()[1]
    assert observed(loss, data()).accuracy["train"] == pytest.approx(float(right.double().mean()), rel=1e-12)


def test_a_mask_in_the_data_is_one() -> None:
    kept = torch.arange(SAMPLES) % 3 > 0

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return (functional.cross_entropy(model(batch[0]), batch[1], reduction="none") * batch[2]).sum() / batch[2].sum()

    right = (net()(data()[0]).argmax(1) == data()[1])[kept]
    assert observed(loss, (*data(), kept.float())).accuracy["train"] == pytest.approx(float(right.double().mean()), rel=1e-12)


def test_two_targets_of_the_same_outputs_have_no_accuracy() -> None:
    def mixed(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        one, other = (functional.cross_entropy(model(batch[0]), target) for target in batch[1:])
        return 0.7 * one + 0.3 * other

    seen = observed(mixed, (*data(), data()[1].flip(0)))
    assert seen.accuracy["train"] is None
    assert "nothing tells which one counts" in str(seen.reading["no_accuracy"])


# -- from the task to the model that is given back ---------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of PyTorch, where a scripted model is copied
@pytest.mark.parametrize(
    ("make", "loss", "batch"),
    [
        (lambda: torch.jit.script(net()), cross_entropy, data()),
        (Recurrent, cross_entropy, data()),
        (lambda: Words(nn.EmbeddingBag(7, 4, padding_idx=0)), cross_entropy, sentences()),
        (Captures, with_features, data()),
    ],
    ids=["scripted", "registered twice", "bags", "captures"],
)
def test_the_module_of_a_phase_has_its_error(make: Callable[[], nn.Module], loss: Callable[..., Tensor], batch: Any) -> None:
    torch.manual_seed(0)
    diagram = map_phases(Task(make(), loss, batch), beta=(0.1, 0.3))
    phase = diagram.phases[0]
    own = diagram.at(phase.beta[0]).module().double()
    error = loss(own, tuple(value.double() if value.is_floating_point() else value for value in batch))
    assert float(error.detach()) == pytest.approx(phase.error[0], rel=1e-5)

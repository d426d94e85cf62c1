"""E is the user's E: what its value, gradient, parts and precision say is compared, and disagreement is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from losses import cross_entropy
from spinodal.curvature import scalar_curvature
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.consistency import parts_are_whole
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import prepare
from spinodal.minima.minimise import minimise
from spinodal.tasks import Task, gaussian

SAMPLES = 30


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


def net(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), *between, nn.Linear(5, 2))


def refusal(model: nn.Module, loss: Callable[..., Tensor] = cross_entropy, given: object = None) -> str:
    with pytest.raises(SpinodalError) as caught:
        Landscape(model, loss, data() if given is None else given).require_second_derivatives()
    return str(caught.value)


# -- one evaluation ----------------------------------------------------------------------------


class Pooled(nn.Module):
    """An encoder whose fast path under `torch.no_grad` differs at padded positions, pooled over all of them."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.1, batch_first=True, activation="gelu")
        self.encoder, self.out = nn.TransformerEncoder(layer, 1, enable_nested_tensor=True), nn.Linear(4, 2)

    def forward(self, x: Tensor, pad: Tensor) -> Tensor:
        out: Tensor = self.out(self.encoder(x, src_key_padding_mask=pad).mean(1))
        return out


def padded() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 6, 4, generator=generator)
    length = torch.randint(2, 7, (12,), generator=generator)
    return {"x": x, "pad": torch.arange(6)[None] >= length[:, None], "labels": (x[:, 0, 0] > 0).long()}


def pooled(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch["x"], batch["pad"]), batch["labels"])


def test_a_model_with_a_fast_path_has_one_value_and_the_other_is_said() -> None:
    model = Pooled().eval()
    landscape = Landscape(model, pooled, padded())
    theta = landscape.initial
    exact = model.double()
    batch = {key: value.double() if value.is_floating_point() else value for key, value in padded().items()}
    plain = float(pooled(exact, batch).detach())
    with torch.no_grad():
        assert landscape.value(theta) == landscape.value_and_gradient(theta)[0] == pytest.approx(plain, rel=1e-12)
    assert any("under torch.no_grad this model computes another function" in remark for remark in landscape.remarks)


def residual(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
    """Of `u' + u = sin t`, `u(0) = 1`: a loss that differentiates inside."""
    t = batch[0].detach().requires_grad_(True)
    u = model(t)
    (rate,) = torch.autograd.grad(u.sum(), t, create_graph=True)
    return (rate + u - torch.sin(t)).square().mean() + (model(torch.zeros_like(t[:1])) - 1.0).square().mean()


def test_a_loss_that_differentiates_inside_has_value_hessian_and_minimum() -> None:
    t = torch.linspace(0.0, 3.0, 20, dtype=torch.float64)[:, None]
    landscape = Landscape(nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)), residual, (t,))
    theta = landscape.initial
    exact = torch.autograd.functional.hessian(lambda point: landscape.call(point, next(iter(landscape.batches))), theta)
    torch.testing.assert_close(landscape.hessian(theta), exact, rtol=1e-12, atol=1e-12)
    assert landscape.value(theta) == landscape.value_and_gradient(theta)[0]
    assert minimise(landscape, beta=1e-3, start=theta).converged


def test_models_lent_inside_one_another_keep_their_thetas() -> None:
    landscape = gaussian(hidden=(3,), samples=10).landscape()
    one = landscape.initial
    two, three = 2.0 * one, 3.0 * one
    inputs = torch.ones(1, 3, dtype=torch.float64)
    alone = {}
    for name, theta in {"one": one, "two": two, "three": three}.items():
        with landscape.at(theta) as model:
            alone[name] = model(inputs).tolist()
    with landscape.at(one) as outer:
        with landscape.at(two) as inner:
            assert landscape.value(three) == landscape.uncounted_value(three)
            with landscape.at(three) as innermost:
                seen = [model(inputs).tolist() for model in (outer, inner, innermost, outer, inner)]
            landscape.gradient(two)
            assert [outer(inputs).tolist(), inner(inputs).tolist()] == seen[:2]
        with landscape.at(one) as again:
            assert again(inputs).tolist() == outer(inputs).tolist()
    assert seen == [alone[name] for name in ("one", "two", "three", "one", "two")]


def test_nested_borrowers_have_their_own_theta() -> None:
    landscape = Landscape(net(), cross_entropy, data())
    theta = landscape.initial
    with landscape.at(theta) as model:
        landscape.value(2.0 * theta)
        assert torch.equal(landscape.vector(model), theta)


# -- gradients that are none -------------------------------------------------------------------


class Sign(torch.autograd.Function):
    """The sign, straight through."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        return value.sign()

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return gradient


class Reverse(torch.autograd.Function):
    """The identity, with its gradient reversed."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return -gradient


class Applied(nn.Module):
    """A function between two layers."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


NO_GRADIENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "a sign, straight through": Sign.apply,
    "a rounding, straight through": lambda x: x + (torch.round(8 * x) / 8 - x).detach(),
    "a reversed gradient": Reverse.apply,
    "a gradient of half its size": lambda x: 0.5 * x + (0.5 * x).detach(),
    "a gradient larger by a hundredth": lambda x: 1.01 * x - (0.01 * x).detach(),
    "a stopped gradient": lambda x: x.detach(),
}


@pytest.mark.parametrize("case", NO_GRADIENTS)
@pytest.mark.parametrize("given", [data(), [tuple(part[:20] for part in data()), tuple(part[20:] for part in data())]])
def test_a_gradient_that_is_not_that_of_the_value_is_refused_and_its_tensors_named(case: str, given: object) -> None:
    text = refusal(net(Applied(NO_GRADIENTS[case])), given=given)
    assert "the gradient of E is not that of its value" in text
    assert "0.weight" in text
    assert "straight-through" in text


@pytest.mark.parametrize("kinked", [nn.ReLU, nn.LeakyReLU, nn.Hardtanh, nn.ReLU6])
@pytest.mark.parametrize("width", [5, 200])
def test_kinks_are_no_reason_to_refuse(kinked: type[nn.Module], width: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, width), kinked(), nn.Linear(width, width), kinked(), nn.Linear(width, 2))
    for dtype in (torch.float64, torch.float32):
        landscape = Landscape(model, cross_entropy, data(), dtype=dtype)
        landscape.require_second_derivatives()
        (remark,) = landscape.remarks
        assert remark.startswith("E is only piecewise smooth")


class OwnSquare(torch.autograd.Function):
    """A square whose first derivative is right, and whose second is symmetric but half of what it is."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.square()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * (value + value.detach())


def test_symmetric_second_derivatives_that_are_not_those_of_the_gradient_are_refused() -> None:
    assert "the second derivatives of E are not" in refusal(net(Applied(OwnSquare.apply)))


# -- precision ---------------------------------------------------------------------------------


class RootMeanSquare(nn.Module):
    """A normalisation that works in single precision, as language models have it."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def in_single(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]).float(), batch[1])


def in_bfloat16(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]).bfloat16().double(), batch[1])


@pytest.mark.parametrize(
    ("model", "loss", "where", "remedy"),
    [
        (net(RootMeanSquare()), cross_entropy, "2 (RootMeanSquare) computes in float32", "--dtype float32"),
        (net(), in_single, "the loss computes in float32", "--dtype float32"),
        (net(), in_bfloat16, "the loss computes in bfloat16", "dtype of its input"),
    ],
)
def test_a_lower_precision_inside_is_named_with_its_remedy(
    model: nn.Module, loss: Callable[..., Tensor], where: str, remedy: str
) -> None:
    text = refusal(model, loss)
    assert where in text
    assert remedy in text


def test_single_precision_inside_serves_a_landscape_of_single_precision() -> None:
    landscape = Landscape(net(RootMeanSquare()), cross_entropy, data(), dtype=torch.float32)
    landscape.require_second_derivatives()
    assert landscape.gradient(landscape.initial).any()


def test_a_constant_in_single_precision_is_no_staircase() -> None:
    table = torch.linspace(0.0, 1.0, 5)
    landscape = Landscape(net(Applied(lambda x: x + table)), cross_entropy, data())
    landscape.require_second_derivatives()
    assert landscape.gradient(landscape.initial).any()


# -- parts and the whole -----------------------------------------------------------------------

COUNTS = (301, 59, 7)  # no number of parts divides them all


def sorted_by_class() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.full((count,), index) for index, count in enumerate(COUNTS)])
    return torch.randn(len(labels), 4, generator=generator) + labels[:, None], labels


def weighted(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    weight = torch.tensor([sum(COUNTS) / (3 * count) for count in COUNTS])
    return functional.cross_entropy(model(batch[0]), batch[1], weight=weight.to(batch[0]))


def three_classes() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def test_class_weights_over_sorted_data_are_never_taken_in_parts() -> None:
    landscape = Landscape(three_classes(), weighted, sorted_by_class())
    assert landscape.split(landscape.initial, pieces=4) is None
    mean = Landscape(three_classes(), cross_entropy, sorted_by_class())
    assert mean.split(mean.initial, pieces=4) is not None


def test_a_large_batch_of_weighted_sorted_classes_keeps_its_error_whatever_the_memory() -> None:
    x, labels = (part.repeat_interleave(20, 0) for part in sorted_by_class())
    model = three_classes()
    whole = float(weighted(model.double(), (x.double(), labels)).detach())
    landscape = Landscape(model, weighted, (x, labels), memory=2**20)
    assert landscape.value(landscape.initial) == pytest.approx(whole, rel=1e-12)
    assert landscape.batches.count == 1
    assert Landscape(model, cross_entropy, (x, labels), memory=2**20).batches.count > 1


def test_two_cuts_agree_where_e_is_a_mean_and_only_there() -> None:
    for loss, agree in ((cross_entropy, True), (weighted, False)):
        landscape = Landscape(three_classes(), loss, sorted_by_class())
        one, other = (landscape.batches.split(pieces, 10**6) for pieces in (3, 4))
        assert one is not None
        assert other is not None
        assert parts_are_whole(landscape, one, other, landscape.initial) is agree


def test_a_loss_that_is_no_mean_over_samples_is_remarked_on_where_there_are_several_batches() -> None:
    x, labels = sorted_by_class()
    several = [(x[:200], labels[:200]), (x[200:], labels[200:])]
    (remark,) = Landscape(three_classes(), weighted, several).remarks
    assert "no mean over its samples" in remark
    assert Landscape(three_classes(), cross_entropy, several).remarks == ()


def test_the_curvature_of_weighted_sorted_classes_is_that_of_the_whole() -> None:
    landscape = Landscape(three_classes(), weighted, sorted_by_class())
    theta = landscape.initial
    exact = scalar_curvature(landscape, theta, method="dense").value
    found = scalar_curvature(landscape, theta, method="probes", budget=100)
    assert abs(found.value - exact) <= 5.0 * found.stderr + 1e-9 * abs(exact)


# -- what models bring along -------------------------------------------------------------------


class Bag(nn.Module):
    """Words, averaged."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(9, 4, **options), nn.Linear(4, 2)  # type: ignore[arg-type]

    def forward(self, words: Tensor) -> Tensor:
        out: Tensor = self.out(self.words(words).mean(1))
        return out


def words() -> tuple[Tensor, Tensor]:
    return torch.randint(0, 9, (SAMPLES, 3), generator=torch.Generator().manual_seed(0)), data()[1]


def test_sparse_embeddings_have_the_gradient_of_dense_ones() -> None:
    torch.manual_seed(0)
    sparse = Landscape(Bag(sparse=True), cross_entropy, words())
    torch.manual_seed(0)
    dense = Landscape(Bag(), cross_entropy, words())
    assert torch.equal(sparse.gradient(sparse.initial), dense.gradient(dense.initial))


def test_an_embedding_that_rescales_itself_is_refused() -> None:
    assert "words (Embedding) has max_norm" in refusal(Bag(max_norm=1.0), given=words())


class Moving(nn.Module):
    """A layer that changes its own weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.layer.weight.clamp_(-0.1, 0.1)
        out: Tensor = self.layer(x)
        return out


def test_a_model_that_changes_its_parameters_is_refused_by_their_names() -> None:
    assert "evaluating the loss changed layer.weight" in refusal(Moving())


class Remembering(nn.Module):
    """A layer that adds what it gave before."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.before = nn.Linear(4, 2), None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) if self.before is None else self.layer(x) + self.before
        self.before = out  # type: ignore[assignment]
        return out


def test_activations_kept_from_call_to_call_are_named_as_the_cause() -> None:
    assert "keeps from call to call" in refusal(Remembering())


class Recomputing(nn.Module):
    """Layers whose activations are computed again for the gradient, when substituted parameters are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(self.body, x, use_reentrant=False)
        return out


def test_recomputed_activations_are_refused_by_name() -> None:
    assert "turn off the recomputation of activations" in refusal(Recomputing())


def test_the_row_of_padding_is_a_constant_as_in_training() -> None:
    landscape = Landscape(Bag(padding_idx=2), cross_entropy, words())
    theta = torch.randn(landscape.size, dtype=torch.float64)
    moved = landscape.parameters.unflatten(theta.clone())
    moved["words.weight"][2] += 1.0
    elsewhere = torch.cat([value.reshape(-1) for value in moved.values()])
    assert landscape.value(elsewhere) == landscape.value(theta)
    assert not landscape.parameters.unflatten(landscape.gradient(theta))["words.weight"][2].any()


def test_a_module_that_was_called_before_is_copied_with_what_it_kept() -> None:
    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = nn.Linear(4, 2), None

        def forward(self, x: Tensor) -> Tensor:
            self.seen = self.layer(x)
            return self.seen

    model = Watching()
    model(data()[0])
    assert Landscape(model, cross_entropy, data()).size == 10


def test_a_lazy_module_is_refused_until_it_was_called() -> None:
    model = nn.Sequential(nn.LazyLinear(5), nn.Tanh(), nn.LazyLinear(2))
    assert "has no shape yet (a lazy module)" in refusal(model)
    model(data()[0])
    assert Landscape(model, cross_entropy, data()).size == 37


@pytest.mark.parametrize(
    "wrap",
    [
        torch.compile,
        nn.DataParallel,
        lambda model: nn.Sequential(torch.compile(model[0]), *model[1:]),
        lambda model: torch.compile(nn.DataParallel(model)),
    ],
    ids=["compiled", "parallel", "compiled inside", "both"],
)
def test_wrapped_modules_are_the_modules_they_wrap(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = net()
    plain, wrapped = Task(model, cross_entropy, data()), Task(wrap(model), cross_entropy, data())
    one, other = plain.landscape(), wrapped.landscape()
    assert [slot.name for slot in other.parameters.slots] == [slot.name for slot in one.parameters.slots]
    assert torch.equal(one.hessian(one.initial), other.hessian(other.initial))
    assert torch.equal(plain.initial(3), wrapped.initial(3))


def test_a_loss_with_trainable_parameters_of_something_else_is_refused() -> None:
    model = net()

    def penalised(own: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return cross_entropy(own, batch) + sum(value.square().sum() for value in model.parameters())

    assert "a trainable parameter of shape" in refusal(model, penalised)


# -- criteria ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(),
        functional.cross_entropy,
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]), label_smoothing=0.1),
        nn.MultiMarginLoss(),
    ],
    ids=["module", "function", "with buffers", "margin"],
)
@pytest.mark.parametrize("form", [tuple, dict], ids=["tuple", "dict"])
def test_a_criterion_is_taken_as_the_loss_of_outputs_and_labels(criterion: Callable[..., Tensor], form: type) -> None:
    x, labels = data()
    batch = (x, labels) if form is tuple else {"input": x, "labels": labels}
    model = net()
    task = Task(model, criterion, batch)
    landscape = task.landscape()
    own = criterion.double() if isinstance(criterion, nn.Module) else criterion
    exact = float(own(model.double()(x.double()), labels).detach())
    assert landscape.value(landscape.initial) == pytest.approx(exact, rel=1e-12)
    assert any("(model(inputs), labels)" in remark for remark in landscape.remarks)


@pytest.mark.parametrize(
    ("criterion", "given", "text"),
    [
        (nn.CrossEntropyLoss(reduction="sum"), data(), "reduction 'sum'"),
        (nn.CrossEntropyLoss(), data()[0], "a batch of one tensor"),
        (nn.CrossEntropyLoss(), {"x": data()[0], "z": data()[1]}, "a dict batch with the entries x, z"),
        (nn.Sequential(nn.Linear(2, 1)), data(), "trainable parameters, which are none of the model's"),
    ],
)
def test_a_criterion_that_cannot_be_applied_is_refused(criterion: nn.Module, given: object, text: str) -> None:
    with pytest.raises(SpinodalError) as caught:
        Task(net(), criterion, given).landscape()
    assert text in str(caught.value)


# -- the price ---------------------------------------------------------------------------------


def test_the_checks_before_the_first_step_cost_at_most_twelve_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    total, share = 100, [1.0]
    evaluations, gradients = [], []
    plain = torch.autograd.grad
    x = torch.randn(total, 4)

    def grad(*arguments: object, **options: object) -> object:
        gradients.append(share[0])
        return plain(*arguments, **options)  # type: ignore[arg-type]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        share[0] = len(batch[0]) / total  # of the sample, that this evaluation and the gradients of it are over
        evaluations.append(share[0])
        return cross_entropy(model, batch)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    task = Task(net(), loss, (x, (x[:, 0] > 0).long()))
    task.landscape()
    assert sum(gradients) + 0.4 * (sum(evaluations) - sum(gradients)) <= 7.0
    evaluations.clear()
    gradients.clear()
    prepare(task, MapOptions())
    assert sum(gradients) + 0.4 * max(sum(evaluations) - sum(gradients), 0.0) <= 12.0

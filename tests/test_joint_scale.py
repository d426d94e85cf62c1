"""Scales that E does not feel, of single blocks and of many at once: named, with a mask under which L has a minimiser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import spinodal as sp
from losses import squared
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.tasks import Task

WIDTH = 6


class PreNorm(nn.Module):
    """A stream to which blocks add what they make of the normalised stream."""

    def __init__(self, final: nn.Module, activation: nn.Module | None = None, depth: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(3, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(depth))
        self.read = nn.ModuleList(nn.Linear(WIDTH, 5) for _ in range(depth))
        self.write = nn.ModuleList(nn.Linear(5, WIDTH) for _ in range(depth))
        self.activation, self.final, self.head = activation or nn.GELU(), final, nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.embed(x)
        for norm, read, write in zip(self.norms, self.read, self.write, strict=True):
            stream = stream + write(self.activation(read(norm(stream))))
        return self.head(self.final(stream))


class Transformer(nn.Module):
    """An encoder with the normalisation first, and one at its end."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, 0.0, batch_first=True, norm_first=True, activation="gelu")
        self.embed, self.place = nn.Embedding(5, 4), nn.Parameter(torch.randn(3, 4))
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(4), enable_nested_tensor=False)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x) + self.place)[:, 0])


STREAM = {"embed.weight", "embed.bias"} | {f"write.{k}.{part}" for k in (0, 1) for part in ("weight", "bias")}
WRITERS = ("self_attn.out_proj", "linear2")
ENCODER = {"embed.weight", "place"} | {
    f"encoder.layers.{k}.{writer}.{part}" for k in (0, 1) for writer in WRITERS for part in ("weight", "bias")
}


VALUES = {f"encoder.layers.{k}.self_attn.in_proj_{part}" for k in (0, 1) for part in ("weight", "bias")}


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 3, generator=generator), torch.randn(40, 2, generator=generator)


def words() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 5, (20, 3), generator=generator), torch.randn(20, 2, generator=generator)


def landscape_of(net: nn.Module) -> sp.Landscape:
    return sp.Landscape(net, squared, words() if isinstance(net, Transformer) else data())


def offered(error: sp.SpinodalError) -> list[str]:
    """Return the names of the mask that a refusal offers."""
    return re.findall(r"'([^']+)'", error.do)


NETS: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    "layer norm at the end": (lambda: PreNorm(nn.LayerNorm(WIDTH)), STREAM),
    "rms norm at the end": (lambda: PreNorm(nn.RMSNorm(WIDTH)), STREAM),
    "group norm at the end": (lambda: PreNorm(nn.GroupNorm(1, WIDTH)), STREAM),
    "transformer": (Transformer, ENCODER),
}


@pytest.mark.parametrize("case", NETS)
def test_the_stream_of_a_pre_norm_network_is_named_with_all_that_writes_to_it(case: str) -> None:
    torch.manual_seed(0)
    net, expected = NETS[case][0](), NETS[case][1]
    landscape = landscape_of(net)
    assert set(min(landscape.joint_blocks, key=len)) == expected
    with pytest.raises(sp.SpinodalError, match="effective learning rate") as caught:
        refuse_scale_invariance(landscape, sp.Penalty())
    assert set(offered(caught.value)) == expected | (VALUES if case == "transformer" else set())


def test_values_that_attention_keeps_with_queries_and_keys_could_shrink_in_place_of_what_reads_them() -> None:
    torch.manual_seed(0)
    net = Transformer()
    landscape = landscape_of(net)
    assert {*VALUES} <= {name for block in landscape.joint_blocks for name in block}
    writers_alone = Task(net, squared, words(), exclude=sorted(ENCODER)).penalty(landscape)
    with pytest.raises(sp.SpinodalError, match="common scale"):
        refuse_scale_invariance(landscape, writers_alone)


def test_a_frozen_member_of_a_block_gives_the_others_a_scale() -> None:
    torch.manual_seed(0)
    net = PreNorm(nn.LayerNorm(WIDTH))
    net.embed.requires_grad_(False)
    landscape = landscape_of(net)
    assert landscape.joint_blocks == ()
    refuse_scale_invariance(landscape, sp.Penalty())


@pytest.mark.parametrize("case", NETS)
def test_a_network_has_a_minimiser_under_the_mask_that_is_offered(case: str) -> None:
    torch.manual_seed(0)
    net = NETS[case][0]()
    landscape = landscape_of(net)
    with pytest.raises(sp.SpinodalError) as caught:
        refuse_scale_invariance(landscape, sp.Penalty())
    batch = words() if isinstance(net, Transformer) else data()
    penalty = Task(net, squared, batch, exclude=offered(caught.value)).penalty(landscape)
    minimum = sp.minimise(landscape, beta=1.0, start=landscape.initial, penalty=penalty, solver="lbfgs")
    assert minimum.converged


def test_with_relu_the_mask_holds_what_could_shrink_in_place_of_the_stream() -> None:
    torch.manual_seed(0)
    net = PreNorm(nn.LayerNorm(WIDTH), nn.ReLU())
    landscape = landscape_of(net)
    with pytest.raises(sp.SpinodalError, match="other sets of parameters") as caught:
        refuse_scale_invariance(landscape, sp.Penalty())
    names = offered(caught.value)
    assert set(names) >= STREAM
    assert {"read.0.weight", "read.1.weight"} <= set(names)  # they shrink while what writes grows, unless both are left out
    refuse_scale_invariance(landscape, Task(net, squared, data(), exclude=names).penalty(landscape))
    with pytest.raises(sp.SpinodalError):
        refuse_scale_invariance(landscape, Task(net, squared, data(), exclude=sorted(STREAM)).penalty(landscape))


@pytest.mark.parametrize(
    "net",
    [
        PreNorm(nn.Identity()),
        nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)),
        nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)),
        nn.Sequential(nn.Linear(3, 5, bias=False), nn.Linear(5, 5, bias=False), nn.Linear(5, 2, bias=False)),
        nn.Sequential(nn.Linear(3, 5), nn.Softplus(), nn.LayerNorm(5), nn.Linear(5, 2)),
    ],
    ids=["no norm at the end", "tanh", "relu", "deep linear", "norm behind an activation"],
)
def test_networks_that_feel_every_scale_have_no_such_block(net: nn.Module) -> None:
    landscape = landscape_of(net)
    assert landscape.joint_blocks == ()
    refuse_scale_invariance(landscape, sp.Penalty())


class Directed(nn.Module):
    """A layer with weight norm: `g v / |v|` for every row."""

    def __init__(self) -> None:
        super().__init__()
        self.direction, self.length = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.length[:, None] * functional.normalize(self.direction, dim=1)).T


SINGLE: dict[str, tuple[Callable[[], nn.Module], str | None]] = {
    "LayerNorm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)), "0.*"),
    "RMSNorm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4), nn.Tanh(), nn.Linear(4, 2)), "0.*"),
    "GroupNorm": (lambda: nn.Sequential(nn.Linear(3, 8), nn.GroupNorm(2, 8), nn.Tanh(), nn.Linear(8, 2)), "0.*"),
    "weight norm": (lambda: nn.Sequential(Directed(), nn.Tanh(), nn.Linear(4, 2)), "0.direction"),
    "InstanceNorm": (
        lambda: nn.Sequential(
            nn.Linear(3, 12), nn.Unflatten(1, (4, 3)), nn.InstanceNorm1d(4), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)
        ),
        "0.*",
    ),
    "spectral norm": (
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 2)).eval(),
        "0.parametrizations.weight.*",
    ),
    "LayerNorm first": (lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), None),
    "BatchNorm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).eval(), None),
}
STATEFUL: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "BatchNorm": (lambda: nn.BatchNorm1d(4), r"1 \(BatchNorm1d\) uses batch statistics in training mode"),
    "BatchNorm without memory": (lambda: nn.BatchNorm1d(4, track_running_stats=False), "uses batch statistics"),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(4, 4)), "E is not a function of theta"),
}


@pytest.mark.parametrize("case", SINGLE)
def test_every_kind_of_normalisation_works_under_the_mask_that_it_needs(case: str) -> None:
    torch.manual_seed(0)
    net, pattern = SINGLE[case][0](), SINGLE[case][1]
    landscape = landscape_of(net)
    if pattern is not None:
        with pytest.raises(sp.SpinodalError) as caught:
            refuse_scale_invariance(landscape, sp.Penalty())
        assert offered(caught.value) == [pattern]
    penalty = Task(net, squared, data(), exclude=() if pattern is None else pattern).penalty(landscape)
    assert sp.minimise(landscape, beta=0.5, start=landscape.initial, penalty=penalty).converged


@pytest.mark.parametrize("case", STATEFUL)
def test_what_learns_statistics_as_it_is_called_is_refused_in_training_mode(case: str) -> None:
    torch.manual_seed(0)
    made, cause = STATEFUL[case]
    with pytest.raises(sp.SpinodalError, match=cause):
        landscape_of(nn.Sequential(nn.Linear(3, 4), made(), nn.Tanh(), nn.Linear(4, 2)).train())


def test_the_weight_norm_of_pytorch_is_refused_as_it_is_differentiated_twice_wrongly() -> None:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 2))
    landscape = landscape_of(net)
    penalty = Task(net, squared, data(), exclude="0.parametrizations.weight.original1").penalty(landscape)
    with pytest.raises(sp.SpinodalError, match="replace weight_norm"):
        sp.minimise(landscape, beta=0.5, start=landscape.initial, penalty=penalty)

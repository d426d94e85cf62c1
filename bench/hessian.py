"""Cost of gradients, Hessian products and dense Hessians.

    python bench/hessian.py                 # about a minute on one thread
    python bench/hessian.py --quick         # few repeats, without the network of 500 thousand parameters

Three tables. (1) Gradient, Hessian product at a new theta, product of a reused operator, and the
gradients of four points one by one and by `vmap`, at about 50, 400 and 500 thousand parameters;
bar: a product costs at most 3 gradients (aim 2.4). (2) The dense Hessian of a net of 385 parameters
by the method that `Landscape.hessian` chooses, by vectorised products, and by the loop over
parameters that one would write first; bars: 60 ms at 200 samples, 250 ms at 1,000, one thread.
(3) The same by the chosen method for several sizes of its intermediates (`CACHE_BYTES`).

Times are medians of repeats, the competitors taking turns, so that a busy machine slows all alike:
read the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from hardware import print_table
from script import run
from torch import Tensor, nn

from spinodal import Landscape
from spinodal.landscape import hessian as dense
from spinodal.tasks.gaussian import network, squared_error

NETS = (([3, 4, 4, 2], torch.float64), ([6, 13, 13, 8], torch.float64), ([784, 500, 200, 10], torch.float32))
DENSE = [6, 13, 13, 8]  # 385 parameters
BARS = {200: "60 ms", 1000: "250 ms"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--repeats", type=int, default=15, help="repeats of every measurement (default 15)")
    parser.add_argument("--quick", action="store_true", help="3 repeats, small networks only")


def main(options: argparse.Namespace) -> None:
    """Print the three tables."""
    repeats = 3 if options.quick else options.repeats
    print("\nGradients and products, 1,000 samples, tanh; bar: product <= 3 gradients (aim 2.4)\n")
    products(NETS[:2] if options.quick else NETS, repeats)
    print(f"\nDense Hessian, {'-'.join(map(str, DENSE))}, {landscape(DENSE, 200).size} parameters, float64\n")
    dense_hessians(repeats)
    print("\nDense Hessian at 1,000 samples by size of the intermediates\n")
    cache_sizes(repeats)


def landscape(widths: list[int], samples: int, dtype: torch.dtype = torch.float64) -> Landscape:
    """Return the squared error of a tanh net on random data."""
    torch.manual_seed(0)
    data = torch.randn(samples, widths[0]), torch.randn(samples, widths[-1])
    return Landscape(network(widths, nn.Tanh, bias=True), squared_error, data, dtype=dtype)


def medians(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of every function; they take turns, after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def products(nets: tuple[tuple[list[int], torch.dtype], ...], repeats: int) -> None:
    """Print the cost of products in gradients."""
    header = ["net", "parameters", "gradient ms", "product ms", "product / gradient", "reused / gradient", "vmap / one by one"]
    rows = []
    for widths, dtype in nets:
        net = landscape(widths, 1000, dtype)
        inner = max(1, 20_000 // net.size)  # several calls per timing where one is too short to time
        seconds = medians(_contestants(net, inner), repeats)
        gradient = seconds["gradient"]
        rows.append(
            [
                "-".join(map(str, widths)) + f" {str(dtype).removeprefix('torch.')}",
                f"{net.size:,}",
                f"{1e3 * gradient / inner:.3f}",
                f"{1e3 * seconds['product'] / inner:.3f}",
                f"{seconds['product'] / gradient:.2f}",
                f"{seconds['reused'] / gradient:.2f}",
                f"{seconds['vmap'] / seconds['one by one']:.2f}",
            ]
        )
    print_table(header, rows)


def _contestants(net: Landscape, inner: int) -> dict[str, Callable[[], object]]:
    theta = net.initial
    vector = torch.randn_like(theta)
    thetas = theta + 0.1 * torch.randn(4, net.size, dtype=theta.dtype)
    operator, batch = net.hessian_operator(theta), next(iter(net.batches))
    gradients = torch.func.vmap(torch.func.grad(lambda point: net.call(point, batch)))

    def repeated(function: Callable[[], object]) -> Callable[[], object]:
        return lambda: [function() for _ in range(inner)]

    return {
        "gradient": repeated(lambda: net.gradient(theta)),
        "product": repeated(lambda: net.hessian_product(theta, vector)),
        "reused": repeated(lambda: operator(vector)),
        "one by one": lambda: net.values_and_gradients(thetas),
        "vmap": lambda: gradients(thetas),
    }


def dense_hessians(repeats: int) -> None:
    """Print the cost of a dense Hessian by three methods."""
    rows = []
    for samples in (200, 1000):
        net = landscape(DENSE, samples)
        theta = net.initial
        contestants: dict[str, Callable[[], object]] = {
            net.hessian_method.name: lambda net=net, theta=theta: net.hessian(theta),
            "vectorised products only": lambda net=net, theta=theta: dense.Vectorised().dense(net, theta),
        }
        if samples == 200:
            contestants["loop over parameters"] = lambda net=net, theta=theta: looped(net, theta)
        seconds = medians({"gradient": lambda net=net, theta=theta: net.gradient(theta), **contestants}, repeats)
        for index, name in enumerate(contestants):
            label = f"`Landscape.hessian`: {name}" if index == 0 else name
            bar = BARS[samples] if index == 0 else ""
            rows.append([str(samples), label, f"{1e3 * seconds[name]:.1f}", f"{seconds[name] / seconds['gradient']:.0f}", bar])
    print_table(["samples", "method", "ms", "in gradients", "bar"], rows)


def looped(net: Landscape, theta: Tensor) -> Tensor:
    """Return the dense Hessian row by row: one backward pass through the gradient per parameter."""
    leaf = theta.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(net.call(leaf, next(iter(net.batches))), leaf, create_graph=True)
    return torch.stack([torch.autograd.grad(slope, leaf, retain_graph=True)[0] for slope in gradient])


def cache_sizes(repeats: int) -> None:
    """Print how the size of the factorised method's intermediates matters."""
    net, given = landscape(DENSE, 1000), dense.CACHE_BYTES

    def with_bytes(size: int) -> Callable[[], object]:
        def run() -> Tensor:
            dense.CACHE_BYTES = size
            return net.hessian(net.initial)

        return run

    seconds = medians({f"{2**power / 1024:g}": with_bytes(2**power * 1024) for power in (8, 10, 11, 12, 14)}, repeats)
    dense.CACHE_BYTES = given
    names = list(seconds)
    print_table(["MiB", *names], [["ms", *(f"{1e3 * seconds[name]:.1f}" for name in names)]])
    print(f"\nin use: {given / 2**20:g} MiB")


if __name__ == "__main__":
    run(main, arguments)

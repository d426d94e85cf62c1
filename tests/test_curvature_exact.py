"""Exact curvature: closed forms first, a Riemann tensor built from the metric second, invariances third."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

import spinodal as sp
from losses import cross_entropy
from riemann import riemann
from spinodal.curvature.gauss import (
    LogValue,
    gauss_kronecker,
    mean_curvature,
    principal_curvatures,
    ricci,
    sectional_curvature,
)
from spinodal.curvature.surface import Surface
from spinodal.errors import SpinodalError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch's own, in torch.func.jacfwd

EXACT, BRUTE_FORCE = 1e-12, 1e-8  # relative
Function = Callable[..., Tensor]


class Coordinates(nn.Module):
    """Parameters x0, x1, ..., one number each."""

    def __init__(self, count: int) -> None:
        super().__init__()
        for place in range(count):
            self.register_parameter(f"x{place}", nn.Parameter(torch.zeros((), dtype=torch.float64)))


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def landscape_of(function: Function, point: Tensor) -> sp.Landscape:
    model = Coordinates(len(point))
    for parameter, number in zip(model.parameters(), point, strict=True):
        parameter.data.fill_(float(number))
    return sp.Landscape(model, lambda model, batch: function(*model.parameters()), None)


def surface(function: Function, point: Tensor, beta: float = 0.0, penalty: sp.Penalty | None = None) -> Surface:
    return Surface.at(landscape_of(function, point), point, beta=beta, penalty=penalty)


def close(value: float, exact: float, tolerance: float = EXACT) -> bool:
    return abs(value - exact) <= tolerance * abs(exact)


# -- closed forms ---------------------------------------------------------------------------------


def hemisphere(radius: float) -> Function:
    return lambda *x: -(radius**2 - sum(t * t for t in x)).sqrt()


def bowl(a: float) -> Function:
    return lambda *x: a / 2 * sum(t * t for t in x)


def catenoid(x: Tensor, y: Tensor) -> Tensor:
    return torch.acosh((x * x + y * y).sqrt())


def monkey_saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**3 - 3 * x * y * y


def cubic(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return x**3 * y + 2 * y * y * z - x * z * z + x * y * z + z**3 / 3 + y - 2 * x


def chain(*w: Tensor) -> Tensor:
    return (1 - torch.stack(w).prod()) ** 2 / 2


POINTS = [vector(0.3), vector(0.3, -0.8), vector(0.3, -0.8, 0.5), vector(0.3, -0.1, 0.2, 0.6, -0.4, 0.7, 0.1, 0.5)]


@pytest.mark.parametrize("radius", [1.4, 30.0])
@pytest.mark.parametrize("point", POINTS, ids=len)
def test_a_sphere_bends_alike_everywhere_and_in_every_direction(point: Tensor, radius: float) -> None:
    n, sphere = len(point), surface(hemisphere(radius), point)
    assert close(sphere.ricci(), n * (n - 1) / radius**2)
    assert close(sphere.gauss_kronecker().value, radius**-n)
    assert close(sphere.mean(), 1 / radius)
    assert torch.allclose(sphere.principal(), torch.full((n,), 1 / radius, dtype=torch.float64), rtol=EXACT, atol=0)
    if n > 1:
        assert close(sphere.sectional(torch.ones(n), torch.arange(n)), radius**-2)


@pytest.mark.parametrize("a", [0.05, -1.3, 40.0])
@pytest.mark.parametrize("point", POINTS, ids=len)
def test_a_quadratic_has_its_closed_form(point: Tensor, a: float) -> None:
    n, r2 = len(point), float(point @ point)
    w2 = 1 + a * a * r2
    exact = a * a * n * (n - 1) / w2 - 2 * a**4 * r2 * (n - 1) / w2**2
    found = surface(bowl(a), point)
    assert close(found.ricci(), exact)
    assert close(found.gauss_kronecker().value, a**n / w2 ** ((n + 2) / 2))
    assert close(found.mean(), (n * a - a**3 * r2 / w2) / (n * math.sqrt(w2)))


@pytest.mark.parametrize("point", [vector(0.9, 1.1), vector(-2.0, 0.3), vector(1.0, 7.0)], ids=str)
def test_surfaces_of_textbooks_have_their_closed_forms(point: Tensor) -> None:
    r2 = float(point @ point)
    minimal = surface(catenoid, point)
    assert close(minimal.ricci(), -2 / r2**2)
    assert abs(minimal.mean()) <= EXACT / r2
    helicoid = surface(lambda x, y: torch.atan(y / x), point)
    assert close(helicoid.ricci(), -2 / (1 + r2) ** 2)
    assert abs(helicoid.mean()) <= EXACT / r2


def test_polynomials_have_their_rational_values() -> None:
    assert close(surface(monkey_saddle, vector(1, 1)).ricci(), -144 / 1369)
    assert close(surface(cubic, vector(1, 2, -1)).ricci(), 3149 / 12100)


@pytest.mark.parametrize("t", [-1.2, 0.1, 0.5, 0.57, 0.9, 1.05, 1.7, 3.0])
def test_a_chain_of_two_weights_has_its_closed_form(t: float) -> None:
    exact = -2 * (t * t - 1) * (3 * t * t - 1) / (2 * t**6 - 4 * t**4 + 2 * t * t + 1) ** 2
    assert close(surface(chain, vector(t, t)).ricci(), exact)


def test_a_chain_at_its_minimum_and_at_zero() -> None:
    assert surface(chain, vector(1, 1)).ricci() == 0.0
    assert surface(chain, vector(0, 0)).ricci() == -2.0
    assert surface(chain, vector(0, 0, 0)).ricci() == 0.0


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("t", [0.3, 0.8, 1.0])
def test_the_loss_surface_of_a_chain_where_it_is_stationary_follows_from_its_spectrum(depth: int, t: float) -> None:
    beta = t ** (depth - 2) * (1 - t**depth) / 2
    spectrum = vector(*[2 * beta * 2] * (depth - 1), depth * t ** (2 * depth - 2) - 2 * beta * (depth - 2))
    found = surface(chain, t * torch.ones(depth, dtype=torch.float64), beta=beta)
    assert torch.allclose(found.principal(), spectrum.sort().values, rtol=EXACT, atol=EXACT)
    assert found.ricci() == pytest.approx(float(spectrum.sum() ** 2 - spectrum @ spectrum), rel=EXACT, abs=EXACT)


def test_loss_surface_of_a_pair_has_twice_its_determinant_where_it_is_stationary() -> None:
    t = 0.6
    beta = (1 - t * t) / 2
    found = surface(chain, vector(t, t), beta=beta)
    assert close(found.ricci(), 2 * float(torch.linalg.det(found.hessian)))


def test_r_of_the_error_of_three_weights_changes_sign_between_coexistence_and_spinodal() -> None:
    def along(t: float) -> float:
        return surface(chain, t * torch.ones(3, dtype=torch.float64)).ricci()

    spinodal, coexistence = 0.25 ** (1 / 3), 0.5 ** (1 / 3)  # of the stable branch, t = w1 = w2 = w3
    t = brentq(along, spinodal, coexistence, xtol=1e-14)
    assert t * (1 - t**3) / 2 == pytest.approx(0.233461, abs=5e-7)
    assert along(spinodal) < 0 < along(coexistence)


@pytest.mark.parametrize("profile", [torch.sin, torch.exp, lambda s: s**4 - s, lambda s: 30 * torch.tanh(3 * s)])
@pytest.mark.parametrize("point", POINTS[1:], ids=len)
def test_a_function_of_one_direction_is_flat(point: Tensor, profile: Function) -> None:
    weights = torch.randn(len(point), dtype=torch.float64)
    ridge = surface(lambda *x: profile(weights @ torch.stack(x)), point)
    scale = float(ridge.hessian.norm() / (1 + ridge.gradient @ ridge.gradient).sqrt())  # of what cancels in R
    assert abs(ridge.ricci()) <= 1e-15 * scale**2
    assert ridge.gauss_kronecker() == LogValue(0, -math.inf)
    assert int((ridge.principal().abs() > 1e-15 * scale).sum()) == 1


@pytest.mark.parametrize("number", [0.0, 0.3, -1e3])
def test_a_single_parameter_has_no_intrinsic_curvature(number: float) -> None:
    curve = surface(lambda x: torch.sin(x) * x**3, vector(number))
    assert curve.ricci() == 0.0
    assert close(float(curve.principal()), float(curve.hessian / (1 + curve.gradient**2) ** 1.5))


# -- least squares and classifiers, in batches of 8 and 2 -----------------------------------------

SAMPLES = 10


def data(classes: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(SAMPLES, 3, dtype=torch.float64)
    return x, torch.arange(SAMPLES) % classes if classes else torch.randn(SAMPLES, 1, dtype=torch.float64)


def two_batches(batch: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(*(part.split([8, 2]) for part in batch), strict=True))


def squares(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def logistic(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1].double())


def test_linear_regression_has_the_curvature_of_its_design() -> None:
    x, y = data()
    landscape = sp.Landscape(nn.Linear(3, 1, bias=False), squares, two_batches((x, y)))
    hessian = 2 / SAMPLES * x.T @ x
    best = torch.linalg.lstsq(x, y).solution[:, 0]
    found = Surface.at(landscape, best)
    assert torch.allclose(found.hessian, hessian, rtol=EXACT, atol=1e-15)
    assert close(found.ricci(), float(hessian.trace() ** 2 - hessian.square().sum()))
    assert close(found.gauss_kronecker().value, float(torch.linalg.det(hessian)))


def test_logistic_and_softmax_regression_have_their_closed_hessians() -> None:
    x, labels = data(classes=2)
    landscape = sp.Landscape(nn.Linear(3, 1, bias=False), logistic, two_batches((x, labels)))
    theta = vector(0.3, -1.0, 0.5)
    p = torch.sigmoid(x @ theta)
    exact = x.T @ ((p * (1 - p))[:, None] * x) / SAMPLES
    assert torch.allclose(Surface.at(landscape, theta).hessian, exact, rtol=EXACT, atol=1e-15)

    x, labels = data(classes=3)
    landscape = sp.Landscape(nn.Linear(3, 3, bias=False), cross_entropy, two_batches((x, labels)))
    theta = torch.randn(9, dtype=torch.float64)
    p = torch.softmax(x @ theta.view(3, 3).T, 1)
    blocks = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    exact = torch.einsum("sab,si,sj->aibj", blocks, x, x).reshape(9, 9) / SAMPLES
    assert torch.allclose(Surface.at(landscape, theta).hessian, exact, rtol=EXACT, atol=1e-15)


def network(activation: type[nn.Module], outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), activation(), nn.Linear(2, outputs)).double()


def test_unequal_batches_agree_with_one_batch() -> None:
    net, batch = network(nn.Tanh), data()
    one, two = (sp.Landscape(net, squares, given) for given in (batch, two_batches(batch)))
    assert close(Surface.at(two, two.initial).ricci(), Surface.at(one, one.initial).ricci())


# -- against the Riemann tensor -------------------------------------------------------------------


def energy_of(net: nn.Module, loss: Function, batch: object) -> Callable[[Tensor], Tensor]:
    """Return E of the flat vector, in the order of the module's parameters."""
    names, shapes = zip(*((name, value.shape) for name, value in net.named_parameters()), strict=True)

    def energy(theta: Tensor) -> Tensor:
        parts = theta.split([shape.numel() for shape in shapes])
        named = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return loss(lambda x: functional_call(net, named, (x,)), batch)

    return energy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", [nn.Tanh, nn.Softplus, nn.Sigmoid])
@pytest.mark.parametrize(("loss", "classes"), [(squares, 0), (cross_entropy, 2)])
def test_networks_agree_with_the_riemann_tensor(seed: int, activation: type[nn.Module], loss: Function, classes: int) -> None:
    torch.manual_seed(seed)
    net, batch = network(activation, max(classes, 1)), data(classes)
    landscape = sp.Landscape(net, loss, two_batches(batch))
    theta = 1.5 * torch.randn(landscape.size, dtype=torch.float64)
    exact, found = riemann(energy_of(net, loss, batch), theta), Surface.at(landscape, theta)
    assert close(found.ricci(), exact.scalar, BRUTE_FORCE)
    mean = abs(exact.scalar) / (landscape.size * (landscape.size - 1))  # of the sectional curvatures: one may cancel to less
    for u, v in torch.randn(3, 2, landscape.size, dtype=torch.float64):
        brute = exact.sectional(u, v)
        tolerance = BRUTE_FORCE * max(mean / abs(brute), 1.0)
        assert close(found.sectional(u, v), brute, tolerance)
        product = landscape.hessian_operator(theta)
        assert close(sectional_curvature(landscape.gradient(theta), product, u, v), brute, tolerance)


@pytest.mark.parametrize("seed", range(6))
def test_polynomials_agree_with_the_riemann_tensor(seed: int) -> None:
    torch.manual_seed(seed)
    n = 2 + seed
    quadratic, third = torch.randn(n, n, dtype=torch.float64), torch.randn(n, n, n, dtype=torch.float64)
    slope, theta = torch.randn(n, dtype=torch.float64), torch.randn(n, dtype=torch.float64) / 2  # steeper, G^-1 loses digits

    def energy(x: Tensor) -> Tensor:
        return slope @ x + x @ quadratic @ x + torch.einsum("abc,a,b,c->", third, x, x, x) / 6 + (x @ x) ** 2 / 4

    exact, found = riemann(energy, theta), surface(lambda *x: energy(torch.stack(x)), theta)
    u, v = torch.randn(2, n, dtype=torch.float64)
    assert close(found.ricci(), exact.scalar, BRUTE_FORCE)
    assert close(found.sectional(u, v), exact.sectional(u, v), BRUTE_FORCE)


def test_the_riemann_tensor_itself_knows_the_sphere() -> None:
    exact = riemann(lambda x: hemisphere(1.4)(*x), vector(0.3, -0.8, 0.5))
    assert close(exact.scalar, 6 / 1.4**2)
    assert close(exact.sectional(vector(1, 0, 0), vector(1, 2, 3)), 1 / 1.4**2)


# -- relations ------------------------------------------------------------------------------------


def random_point(n: int, steep: float = 1.0) -> tuple[Tensor, Tensor]:
    gradient, matrix = torch.randn(n, dtype=torch.float64), torch.randn(n, n, dtype=torch.float64)
    return steep * gradient, matrix + matrix.T


@pytest.mark.parametrize("steep", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("n", [2, 3, 9])
def test_the_curvatures_are_functions_of_the_principal_ones(n: int, steep: float) -> None:
    gradient, hessian = random_point(n, steep)
    kappa = principal_curvatures(gradient, hessian)
    size = float(kappa.abs().sum()) ** 2
    assert bool((kappa.diff() >= 0).all())
    assert abs(ricci(gradient, hessian) - float(kappa.sum() ** 2 - kappa @ kappa)) <= EXACT * size
    assert gauss_kronecker(gradient, hessian).value == pytest.approx(float(kappa.prod()), rel=1e-11)
    assert mean_curvature(gradient, hessian) == pytest.approx(float(kappa.mean()), abs=EXACT * math.sqrt(size))


@pytest.mark.parametrize("steep", [0.0, 1.0, 50.0])
def test_the_principal_curvatures_solve_the_pencil_of_both_forms(steep: float) -> None:
    gradient, hessian = random_point(6, steep)
    metric = torch.eye(6, dtype=torch.float64) + torch.outer(gradient, gradient)
    second = hessian / (1 + gradient @ gradient).sqrt()
    exact = torch.linalg.eigvals(torch.linalg.solve(metric, second)).real.sort().values
    assert torch.allclose(principal_curvatures(gradient, hessian), exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steep", [0.0, 1.0, 1e4, 1e8])
def test_in_two_dimensions_all_curvatures_are_one(steep: float) -> None:
    gradient, hessian = random_point(2, steep)
    twice = 2 * gauss_kronecker(gradient, hessian).value
    assert close(ricci(gradient, hessian), twice)
    u, v = torch.randn(2, 2, dtype=torch.float64)
    assert close(2 * sectional_curvature(gradient, lambda w: hessian @ w, u, v), twice)


def test_the_scalar_curvature_sums_the_sectional_ones_of_an_orthonormal_frame() -> None:
    gradient, hessian = random_point(5)
    metric = torch.eye(5, dtype=torch.float64) + torch.outer(gradient, gradient)
    frame = torch.linalg.inv(torch.linalg.cholesky(metric).T)  # columns of length one, orthogonal in the metric
    planes = [(frame[:, i], frame[:, j]) for i in range(5) for j in range(i)]
    total = sum(sectional_curvature(gradient, lambda w: hessian @ w, u, v) for u, v in planes)
    assert close(2 * total, ricci(gradient, hessian), 1e-11)


def test_a_plane_is_the_same_whatever_spans_it() -> None:
    gradient, hessian = random_point(5)
    u, v = torch.randn(2, 5, dtype=torch.float64)

    def bend(a: Tensor, b: Tensor) -> float:
        return sectional_curvature(gradient, lambda w: hessian @ w, a, b)

    assert close(bend(1e80 * v, 1e-80 * u), bend(u, v))
    assert close(bend(u + 2 * v, u - 3 * v), bend(u, v), 1e-11)
    assert close(bend(u, u + 1e-6 * v), bend(u, v), 1e-8)  # what rounding leaves of v there


def test_slopes_whose_square_is_beyond_all_floats_have_a_curvature() -> None:
    """Across a slope s along x, with `H = diag(0, s, s)`: `R = 2 s^2 / W^2`, `K = 0`, and the plane (y, z) has `s^2 / W^2`."""
    slope = 1e200
    g, stiff = vector(slope, 0.0, 0.0), vector(0.0, slope, slope)
    assert close(ricci(g, torch.diag(stiff)), 2.0)
    assert close(mean_curvature(g, torch.diag(stiff)), 2 / 3)
    y, z = vector(0.0, 1.0, 0.0), vector(0.0, 0.0, 1.0)
    assert sectional_curvature(g, lambda v: v, vector(1.0, 1.0, 0.0), z) == 0.0  # 1 / (W^2 (g . u)^2) underflows
    assert close(sectional_curvature(g, lambda v: 1e150 * v, y, z), 1e-100)


def test_a_steep_slope_along_a_stiff_direction_keeps_its_digits() -> None:
    direction, (_, rest) = torch.ones(20, dtype=torch.float64), random_point(20)
    gradient, hessian = 25 * direction, torch.outer(direction, direction) * 50 + 1e-3 * rest
    w2 = 1 + gradient @ gradient
    tangent = torch.eye(20, dtype=torch.float64) - torch.outer(direction, direction) / 20
    across = tangent @ (1e-3 * rest) @ tangent / w2.sqrt()
    along = direction @ hessian @ direction / 20 / w2**1.5
    beside = tangent @ (1e-3 * rest) @ direction / math.sqrt(20) / w2
    exact = (across.trace() ** 2 - across.square().sum()) + 2 * (along * across.trace() - beside @ beside)
    assert close(ricci(gradient, hessian), float(exact), 1e-10)


@pytest.mark.parametrize("axis", range(3))
def test_a_slope_along_an_axis_is_turned_without_rounding(axis: int) -> None:
    gradient, hessian = 1e4 * torch.eye(3, dtype=torch.float64)[axis], random_point(3)[1]
    hessian[axis, axis] = 1.1e12
    scaled, steepness = hessian.clone(), math.sqrt(1 + 1e8)
    scaled[axis] /= steepness
    scaled[:, axis] /= steepness
    exact = (scaled.trace() ** 2 - scaled.square().sum()) / steepness**2
    assert close(ricci(gradient, hessian), float(exact))


def test_a_hessian_that_rounding_left_asymmetric_is_made_symmetric() -> None:
    gradient, hessian = random_point(5)
    rounded = hessian + 1e-7 * torch.randn(5, 5, dtype=torch.float64)
    for function in (ricci, mean_curvature, lambda g, matrix: gauss_kronecker(g, matrix).log_magnitude):
        assert close(function(gradient, rounded), function(gradient, rounded.T))
    curvatures, transposed = principal_curvatures(gradient, rounded), principal_curvatures(gradient, rounded.T)
    assert torch.allclose(curvatures, transposed, rtol=EXACT, atol=EXACT)


def test_a_prescribed_spectrum_is_found_at_a_stationary_point() -> None:
    spectrum = vector(-0.5, -1e-3, 2e-3, 0.4, 7.0, 30.0)
    q = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    gradient, hessian = torch.zeros(6), q @ torch.diag(spectrum) @ q.T
    assert torch.allclose(principal_curvatures(gradient, hessian), spectrum, rtol=EXACT, atol=30 * 1e-15)
    assert close(ricci(gradient, hessian), float(spectrum.sum() ** 2 - spectrum @ spectrum))
    assert close(gauss_kronecker(gradient, hessian).value, float(spectrum.prod()), 1e-10)


# -- invariances ----------------------------------------------------------------------------------


def mixed(*x: Tensor) -> Tensor:
    """Return something with no symmetry, of any number of coordinates."""
    flat = torch.stack(x)
    return torch.tanh(flat * torch.arange(1, len(flat) + 1)).sum() * flat.prod() + (flat**3).sum() / 3 + (flat[0] - 1) ** 2


ANYWHERE = vector(0.3, -0.8, 0.5, 0.9)


@pytest.mark.parametrize("seed", range(4))
def test_rotations_leave_every_curvature_unchanged(seed: int) -> None:
    torch.manual_seed(seed)
    q = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    here, turned = surface(mixed, ANYWHERE), surface(lambda *x: mixed(*(q @ torch.stack(x))), q.T @ ANYWHERE)
    assert close(turned.ricci(), here.ricci())
    assert close(turned.gauss_kronecker().value, here.gauss_kronecker().value, 1e-11)
    assert torch.allclose(turned.principal(), here.principal(), rtol=1e-11, atol=EXACT)


@pytest.mark.parametrize("c", [0.01, 3.0, 1e4])
def test_a_surface_magnified_c_times_bends_c_times_less(c: float) -> None:
    here, magnified = surface(mixed, ANYWHERE), surface(lambda *x: c * mixed(*(t / c for t in x)), c * ANYWHERE)
    assert close(magnified.ricci(), here.ricci() / c**2)
    assert close(magnified.mean(), here.mean() / c)
    assert close(magnified.gauss_kronecker().value, here.gauss_kronecker().value / c**4, 1e-11)


def test_r_depends_on_the_scale_of_the_error() -> None:
    assert not close(surface(lambda *x: 2 * mixed(*x), ANYWHERE).ricci(), surface(mixed, ANYWHERE).ricci(), 0.05)


def test_an_unused_parameter_leaves_r_and_makes_k_zero() -> None:
    here = surface(mixed, ANYWHERE)
    wider = surface(lambda *x: mixed(*x[:4]) + 0 * x[4], torch.cat([ANYWHERE, vector(2.0)]))
    assert close(wider.ricci(), here.ricci())
    assert here.gauss_kronecker().sign != 0
    assert wider.gauss_kronecker() == LogValue(0, -math.inf)


def test_a_constant_changes_nothing() -> None:
    here, lifted = surface(mixed, ANYWHERE), surface(lambda *x: mixed(*x) + 1e3, ANYWHERE)
    assert lifted.ricci() == here.ricci()


# -- the loss surface -----------------------------------------------------------------------------

CENTRE, MASK = vector(1.0, 0.2, -0.7, 0.0), torch.tensor([True, True, False, True])
PENALTIES = [
    (None, torch.zeros(4), torch.ones(4)),
    (sp.Penalty(centre=CENTRE), CENTRE, torch.ones(4)),
    (sp.Penalty(mask=MASK), torch.zeros(4), MASK),
    (sp.Penalty(centre=CENTRE, mask=MASK), CENTRE, MASK),
]


@pytest.mark.parametrize("beta", [1e-3, 0.4])
@pytest.mark.parametrize(("penalty", "centre", "mask"), PENALTIES, ids=["plain", "centre", "mask", "both"])
def test_the_loss_surface_is_that_of_an_energy_with_the_penalty_written_in(
    penalty: sp.Penalty | None, centre: Tensor, mask: Tensor, beta: float
) -> None:
    def loss(*x: Tensor) -> Tensor:
        return mixed(*x) + beta * (mask * (torch.stack(x) - centre) ** 2).sum()

    found, written = surface(mixed, ANYWHERE, beta, penalty), surface(loss, ANYWHERE)
    assert not close(found.ricci(), surface(mixed, ANYWHERE).ricci(), 1e-6)
    assert close(found.ricci(), written.ricci())
    assert torch.allclose(found.principal(), written.principal(), rtol=EXACT, atol=EXACT)


def test_the_penalty_shifts_the_spectrum_at_a_stationary_point_by_two_beta() -> None:
    at_zero, shifted = (surface(chain, vector(0, 0), beta) for beta in (0.0, 0.3))
    assert torch.allclose(shifted.principal(), at_zero.principal() + 0.6, rtol=EXACT, atol=0)


def test_a_surface_costs_a_gradient_and_a_hessian() -> None:
    landscape = landscape_of(mixed, ANYWHERE)
    _ = landscape.hessian_method  # what is checked once
    before = landscape.counts.copy()
    found = Surface.at(landscape, ANYWHERE, beta=0.1)
    found.ricci(), found.principal(), found.sectional(ANYWHERE, vector(1, 0, 0, 0))
    spent = landscape.counts - before
    assert (spent.gradient_evaluations, spent.hessians, spent.hessian_products, spent.error_evaluations) == (1, 1, 0, 0)


# -- precision and range --------------------------------------------------------------------------


def test_single_precision_is_cast_up_before_anything_is_summed() -> None:
    gradient, hessian = (part.float() for part in random_point(30))
    assert ricci(gradient, hessian) == ricci(gradient.double(), hessian.double())
    u, v = torch.randn(2, 30)
    given = sectional_curvature(gradient, lambda w: hessian @ w, u, v)
    assert close(given, sectional_curvature(gradient.double(), lambda w: hessian.double() @ w, u.double(), v.double()), 1e-4)


def test_a_landscape_in_single_precision_has_its_penalty_in_double() -> None:
    net, batch = network(nn.Tanh), data()
    single, double = (sp.Landscape(net, squares, batch, dtype=dtype) for dtype in (torch.float32, torch.float64))
    found, exact = (Surface.at(landscape, landscape.initial, beta=1e-4) for landscape in (single, double))
    assert found.hessian.dtype == found.gradient.dtype == torch.float64
    assert close(found.ricci(), exact.ricci(), 1e-3)


@pytest.mark.parametrize("power", [-150, -60, 60, 140])
def test_neither_large_nor_small_second_derivatives_leave_the_range(power: int) -> None:
    gradient, hessian = random_point(4)
    scaled = ricci(gradient, 10.0**power * hessian)
    assert close(scaled, ricci(gradient, hessian) * 10.0**power * 10.0**power, 1e-11)


def test_a_result_beyond_the_largest_float_is_infinite_and_not_undefined() -> None:
    assert ricci(torch.zeros(2), 1e200 * torch.eye(2, dtype=torch.float64)) == math.inf


@pytest.mark.parametrize("entry", [1e-3, -0.5, 20.0])
def test_the_product_of_a_thousand_curvatures_keeps_its_magnitude(entry: float) -> None:
    n = 801
    found = gauss_kronecker(torch.zeros(n), entry * torch.eye(n, dtype=torch.float64))
    assert found.sign == (1 if entry > 0 else -1)
    assert close(found.log_magnitude, n * math.log(abs(entry)))


def test_badly_scaled_is_not_singular() -> None:
    assert close(gauss_kronecker(torch.zeros(3), torch.diag(vector(1e-90, 1.0, 1e70))).value, 1e-20)


def test_log_values_print_as_numbers() -> None:
    printed = [str(LogValue(s, m)) for s, m in [(1, 0.0), (-1, math.log(2.5)), (0, -math.inf), (-1, 5000.0), (1, -1e7)]]
    assert printed == ["1", "-2.5", "0", "-2.96763e+2171", "1.51694e-4342945"]
    assert LogValue(-1, 5000.0).value == -math.inf
    assert float(LogValue(1, -5000.0)) == 0.0


def test_a_surface_prints_which_it_is() -> None:
    assert str(surface(chain, vector(0, 0))) == "error surface, n = 2: R = -2"
    assert str(surface(chain, vector(0, 0), beta=0.1)) == "loss surface at beta = 0.1, n = 2: R = -1.92"


# -- refusals -------------------------------------------------------------------------------------

EVERY = [ricci, gauss_kronecker, mean_curvature, principal_curvatures]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("function", EVERY)
def test_numbers_that_are_not_finite_are_refused(function: Function, bad: float) -> None:
    gradient, hessian = random_point(3)
    with pytest.raises(SpinodalError, match="the gradient is not finite"):
        function(gradient * vector(1, bad, 1), hessian)
    hessian[1, 1] = bad
    with pytest.raises(SpinodalError, match="the Hessian is not finite"):
        function(gradient, hessian)


@pytest.mark.parametrize("function", EVERY)
def test_matrices_that_are_no_hessian_are_refused(function: Function) -> None:
    gradient, hessian = random_point(3)
    with pytest.raises(SpinodalError, match=r"the Hessian is of shape \(2, 2\); shape \(3, 3\) is allowed"):
        function(gradient, hessian[:2, :2])
    with pytest.raises(SpinodalError, match="not symmetric"):
        function(gradient, hessian.triu())
    with pytest.raises(SpinodalError, match=r"the gradient is of shape \(1, 3\)"):
        function(gradient[None], hessian)


@pytest.mark.parametrize("function", EVERY)
def test_what_is_no_tensor_of_real_numbers_is_refused(function: Function) -> None:
    gradient, hessian = random_point(3)
    with pytest.raises(SpinodalError, match=r"the gradient is a ndarray; a tensor of real numbers is allowed; .*as_tensor"):
        function(gradient.numpy(), hessian)
    with pytest.raises(SpinodalError, match="the Hessian is complex"):
        function(gradient, hessian * 1j)
    with pytest.raises(SpinodalError, match=r"the gradient is of shape \(0,\); shape \(1,\) is allowed"):
        function(gradient[:0], hessian[:0, :0])


def test_planes_that_are_none_are_refused() -> None:
    gradient, hessian = random_point(3)
    u = vector(1, 2, 3)
    for v in (u, -1e9 * u, 0 * u):
        with pytest.raises(SpinodalError, match="parallel"):
            sectional_curvature(gradient, lambda w: hessian @ w, u, v)
    with pytest.raises(SpinodalError, match="the vector v is not finite"):
        sectional_curvature(gradient, lambda w: hessian @ w, u, vector(1, math.nan, 0))
    with pytest.raises(SpinodalError, match="the Hessian product is not finite"):
        sectional_curvature(gradient, lambda w: math.inf * w, u, vector(1, 1, 0))
    with pytest.raises(SpinodalError, match="there is no plane"):
        sectional_curvature(vector(1.0), lambda w: w, vector(1.0), vector(2.0))


@pytest.mark.parametrize("beta", [-0.1, math.nan, math.inf, "much"])
def test_a_beta_that_is_no_strength_is_refused(beta: float) -> None:
    with pytest.raises(SpinodalError, match="beta >= 0"):
        surface(chain, vector(1, 1), beta)


def test_an_error_that_has_no_second_derivative_here_is_refused() -> None:
    landscape = landscape_of(lambda x, y: (x * x) ** 0.75 + y * y, vector(0.5, 1.0))
    with pytest.raises(SpinodalError, match="not finite"):
        Surface.at(landscape, vector(0, 1)).ricci()


def test_the_kinks_of_relu_are_missed() -> None:
    flat = surface(lambda x, y: torch.relu(x) + torch.relu(-x) + torch.relu(y - x), vector(0.5, 0.7))
    assert flat.ricci() == 0.0
    assert not flat.hessian.any()

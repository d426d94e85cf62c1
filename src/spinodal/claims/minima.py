"""Claims about minima of networks: how they are connected, which merge, and what it costs to find out."""

from __future__ import annotations

from spinodal.basins.hierarchy import hierarchy
from spinodal.claims.claim import Claim, Measured, verdict
from spinodal.claims.workshop import Workshop, tanh_task
from spinodal.minima.minimise import minimise
from spinodal.paths.connecting import connect
from spinodal.words.numbers import significant

LOW = 1e-3  # beta of the minima that are joined
GRID = (0.0, 0.9, 0.01)  # of weight_decay
BRACKET = 0.01  # relative width, half that of the grid at the transitions


def connected(shop: Workshop) -> Measured:
    """Measure the barrier between two minima on a straight line and on a path that the L2 probe finds."""
    task = tanh_task()
    landscape = task.landscape()
    ends = [minimise(landscape, beta=LOW, start=task.initial(seed=seed)) for seed in (0, 1)]
    path = connect(landscape, *ends)
    span = float(landscape.value(0.0 * ends[0].theta)) - min(end.error for end in ends)
    text = (
        f"Between minima of two seeds: on the straight line E rises by {path.straight / span:.1%} of its span, on the "
        f"path by {max(path.barrier, 0.0) / span:.2%} (method {path.method}; {path.evaluations:,.0f} gradient-equivalents). It "
        f"{'arrives' if path.reached else 'does not arrive'} at the other minimum."
    )
    return Measured(
        text, verdict(path.reached and path.barrier < 0.01 * span), {"straight": path.straight, "barrier": path.barrier}
    )


def merging(shop: Workshop) -> Measured:
    """Measure the hierarchy of basins over three seeds."""
    tree = hierarchy(tanh_task(), seeds=(0, 1, 2), starts=2, bracket=1e-3)
    agreement = 1.0 if tree.agreement is None else tree.agreement
    text = (
        f"{len(tree.basins)} basins over three seeds, {len(tree.shared)} of them met by all, {len(tree.mergings)} mergings; "
        f"of the falls out of shared basins {agreement:.0%} go to the same one."
    )
    same = len(tree.shared) == len(tree.basins)
    return Measured(
        text,
        verdict(same and agreement == 1.0, partly=len(tree.shared) > 1),
        {"basins": len(tree.basins), "shared": len(tree.shared), "agreement": agreement},
    )


def cost(shop: Workshop) -> Measured:
    """Measure what the published protocol costs beside a map with brackets half as wide as its grid."""
    task = tanh_task()
    probe = shop.map(task, solver="adam", grid=GRID, learning_rate=1e-2)
    mapped = shop.map(task, bracket=BRACKET)
    spent = [diagram.spent.gradient_equivalents for diagram in (probe, mapped)]
    met = [sorted(item.beta for item in diagram.macroscopic) for diagram in (probe, mapped)]
    places = [", ".join(significant(beta, 3) for beta in betas) or "none" for betas in met]
    text = (
        f"The protocol meets transitions at beta = {places[0]} for {spent[0]:,.0f} gradient-equivalents, a map with brackets "
        f"of {BRACKET:.0%} at beta = {places[1]} for {spent[1]:,.0f}: {spent[0] / spent[1]:.2g} times."
    )
    faster, same = spent[0] < spent[1], len(met[0]) == len(met[1])
    values = {"protocol": spent[0], "map": spent[1], "met": met}
    return Measured(text, verdict(faster and same, partly=faster or same), values)


MINIMA = (
    Claim(19, "Global minima are connected, and the L2 probe finds the way.", "B",
          "spinodal connect gaussian one.safetensors other.safetensors", connected),
    Claim(20, "Basins form a hierarchy, the same from three initialisations.", "B",
          "spinodal hierarchy gaussian --seeds 0:3", merging),
    Claim(21, "The probe (training on a grid of weight_decay) is simple and fast on any model.", "B",
          "spinodal map gaussian --solver adam --grid 0:0.9:0.01", cost),
)  # fmt: skip

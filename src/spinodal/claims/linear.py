"""Claims that deep linear networks decide, where closed forms are known."""

from __future__ import annotations

import torch

from spinodal.claims.claim import UNSEEN, Claim, Measured, verdict
from spinodal.claims.workshop import Workshop, linear_task
from spinodal.words.numbers import significant

EXACT = 1e-4  # relative difference from a closed form that a bracket allows


def orders(shop: Workshop) -> Measured:
    """Measure the order of the onset against the number of weight matrices."""
    found, off = {}, 0.0
    for matrices in (2, 3, 4, 5):
        last = max(shop.linear(matrices).macroscopic, key=lambda item: item.beta)
        exact = max(form.beta for form in linear_task(matrices).exact)
        found[matrices] = last.order
        off = max(off, abs(last.beta / exact - 1.0))
    expected = {matrices: "second" if matrices == 2 else "first" for matrices in found}
    named = "; ".join(f"{matrices - 1} hidden: {order}" for matrices, order in found.items())
    text = f"Order of the onset, with evidence: {named}. Its beta differs from the closed form by at most {off:.1e}."
    return Measured(text, verdict(found == expected and off < EXACT), {"orders": found, "difference": off})


def without_layers(shop: Workshop) -> Measured:
    """Measure whether linear regression has a transition."""
    diagram = shop.linear(1, beta=(1e-3, 10.0))
    count, smooth = len(diagram.macroscopic), diagram.is_smooth
    text = f"{count} transitions between beta = 0.001 and 10, {'smooth' if smooth else 'not smooth'} throughout."
    return Measured(text, verdict(count == 0), {"transitions": count})


def zeroth(shop: Workshop) -> Measured:
    """Measure whether the lowest L jumps anywhere."""
    diagram = shop.linear(3, direction="loop")
    falls = [item.before.minimum.loss - item.after.minimum.loss for item in diagram.macroscopic]
    routes = [abs(item.by_area.difference) for item in diagram.coexistence if item.by_area]
    text = (
        f"L of the followed phase falls by {', '.join(significant(fall, 2) for fall in falls)} where that ends; where two "
        f"phases are equally deep the lowest L goes on; two routes to that beta agree to {max(routes, default=0.0):.0e}. "
        "With E bounded from below the lowest L is a minimum over straight lines in beta, hence concave and continuous."
    )
    return Measured(text, UNSEEN, {"falls": falls, "routes": routes})


def hysteresis(shop: Workshop) -> Measured:
    """Measure the area of a loop, and which phases stay minima down to beta = 0."""
    diagram = shop.linear(3, direction="loop")
    area = diagram.loop.area if diagram.loop else 0.0
    ranges = [phase.existence for phase in diagram.phases if phase.existence]
    lasting = sum(found.range[0] <= diagram.range[0] for found in ranges)
    shallow = shop.linear(2, direction="loop")
    small = shallow.loop.area if shallow.loop else 0.0
    text = (
        f"Area between the ways up and back, integral of norm^2 dbeta: {significant(area, 4)} with two hidden layers, "
        f"{small:.0e} with one. {lasting} of {len(ranges)} phases stay minima down to the lowest beta of the map."
    )
    return Measured(
        text, verdict(area > 0.01 and abs(small) < 1e-3 * area), {"area": area, "one hidden": small, "lasting": lasting}
    )


def margins(shop: Workshop) -> Measured:
    """Measure the smallest eigenvalue of Hess E at the polished ends of phases."""
    diagram = shop.linear(3, direction="loop")
    landscape = linear_task(3).landscape()
    worst, count = 0.0, 0
    for branch in diagram.branches.values():
        for fold in branch.spinodals:
            hessian = landscape.hessian(fold.point.theta)
            phi = fold.null_vector / fold.null_vector.norm()
            along = float(phi @ hessian @ phi)
            below = torch.linalg.eigvalsh(hessian)
            index = int((below < -2.0 * fold.point.beta * (1.0 + 1e-6)).sum())
            worst = max(worst, abs(along / (-2.0 * fold.point.beta) - 1.0), float(index))
            count += 1
    text = f"At {count} polished spinodals the smallest eigenvalue of Hess E is -2 beta to {worst:.0e}."
    return Measured(text, verdict(count > 0 and worst < 1e-6), {"spinodals": count, "difference": worst})


LINEAR = (
    Claim(2, "The onset is of second order with one hidden layer, of first order with two or more.", "Z A",
          "spinodal map gaussian --set activation=linear --set hidden=10", orders),
    Claim(3, "Without hidden layers there is no transition.", "Z",
          "spinodal map gaussian --set activation=linear --set hidden= --beta 1e-3:10", without_layers),
    Claim(4, "A transition of zeroth order, a jump of the lowest L itself, can occur in special cases.", "Z",
          "spinodal map gaussian --set activation=linear --direction loop", zeroth),
    Claim(12, "Transitions show hysteresis.", "A",
          "spinodal map gaussian --set activation=linear --direction loop", hysteresis),
    Claim(16, "The smallest eigenvalue of Hess E is -2 beta where a phase ends.", "B",
          "spinodal map gaussian --set activation=linear --branches", margins),
)  # fmt: skip

"""The search for a path by one method, in parts that are kept as they are found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.definitions import LEAST_RANGE, MACROSCOPIC
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.paths.band import Band
from spinodal.paths.curve import drawn, straight_chain, trained_bezier, trained_chain
from spinodal.paths.effort import Effort
from spinodal.paths.epochs import in_batches
from spinodal.paths.found import Found, spread
from spinodal.paths.hierarchy import through_phases
from spinodal.paths.line import COARSE, Line
from spinodal.paths.progress import Progress
from spinodal.paths.refine import Refinement
from spinodal.paths.settings import Forgetful, Settings
from spinodal.paths.walk import Walk

EXACT = 1e-3  # of the height over the larger end: accuracy of what is reported
SINGLE, DOUBLE = 1e-4, 1e-6  # tolerance over the height of the straight line, by precision
ROUNDING = 32  # units of rounding that E may be off by
DEGREE, POWER = (
    3,
    2.0,
)  # of the curve that is trained first where samples are many, and of E in its places
ROUNDS = (0.12, 0.6)  # parts of the budget that its training may take; after each it is seen whether it is low enough
AT_FIRST = 0.4  # part of what is left that the straight line may take
WALK = 0.6  # part of its share that a walk may take
JOIN = 0.3  # part of what is left that joining two minima of a phase may take
HIGH = 0.25  # part of the barrier from which on a path belongs to its pass
IMAGES, CHAINED = 9, 3  # points of the band, and bends of the chain, that are laid over a pass
AS_ONE = 0.7  # part of the effort that is left, which that may take


class Search:
    """A search for a low path from a to b, both of shape (n,), which `names` are what a person calls them."""

    def __init__(self, landscape: Landscape, ends: tuple[Tensor, Tensor], names: tuple[str, str], settings: Settings) -> None:
        self.landscape, self.names, self.settings = landscape, names, settings
        self.a, self.b = a, b = ends
        self.digest = digest_of(*ends, settings.request)
        self.ends = landscape.value(a), landscape.value(b)
        self.level = max(self.ends)
        straight = self._line(Found(torch.stack([a, b]), self.ends, "straight"), relative=EXACT)
        self.height = straight.highest()[2] - self.level
        if not math.isfinite(self.height):
            raise SpinodalError(
                got="E is not a finite number at the ends or on the straight line between them",
                allowed="ends between which the model can be evaluated are allowed",
                do="use float64, or align the units of b with those of a before",
            )
        rounding = max(LEAST_RANGE, ROUNDING * torch.finfo(landscape.dtype).eps) * (1.0 + abs(self.level))
        relative = DOUBLE if landscape.dtype == torch.float64 else SINGLE
        self.tolerance = settings.tolerance or max(rounding, relative * self.height)
        straight.tolerance = self.tolerance
        self.straight = straight
        self._straight = Found(torch.stack([a, b]), self.ends, "straight line, lowered", (), tuple(straight.intervals()))

    def run(self) -> tuple[Line, Found]:
        """Return the best path, with E measured along it, and how it was found."""
        method = self.settings.method
        if method == "straight" or self.height <= self.tolerance:
            return self.straight, replace(self._straight, way="straight")
        if method in ("l2", "walk"):
            return self._lowest(Effort(self.landscape, self.settings.budget))
        make = self._over_phases if method == "phases" else partial(self._by, method)
        found = self._kept(method, lambda: make(self.settings.budget))
        return self._sharp(self._line(found)), found

    def with_saddles(self, found: Found) -> Found:
        """Return what was found with the saddles of its jumps, at a cost that is not part of the budget."""

        def make() -> Found:
            targets = dict(zip(self.names, (self.b, self.a), strict=True))
            return replace(found, jumps=tuple(jump.with_saddle(self.landscape, targets[jump.start]) for jump in found.jumps))

        return self._kept("saddles of jumps", make) if found.jumps else found

    # -- through phases -----------------------------------------------------------------------

    def _over_phases(self, share: float) -> Found:
        """Go up in beta and down again, and lower what lies above the phase in which both meet."""
        effort = Effort(self.landscape, share)
        passage = through_phases(self.landscape, (self.a, self.b), effort, partial(self._joined, effort))
        line = self._line(self._through(passage.points, passage.way))
        aim = max(self._aim, passage.level + self.tolerance)
        Refinement(line, aim, effort, aim).run()
        return Found(torch.stack(line.points), tuple(line.errors), passage.way, (), tuple(line.intervals()))

    def _joined(self, effort: Effort, first: Tensor, last: Tensor) -> tuple[Tensor, float]:
        """Join two minima of a phase by the default method, on a part of what is left."""
        if bool((first == last).all()):
            return first[None], self.landscape.value(first)
        settings = replace(self.settings, method="l2", budget=JOIN * effort.left + 1.0, recorder=Forgetful())
        line, found = Search(self.landscape, (first, last), ("a", "b"), settings).run()
        return found.points, line.highest()[2]

    # -- the default, and the L2 walk alone ---------------------------------------------------

    def _lowest(self, whole: Effort) -> tuple[Line, Found]:
        """Try one way after the other until a path is low, and take the lowest; what is left goes into lowering it further."""
        ways: list[tuple[Line, Found]] = []
        for way in self._ways():
            found = way(whole)
            ways.append((self._line(found), found))
            if self._is_near(ways[-1][0]):
                break
        line, found = min(ways, key=lambda pair: pair[0].highest()[2])
        if self._is_near(line) and line.highest()[2] > self._aim and not whole.is_spent:
            found = self._kept("path, lowered", lambda: self._refined(found, whole.left))
            line = self._line(found)
        return self._sharp(line), found

    def _ways(self) -> list[Callable[[Effort], Found]]:
        """Return what is tried, the cheapest first."""
        walks = [partial(self._one_way, start, part) for start, part in zip(self.names, (0.5, 1.0), strict=True)]
        if self.settings.method == "walk":
            return list(walks)
        curve = [self._curved] if in_batches(self.landscape) is not None else []
        return [*curve, self._straightened, *walks]

    def _curved(self, whole: Effort) -> Found:
        return self._kept("curve", lambda: self._trained(whole))

    def _trained(self, whole: Effort) -> Found:
        """Train a curve, in rounds: a path that is low enough needs no more."""
        controls = straight_chain(self.a, self.b, DEGREE - 1)
        for part in ROUNDS:
            effort, progress = Effort(self.landscape, part * whole.share), self._progress(f"curve in {part:g} of the budget")
            controls = trained_bezier(self.landscape, controls, effort, POWER, progress)
            found = self._through(drawn(controls), "curve trained in batches")
            if max(found.errors) <= self._aim:
                break
        return found

    def _straightened(self, whole: Effort) -> Found:
        """Lower the straight line."""
        share = AT_FIRST * whole.left
        return self._kept("straight line", lambda: self._refined(self._straight, share, as_one=False))

    def _one_way(self, start: str, part: float, whole: Effort) -> Found:
        """Walk, and lower what was walked."""
        effort = Effort(self.landscape, part * whole.left)
        walked = self._kept(f"walk from {start}", lambda: self._walked(start, WALK * effort.share))
        return self._kept(f"path from {start}", lambda: self._refined(walked, effort.left))

    def _lowered(self, line: Line, effort: Effort) -> bool:
        return Refinement(line, self._aim, effort, self.level + MACROSCOPIC * self.height).run()

    def _is_near(self, line: Line) -> bool:
        return line.highest()[2] - self.level <= MACROSCOPIC * self.height

    @property
    def _aim(self) -> float:
        return self.level + self.tolerance

    def _walked(self, start: str, share: float) -> Found:
        forwards = start == self.names[0]
        first, last = (self.a, self.b) if forwards else (self.b, self.a)
        errors = self.ends if forwards else self.ends[::-1]
        effort = Effort(self.landscape, share)
        walk = Walk(self.landscape, first, last, errors=errors, height=self.height, effort=effort).run()
        found = Found(
            torch.stack(walk.points),
            tuple(walk.errors),
            f"L2 walk from {start}",
            tuple(replace(jump, start=start) for jump in walk.jumps),
        )
        return found if forwards else found.reversed()

    def _refined(self, found: Found, share: float, *, as_one: bool = True) -> Found:
        """Lower a path: between its points and, where that leaves a barrier, as a band over its pass."""
        effort = Effort(self.landscape, max(share, 0.0))
        line = self._line(found)
        joined = self._lowered(line, effort)
        for relaxed in (self._as_chain, self._as_band) if as_one else ():
            if not joined and not effort.is_spent and not self._is_near(line):
                line = self._over_the_pass(line, relaxed, effort)
                joined = self._lowered(line, effort)
        return Found(torch.stack(line.points), tuple(line.errors), found.way, found.jumps, tuple(line.intervals()))

    def _over_the_pass(self, line: Line, relaxed: Callable[[Tensor, Effort], Tensor], effort: Effort) -> Line:
        """Return the line with its highest part relaxed as a whole, or as it was if that is no lower."""
        first, last = self._pass(line)
        middle = relaxed(torch.stack(line.points[first : last + 1]), Effort(self.landscape, AS_ONE * effort.left))
        joined = torch.cat([torch.stack(line.points[: first + 1]), middle[1:-1], torch.stack(line.points[last:])])
        other = self._line(Found(joined, tuple(self.landscape.value(point) for point in joined), ""))
        return other if other.highest()[2] < line.highest()[2] else line

    def _as_chain(self, points: Tensor, effort: Effort) -> Tensor:
        return trained_chain(self.landscape, spread(points, CHAINED + 2), effort)

    def _as_band(self, points: Tensor, effort: Effort) -> Tensor:
        return Band(self.landscape, spread(points, IMAGES + 2)).relax(effort)

    def _pass(self, line: Line) -> tuple[int, int]:
        """Return the points around the largest E at which E is low again."""
        segment, _, largest = line.highest()
        high = self.level + HIGH * (largest - self.level)
        low = [place for place, error in enumerate(line.errors) if error <= high] + [0, len(line.errors) - 1]
        return max(place for place in low if place <= segment), min(place for place in low if place > segment)

    # -- other methods ----------------------------------------------------------------------

    def _by(self, method: str, share: float) -> Found:
        """Return the path of a method, each with its whole share."""
        effort, bends, progress = Effort(self.landscape, share), self.settings.bends, self._progress(method)
        if method == "bezier":
            points = drawn(trained_bezier(self.landscape, straight_chain(self.a, self.b, 1), effort, progress=progress))
        elif method == "chain":
            points = trained_chain(self.landscape, straight_chain(self.a, self.b, bends), effort, progress)
        elif method == "straight":
            points = torch.stack([self.a, self.b])
        elif method in ("l2", "walk"):
            points = self._walked(self.names[0], share).points
        else:
            start = self._by(self.settings.start, share / 2.0).points
            points = Band(self.landscape, spread(start, bends + 2)).relax(Effort(self.landscape, effort.left))
        return self._through(points, method)

    # -- plumbing ---------------------------------------------------------------------------

    def _through(self, points: Tensor, way: str) -> Found:
        """Return the path through points between the ends, with E at each; infinite where it is no number."""
        values = (self.landscape.value(point) for point in points[1:-1])
        inner = (value if math.isfinite(value) else math.inf for value in values)
        return Found(points, (self.ends[0], *inner, self.ends[1]), way)

    def _line(self, found: Found, relative: float = COARSE) -> Line:
        tolerance = getattr(self, "tolerance", 0.0)
        return Line(
            self.landscape, list(found.points), found.errors, level=self.level, tolerance=tolerance, relative=relative,
            known=found.known,
        )  # fmt: skip

    def _sharp(self, line: Line) -> Line:
        line.sharpen(EXACT)
        return line

    def _progress(self, what: str) -> Progress:
        return Progress(f"{self.settings.method} {self.digest}: {what}", self.settings.recorder)

    def _kept(self, key: str, make: Callable[[], Found]) -> Found:
        """Return a part of the search that is on record, or find it and put it there, with what it cost."""
        told, key = f"{self.settings.method}: {key}", f"{self.settings.method} {self.digest}: {key}"
        known = self.settings.recorder.find(key)
        if known is not None:
            record = known.record
            self.landscape.ledger.add(Counts(*record["counts"]))
            return Found.from_record(record, {name: value.to(self.a) for name, value in known.tensors().items()})
        self.settings.tell(told)
        with self.landscape.counting() as spent:
            found = make()
        self.settings.recorder.add("path", key, found.to_dict() | {"counts": list(astuple(spent))}, found.tensors)
        return found


def digest_of(a: Tensor, b: Tensor, request: str) -> str:
    """Return a name of what is sought: the same parts serve the same ends and settings, and no others."""
    numbers = torch.stack([a, b]).detach().cpu().double().numpy().tobytes()
    return hashlib.sha256(numbers + request.encode()).hexdigest()[:12]

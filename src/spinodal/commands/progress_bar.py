"""What the terminal shows while a map is made."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from spinodal.mapping import Progress as Watcher
from spinodal.mapping import log_fraction
from spinodal.penalty import CONVENTION
from spinodal.phases import PhaseDiagram
from spinodal.sweeps.transition import Transition
from spinodal.walk import Point


class ProgressBar(Watcher):
    """A progress bar over log beta, and a line per transition as it is found."""

    def __init__(
        self,
        console: Console,
        *,
        downward: bool,
        keep: Callable[[PhaseDiagram], None] = lambda diagram: None,
        on_failure: Callable[[str, BaseException], None] = lambda what, cause: None,
    ) -> None:
        self.console, self.downward, self.keep, self.on_failure = console, downward, keep, on_failure
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self.limits = (1.0, 2.0)

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        self.line = self.bar.add_task("finding the range of beta", total=1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def range(self, low: float, high: float, solver: str) -> None:
        """Say what will be walked through."""
        self.limits = (low, high)
        self.console.print(f"beta from {low:.4g} to {high:.4g} ({CONVENTION}), solver {solver}")
        self.bar.update(self.line, description="minimising at both ends")

    def point(self, point: Point) -> None:
        """Move the bar."""
        walked = log_fraction(point.beta, *self.limits)
        self.bar.update(
            self.line,
            completed=1.0 - walked if self.downward else walked,
            description=f"beta = {point.beta:.4g}, E = {point.error:.4g}"
            + (f", rank {point.observation.rank}" if point.observation.ranks else ""),
        )

    def walked(self, diagram: PhaseDiagram) -> None:
        """Have the walk kept."""
        self.bar.update(self.line, description="what builds on the walk")
        self.keep(diagram)

    def failed(self, what: str, cause: BaseException) -> None:
        """Have the failure of a part told."""
        self.on_failure(what, cause)

    def curvature(self, done: int, total: int) -> None:
        """Move the bar once more, through the points of the map."""
        self.bar.update(self.line, completed=done / total, description=f"curvature, point {done + 1} of {total}")

    def transition(self, transition: Transition) -> None:
        """Print a macroscopic transition, and the way on the way back of a loop."""
        if not transition.minor:
            back = transition.direction == "down" and not self.downward
            self.console.print(f"{'on the way back: ' if back else ''}{transition}")

"""What a terminal or a notebook shows while a map is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Event, Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from spinodal.conventions import CONVENTION
from spinodal.mapping.estimate import Estimate, duration
from spinodal.mapping.progress import Progress as Watcher
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition

EVERY = 10.0  # seconds between two lines where there is no terminal


class ProgressBar(Watcher):
    """A progress bar over log beta with the time that is left, and a line per transition as it is found.

    Where there is no terminal, it is a plain line every ten seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        direction: str,
        convention: str = CONVENTION,
        keep: Callable[[PhaseDiagram], None] = lambda diagram: None,
        on_failure: Callable[[str, BaseException], None] = lambda what, cause: None,
        every: float = EVERY,
    ) -> None:
        self.console, self.downward, self.keep, self.on_failure = console, direction == "down", keep, on_failure
        self.convention = convention
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), console=console, transient=True,
        )  # fmt: skip
        self.began = time.monotonic()
        self.estimate = Estimate(direction, clock=time.monotonic)
        self.limits: tuple[float, float] | None = None
        self.doing, self.every, self.done = "finding the range of beta", every, Event()

    def __enter__(self) -> ProgressBar:
        self.line = self.bar.add_task(self.doing, total=1.0, left="")
        if self.console.is_terminal:
            self.bar.start()
        else:
            Thread(target=self._speak, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.bar.stop()

    def _speak(self) -> None:
        """Say every ten seconds what is being done, and how long it will take."""
        while not self.done.wait(self.every):
            left = self._left()
            share = f", {100 * self.estimate.fraction:.0f} % of the way" if left else ""
            self.console.print(f"{duration(time.monotonic() - self.began)}: {self.doing}{share}{left and ', '}{left}")

    def _left(self) -> str:
        remaining = self.estimate.remaining()
        return "" if remaining is None else f"about {duration(remaining)} left"

    def _do(self, what: str, completed: float | None = None) -> None:
        self.doing = what
        self.bar.update(self.line, description=what, completed=completed, left=self._left())

    def stage(self, what: str) -> None:
        """Say what is done before the first point; the walk begins with the last of it."""
        if self.limits is not None:
            self.estimate.begin(*self.limits)
        self._do(what)

    def range(self, low: float, high: float, solver: str) -> None:
        """Say what will be walked through."""
        self.console.print(f"beta from {low:.4g} to {high:.4g} ({self.convention}), solver {solver}")
        self.limits = low, high

    def point(self, point: Point) -> None:
        """Move the bar."""
        self.estimate.move(point.beta)
        self._do(_told(point), self.estimate.fraction)

    def beside(self, point: Point) -> None:
        """Say how far a phase is followed; how many points there will be is not known."""
        self._do(f"a phase followed to its end, {_told(point)}")

    def walked(self, diagram: PhaseDiagram) -> None:
        """Have the walk kept."""
        self._do("what builds on the walk")
        self.keep(diagram)

    def failed(self, what: str, cause: BaseException) -> None:
        """Have the failure of a part told."""
        self.on_failure(what, cause)

    def curvature(self, done: int, total: int) -> None:
        """Move the bar once more, through the points of the map."""
        self.estimate.limits = None
        self._do(f"curvature, point {done + 1} of {total}", done / total)

    def transition(self, transition: Transition) -> None:
        """Print a macroscopic transition, and the way on the way back of a loop."""
        if not transition.minor:
            back = transition.direction == "down" and not self.downward
            self.console.print(f"{'on the way back: ' if back else ''}{transition}")


def _told(point: Point) -> str:
    rank = f", rank {point.observation.rank}" if point.observation.ranks else ""
    return f"beta = {point.beta:.4g}, E = {point.error:.4g}{rank}"


def told(progress: Watcher | bool | None, direction: str, convention: str) -> AbstractContextManager[Watcher]:
    """Return who is told of a map: a bar of its own on standard error, somebody else, or nobody."""
    if not progress:
        return nullcontext(Watcher())
    if isinstance(progress, Watcher):
        return nullcontext(progress)
    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    return ProgressBar(console, direction=direction, convention=convention)

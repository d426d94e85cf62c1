"""Where claims are measured: maps that several of them share, the folder of their figures, how long it may take."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinodal.mapping.map import map_phases
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import prepare
from spinodal.plots.style import paper
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import RunFolder
from spinodal.tasks.digits import digits
from spinodal.tasks.gaussian import gaussian
from spinodal.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVED = (0.02, 0.6)  # beta
RESOLUTION = 110  # dots per inch of a figure of the page


@dataclass
class Workshop:
    """What claims are measured with.

    Attributes
    ----------
    folder : Path
        Figures go to `folder / "figures"`.
    is_full : bool
        Whether a measurement may take hours.
    mnist : Path or None
        A file of MNIST (see `spinodal.tasks.mnist`).
    runs : Path
        Where the run folders of the maps are.
    """

    folder: Path
    is_full: bool = False
    mnist: Path | None = None
    runs: Path = Path("runs/claims")
    _maps: dict[Path, PhaseDiagram] = field(default_factory=dict)

    def map(self, task: Task, **options: Any) -> PhaseDiagram:
        """Return a map, made once, in a run folder of its own: one that was stopped goes on."""
        chosen = MapOptions(**options)
        config = {"task": {"name": task.name, **task.settings}, "map": asdict(chosen)}
        path = self.runs / f"{task.name}-{sha256(json.dumps(config, default=str).encode()).hexdigest()[:12]}"
        if path not in self._maps:
            prepared = prepare(task, chosen)
            with RunFolder(path, config, resume=True) as folder:
                self._maps[path] = map_phases(task, options=chosen, recorder=folder.journal, prepared=prepared)
                folder.save(self._maps[path])
        return self._maps[path]

    def linear(self, matrices: int, **options: Any) -> PhaseDiagram:
        """Return the map of a linear network with two modes."""
        return self.map(linear_task(matrices), **options)

    def curved(self) -> PhaseDiagram:
        """Return the map of the small tanh network, with its branches and its curvature."""
        return self.map(tanh_task(), beta=CURVED, starts=2, branches=True, curvature=True)

    def classes(self, count: int) -> PhaseDiagram:
        """Return the map of a network on the digits 0 to `count - 1`."""
        return self.map(digits_task(count), starts=2)

    def draw(self, name: str, make: Callable[[], Figure]) -> str:
        """Write a figure of the page, and return the name of its file."""
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        file = f"claims-{name}.png"
        with paper():
            make().savefig(self.folder / "figures" / file, dpi=RESOLUTION)
        return file


def linear_task(matrices: int) -> Task:
    """Return the regression of two modes by a deep linear network, for which closed forms hold."""
    return gaussian(activation="linear", hidden=(2,) * (matrices - 1), inputs=2, samples=60)


def chain_task(matrices: int) -> Task:
    """Return the regression of one mode by a chain of single linear units."""
    return gaussian(
        activation="linear", hidden=(1,) * (matrices - 1), inputs=1, outputs=1, singular_values=(0.5,), bias=False, samples=60
    )


def tanh_task() -> Task:
    """Return the regression of two modes by a small network with two hidden layers."""
    return gaussian(hidden=(4, 4), samples=100)


def digits_task(count: int) -> Task:
    """Return the classification of the digits 0 to `count - 1`."""
    return digits(classes=tuple(range(count)), hidden=(8, 8))

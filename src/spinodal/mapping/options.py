"""How to map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict

from spinodal.arguments import real_number, switch, whole_number
from spinodal.errors import SpinodalError, positive_beta, unknown_name
from spinodal.landscape.soften import check_sharpness
from spinodal.mapping.grid import Grid, decays_on
from spinodal.minima.minibatch import TRAINERS, Training
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.sweeping import DIRECTIONS
from spinodal.tasks.task import DTYPES

TRAINED = ("epochs", "batch_size", "learning_rate", "patience")  # what only a grid has
OWN = "auto"  # the precision that a task is computed in of itself


@dataclass(frozen=True)
class MapOptions:
    """How to map; every default is stated here and nowhere else.

    Attributes
    ----------
    beta : (low, high) or None
        Range of beta. None: HIGH by doubling until the trivial phase, LOW = HIGH / 300 or below, where E hardly changes.
    direction : {"up", "down", "loop"}
        "up" follows the deepest phase, "down" the trivial one. "loop" goes up and back down, and follows every phase to
        both of its ends.
    seed : int
        Of the random starts; start k uses seed `1000 * seed + k`.
    starts : int
        Number of random starts from which the deepest phase is chosen.
    repeats : int
        How often the finished walk is repeated, each time from as many other starts at its lower end, to see where its
        transitions are met again (see `Repeat`). The deepest of all starts is followed by the map itself.
    solver : {"auto", "newton", "newton_cg", "lbfgs", "adam", "sgd"}
        "auto": the task's own, if it names one, else by size (see `solver_for`). "adam" and "sgd" train on a grid.
    tolerance : float or None
        Relative residual; None: the solver's default.
    bracket : float or None
        Relative width of macroscopic brackets; None: 1e-5 dense, 1e-4 beyond 800 parameters, 1e-3 matrix-free.
    dtype : {"auto", "float64", "float32"}
        "auto": the task's own, which is float64 unless it names another.
    device : str
    branches : bool
        Whether to follow, in a map upwards, every phase as a branch through the fold in which it may end, and to find
        where phases are equally deep. A loop always does so.
    curvature : bool
        Whether to compute, after the walk, the curvature of E and of L at every followed point (see `Curvature`). No phase
        and no transition depends on it.
    soften : float, or (low, high), or None
        Sharpness s of the smooth operations that take the place of ReLU and its kin (see `Softening`). With two, the map is
        made at `low`, and every macroscopic transition of it is followed to `high`, extrapolated to the network as given
        and compared with that (see `Limit`). None: E is as it is given.
    lead : int or None
        Samples of a map that leads a walk upwards of a large network in single precision: it is made first, and the walk over
        all samples goes where it went and begins its searches where it ended (see `spinodal.mapping.lead`). 0: none leads.
        None: a quarter, at most 7,500, where that is 2,000 or more.
    shards : int or None
        A number S of parts into which the data are cut. Sums over them are added in double precision and in their order, so
        that the processes of one run, started by `torchrun` or with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the
        environment, share them out: the first maps, the others serve it, and the numbers are the same to the last bit for
        any number of processes, one included. None: no cut.
    grid : (start, stop, step) or None
        Values of weight_decay, both ends included, at which "adam" or "sgd" trains in mini-batches, each from the weights of
        the one before (the published protocol); nothing is minimised, and transitions lie between values of the grid.
    epochs, batch_size, learning_rate, patience
        Of that training (see `Training`).
    """

    beta: tuple[float, float] | None = None
    direction: str = "up"
    seed: int = 0
    starts: int = 4
    repeats: int = 0
    solver: str = "auto"
    tolerance: float | None = None
    bracket: float | None = None
    dtype: str = OWN
    device: str = "cpu"
    branches: bool = False
    curvature: bool = False
    soften: float | tuple[float, float] | None = None
    lead: int | None = None
    shards: int | None = None
    grid: Grid | None = None
    epochs: int = Training.epochs
    batch_size: int = Training.batch_size
    learning_rate: float = Training.learning_rate
    patience: int = Training.patience

    def __post_init__(self) -> None:
        """Refuse options that mean nothing."""
        if self.beta is not None:
            low, high = (positive_beta(value) for value in self.beta)
            if not low < high:
                raise SpinodalError(
                    got=f"beta range {low:g}:{high:g} is reversed or empty",
                    allowed="LOW < HIGH is allowed",
                    do=f"try {high:g}:{low:g}",
                )
        if self.direction not in DIRECTIONS:
            raise unknown_name("direction", self.direction, DIRECTIONS)
        if self.dtype not in (OWN, *DTYPES):
            raise unknown_name("dtype", self.dtype, (OWN, *DTYPES))
        if switch("branches", self.branches) and self.direction == "down":
            raise SpinodalError(
                got="branches in a map downwards", allowed="branches in direction up or loop are allowed", do="go up"
            )
        switch("curvature", self.curvature)
        if self.soften is not None:
            check_sharpness(self.soften)
        if self.lead is not None:
            whole_number("lead", self.lead, least=0, do="try 7500, or 0 for none")
        if self.shards is not None:
            whole_number("shards", self.shards, least=1, do="try 4, or the number of processes")
        self._refuse_half_a_protocol()
        whole_number("starts", self.starts, least=1, do="try 4")
        if whole_number("repeats", self.repeats, least=0, do="try 2") and self.direction == "down":
            raise SpinodalError(
                got="repeats of a map downwards", allowed="repeats in direction up or loop are allowed", do="go up"
            )
        if self.bracket is not None:
            Resolution(bracket=self.bracket)
        if self.tolerance is not None and not 0 < real_number(self.tolerance) < 1:
            raise SpinodalError(
                got=f"tolerance = {self.tolerance}", allowed="a number between 0 and 1 is allowed", do="try 1e-6"
            )

    def seeds(self, group: int = 0) -> range:
        """Return the seeds of the random starts: those of the map, and of each of its repeats.

        Examples
        --------
        >>> MapOptions(seed=2, starts=4).seeds(), MapOptions(seed=2, starts=4, repeats=1).seeds(1)
        (range(2000, 2004), range(2004, 2008))
        """
        first = 1000 * self.seed + group * self.starts
        return range(first, first + self.starts)

    def _refuse_half_a_protocol(self) -> None:
        """Refuse a grid with what it has no use for, and a training without a grid."""
        training = self.training  # refused where its numbers mean nothing
        if self.grid is None:
            if self.solver in TRAINERS or training != Training(seed=self.seed):
                raise SpinodalError(
                    got="a training (solver adam or sgd, epochs, batch_size, learning_rate or patience) without a grid",
                    allowed="they train at every value of a grid of weight_decay, and minimise nothing",
                    do="add the grid, as 0:0.09:0.0002, or take another solver",
                )
            return
        decays_on(self.grid)
        if self.solver not in TRAINERS:
            raise SpinodalError(
                got=f"a grid with solver {self.solver}",
                allowed=f"{' or '.join(TRAINERS)} trains on a grid; other solvers find their own values",
                do="give solver adam, or leave the grid out",
            )
        used = {name: getattr(self, name) for name in ("grid", "solver", "seed", "dtype", "device", "soften", *TRAINED)}
        if replace(self, **{name: getattr(MapOptions, name) for name in used}) != MapOptions():
            raise SpinodalError(
                got="a grid together with a range, a direction, starts, repeats, branches, curvature, shards, a bracket or a "
                "tolerance",
                allowed="a grid is trained on upwards, value by value, from one start",
                do="leave those out, and make a map of its own for them",
            )

    @property
    def training(self) -> Training:
        """Return how models are trained on a grid."""
        return Training(self.epochs, self.batch_size, self.learning_rate, self.patience, self.seed)

    @property
    def decays(self) -> tuple[float, ...]:
        """Return the values of weight_decay of the grid; none without one."""
        return () if self.grid is None else decays_on(self.grid)

    @property
    def sharpness(self) -> float | None:
        """Return the sharpness of the map itself."""
        return self.soften[0] if isinstance(self.soften, tuple) else self.soften


class MapSettings(TypedDict, total=False):
    """The fields of `MapOptions` as keyword arguments."""

    beta: tuple[float, float] | None
    direction: str
    seed: int
    starts: int
    repeats: int
    solver: str
    tolerance: float | None
    bracket: float | None
    dtype: str
    device: str
    branches: bool
    curvature: bool
    soften: float | tuple[float, float] | None
    lead: int | None
    shards: int | None
    grid: Grid | None
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int

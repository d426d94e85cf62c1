"""What `spinodal map TASK --seeds A:B` does: a map for every seed, ordinary runs all of them, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spinodal.commands.arguments import console_for
from spinodal.commands.asked import Asked
from spinodal.commands.json_file import write_json_file
from spinodal.commands.members import folder_of_many, map_seed_runs, mapped_members, member_folders, refuse_missing, seeds_in
from spinodal.commands.tables import told
from spinodal.ensemble.ensemble import Ensemble
from spinodal.errors import SpinodalError
from spinodal.files import write_json, write_whole, writing
from spinodal.mapping.options import MapOptions
from spinodal.store import RunFolder, load
from spinodal.store.netcdf import to_bytes
from spinodal.words.ensemble import DEVIATION_NOTE, shared_cells
from spinodal.words.rows import TERMINAL

NAME = "ensemble"
SPARE = {"apart": 1, "w. decay": 2, "range": 3, "order": 4}  # columns, those that are left out first with higher numbers


def map_ensemble(asked: Asked, options: MapOptions, *, seeds: str, model: tuple[Path | None, float | None]) -> None:
    """Map a task with every seed, each into a run folder of its own, and show which transitions the maps share."""
    if options.seed != MapOptions.seed or model != (None, None):
        raise SpinodalError(
            got=f"--seeds together with {'--seed' if model == (None, None) else '--start or --at-weight-decay'}",
            allowed="with --seeds, seeds are those of the maps, and models are placed on one map",
            do="leave it out; a model is placed on a finished member with --resume --out DIR/seed-N --start FILE",
        )
    numbers = seeds_in(seeds)
    folder, console = folder_of_many(asked, of="seeds"), asked.console()
    runs, missing = map_seed_runs(asked, options, numbers, folder, console)
    members = mapped_members(runs)
    if members:
        ensemble = Ensemble.of([made for _, made in members], [name for name, _ in members], missing=missing)
        write_ensemble(ensemble, folder)
        write_json_file(asked.json_file, ensemble.to_dict())
        show_ensemble(console, ensemble)
        console.print(f"in {folder}: ensemble.json, ensemble.nc, figures/ensemble.png, and a run folder for every seed")
    refuse_missing(missing, runs, folder)


def write_ensemble(ensemble: Ensemble, folder: Path) -> None:
    """Write an ensemble as JSON, as labelled arrays and as a figure into a folder that is there."""
    from spinodal.plots import draw_ensemble, save_figure  # matplotlib is slow to import

    with writing(folder, do="give another --out"):
        write_json(folder / f"{NAME}.json", ensemble.to_dict())
        write_whole(folder / f"{NAME}.nc", to_bytes(ensemble.to_xarray()))
        if ensemble.is_l2:
            save_figure(draw_ensemble(ensemble), folder / "figures", NAME)


def show_ensemble(console: Console, ensemble: Ensemble) -> None:
    """Print the transitions of an ensemble as a table, and what there is to say."""
    found = ensemble.to_dict()
    console.print()
    if found["transitions"]:
        console.print(shared_table(found, console.width), soft_wrap=False)
        console.print(DEVIATION_NOTE)
    for member in found["members"]:
        if member["run_status"] != "complete" or member["missing"]:
            console.print(f"{member['name']}: {member['answer']}")
    console.print(f"\n{ensemble}")
    console.print(f"convention: {ensemble.convention}; transitions are one {_matched(ensemble)}")


def _matched(ensemble: Ensemble) -> str:
    if ensemble.by_phase:
        return "where they end one phase, as E, the norm and all singular values tell it"
    return "where their ranks are the same and beta is nearest"


def shared_table(found: Mapping[str, Any], width: int) -> Table:
    """Return the transitions, one per row; the way is told where there are two."""
    rows = [shared_cells(item, TERMINAL) for item in found["transitions"]]
    if len({row["way"] for row in rows}) == 1:
        rows = [{**row, "way": TERMINAL.absent} for row in rows]
    title = f"Transitions of {found['task']} over {len(found['members'])} maps"
    return told(title, rows, width, spare=SPARE, folds=("order", "classes lost"))


def show_members(folder: Path, json_file: str | None) -> None:
    """Print what the finished runs in the folder of an ensemble share."""
    runs = [run for run in member_folders(folder) if RunFolder(run).has_result]
    if not runs:
        raise SpinodalError(
            got=f"no run in {folder} is finished",
            allowed="one finished run is needed",
            do="go on with --resume --out of that folder",
        )
    ensemble = Ensemble.of([load(run) for run in runs], [run.name for run in runs])
    write_json_file(json_file, ensemble.to_dict())
    show_ensemble(console_for(json_file, soft_wrap=True), ensemble)

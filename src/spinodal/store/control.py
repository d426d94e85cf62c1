"""The control of a run: its record in the journal, and its centre and mask beside the states of points."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from spinodal.errors import refusing
from spinodal.files import write_whole, writing
from spinodal.landscape.control import Control
from spinodal.landscape.control_record import ControlRecord
from spinodal.landscape.penalty import Penalty
from spinodal.store.entry import STATES
from spinodal.store.journal import Journal
from spinodal.store.log import DAMAGE

TENSORS = f"{STATES}/control.safetensors"  # centre and mask of the penalty, where it has any


def keep_control(folder: Path, control: Control) -> None:
    """Write the centre and the mask of a penalty into a run folder, once."""
    if not isinstance(control, Penalty):
        return
    given = {"centre": control.centre if control.has_centre else None, "mask": control.mask}
    tensors = {name: value.detach().cpu().contiguous() for name, value in given.items() if value is not None}
    place = folder / TENSORS
    if tensors and not place.exists():
        with writing(place):
            place.parent.mkdir(exist_ok=True)
            write_whole(place, save(tensors))


def recorded_control(journal: Journal) -> ControlRecord:
    """Return the record of a run's control, with the penalty itself where the run is along one and keeps its tensors.

    Runs of older versions turned the L2 penalty around the origin, and say nothing of it.

    Raises
    ------
    SpinodalError
        If the tensors are damaged, or are not those of the record.
    """
    noted = journal.recorded("control")
    if noted is None:
        return ControlRecord()
    record = ControlRecord.from_dict(noted)
    return record if not record.is_l2 else ControlRecord.from_dict(noted, made=_penalty(journal.folder / TENSORS, record))


def _penalty(place: Path, record: ControlRecord) -> Penalty | None:
    if record.centre is None and record.mask is None:
        return Penalty()
    if not place.exists():
        return None
    allowed = "the centre and the mask with which the run began are needed"
    with refusing(DAMAGE, f"{place} is damaged, or not of this run", allowed=allowed, do="restore it from a copy"):
        tensors: dict[str, Tensor] = load_file(place)
        found = Penalty(tensors.get("centre"), tensors.get("mask"), record.source)
        if ControlRecord.of(found) != record:
            raise ValueError(place)
        return found

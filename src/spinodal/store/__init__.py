"""Run folders: maps that survive a kill and can be read back."""

from spinodal.files import writing
from spinodal.store.checkpoint import is_checkpoint_folder, read_checkpoint
from spinodal.store.journal import Journal
from spinodal.store.kept_placements import placement_folder, placement_recorder, placements, save_placement
from spinodal.store.loading import load
from spinodal.store.rebuilding import rebuild
from spinodal.store.run import RunFolder

__all__ = [
    "Journal",
    "RunFolder",
    "is_checkpoint_folder",
    "load",
    "placement_folder",
    "placement_recorder",
    "placements",
    "read_checkpoint",
    "rebuild",
    "save_placement",
    "writing",
]

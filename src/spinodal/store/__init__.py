"""Run folders: maps that survive a kill and can be read back."""

from spinodal.files import writing
from spinodal.store.checkpoint import is_checkpoint_folder, read_checkpoint
from spinodal.store.journal import Journal
from spinodal.store.kept_placements import placement_folder, placement_recorder, placements, save_placement
from spinodal.store.kept_shares import is_of_shares, map_setting, recorded_shares, save_shares, settle_map
from spinodal.store.loading import load
from spinodal.store.rebuilding import rebuild
from spinodal.store.run import RunFolder

__all__ = [
    "Journal",
    "RunFolder",
    "is_checkpoint_folder",
    "is_of_shares",
    "load",
    "map_setting",
    "placement_folder",
    "placement_recorder",
    "placements",
    "read_checkpoint",
    "rebuild",
    "recorded_shares",
    "save_placement",
    "save_shares",
    "settle_map",
    "writing",
]

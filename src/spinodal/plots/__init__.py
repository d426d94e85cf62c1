"""Figures: each turns a result into a record, and a record into a picture."""

from spinodal.plots.phase_map import PhaseMapRecord, draw_phase_map, phase_map_record, save_phase_map

__all__ = ["PhaseMapRecord", "draw_phase_map", "phase_map_record", "save_phase_map"]

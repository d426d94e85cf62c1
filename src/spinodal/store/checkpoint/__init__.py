"""Checkpoints of others: told by their structure, read without running anything."""

from spinodal.store.checkpoint.read import is_checkpoint_folder, read_checkpoint

__all__ = ["is_checkpoint_folder", "read_checkpoint"]

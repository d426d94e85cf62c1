"""Run folders: maps that survive a kill and can be read back."""

from spinodal.store.disk import writing
from spinodal.store.journal import Journal
from spinodal.store.load import load
from spinodal.store.rebuild import rebuild
from spinodal.store.run import RunFolder

__all__ = ["Journal", "RunFolder", "load", "rebuild", "writing"]

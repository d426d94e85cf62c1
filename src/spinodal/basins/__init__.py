"""The hierarchy of basins: maps from several seeds, matched phase by phase, and the tree in which their minima merge."""

"""The shares of basins: which phase training from random starts reaches, at each of several beta."""

"""The spectrum of the Hessian: its ends, its saddle index, its density."""

from spinodal.curvature.density import SpectralDensity, spectral_density
from spinodal.curvature.extremes import Eigenpairs, Extremes, extreme_eigenvalues
from spinodal.curvature.saddle_index import SaddleIndex, saddle_index

__all__ = [
    "Eigenpairs",
    "Extremes",
    "SaddleIndex",
    "SpectralDensity",
    "extreme_eigenvalues",
    "saddle_index",
    "spectral_density",
]

"""Curvature of the error and loss surfaces: exact geometry, estimates with error bars, spectra, change points along a map."""

from spinodal.curvature.along import Curvature, curvature_at
from spinodal.curvature.changes import ChangePoint, change_points
from spinodal.curvature.fisher import fisher_trace
from spinodal.curvature.gauss import (
    LogValue,
    gauss_kronecker,
    mean_curvature,
    principal_curvatures,
    ricci,
    sectional_curvature,
    shape_operator,
)
from spinodal.curvature.gauss_newton import GaussNewton
from spinodal.curvature.result import CurvatureChange
from spinodal.curvature.scalar import Curvatures, curvatures, scalar_curvature
from spinodal.curvature.surface import Surface
from spinodal.curvature.survey import Survey
from spinodal.spectrum.density import DensityCurve, SpectralDensity, spectral_density
from spinodal.spectrum.estimate import Estimate
from spinodal.spectrum.extremes import Eigenpairs, Extremes, extreme_eigenvalues
from spinodal.spectrum.saddle_index import SaddleIndex, saddle_index

__all__ = [
    "ChangePoint",
    "Curvature",
    "CurvatureChange",
    "Curvatures",
    "DensityCurve",
    "Eigenpairs",
    "Estimate",
    "Extremes",
    "GaussNewton",
    "LogValue",
    "SaddleIndex",
    "SpectralDensity",
    "Surface",
    "Survey",
    "change_points",
    "curvature_at",
    "curvatures",
    "extreme_eigenvalues",
    "fisher_trace",
    "gauss_kronecker",
    "mean_curvature",
    "principal_curvatures",
    "ricci",
    "saddle_index",
    "scalar_curvature",
    "sectional_curvature",
    "shape_operator",
    "spectral_density",
]

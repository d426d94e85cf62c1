"""Branches of stationary points: through folds, along saddles, past branch points."""

from spinodal.continuation.area import AreaCertificate
from spinodal.continuation.branch import Branch
from spinodal.continuation.coexistence import Coexistence
from spinodal.continuation.equal_depth import coexistence
from spinodal.continuation.following import continue_branch
from spinodal.continuation.point import StationaryPoint
from spinodal.continuation.special import BranchPoint, Fold

__all__ = [
    "AreaCertificate",
    "Branch",
    "BranchPoint",
    "Coexistence",
    "Fold",
    "StationaryPoint",
    "coexistence",
    "continue_branch",
]

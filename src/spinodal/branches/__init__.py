"""Branches of stationary points: through folds, along saddles, past branch points."""

from spinodal.branches.area import AreaCertificate
from spinodal.branches.branch import Branch
from spinodal.branches.coexistence import Coexistence
from spinodal.branches.equal_depth import coexistence
from spinodal.branches.follow import continue_branch
from spinodal.branches.point import StationaryPoint
from spinodal.branches.special import BranchPoint, Fold

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

"""Training as dynamics: trajectories, plateaus and their causes, waiting times predicted and measured."""

from spinodal.dynamics.diagnosing import diagnose
from spinodal.dynamics.diagnosis import Diagnosis
from spinodal.dynamics.escaping import WayOut, escape
from spinodal.dynamics.flow import Flow, gradient_flow
from spinodal.dynamics.method import Method
from spinodal.dynamics.reaching import Reach, reachable
from spinodal.dynamics.saddle import Saddle, saddle_beside
from spinodal.dynamics.slowing import Slowing
from spinodal.dynamics.training import train
from spinodal.dynamics.trajectory import Trajectory

__all__ = [
    "Diagnosis",
    "Flow",
    "Method",
    "Reach",
    "Saddle",
    "Slowing",
    "Trajectory",
    "WayOut",
    "diagnose",
    "escape",
    "gradient_flow",
    "reachable",
    "saddle_beside",
    "train",
]

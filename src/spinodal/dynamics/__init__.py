"""Training as dynamics: trajectories, plateaus and their causes, waiting times predicted and measured."""

from spinodal.dynamics.method import Method
from spinodal.dynamics.training import train
from spinodal.dynamics.trajectory import Trajectory

__all__ = ["Method", "Trajectory", "train"]

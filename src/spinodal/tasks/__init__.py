"""Ready-made tasks, one file each, and the class for your own."""

from spinodal.tasks.autoencoder import autoencoder
from spinodal.tasks.digits import digits
from spinodal.tasks.gaussian import gaussian
from spinodal.tasks.mnist import mnist
from spinodal.tasks.modular import modular
from spinodal.tasks.parity import parity
from spinodal.tasks.patterns import patterns
from spinodal.tasks.task import Task

__all__ = ["Task", "autoencoder", "digits", "gaussian", "mnist", "modular", "parity", "patterns"]

"""The error of a network as a function of one flat vector, and what is checked before it is believed."""

from spinodal.landscape.energy import Energy, LossFunction
from spinodal.landscape.landscape import Landscape

__all__ = ["Energy", "Landscape", "LossFunction"]

"""Order parameters: small functions of a model and its data."""

from spinodal.observe.accuracies import accuracy, class_accuracy
from spinodal.observe.observation import Observation, Observer
from spinodal.observe.rank import effective_rank, singular_values

__all__ = ["Observation", "Observer", "accuracy", "class_accuracy", "effective_rank", "singular_values"]

# Batch normalisation over the training sample of scikit-learn's wines. `task` is refused: E does not feel the scale of the
# normalised layer, so a penalty shrinks it for ever and L has no minimiser. `task_masked` leaves it out of the penalty.
# (`nn.BatchNorm1d` in training mode is refused before: its statistics are those of whatever batch it is given.)
#
#     spinodal map examples/batchnorm.py:task
#     spinodal map examples/batchnorm.py:task_masked --out runs/batchnorm
#
# The second takes 80 s on one core (Intel Xeon, processor time). Expected: the ranks go one by one, without a jump of E, at
# beta = 0.2614 and 0.2716, where nothing is left.
import torch
from sklearn.datasets import load_wine
from torch import nn

from spinodal import Task


class SampleNorm(nn.Module):
    """Linear layer and BatchNorm whose statistics are those of the training sample, at every theta."""

    def __init__(self, sample, hidden):
        super().__init__()
        self.register_buffer("sample", sample)
        self.linear = nn.Linear(sample.shape[1], hidden)
        self.scale, self.shift = nn.Parameter(torch.ones(hidden)), nn.Parameter(torch.zeros(hidden))

    def forward(self, inputs):
        variance, mean = torch.var_mean(self.linear(self.sample), dim=0, correction=0)
        return self.scale * (self.linear(inputs) - mean) / (variance + 1e-5).sqrt() + self.shift


def cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def task(hidden: int = 8, exclude: list[str] = (), held_out: float = 0.3, seed: int = 0):
    inputs, labels = (torch.from_numpy(array) for array in load_wine(return_X_y=True))
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))
    test, train = order.tensor_split([round(held_out * len(order))])
    inputs = (inputs - inputs[train].mean(0)) / inputs[train].std(0)
    model = nn.Sequential(SampleNorm(inputs[train], hidden), nn.Tanh(), nn.Linear(hidden, 3))
    return Task(
        model,
        cross_entropy,
        (inputs[train], labels[train]),
        held_out=(inputs[test], labels[test]),
        exclude=exclude,
    )


def task_masked(hidden: int = 8, held_out: float = 0.3, seed: int = 0):
    return task(hidden, ["0.linear.*"], held_out, seed)

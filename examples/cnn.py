# A small convolutional network with smooth activations and average pooling on the digits 0 to 4 of scikit-learn, 300 to
# train and 300 held out. Batches are dicts; biases are left out of the penalty by the pattern of their names.
#
#     spinodal map examples/cnn.py:task --out runs/cnn
#
# Takes 132 s on one core (Intel Xeon, processor time); with `--solver lbfgs` half of that, and margins undecided.
# Expected: jumps at beta = 0.0452, at 0.0529 (classes fade behind it) and at 0.1005, where nothing is left.
import torch
from sklearn.datasets import load_digits
from torch import nn

from spinodal import Task


def cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch["image"]), batch["label"])


def task(channels: int = 2, classes: int = 5, samples: int = 300, held_out: int = 300, seed: int = 0):
    digits = load_digits(n_class=classes)
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(seed))
    images = torch.from_numpy(digits.images)[order, None] / 8 - 1  # (n, 1, 8, 8), from -1 to 1
    labels = torch.from_numpy(digits.target)[order]
    train, test = slice(samples), slice(samples, samples + held_out)
    model = nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * channels, classes),
    )
    return Task(
        model,
        cross_entropy,
        {"image": images[train], "label": labels[train]},
        held_out={"image": images[test], "label": labels[test]},
        exclude=["*.bias"],
    )

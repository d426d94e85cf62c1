# One transformer block learns which of three classes the marked token of a sequence has. Batches are dicts whose padding mask
# goes to the model by name; the embedding is frozen, biases are left out of the penalty, attention is an observable.
#     spinodal map examples/transformer.py:task --out runs/transformer
# Takes 150 s on one core (Intel Xeon, processor time). Expected: jumps at beta = 0.1098 (the rarest class is lost), 0.3131 and
# 0.3255, where the others go too and attention to the mark falls from 0.323 to 0.222, that of a uniform reader.
import torch
from torch import nn

from spinodal import Task

CLASSES, FREQUENCIES = 3, torch.tensor([0.5, 0.3, 0.2])


class Reader(nn.Module):
    """One transformer block, read at the first token; its attention is written out, so that it has second derivatives."""

    def __init__(self, embedding, hidden):
        super().__init__()
        width = embedding.shape[1]
        self.embed = nn.Embedding.from_pretrained(embedding)  # frozen: it keeps the scale that LayerNorm takes away
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.head = nn.Linear(width, CLASSES)

    def attention(self, x, mask):  # of the first token to all, shape (samples, 1, tokens)
        scores = self.query(x[:, :1]) @ self.key(x).mT / x.shape[-1] ** 0.5
        return scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1)

    def forward(self, tokens, mask):
        x = self.embed(tokens)
        normed = self.norm(x)
        x = x[:, 0] + self.out(self.attention(normed, mask) @ self.value(normed))[:, 0]
        return self.head(x + self.feed_forward(self.norm(x)))


def sequences(samples, length, seed):  # one of 2 to `length` tokens is marked, its class is the label
    g = torch.Generator().manual_seed(seed)
    classes = torch.multinomial(FREQUENCIES, samples * length, replacement=True, generator=g).view(samples, length)
    lengths = torch.randint(2, length + 1, (samples, 1), generator=g)
    place = (torch.rand(samples, 1, generator=g) * lengths).long()
    tokens = nn.functional.pad(classes + CLASSES * (torch.arange(length) == place), (1, 0), value=2 * CLASSES)
    return {"tokens": tokens, "mask": torch.arange(length + 1) <= lengths, "labels": classes.gather(1, place)[:, 0]}


def task(samples: int = 150, length: int = 6, width: int = 8, hidden: int = 16, seed: int = 0):
    train, test = sequences(samples, length, seed), sequences(1000, length, seed + 1)

    def attention_to_mark(model):  # mean over the training sample
        tokens, mask = (train[key].to(model.head.weight.device) for key in ("tokens", "mask"))
        return model.attention(model.norm(model.embed(tokens)), mask)[:, 0][tokens // CLASSES == 1].mean()

    return Task(
        Reader(torch.randn(2 * CLASSES + 1, width, generator=torch.Generator().manual_seed(seed)), hidden),
        lambda model, batch: nn.functional.cross_entropy(model(batch["tokens"], batch["mask"]), batch["labels"]),
        train,
        held_out=test,
        observables={"attention to the mark": attention_to_mark},
        exclude="*.bias",
    )

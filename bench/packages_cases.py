"""Networks of other packages, tiny and with random weights, as their users make tasks of them. For `packages.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZES = (7, 4)  # of two batches, uneven
CLASSES, WORDS = 3, 30
IGNORED = -100
DROPOUT = "draws random numbers in training mode"


@dataclass(frozen=True)
class Made:
    """A model, the loss of a batch, batches and their sizes; `right` tells by hand which predictions are."""

    model: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]
    batches: Sequence[Any]
    right: Callable[[nn.Module, Any], Tensor] | None
    sizes: list[int]


@dataclass(frozen=True)
class Case:
    """One row of the table; `refusal` are words of the refusal that is right, none where the task is to be taken."""

    package: str
    name: str
    make: Callable[[], Made]
    dtype: torch.dtype = torch.float64
    refusal: str = ""


# -- transformers -----------------------------------------------------------------------------


def sentences(*, label: Callable[[Tensor, Tensor], Tensor]) -> list[Any]:
    """Return two batches of token sequences as a tokenizer gives them: padded, with a mask, and labels."""
    from transformers import BatchEncoding

    batches = []
    for size, length in zip(SIZES, (6, 5), strict=True):
        words = torch.randint(1, WORDS, (size, length))
        mask = (torch.arange(length) < torch.randint(2, length + 1, (size, 1))).long()
        entries = {"input_ids": words * mask, "attention_mask": mask, "labels": label(words, mask)}
        batches.append(BatchEncoding(entries))
    return batches


def of_sentence(words: Tensor, mask: Tensor) -> Tensor:
    return torch.randint(0, CLASSES, (len(words),))


def of_words(words: Tensor, mask: Tensor) -> Tensor:
    return words.where(mask > 0, torch.tensor(IGNORED))


def bert(**options: Any) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = BertConfig(vocab_size=WORDS, max_position_embeddings=10, num_labels=CLASSES, **sizes, **options)
    model: nn.Module = spread(BertForSequenceClassification(config))
    return model


def gpt2(**options: Any) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=WORDS, n_positions=10, n_embd=8, n_layer=2, n_head=2, **options)
    model: nn.Module = spread(GPT2LMHeadModel(config))
    return model


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    model: nn.Module = spread(LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, max_position_embeddings=10, **sizes)))
    return model


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = ViTConfig(image_size=8, patch_size=4, num_labels=CLASSES, **sizes)
    model: nn.Module = spread(ViTForImageClassification(config)).eval()
    return model


def spread(model: Any, by: float = 0.2) -> Any:
    """Enlarge weights that start near zero, so that all parameters count."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(by * torch.randn_like(value))
    return model


def inside(model: nn.Module, batch: Any) -> Tensor:
    """Let the model compute its own loss, as its labels are given to it."""
    error: Tensor = model(**batch).loss
    return error


def outside(model: nn.Module, batch: Any) -> Tensor:
    given = {key: value for key, value in batch.items() if key != "labels"}
    return functional.cross_entropy(model(**given).logits, batch["labels"])


def outside_by_words(model: nn.Module, batch: Any) -> Tensor:
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return functional.cross_entropy(logits[:, :-1].reshape(-1, WORDS), batch["labels"][:, 1:].reshape(-1), ignore_index=IGNORED)


def classified(model: nn.Module, batch: Any) -> Tensor:
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return logits.argmax(1) == batch["labels"]


def next_words(model: nn.Module, batch: Any) -> Tensor:
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    following = batch["labels"][:, 1:]
    return (logits.argmax(2) == following)[following != IGNORED]


def sequence_task(model: nn.Module, loss: Callable[[nn.Module, Any], Tensor] = inside) -> Made:
    return Made(model, loss, sentences(label=of_sentence), classified, list(SIZES))


def language_task(model: nn.Module, loss: Callable[[nn.Module, Any], Tensor] = inside) -> Made:
    return Made(model, loss, sentences(label=of_words), next_words, list(SIZES))


# -- images -----------------------------------------------------------------------------------


def images(channels: int, side: int) -> list[Any]:
    return [(torch.randn(size, channels, side, side), torch.randint(0, CLASSES, (size,))) for size in SIZES]


def image_task(model: nn.Module, channels: int, side: int) -> Made:
    batches, criterion = images(channels, side), nn.CrossEntropyLoss()
    return Made(
        model,
        lambda net, batch: criterion(logits(net(batch[0])), batch[1]),
        batches,
        lambda net, batch: logits(net(batch[0])).argmax(1) == batch[1],
        list(SIZES),
    )


def logits(output: Any) -> Tensor:
    """Return the logits of a plain output or of an object."""
    return output if isinstance(output, Tensor) else output.logits


def timm_net(name: str, **options: Any) -> nn.Module:
    import timm

    model: nn.Module = spread(timm.create_model(name, pretrained=False, num_classes=CLASSES, **options), by=0.05).eval()
    return model


def monai_net(**options: Any) -> nn.Module:
    from monai.networks.nets import DenseNet

    model = DenseNet(2, 2, CLASSES, init_features=4, growth_rate=2, block_config=(2, 2), **options)
    with torch.no_grad():  # statistics of images that were seen before
        for _ in range(3):
            model(torch.randn(16, 2, 16, 16))
    return model.eval()


def segmentation() -> Made:
    """A U-Net that labels every pixel, with a loss of the package's own that is no function of torch."""
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet

    net, criterion = UNet(2, 1, 2, (4, 6), (2,), norm="INSTANCE", act="GELU").eval(), DiceCELoss(to_onehot_y=True, softmax=True)
    batches = [(torch.randn(size, 1, 8, 8), torch.randint(0, 2, (size, 1, 8, 8))) for size in SIZES]
    return Made(
        net,
        lambda model, batch: criterion(model(batch[0]), batch[1].to(batch[0])),
        batches,
        lambda model, batch: (model(batch[0]).argmax(1) == batch[1][:, 0]).reshape(-1),
        list(SIZES),
    )


# -- peft, lightning, torch_geometric ---------------------------------------------------------


def lora(model: nn.Module, targets: list[str], **options: Any) -> nn.Module:
    """Return the model with factors of low rank beside its frozen layers."""
    from peft import LoraConfig, get_peft_model

    wrapped: nn.Module = get_peft_model(model, LoraConfig(r=2, target_modules=targets, init_lora_weights=False, **options))
    return wrapped


def lightning_net() -> nn.Module:
    import pytorch_lightning as lightning

    class Classifier(lightning.LightningModule):
        """A module that holds its own step, as they do; it logs, and counts."""

        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(18, 5), nn.Tanh(), nn.Linear(5, CLASSES))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net(x)
            return out

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            error = functional.cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", error)
            return error

    return Classifier()


def lightning_task() -> Made:
    return Made(
        lightning_net(),
        lambda model, batch: model.training_step(batch, 0),
        images(2, 3),
        lambda model, batch: model(batch[0]).argmax(1) == batch[1],
        list(SIZES),
    )


def graphs() -> Made:
    """Batches of graphs that are classified each, by two convolutions and a mean over their nodes."""
    from torch_geometric.data import Batch, Data
    from torch_geometric.nn import GCNConv, global_mean_pool

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.out = GCNConv(4, 6), GCNConv(6, 6), nn.Linear(6, CLASSES)

        def forward(self, batch: Any) -> Tensor:
            x = torch.tanh(self.first(batch.x, batch.edge_index))
            x = torch.tanh(self.second(x, batch.edge_index))
            out: Tensor = self.out(global_mean_pool(x, batch.batch))
            return out

    def graph(nodes: int) -> Any:
        edges = torch.randint(0, nodes, (2, 2 * nodes))
        return Data(x=torch.randn(nodes, 4), edge_index=edges, y=torch.randint(0, CLASSES, (1,)))

    batches = [Batch.from_data_list([graph(3 + index) for index in range(size)]) for size in SIZES]
    return Made(
        Net(),
        lambda model, batch: functional.cross_entropy(model(batch), batch.y),
        batches,
        lambda model, batch: model(batch).argmax(1) == batch.y,
        list(SIZES),
    )


EAGER = {"attn_implementation": "eager"}
LOW_RANK_OF_BERT = partial(lora, targets=["query", "value"], modules_to_save=["classifier"], task_type="SEQ_CLS")
LOW_RANK_OF_GPT2 = partial(lora, targets=["c_attn"], task_type="CAUSAL_LM")
GPT2_LOSS = "(GPT2LMHeadModel) computes in float32"  # the package casts logits to float32 before its cross-entropy
LLAMA_NORM = "(LlamaRMSNorm) computes in float32"

CASES = (
    Case("transformers", "BERT, loss inside", lambda: sequence_task(bert(**EAGER).eval())),
    Case("transformers", "BERT, loss outside", lambda: sequence_task(bert(**EAGER).eval(), outside)),
    Case("transformers", "BERT, fused attention", lambda: sequence_task(bert().eval())),
    Case("transformers", "BERT in training mode", lambda: sequence_task(bert().train()), refusal=DROPOUT),
    Case("transformers", "GPT-2, loss inside", lambda: language_task(gpt2(**EAGER).eval()), refusal=GPT2_LOSS),
    Case("transformers", "GPT-2, loss inside", lambda: language_task(gpt2(**EAGER).eval()), torch.float32),
    Case("transformers", "GPT-2, loss outside", lambda: language_task(gpt2(**EAGER).eval(), outside_by_words)),
    Case("transformers", "Llama", lambda: language_task(llama().eval()), refusal=LLAMA_NORM),
    Case("transformers", "Llama", lambda: language_task(llama().eval()), torch.float32),
    Case("transformers", "ViT", lambda: image_task(vit(), 3, 8)),
    Case("timm", "resnet10t", lambda: image_task(timm_net("resnet10t"), 3, 32)),
    Case("timm", "vit_tiny", lambda: image_task(timm_net("vit_tiny_patch16_224", img_size=32, embed_dim=12, depth=2), 3, 32)),
    Case("monai", "DenseNet", lambda: image_task(monai_net(), 2, 16)),
    Case("monai", "U-Net, Dice and cross-entropy", segmentation),
    Case("peft", "LoRA of BERT", lambda: sequence_task(LOW_RANK_OF_BERT(bert(**EAGER)).eval())),
    Case("peft", "LoRA of GPT-2", lambda: language_task(LOW_RANK_OF_GPT2(gpt2(**EAGER)).eval(), outside_by_words)),
    Case("pytorch-lightning", "LightningModule, its step as loss", lightning_task),
    Case("torch_geometric", "graph convolutions", graphs),
)

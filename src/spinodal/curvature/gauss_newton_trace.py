"""The exact trace of the Gauss-Newton matrix, sample by sample, at about one gradient per output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spinodal.curvature.by_sample.handed import sampled_inside
from spinodal.curvature.by_sample.output_hessian import OutputHessian, output_hessian
from spinodal.curvature.by_sample.outputs import COMPARING, check_outputs, compares_inside, hidden_in
from spinodal.curvature.by_sample.sample_gradients import LayerGradients, sample_gradients
from spinodal.curvature.by_sample.samples import SampledLoss, SampleError, Samples, agree, sampled_loss
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch
from spinodal.spectrum.estimate import Estimate

OUTPUTS = 256  # per sample, beyond which probes are cheaper for the accuracy anybody needs
CHECKS = 1  # gradients that the verification costs


def exact_trace(landscape: Landscape, theta: Tensor, *, is_limited: bool = False) -> Estimate:
    """Return `tr GGN = sum_b (n_b / n) sum_i tr(S_i J_i J_i^T)`, summed over samples i.

    `S_i` (D, D) is the second derivative of the loss in the D outputs of sample i, of any sign, and
    `J_i` (D, n) the derivative of these outputs in theta. Row by row of S_i, with unit vectors e_c,

        tr(S_i J_i J_i^T) = sum_c (J_i^T e_c) . (J_i^T S_i e_c)

    takes one backward pass per output where S_i is diagonal (squared error), else two. For linear layers
    these are backward passes to the layers' outputs alone, and no gradient is ever formed (see
    `LayerGradients`): per output they cost less than a gradient and are counted as one. Other models
    pay for gradients of single samples, counted as one for each pass.

    Nothing is assumed about the loss; all this is verified on the numbers, for one more gradient: S has
    no entries between samples (random signs of samples factor out of `S u`), the outputs of samples
    computed in parts are those of the batch, and the gradients of samples add up to that of all.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,)
    is_limited : bool
        Whether to give up beyond `OUTPUTS` outputs per sample. Default False.

    Raises
    ------
    SampleError
        Where samples meet, or the model is called more than once in the loss.
    SpinodalError
        Where the loss is not a function of the outputs of the model alone.

    Notes
    -----
    Memory beyond model, data and outputs stays below `landscape.memory` whatever the number of samples.

    Examples
    --------
    >>> line = nn.Linear(1, 1, bias=False)
    >>> E = Landscape(line, lambda model, x: (model(x) - 1).square().mean(), torch.tensor([[1.0], [2.0]]))
    >>> print(exact_trace(E, torch.ones(1, dtype=torch.float64)), E.counts.gradient_evaluations)
    5 (exact, 0 products) 2
    """
    before = landscape.counts.copy()
    total, gradients = 0.0, 0
    with landscape.at(theta) as model:
        for weight, batch in landscape.batches.weighted():
            value, spent = _batch_trace(landscape, model, theta, batch, is_limited=is_limited)
            total, gradients = total + weight * value, max(gradients, spent)
    landscape.ledger.charge(gradient_evaluations=gradients)
    return Estimate(total, 0.0, products=0, method="one gradient per output", spent=landscape.counts - before)


def _batch_trace(landscape: Landscape, model: nn.Module, theta: Tensor, batch: Batch, *, is_limited: bool) -> tuple[float, int]:
    """Return the trace of one batch, and the gradients that were spent on it."""
    found = _sampled(landscape, model, theta, batch)
    if found is None:
        return 0.0, 0
    samples, curvature, model = found
    if is_limited and curvature.width > OUTPUTS:
        raise SampleError(because=f"each sample has {curvature.width} outputs, more than {OUTPUTS}")
    memory = landscape.memory // 4
    parts = [_part_trace(curvature, model, samples, part, memory) for part in samples.parts]
    return sum(value for value, _ in parts), max(spent for _, spent in parts) + CHECKS


def _sampled(
    landscape: Landscape, model: nn.Module, theta: Tensor, batch: Batch
) -> tuple[Samples, OutputCurvature, nn.Module] | None:
    """Return the samples of a batch, what the loss is in their outputs, and the model whose outputs they are; None without any.

    Of a model that computes the error itself, outputs are what it compares with its target.
    """
    memory = landscape.memory // 4
    check_outputs(landscape, theta, batch)
    try:
        loss = sampled_loss(landscape, model, batch)
        if loss.samples is None or not loss.outputs:
            return None
        curvature = OutputCurvature(loss, memory)
        functions = hidden_in(landscape, theta, batch, curvature.hessian)
    except SampleError:
        if not compares_inside(landscape, theta, batch):
            raise
        functions = COMPARING
    if functions is not None:
        loss, model = sampled_inside(landscape, model, theta, batch, functions)
        curvature = OutputCurvature(loss, memory)
    return (loss.samples, curvature, model) if loss.samples else None


def _part_trace(curvature: OutputCurvature, model: nn.Module, samples: Samples, part: slice, memory: int) -> tuple[float, int]:
    """Return the trace over some samples, and the gradients of them that were spent on it."""
    gradients = sample_gradients(model, samples, part, curvature.outputs[part], memory)
    total = torch.zeros((), dtype=torch.float64, device=curvature.outputs.device)
    for column in range(curvature.width):
        unit = torch.zeros_like(curvature.outputs[part])
        unit[:, column] = 1.0
        if curvature.is_diagonal:
            total += (curvature.diagonal[part, column] * gradients.inner(unit, unit)).sum()
        else:
            total += gradients.inner(unit, curvature.column(column)[part]).sum()
    passes = 1 if curvature.is_diagonal or isinstance(gradients, LayerGradients) else 2
    return float(total), passes * curvature.width


class OutputCurvature:
    """The blocks S_i of the second derivative of a loss in the outputs, D for each of N samples.

    Attributes
    ----------
    outputs : Tensor, shape (N, D)
    slopes : Tensor, shape (N, D)
        dl/df.
    width : int
        D.
    is_diagonal : bool
        Whether all S_i are diagonal.
    diagonal : Tensor, shape (N, D)
        `S_i (1, ..., 1)`, the diagonals if they are.
    """

    def __init__(self, loss: SampledLoss, memory: int) -> None:
        self.hessian: OutputHessian = output_hessian(loss.error, loss.outputs)
        self.outputs = _matrix(loss.outputs).detach()
        self.slopes = _matrix(self.hessian.slopes)
        self.width = self.outputs.shape[1]
        self.keeps = self.outputs.numel() * self.width * self.outputs.element_size() <= memory
        self._columns: dict[int, Tensor] = {}
        self.diagonal = self.product(torch.ones_like(self.outputs))
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(self.outputs.shape, generator=generator, dtype=torch.float64).to(self.outputs)
        signs = (2 * torch.randint(0, 2, (len(probe), 1), generator=generator) - 1).to(probe)
        image = self.product(probe)
        if not agree(self.product(signs * probe), signs * image):
            raise SampleError(because="samples meet in the loss")
        self.is_diagonal = self.width == 1 or agree(image, self.diagonal * probe)

    def product(self, directions: Tensor) -> Tensor:
        """Return `S u`, shape (N, D)."""
        shapes = [output.shape for output in self.hessian.outputs]
        widths = [output.numel() // len(output) for output in self.hessian.outputs]
        pairs = zip(torch.split(directions, widths, 1), shapes, strict=True)
        return _matrix(self.hessian.product([part.reshape(shape) for part, shape in pairs]))

    def column(self, column: int) -> Tensor:
        """Return `S_i e_c` of every sample, shape (N, D)."""
        if column in self._columns:
            return self._columns[column]
        unit = torch.zeros_like(self.outputs)
        unit[:, column] = 1.0
        found = self.product(unit)
        if self.keeps:
            self._columns[column] = found
        return found


def _matrix(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.reshape(len(part), -1) for part in parts], 1)

"""Losses on features of several modalities, and of two views of one.

Letters: N vectors of width D; K modalities. All are means over the vectors, so none grows with the
batch; without a vector they are 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from urbancross_mm.functional.similarity import as_float


def consistency(first: Tensor, second: Tensor) -> Tensor:
    r"""Mean squared difference of the coordinates of matching vectors.

    Args:
        first (Tensor): Vectors.
        second (Tensor): Their counterparts: another view, or another modality.

    Shape:
        - first, second: ``(N, D)``; output: a scalar.

    Returns:
        Tensor: :math:`\sum_n \|x_n - y_n\|^2 / (N D)`.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_same(first, second)
    return (as_float(first) - as_float(second)).square().sum() / max(first.numel(), 1)


def length_deviation(feats: Tensor) -> Tensor:
    r"""How far the mean length of the vectors is from 1.

    Args:
        feats (Tensor): Vectors.

    Shape:
        - feats: ``(N, D)``; output: a scalar.

    Returns:
        Tensor: :math:`|\operatorname{mean}_n \|x_n\| - 1|`.

    Reference:
        MCRN, the norm loss of the pre-training.
    """
    lengths = as_float(feats).norm(dim=1)
    return (lengths - 1).sum().abs() / max(len(feats), 1)


def confusion(logits: Tensor, label: int, generator: torch.Generator) -> Tensor:
    """Cross-entropy towards a wrong modality, one for the whole batch.

    Args:
        logits (Tensor): Of a discriminator, for vectors of one modality.
        label (int): The right class.
        generator (torch.Generator): On the CPU; decides which of the others is asked for.

    Shape:
        - logits: ``(N, K)``; output: a scalar.

    Returns:
        Tensor: The mean over the vectors.

    Raises:
        ValueError: If there is no other class, or the right one is none.

    Reference:
        MCRN, the generator's loss of the pre-training.
    """
    classes = logits.shape[1]
    if classes < 2 or not 0 <= label < classes:
        raise ValueError(f'label {label} is none of {classes} classes, or there is no other')
    other = (label + int(torch.randint(1, classes, (1,), generator=generator))) % classes
    target = torch.full((len(logits),), other, device=logits.device)
    return cross_entropy(as_float(logits), target, reduction='sum') / max(len(logits), 1)


def feature_distillation(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 0.2,
    detach: bool = True,
    released: bool = False,
) -> Tensor:
    r"""Divergence of two vectors that are read as distributions over their coordinates.

    .. math::
        \operatorname{mean}_n KL(p_n \,\|\, q_n), \quad
        p_n = \operatorname{softmax}(t_n / T), \; q_n = \operatorname{softmax}(s_n / T)

    Args:
        student (Tensor): Vectors s.
        teacher (Tensor): Their counterparts t.
        temperature (float): T. Defaults to 0.2.
        detach (bool): No gradient to the teacher. Defaults to True; the released code has False.
        released (bool): Divide by D too, as the released code does. Defaults to False.

    Shape:
        - student, teacher: ``(N, D)``; output: a scalar.

    Returns:
        Tensor: The divergence; it is not multiplied by T squared.

    Raises:
        ValueError: If the shapes differ, or the temperature is not positive.

    Reference:
        MCRN; Distilling the Knowledge in a Neural Network (https://arxiv.org/abs/1503.02531).
    """
    _check_same(student, teacher)
    if temperature <= 0:
        raise ValueError(f'temperature must be positive, got {temperature}')
    if detach:
        teacher = teacher.detach()
    divergence = kl_div(
        log_softmax(as_float(student) / temperature, dim=1),
        log_softmax(as_float(teacher) / temperature, dim=1),
        reduction='sum',
        log_target=True,
    )
    return divergence / max(student.numel() if released else len(student), 1)


def _check_same(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f'matching vectors must have one shape, got {tuple(first.shape)} and '
            f'{tuple(second.shape)}'
        )

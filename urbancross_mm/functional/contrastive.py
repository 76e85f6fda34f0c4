"""Contrastive losses on scores and embeddings, and which pairs of a batch are positive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from urbancross_mm.functional.similarity import as_float, inner_product

NEGATIVES = ('all', 'hardest')
REDUCTIONS = ('sum', 'mean')


def pairwise_ranking(
    scores: Tensor,
    margin: float = 0.2,
    negatives: str = 'all',
    reduction: str = 'sum',
    positives: Tensor | None = None,
) -> Tensor:
    """Hinge loss of every negative against the pair on the diagonal, in both directions.

    Args:
        scores (Tensor): Similarity of image i and text i' in row i, column i'.
        margin (float): Cosine by which a pair must beat a negative. Defaults to 0.2.
        negatives (str): ``'all'`` sums over the negatives of an anchor, ``'hardest'`` takes the
            worst one. Defaults to 'all'.
        reduction (str): ``'sum'``, or ``'mean'`` over the hinge terms, violated or not: the
            negatives for ``'all'``, the anchors that have one for ``'hardest'``. Defaults to 'sum'.
        positives (Tensor | None): bool, true for pairs that are no negatives although they are off
            the diagonal. Defaults to None (the diagonal alone).

    Shape:
        - scores, positives: ``(N, N)``; output: ``()``.

    Returns:
        Tensor: The loss, in float32 at least; 0 where there is no negative.

    Raises:
        ValueError: If ``scores`` is not square, ``positives`` has another shape, or a name is
            unknown.

    Reference:
        `VSE++ <https://arxiv.org/abs/1707.05612>`_:
        ``sum_i sum_j [m + s_ij - s_ii]_+ + sum_j sum_i [m + s_ij - s_jj]_+``, or max for the inner
        sums.
    """
    _check_choice('negatives', negatives, NEGATIVES)
    _check_choice('reduction', reduction, REDUCTIONS)
    if scores.dim() != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f'scores must be square, one text per image; got {tuple(scores.shape)}')
    scores = as_float(scores)
    allowed = ~_with_diagonal(scores, positives)
    anchors = scores.diagonal()
    hinges = [
        (margin + scores - anchors[:, None]).clamp(min=0).where(allowed, 0.0),
        (margin + scores - anchors[None, :]).clamp(min=0).where(allowed, 0.0),
    ]
    if negatives == 'all':
        total = hinges[0].sum() + hinges[1].sum()
        count = 2 * allowed.sum()
    else:
        # Hinges are never negative, so a masked 0 is the maximum only of an anchor without
        # violation.
        total = _largest(hinges[0], 1).sum() + _largest(hinges[1], 0).sum()
        count = allowed.any(dim=1).sum() + allowed.any(dim=0).sum()
    return total if reduction == 'sum' else total / count.clamp(min=1)


def info_nce(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    positives: Tensor | None = None,
) -> Tensor:
    """Symmetric cross-entropy over the batch; several positives share the target evenly.

    Args:
        image_embeds (Tensor): Unit embeddings of images.
        text_embeds (Tensor): Unit embeddings of texts.
        logit_scale (float | Tensor): Inverse temperature that multiplies the cosines (not its
            logarithm), one number.
        positives (Tensor | None): bool, true where text j is a positive of image i. Rows and
            columns without a positive serve as negatives only. Defaults to None (the diagonal).

    Shape:
        - image_embeds: ``(N, D)``; text_embeds: ``(M, D)``; positives: ``(N, M)``; output: ``()``.

    Returns:
        Tensor: Mean of the two directions, in float32 at least.

    Raises:
        ValueError: If the shapes do not fit.

    Reference:
        `CLIP <https://arxiv.org/abs/2103.00020>`_: cross-entropy of ``scale * v t^T`` along rows
        and along columns, halved; with the targets of
        `Supervised Contrastive Learning <https://arxiv.org/abs/2004.11362>`_ (L_out).
    """
    logits = logit_scale * inner_product(image_embeds, text_embeds)  # (N, M)
    positives = _positives_or_diagonal(logits, positives)
    return (
        _soft_cross_entropy(logits, positives) + _soft_cross_entropy(logits.t(), positives.t())
    ) / 2


def siglip(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor,
    positives: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of every pair of the batch, positive or negative, per image.

    Args:
        image_embeds (Tensor): Unit embeddings of images.
        text_embeds (Tensor): Unit embeddings of texts.
        logit_scale (float | Tensor): Inverse temperature that multiplies the cosines.
        logit_bias (float | Tensor): Added after the scale; start near -10, since most pairs are
            negatives.
        positives (Tensor | None): bool, true where text j is a positive of image i. Defaults to
            None (the diagonal).

    Shape:
        - image_embeds: ``(N, D)``; text_embeds: ``(M, D)``; positives: ``(N, M)``; output: ``()``.

    Returns:
        Tensor: Sum over the pairs divided by N, in float32 at least; 0 for an empty batch.

    Raises:
        ValueError: If the shapes do not fit.

    Reference:
        `Sigmoid Loss for Language Image Pre-Training <https://arxiv.org/abs/2303.15343>`_:
        ``-1/N sum_ij log sigmoid(z_ij (scale v_i t_j + bias))`` with z = 1 or -1.
    """
    check_pairs(len(image_embeds), len(text_embeds), positives)
    if positives is None:
        positives = torch.eye(len(image_embeds), dtype=torch.bool, device=image_embeds.device)
    total = siglip_sum(image_embeds, text_embeds, logit_scale, logit_bias, positives)
    return total / max(len(image_embeds), 1)


def siglip_sum(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor,
    positives: Tensor,
) -> Tensor:
    """What :func:`siglip` divides by the number of images: a sum, so batches may be cut up.

    Args:
        image_embeds (Tensor): As there.
        text_embeds (Tensor): As there.
        logit_scale (float | Tensor): As there.
        logit_bias (float | Tensor): As there.
        positives (Tensor): As there.

    Shape:
        - image_embeds: ``(N, D)``; text_embeds: ``(M, D)``; positives: ``(N, M)``; output: ``()``.

    Returns:
        Tensor: In float32 at least.
    """
    logits = logit_scale * inner_product(image_embeds, text_embeds) + logit_bias
    return -logsigmoid(torch.where(positives, logits, -logits)).sum()


def _soft_cross_entropy(logits: Tensor, positives: Tensor) -> Tensor:
    """Mean over the rows that have a positive of the mean of -log p over their positives."""
    count = positives.sum(dim=1)
    log_probability = log_softmax(logits, dim=1).where(positives, 0.0).sum(dim=1)
    return -(log_probability / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def check_pairs(images: int, texts: int, positives: Tensor | None) -> None:
    """Refuse positives that do not fit so many images and texts.

    Args:
        images (int): Their number.
        texts (int): Their number.
        positives (Tensor | None): bool ``(N, M)``; None is the diagonal.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if positives is not None:
        _check_mask((images, texts), positives)
    elif images != texts:
        raise ValueError(
            f'{images} images and {texts} texts: without positives there must be one text per image'
        )


def _positives_or_diagonal(logits: Tensor, positives: Tensor | None) -> Tensor:
    check_pairs(len(logits), logits.shape[1], positives)
    if positives is None:
        return torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return positives


def _with_diagonal(scores: Tensor, positives: Tensor | None) -> Tensor:
    diagonal = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    if positives is None:
        return diagonal
    _check_mask(scores.shape, positives)
    return diagonal | positives


def _largest(hinge: Tensor, dim: int) -> Tensor:
    # max and not amax: among equal violations the gradient goes to one negative, the hardest.
    return hinge.max(dim=dim).values if hinge.numel() else hinge.sum(dim=dim)


def _check_mask(shape: Sequence[int], positives: Tensor) -> None:
    if tuple(positives.shape) != tuple(shape) or positives.dtype != torch.bool:
        raise ValueError(
            f'positives must be bool of shape {tuple(shape)}, got '
            f'{positives.dtype} of shape {tuple(positives.shape)}'
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'{name} must be one of {choices}, got {value!r}')

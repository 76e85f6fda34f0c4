"""The hinge loss over all pairs that UrbanCross trains with."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from urbancross_mm.functional import contrastive, similarity
from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class PairwiseRankingLoss(BaseRetrievalLoss):
    r"""Bidirectional hinge loss on cosine scores :math:`s_{ij}`.

    .. math::
        \sum_i \sum_{j \notin P(i)} [m + s_{ij} - s_{ii}]_+
        + \sum_j \sum_{i \notin P(j)} [m + s_{ij} - s_{jj}]_+

    Pair i is row i of both inputs; its other positives are left out of the negatives.

    Args:
        margin (float): Margin m in cosine. Defaults to 0.2.
        negatives (str): ``'all'`` sums over the negatives, ``'hardest'`` takes the largest term
            of each anchor. Defaults to 'all'.
        reduction (str): ``'sum'``, or ``'mean'`` over the hinge terms. Defaults to 'sum', as
            published: the loss then grows with the batch.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If ``negatives`` or ``reduction`` is unknown.

    Reference:
        VSE++ (https://arxiv.org/abs/1707.05612), eq. 4 and 5.
    """

    def __init__(
        self,
        margin: float = 0.2,
        negatives: Literal['all', 'hardest'] = 'all',
        reduction: Literal['sum', 'mean'] = 'sum',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if negatives not in contrastive.NEGATIVES:
            raise ValueError(f'negatives must be one of {contrastive.NEGATIVES}, got {negatives!r}')
        if reduction not in contrastive.REDUCTIONS:
            raise ValueError(
                f'reduction must be one of {contrastive.REDUCTIONS}, got {reduction!r}'
            )
        self.margin = margin
        self.negatives = negatives
        self.reduction = reduction

    def compute(
        self, image_embeds: Tensor, text_embeds: Tensor, positives: Tensor | None
    ) -> Tensor:
        """Loss of N aligned pairs.

        Raises:
            ValueError: If the two sets are not of one size: the anchors are the diagonal.
        """
        if len(image_embeds) != len(text_embeds):
            raise ValueError(
                f'PairwiseRankingLoss needs aligned pairs, one text per image, got '
                f'{len(image_embeds)} images and {len(text_embeds)} texts'
            )
        return contrastive.pairwise_ranking(
            similarity.inner_product(image_embeds, text_embeds),
            margin=self.margin,
            negatives=self.negatives,
            reduction=self.reduction,
            positives=positives,
        )

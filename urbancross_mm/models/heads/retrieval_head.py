"""From embeddings and ids to losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from urbancross_mm.models.build import build_part
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.structures.batch_ids import (
    BatchIds,
    batch_ids,
    gather_ids,
    partners,
    positives,
)
from urbancross_mm.utils.dist import all_gather_rows

Scorer = Callable[[Tensor, Tensor], Tensor]


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Losses on a batch of embeddings, with the positives decided by ids.

    A text is a positive of an image if it was written for it, or (``equal_captions``) if the
    same text is among the image's captions; the diagonal alone would call both negatives. The
    loss is over the batches of all ranks.
    An image with several texts in the batch stands once for each of them, as it does in a batch
    of single captions.

    Args:
        loss (dict): Config of the image-text loss.
        segment_loss (dict, optional): Config of the segment-text loss. Defaults to None, the
            image-text loss itself, whose learned scale then serves both.
        segment_weight (float): Factor of the segment-text loss. Defaults to 1.0.
        equal_captions (bool): Equal captions are positives. Defaults to True.
        pairs (dict, optional): Further pairs of modalities and the factors of their losses:
            ``{'image-audio': 1.0, 'text-audio': 0.5}``. Defaults to None.

    Raises:
        ValueError: If a config names an unknown loss, or a pair is not ``'first-second'``.
    """

    def __init__(
        self,
        loss: dict[str, Any],
        segment_loss: dict[str, Any] | None = None,
        segment_weight: float = 1.0,
        equal_captions: bool = True,
        pairs: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.image_loss = build_part(loss, 'loss')
        self.segment_loss = (
            None if segment_loss is None else build_part(segment_loss, 'segment loss')
        )
        self.segment_weight = segment_weight
        self.equal_captions = equal_captions
        self.pairs = {check_pair(pair): float(weight) for pair, weight in (pairs or {}).items()}

    def loss(
        self,
        image_embeds: Tensor,
        text_embeds: Tensor,
        data_samples: list[RetrievalDataSample],
        segment_embeds: Tensor | None = None,
        score_pairs: Scorer | None = None,
        **others: Tensor,
    ) -> dict[str, Tensor]:
        """Losses and diagnostics of a batch.

        Args:
            image_embeds (Tensor): Unit vectors, one per sample.
            text_embeds (Tensor): Unit vectors; the texts of all samples one after another.
            data_samples (list[RetrievalDataSample]): With ``img_id``, ``text_ids`` and, for
                ``equal_captions``, ``caption_text_ids``.
            segment_embeds (Tensor, optional): Unit vectors, one per sample. Defaults to None.
            score_pairs (Callable, optional): Scores N images and M texts, ``(N, D), (M, D) ->
                (N, M)``, where their cosines do not; then neither needs unit length. Defaults to
                None.
            **others (Tensor): Unit vectors of more modalities, such as ``audio_embeds``; their
                samples have ``audio_ids`` and ``caption_audio_ids``. What has no recording is left
                out of the losses of ``pairs``.

        Shape:
            image_embeds (B, D), text_embeds (M, D), segment_embeds (B, D).

        Returns:
            dict[str, Tensor]: ``loss_image_text``, ``loss_segment_text`` where there are
            segments, ``loss_image_audio`` and the like for each of ``pairs``, and what the
            image-text loss reports of itself.

        Raises:
            ValueError: If embeddings and samples do not match in number.
        """
        ids = batch_ids(data_samples, text_embeds.device)
        _check_rows(image_embeds, text_embeds, ids, len(data_samples))
        rows = image_embeds[ids.owners]
        segments = None if segment_embeds is None else segment_embeds[ids.owners]
        image_loss = (
            self.image_loss.over_ranks(rows, text_embeds, ids, self.equal_captions)
            if score_pairs is None
            else None
        )
        if image_loss is None:
            losses = self._gathered(rows, text_embeds, ids, segments, score_pairs)
        else:
            losses = {'loss_image_text': image_loss, **self.image_loss.diagnostics()}
            if segments is not None:
                criterion = self.segment_loss or self.image_loss
                losses['loss_segment_text'] = self.segment_weight * self._over_ranks(
                    criterion, segments, text_embeds, ids
                )
        embeds = dict(others, image_embeds=image_embeds, text_embeds=text_embeds)
        for pair, weight in self.pairs.items():
            losses[f'loss_{pair.replace("-", "_")}'] = weight * self._pair_loss(
                pair, embeds, data_samples
            )
        return losses

    def _pair_loss(
        self, pair: str, embeds: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> Tensor:
        """The image-text loss on another pair of modalities."""
        first, second = pair.split('-')
        for modality in (first, second):
            if f'{modality}_embeds' not in embeds:
                raise ValueError(
                    f'head.pairs has {pair!r}, but the model embeds no {modality}: there are '
                    f'{sorted(embeds)}'
                )
        ids = batch_ids(data_samples, embeds[f'{second}_embeds'].device, second)
        if len(ids.owners) != len(embeds[f'{second}_embeds']):
            raise ValueError(
                f'the data samples name {len(ids.owners)} items of {second} in {second}_ids, but '
                f'there are {len(embeds[f"{second}_embeds"])} embeddings'
            )
        rows = partners(data_samples, first, second)
        return self._over_ranks(
            self.image_loss, embeds[f'{first}_embeds'][rows], embeds[f'{second}_embeds'], ids
        )

    def _over_ranks(self, criterion: Any, first: Tensor, second: Tensor, ids: BatchIds) -> Tensor:
        """One loss on the pairs of all ranks."""
        loss = criterion.over_ranks(first, second, ids, self.equal_captions)
        if loss is not None:
            return loss
        return criterion(
            all_gather_rows(first, with_grad=True),
            all_gather_rows(second, with_grad=True),
            positives(gather_ids(ids), self.equal_captions),
        )

    def _gathered(
        self,
        images: Tensor,
        texts: Tensor,
        ids: BatchIds,
        segments: Tensor | None,
        score_pairs: Scorer | None,
    ) -> dict[str, Tensor]:
        """The losses that share the gathered embeddings."""
        return self.pair_losses(
            all_gather_rows(images, with_grad=True),
            all_gather_rows(texts, with_grad=True),
            positives(gather_ids(ids), self.equal_captions),
            None if segments is None else all_gather_rows(segments, with_grad=True),
            score_pairs,
        )

    def pair_losses(
        self,
        image_embeds: Tensor,
        text_embeds: Tensor,
        positives: Tensor,
        segment_embeds: Tensor | None = None,
        score_pairs: Scorer | None = None,
    ) -> dict[str, Tensor]:
        """Losses of M pairs, those of all ranks if there are several.

        Args:
            image_embeds (Tensor): Unit vectors, row i is the image of text i.
            text_embeds (Tensor): Unit vectors.
            positives (Tensor): See :func:`positives`.
            segment_embeds (Tensor, optional): Unit vectors. Defaults to None.
            score_pairs (Callable, optional): As for :meth:`loss`. Defaults to None.

        Shape:
            image_embeds, text_embeds, segment_embeds (M, D), positives (M, M) bool.

        Returns:
            dict[str, Tensor]: As :meth:`loss`.
        """
        image_loss = (
            self.image_loss(image_embeds, text_embeds, positives)
            if score_pairs is None
            else self.image_loss.of_scores(score_pairs(image_embeds, text_embeds), positives)
        )
        losses = {'loss_image_text': image_loss}
        if segment_embeds is not None:
            segment_loss = self.segment_loss or self.image_loss
            losses['loss_segment_text'] = self.segment_weight * segment_loss(
                segment_embeds, text_embeds, positives
            )
        return {**losses, **self.image_loss.diagnostics()}


def check_pair(pair: str) -> str:
    """Refuse what is not two names of modalities with a hyphen between them."""
    first, hyphen, second = pair.partition('-')
    if not (first and hyphen and second) or first == second or second == 'image':
        raise ValueError(
            "a pair is 'image-audio' or 'text-audio', the image first where there is one; "
            f'got {pair!r}'
        )
    return pair


def _check_rows(images: Tensor, texts: Tensor, ids: BatchIds, num_samples: int) -> None:
    if len(images) != num_samples or len(texts) != len(ids.owners):
        raise ValueError(
            f'{num_samples} data samples name {len(ids.owners)} texts, but there are '
            f'{len(images)} image and {len(texts)} text embeddings'
        )

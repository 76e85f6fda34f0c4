"""From embeddings and ids to losses."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import pad

from urbancross_mm.functional import contrastive
from urbancross_mm.models.build import build_part
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.dist import all_gather, all_gather_rows
from urbancross_mm.utils.ids import check_image_ids, stable_id


class BatchIds(NamedTuple):
    """Who is who in a batch of M pairs (a text and its image); B images.

    ``owners`` (M,): the image of each text, as a row of the batch. ``image_keys`` (M,): the id
    of that image. ``text_ids`` (M,): the id of each text. ``caption_ids`` (M, C): ids of all
    captions of that image, padded with -1.
    """

    owners: Tensor
    image_keys: Tensor
    text_ids: Tensor
    caption_ids: Tensor


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Losses on a batch of embeddings, with the positives decided by ids.

    A text is a positive of an image if it was written for it, or (``equal_captions``) if the
    same sentence is among the image's captions; the diagonal alone would call both negatives.
    An image with several texts in the batch stands once for each of them, as it does in a batch
    of single captions.

    Args:
        loss (dict): Config of the image-text loss.
        segment_loss (dict, optional): Config of the segment-text loss. Defaults to None, the
            image-text loss itself, whose learned scale then serves both.
        segment_weight (float): Factor of the segment-text loss. Defaults to 1.0.
        equal_captions (bool): Equal sentences are positives. Defaults to True.
        gather (bool): Compute the loss over the batches of all ranks. Defaults to True.

    Raises:
        ValueError: If a config names an unknown loss.
    """

    def __init__(
        self,
        loss: dict[str, Any],
        segment_loss: dict[str, Any] | None = None,
        segment_weight: float = 1.0,
        equal_captions: bool = True,
        gather: bool = True,
    ) -> None:
        super().__init__()
        self.image_loss = build_part(loss, 'loss')
        self.segment_loss = (
            None if segment_loss is None else build_part(segment_loss, 'segment loss')
        )
        self.segment_weight = segment_weight
        self.equal_captions = equal_captions
        self.gather = gather

    def loss(
        self,
        image_embeds: Tensor,
        text_embeds: Tensor,
        data_samples: list[RetrievalDataSample],
        segment_embeds: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses and diagnostics of a batch.

        Args:
            image_embeds (Tensor): Unit vectors, one a sample.
            text_embeds (Tensor): Unit vectors; the texts of all samples one after another.
            data_samples (list[RetrievalDataSample]): With ``img_id``, ``text_ids`` and, for
                ``equal_captions``, ``caption_text_ids``.
            segment_embeds (Tensor, optional): Unit vectors, one a sample. Defaults to None.

        Shape:
            image_embeds (B, D), text_embeds (M, D), segment_embeds (B, D).

        Returns:
            dict[str, Tensor]: ``loss_image_text``, ``loss_segment_text`` where there are
            segments, and what the image-text loss reports of itself.

        Raises:
            ValueError: If embeddings and samples do not match in number.
        """
        ids = batch_ids(data_samples, text_embeds.device)
        _check_rows(image_embeds, text_embeds, ids, len(data_samples))
        segments = None if segment_embeds is None else self._gathered(segment_embeds[ids.owners])
        return self.pair_losses(
            self._gathered(image_embeds[ids.owners]),
            self._gathered(text_embeds),
            positives(gather_ids(ids) if self.gather else ids, self.equal_captions),
            segments,
        )

    def pair_losses(
        self,
        image_embeds: Tensor,
        text_embeds: Tensor,
        positives: Tensor,
        segment_embeds: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of M pairs, those of all ranks if there are several.

        Args:
            image_embeds (Tensor): Unit vectors, row i is the image of text i.
            text_embeds (Tensor): Unit vectors.
            positives (Tensor): See :func:`positives`.
            segment_embeds (Tensor, optional): Unit vectors. Defaults to None.

        Shape:
            image_embeds, text_embeds, segment_embeds (M, D), positives (M, M) bool.

        Returns:
            dict[str, Tensor]: As :meth:`loss`.
        """
        losses = {'loss_image_text': self.image_loss(image_embeds, text_embeds, positives)}
        if segment_embeds is not None:
            segment_loss: nn.Module = self.segment_loss or self.image_loss
            losses['loss_segment_text'] = self.segment_weight * segment_loss(
                segment_embeds, text_embeds, positives
            )
        return {**losses, **self.image_loss.diagnostics()}

    def _gathered(self, embeds: Tensor) -> Tensor:
        return all_gather(embeds, with_grad=True) if self.gather else embeds


def positives(ids: BatchIds, equal_captions: bool = True, others: BatchIds | None = None) -> Tensor:
    """Which texts are right for which images.

    Args:
        ids (BatchIds): Of M pairs.
        equal_captions (bool): Equal sentences are right too. Defaults to True.
        others (BatchIds, optional): Of the N texts. Defaults to None, the texts of ``ids``.

    Shape:
        output (M, N), rows images, columns texts.

    Returns:
        Tensor: bool.
    """
    texts = ids if others is None else others
    if not equal_captions:
        return contrastive.positive_mask(ids.image_keys, texts.image_keys)
    return contrastive.positive_mask(
        ids.image_keys, texts.image_keys, ids.caption_ids, texts.text_ids
    )


def select_ids(ids: BatchIds, rows: Tensor) -> BatchIds:
    """The ids of some pairs.

    Args:
        ids (BatchIds): Of M pairs.
        rows (Tensor): Which of them, (N,) long.

    Returns:
        BatchIds: Of N pairs.
    """
    return BatchIds(*(column[rows] for column in ids))


def batch_ids(data_samples: list[RetrievalDataSample], device: torch.device) -> BatchIds:
    """Collect the ids of a batch.

    Args:
        data_samples (list[RetrievalDataSample]): With ``img_id`` and ``text_ids``; without
            ``caption_text_ids`` the texts of the batch count as all captions of an image.
        device (torch.device): Where the tensors go.

    Returns:
        BatchIds: Owners, keys, text ids and caption ids, one row a text.

    Raises:
        ValueError: If two images have one id.
    """
    owners, keys, texts, captions = [], [], [], []
    check_image_ids((sample.img_id, sample.get('img_path')) for sample in data_samples)
    for row, sample in enumerate(data_samples):
        for text_id in sample.text_ids:
            owners.append(row)
            keys.append(stable_id(str(sample.img_id)))
            texts.append(text_id)
            captions.append(list(sample.get('caption_text_ids', sample.text_ids)))
    width = max(map(len, captions), default=0)
    padded = [row + [-1] * (width - len(row)) for row in captions]

    def as_ids(values: list[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return BatchIds(
        as_ids(owners), as_ids(keys), as_ids(texts), as_ids(padded).view(len(owners), width)
    )


def _check_rows(images: Tensor, texts: Tensor, ids: BatchIds, num_samples: int) -> None:
    if len(images) != num_samples or len(texts) != len(ids.owners):
        raise ValueError(
            f'{num_samples} data samples name {len(ids.owners)} texts, but there are '
            f'{len(images)} image and {len(texts)} text embeddings'
        )


def gather_ids(ids: BatchIds) -> BatchIds:
    """The ids of all ranks, rank 0 first, with one image a text: ``owners`` is 0..M-1.

    Args:
        ids (BatchIds): Of this rank. Ranks may differ in the number of pairs and of captions.

    Returns:
        BatchIds: Of all ranks.
    """
    widths = all_gather(ids.owners.new_tensor([ids.caption_ids.shape[1]]))
    width = int(widths.max())
    captions = pad(ids.caption_ids, (0, width - ids.caption_ids.shape[1]), value=-1)
    columns = all_gather_rows(
        torch.cat([ids.image_keys[:, None], ids.text_ids[:, None], captions], dim=1)
    )
    owners = torch.arange(len(columns), device=columns.device)
    return BatchIds(owners, columns[:, 0], columns[:, 1], columns[:, 2:])

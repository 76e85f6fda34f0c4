"""Two towers and a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.structures import PixelData
from torch import Tensor

from urbancross_mm.functional import similarity
from urbancross_mm.models.build import build_part
from urbancross_mm.models.retrievers.base import BaseRetriever
from urbancross_mm.models.retrievers.image_pyramid import ImagePyramid
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample


@MODELS.register_module()
class CrossModalRetriever(BaseRetriever):
    """One image encoder, one text encoder, cosine between them.

    Args:
        image_encoder (dict): Config of the image encoder.
        text_encoder (dict): Config of the text encoder, of the same ``embed_dim``.
        head (dict, optional): Config of the head; needed to train only. Defaults to None.
        data_preprocessor (dict, optional): Config of the preprocessor. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.
        pyramid (dict, optional): Arguments of :class:`ImagePyramid`: an auxiliary segmentation,
            attention by it, and multi-scale vectors. Defaults to None.

    Raises:
        ValueError: If the encoders differ in width, or a config names an unknown type.
    """

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        head: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        pyramid: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.image_encoder = build_part(image_encoder, 'image encoder')
        self.text_encoder = build_part(text_encoder, 'text encoder')
        self.head = None if head is None else build_part(head, 'head')
        self.embed_dim = self.image_encoder.embed_dim
        if self.text_encoder.embed_dim != self.embed_dim:
            raise ValueError(
                f'image encoder is {self.embed_dim} wide, '
                f'text encoder {self.text_encoder.embed_dim}'
            )
        self.pyramid: Any = None if pyramid is None else ImagePyramid(self.image_encoder, **pyramid)

    def add_adaptation(self, adaptation: Mapping[str, Any]) -> None:
        """Train on a target without pairs from now on; the segmentation stays as it is.

        Args:
            adaptation (Mapping): See :class:`BaseRetriever`.
        """
        super().add_adaptation(adaptation)
        if self.pyramid is not None and self.pyramid.decode_head is not None:
            self.pyramid.decode_head.requires_grad_(False)

    def encode_image(self, image: Tensor) -> Tensor:
        """Embed images.

        Args:
            image (Tensor): Normalized images.

        Shape:
            (N, 3, H, W) -> (N, D).

        Returns:
            Tensor: Unit vectors in fp32, also under autocast; shorter ones with a
            :class:`AdaptiveMultiscaleWeighting`.
        """
        if self.pyramid is not None:
            return self.pyramid(image, segment=False).embeds
        return similarity.normalize(self.image_encoder(image))

    def encode_text(self, text: Tensor) -> Tensor:
        """Embed texts.

        Args:
            text (Tensor): Token ids. No row at all is fine: a batch of a test set may hold only
                images whose captions were encoded before.

        Shape:
            (M, L) -> (M, D).

        Returns:
            Tensor: Unit vectors in fp32, also under autocast.
        """
        if len(text) == 0:
            return text.new_zeros(0, self.embed_dim, dtype=torch.float32)
        return similarity.normalize(self.text_encoder(text))

    def embed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embed what is there, and segment images where the model has a decode head.

        Args:
            inputs (dict): ``image`` (N, 3, H, W) and/or ``text`` (M, L).

        Returns:
            dict: ``image_embeds`` (N, D) and/or ``text_embeds`` (M, D); ``seg_logits`` of the
            decode head besides.
        """
        if self.pyramid is None or 'image' not in inputs:
            return super().embed(inputs)
        embeds = super().embed({name: rows for name, rows in inputs.items() if name != 'image'})
        image_embeds, seg_logits = self.pyramid(inputs['image'])
        if seg_logits is not None and not (self.training and self.adaptation is not None):
            embeds['seg_logits'] = seg_logits
        return dict(embeds, image_embeds=image_embeds)

    def predict(
        self,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample] | None = None,
    ) -> list[RetrievalDataSample]:
        """Write embeddings into the data samples, and ``pred_sem_seg`` where a class map is known.

        Args:
            inputs (dict): See :class:`BaseRetriever`.
            data_samples (list, optional): See :class:`BaseRetriever`. Defaults to None.

        Returns:
            list[RetrievalDataSample]: ``pred_sem_seg`` has the size of ``gt_sem_seg``.
        """
        samples = super().predict(inputs, data_samples)
        for sample in samples:
            logits = sample.pop('seg_logits', None)
            if logits is not None and 'gt_sem_seg' in sample:
                size = sample.gt_sem_seg.data.shape[-2:]
                sample.pred_sem_seg = PixelData(data=self.pyramid.class_map(logits[None], size))
        return samples

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch, divided by the number of tasks that the batch has examples of.

        Args:
            inputs (dict): ``image``, ``text`` and what a subclass needs besides.
            data_samples (list[RetrievalDataSample]): With ``img_id``, ``text_ids`` and
                ``caption_text_ids``; for a decode head, some with ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: ``loss_image_text`` and the head's other terms;
            ``loss_segmentation`` of a decode head.

        Raises:
            ValueError: If the model has no head.
        """
        if self.head is None:
            raise ValueError(f'{type(self).__name__} was built without a head: it cannot train')
        embeds = self.embed(inputs)
        seg_logits = embeds.pop('seg_logits', None)
        tasks = [self.head.loss(data_samples=data_samples, **embeds)]
        if seg_logits is not None:
            tasks.append(self.pyramid.loss(seg_logits, data_samples))
        return _mean_of_tasks([task for task in tasks if task])


def _mean_of_tasks(tasks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """All terms; the losses divided by the number of tasks."""
    return {
        name: term / len(tasks) if 'loss' in name and len(tasks) > 1 else term
        for task in tasks
        for name, term in task.items()
    }

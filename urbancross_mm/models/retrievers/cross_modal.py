"""Two towers and a head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.models.adaptation.embed import statistics_kept
from urbancross_mm.models.build import build_part, check_widths
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
        encoders (dict, optional): Configs of the encoders of more modalities, by name:
            ``dict(audio=...)``. Their embeddings are ``audio_embeds``. Defaults to None.

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
        encoders: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.image_encoder = build_part(image_encoder, 'image encoder')
        self.text_encoder = build_part(text_encoder, 'text encoder')
        self.head = None if head is None else build_part(head, 'head')
        self.embed_dim = self.image_encoder.embed_dim
        self.encoders = nn.ModuleDict(
            {name: build_part(cfg, f'{name} encoder') for name, cfg in (encoders or {}).items()}
        )
        self.modalities = (*self.modalities, *self.encoders)
        check_widths({'text_encoder': self.text_encoder, 'image_encoder': self.image_encoder})
        for name, encoder in self.encoders.items():
            check_widths({f'encoders.{name}': encoder, 'image_encoder': self.image_encoder})
        self.pyramid: Any = None if pyramid is None else ImagePyramid(self.image_encoder, **pyramid)

    def add_adaptation(self, adaptation: Mapping[str, Any]) -> None:
        """Train on a target without pairs from now on, and no auxiliary task.

        Args:
            adaptation (Mapping): See :class:`BaseRetriever`.
        """
        super().add_adaptation(adaptation)
        if self.pyramid is not None:
            self.pyramid.freeze_tasks()

    def finish(self, feats: Tensor) -> Tensor:
        """The embedding of an item from what its encoder says.

        Args:
            feats (Tensor): Of an encoder.

        Shape:
            (N, D) -> (N, D).

        Returns:
            Tensor: Unit vectors in fp32.
        """
        return similarity.normalize(feats)

    def encode(self, modality: str, inputs: Tensor) -> Tensor:
        """Embed items of one modality; see :class:`BaseRetriever`.

        Args:
            modality (str): ``'image'``, ``'text'`` or a name in ``encoders``.
            inputs (Tensor): Its inputs; no row at all is fine.

        Returns:
            Tensor: Unit vectors in fp32.
        """
        if modality not in self.encoders:
            return super().encode(modality, inputs)
        return self.encode_rows(lambda rows: self.finish(self.encoders[modality](rows)), inputs)

    def encode_rows(self, encode: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """What an encoder says of the items of a batch, of which there may be none.

        In training, other ranks wait for a gradient of every weight: that of no row is 0.

        Args:
            encode (Callable): Encodes rows.
            inputs (Tensor): Its inputs.

        Shape:
            (N, ...) -> (N, D); N may be 0.

        Returns:
            Tensor: Of ``encode``; without a row it moves no statistics of BatchNorm.
        """
        if inputs.shape[0]:  # len() would fix the number of rows in an exported graph
            return encode(inputs)
        if not (self.training and torch.is_grad_enabled()):
            return inputs.new_zeros(0, self.embed_dim, dtype=torch.float32)
        with statistics_kept(self):
            # Two rows, because BatchNorm refuses one.
            return encode(inputs.new_ones(2, *inputs.shape[1:]))[:0]

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
            return self.pyramid(image, tasks=False).embeds
        return self.finish(self.image_encoder(image))

    def encode_text(self, text: Tensor) -> Tensor:
        """Embed texts.

        Args:
            text (Tensor): Token ids. No row at all is fine: a batch may hold only images whose
                captions were encoded before, or that have none.

        Shape:
            (M, L) -> (M, D).

        Returns:
            Tensor: Unit vectors in fp32, also under autocast.
        """
        return self.encode_rows(lambda rows: self.finish(self.text_encoder(rows)), text)

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
        labeled = any('gt_sem_seg' in sample for sample in data_samples or ())
        segments = getattr(self.pyramid, 'decode_head', None) is not None
        if not (segments and labeled and 'image' in inputs):
            return super().predict(inputs, data_samples)
        output = self.pyramid(inputs['image'])
        samples = super().predict(dict(inputs, image_embeds=output.embeds), data_samples)
        self.pyramid.write_class_maps(output.seg_logits, samples)
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
        if self.pyramid is None:
            return self.retrieval_losses(self.embed(inputs), data_samples)
        output = self.pyramid(inputs['image'])
        embeds = self.embed(dict(inputs, image_embeds=output.embeds))
        retrieval = self.retrieval_losses(embeds, data_samples)
        others, present = self.pyramid.task_losses(output, data_samples)
        captions = retrieval['loss_image_text'].new_tensor(float(len(inputs['text'])))
        all_reduce(captions)
        tasks = max(1, present + bool(captions > 0))
        return {
            name: term / tasks if 'loss' in name else term
            for name, term in {**retrieval, **others}.items()
        }

    def retrieval_losses(
        self, embeds: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """What the head says of the embeddings of a batch.

        Args:
            embeds (dict): Of :meth:`embed`.
            data_samples (list[RetrievalDataSample]): See :meth:`loss`.

        Returns:
            dict[str, Tensor]: ``loss_image_text`` and the head's other terms.
        """
        return self.head.loss(data_samples=data_samples, **embeds)

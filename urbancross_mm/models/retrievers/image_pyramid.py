"""What a retriever makes of the maps of its image encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from mmengine.model import BaseModule
from mmengine.structures import PixelData
from torch import Tensor
from torch.nn import functional

from urbancross_mm.functional import similarity
from urbancross_mm.models.build import build_part
from urbancross_mm.models.heads.decode_head import (
    build_decode_head,
    rows_of,
    segmentation_loss,
)
from urbancross_mm.structures import RetrievalDataSample


class PyramidOutput(NamedTuple):
    """Of a batch of images.

    Attributes:
        embeds (Tensor): ``(N, D)``, unit vectors, or shorter with a weighting; of any length where
            the pyramid is not ``normalized``.
        seg_logits (Any): Of the decode head, ``(N, K, h, w)``, or what the head returns; None
            where it did not run.
        terms (dict[str, Tensor]): Losses that were computed on the way.
    """

    embeds: Tensor
    seg_logits: Any = None
    terms: Mapping[str, Tensor] = MappingProxyType({})


class ImagePyramid(BaseModule):
    """Segmentation, attention and multi-scale vectors on the maps of an image encoder.

    Each part works alone, but the attention reads the logits of the decode head.

    Args:
        image_encoder (nn.Module): With ``encode_maps``; it stays a part of the retriever.
        decode_head (dict, optional): Config of a decode head: :class:`LiteFPNHead`, or one of
            mmseg by prefix (``mmseg.FPNHead``). Without ``in_channels`` (and ``feature_strides``)
            it gets those of the maps of its ``in_index``. Defaults to None.
        attention (dict, optional): Config of :class:`SemanticSpatialAttention`. Defaults to None.
        weighting (dict, optional): Config of :class:`AdaptiveMultiscaleWeighting` or
            :class:`MultiscaleVisualNeck`. Defaults to None: the encoder's own vector.
        masked_image (dict, optional): Config of :class:`MaskedImageHead`: in training, patches of
            the images are hidden from all parts. Defaults to None.
        divide_by_batch (bool): Divide the segmentation loss by the images of the batch that have
            a class map, as released; its weight against retrieval then depends on the batch.
            Defaults to False.
        normalized (bool): The vectors have unit length. Defaults to True; a model that scores
            pairs by a gate reads their length, and sets False.

    Raises:
        ValueError: If the encoder has no maps, or a part does not fit them.

    Reference:
        SIRS (TGRS 2024).
    """

    def __init__(
        self,
        image_encoder: Any,
        decode_head: Mapping[str, Any] | None = None,
        attention: Mapping[str, Any] | None = None,
        weighting: Mapping[str, Any] | None = None,
        masked_image: Mapping[str, Any] | None = None,
        divide_by_batch: bool = False,
        normalized: bool = True,
    ) -> None:
        super().__init__()
        if attention is not None and decode_head is None:
            raise ValueError('pyramid.attention needs a pyramid.decode_head, whose logits it reads')
        self._image_encoder = (image_encoder,)  # in a tuple: not a child of this module
        self.divide_by_batch = divide_by_batch
        self.normalized = normalized
        shapes = _map_shapes(image_encoder)
        own = image_encoder.out_index % len(shapes)
        # Only the maps that are read: weights without a gradient stop DistributedDataParallel.
        others = [] if weighting is None else [i for i in range(len(shapes)) if i != own]
        self.read = [*others, own]
        channels = [shapes[i][0] for i in self.read]
        self.decode_head: Any = (
            None if decode_head is None else build_decode_head(decode_head, shapes)
        )
        self.attention = _neck(attention, 'attention', channels=channels)
        self.weighting = _neck(
            weighting, 'weighting', channels=channels, embed_dim=image_encoder.embed_dim
        )
        if not (normalized or weighting is None or hasattr(self.weighting, 'pooled')):
            raise ValueError(
                f'{type(self.weighting).__name__} gives no vector before its normalization: use '
                'MultiscaleVisualNeck, or no pyramid.weighting'
            )
        self.masked_image = _neck(
            masked_image,
            'masked_image',
            channels=[width for width, _ in shapes],
            strides=[stride for _, stride in shapes],
        )
        image_encoder.freeze_unread(
            [*self.read, *self._read_by_head()]
            if self.masked_image is None
            else range(len(shapes))  # it reads all
        )

    @property
    def has_tasks(self) -> bool:
        """bool: Whether it computes losses of its own."""
        return self.decode_head is not None or self.masked_image is not None

    def forward(self, image: Tensor, tasks: bool = True) -> PyramidOutput:
        """Encode images.

        Args:
            image (Tensor): Normalized images.
            tasks (bool): Run the auxiliary tasks: segment, and in training hide patches. Without
                them the decode head runs only for the attention. Defaults to True.

        Shape:
            (N, 3, H, W) -> embeds (N, D).

        Returns:
            PyramidOutput: Vectors and logits.
        """
        (encoder,) = self._image_encoder
        terms: dict[str, Tensor] = {}
        if self.masked_image is not None and self.training and tasks:
            masked, present = self.masked_image.hide(image)
            maps = encoder.encode_maps(masked)
            terms = self.masked_image.loss(maps, image, present)
        else:
            maps = encoder.encode_maps(image)
        logits = None
        if self.decode_head is not None and (tasks or self.attention is not None):
            logits = self.decode_head(maps)
        read: Sequence[Tensor] = [maps[i] for i in self.read]
        if self.attention is not None:
            read = self.attention(read, logits[0] if isinstance(logits, tuple) else logits)
        return PyramidOutput(self._embed(read, encoder.embed_map(read[-1])), logits, terms)

    def _embed(self, read: Sequence[Tensor], vector: Tensor) -> Tensor:
        if self.weighting is None:
            return similarity.normalize(vector) if self.normalized else similarity.as_float(vector)
        if self.normalized:
            return self.weighting(read, vector)
        return similarity.as_float(self.weighting.pooled(read, vector))

    def freeze_tasks(self) -> None:
        """Train no auxiliary task from now on; what is learned stays in use."""
        for part in (self.decode_head, self.masked_image):
            if part is not None:
                part.requires_grad_(False)
        read = list(self.read)
        if self.attention is not None:
            read += self._read_by_head()
        self._image_encoder[0].freeze_unread(read)

    def _read_by_head(self) -> list[int]:
        if self.decode_head is None:
            return []
        index = self.decode_head.in_index
        return [index] if isinstance(index, int) else list(index)

    def task_losses(
        self, output: PyramidOutput, data_samples: Sequence[RetrievalDataSample]
    ) -> tuple[dict[str, Tensor], int]:
        """Losses and diagnostics of the auxiliary tasks.

        The segmentation is averaged over the images of all ranks that have a class map: one
        without, or without a pixel of a class, counts for nothing.

        Args:
            output (PyramidOutput): Of :meth:`forward`.
            data_samples (Sequence[RetrievalDataSample]): Some with ``gt_sem_seg``.

        Returns:
            tuple[dict[str, Tensor], int]: ``loss_segmentation``, the sum of the head's losses, with
            what the head reports besides, and ``loss_masked_image``; how many of these tasks have
            an example on any rank. A segmentation without one is 0.
        """
        terms = dict(output.terms)
        present = int('loss_masked_image' in terms)
        if self.decode_head is not None:
            segmentation, labeled = segmentation_loss(
                self.decode_head, output.seg_logits, data_samples, self.divide_by_batch
            )
            terms.update(segmentation)
            present += labeled
        return terms, present

    def write_class_maps(
        self, seg_logits: Any, data_samples: Sequence[RetrievalDataSample]
    ) -> None:
        """Write ``pred_sem_seg``, of the size of ``gt_sem_seg``, where there is one.

        Args:
            seg_logits (Any): Of :meth:`forward`.
            data_samples (Sequence[RetrievalDataSample]): To fill.
        """
        for row, sample in enumerate(data_samples):
            if 'gt_sem_seg' in sample:
                size = sample.gt_sem_seg.data.shape[-2:]
                prediction = self.class_map(rows_of(seg_logits, [row]), size)
                sample.pred_sem_seg = PixelData(data=prediction)

    def class_map(self, seg_logits: Any, size: Sequence[int]) -> Tensor:
        """The most likely class of every pixel.

        Args:
            seg_logits (Any): Of :meth:`forward`.
            size (Sequence[int]): Height and width of the result in pixels.

        Shape:
            (N, K, h, w) -> (N, H, W) long.

        Returns:
            Tensor: Class indices.
        """
        logits = seg_logits[0] if isinstance(seg_logits, tuple) else seg_logits
        resized = functional.interpolate(
            similarity.as_float(logits),
            tuple(size),
            mode='bilinear',
            align_corners=self.decode_head.align_corners,
        )
        if resized.shape[1] == 1:  # a binary head
            return (resized[:, 0].sigmoid() > self.decode_head.threshold).long()
        return resized.argmax(dim=1)


def _map_shapes(image_encoder: Any) -> list[tuple[int, int]]:
    if not hasattr(image_encoder, 'encode_maps'):
        raise ValueError(
            f'pyramid: {type(image_encoder).__name__} gives no feature maps; '
            "use image_encoder=dict(type='BackboneEncoder', backbone=...)"
        )
    if image_encoder.out_index == 'all':
        raise ValueError(
            "pyramid: the vector comes from one map, got image_encoder.out_index='all': give its "
            'number, such as -1'
        )
    return image_encoder.map_shapes()


def _neck(cfg: Mapping[str, Any] | None, role: str, **shape: Any) -> Any:
    return None if cfg is None else build_part({**shape, **cfg}, f'pyramid.{role}')

"""MCRN: images, texts and recordings in one space, by a shared encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from urbancross_mm.functional import similarity
from urbancross_mm.models.build import build_part
from urbancross_mm.models.image_views import ImageViews
from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.models.retrievers.mcrn_losses import auxiliary_loss, ranking_loss
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.structures.batch_ids import partners


@MODELS.register_module()
class MCRN(CrossModalRetriever):
    r"""An encoder for each modality, one shared encoding after all of them.

    With f the features of an encoder and g those of the shared encoding, the embedding is g at
    unit length. Stage 2 trains

    .. math:: L = L_{head} + L_{self} + L_{distillation} + L_{alignment}

    with the head's ranking losses, :math:`MSE(g_v, g_{v'})` of two views of an image, and
    divergence and MSE of g between image-text, image-audio and audio-text. A config names the last
    three where it wants them; without them it is the published variant ``tpt``. No loss grows with
    the batch unless ``released``. A fourth modality is paired and aligned as the recordings are.

    Stage 1 is :class:`MCRNPretrainer`, whose weights have the same names: ``load_from``.

    Args:
        image_encoder (dict): Config of the image encoder.
        text_encoder (dict): Config of the text encoder, of the same ``embed_dim``.
        encoders (dict, optional): See :class:`CrossModalRetriever`: ``dict(audio=...)``.
            Defaults to None.
        shared (dict, optional): Arguments of :class:`SharedPatternTransfer`. Defaults to None: no
            shared encoding.
        dropout (float): Of f in training. Defaults to 0.3.
        head (dict, optional): Arguments of :class:`RetrievalHead`, needed to train only. What it
            leaves out: the mean of :class:`PairwiseRankingLoss`, and ``pairs`` of the image with
            each of ``encoders``. Defaults to None.
        self_consistency (dict, optional): Arguments of :class:`ConsistencyLoss`. The second view
            is ``inputs['image_view']`` (``image_view`` of the data preprocessor says how it is
            drawn), or else drawn by :class:`ImageViews`. Defaults to None.
        distillation (dict, optional): Arguments of :class:`FeatureDistillationLoss`.
            Defaults to None.
        alignment (dict, optional): Arguments of :class:`ConsistencyLoss`. Defaults to None.
        released (bool): What these four leave out is as released: half the sum of the hinge terms,
            1000 times the others, a teacher that learns too, one BatchNorm for all modalities in
            the shared encoding. Defaults to False.
        **kwargs: ``pyramid`` (with a ``weighting`` alone), ``data_preprocessor`` and ``init_cfg``
            of :class:`CrossModalRetriever`.

    Raises:
        ValueError: If widths differ, or the pyramid has tasks.

    Examples:
        >>> model = dict(type='MCRN', shared=dict(), head=dict(), alignment=dict(), ...)

    Reference:
        MCRN: A Multi-Source Cross-Modal Retrieval Network for Remote Sensing (JAG 2022).
    """

    not_adaptable = 'an adaptation trains on images and texts alone'

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        encoders: Mapping[str, dict[str, Any]] | None = None,
        shared: Mapping[str, Any] | None = None,
        dropout: float = 0.3,
        head: Mapping[str, Any] | None = None,
        self_consistency: Mapping[str, Any] | None = None,
        distillation: Mapping[str, Any] | None = None,
        alignment: Mapping[str, Any] | None = None,
        released: bool = False,
        **kwargs: Any,
    ) -> None:
        if head is not None:
            pairs = {f'image-{name}': 1.0 for name in encoders or ()}
            head = {'type': 'RetrievalHead', 'loss': ranking_loss(released), 'pairs': pairs, **head}
        if kwargs.get('pyramid') is not None:
            # The lengths of f are a part of the losses, as those of the other encoders are.
            kwargs['pyramid'] = dict(kwargs['pyramid'], normalized=False)
        super().__init__(image_encoder, text_encoder, head, encoders=encoders, **kwargs)
        parts = (getattr(self.pyramid, name, None) for name in ('decode_head', 'masked_image'))
        if any(part is not None for part in parts):
            raise ValueError('the pyramid of MCRN has no decode_head and no masked_image')
        self.dropout = dropout
        self.shared: Any = None
        if shared is not None:
            own = dict(embed_dim=self.embed_dim, modalities=None if released else self.modalities)
            cfg = {'type': 'SharedPatternTransfer', **own, **shared}
            self.shared = build_part(cfg, 'shared encoding')
            if self.shared.embed_dim != self.embed_dim:
                raise ValueError(
                    f'shared.embed_dim is {self.shared.embed_dim}, the encoders are '
                    f'{self.embed_dim} wide: leave it out'
                )
        self.self_consistency = auxiliary_loss('self_consistency', self_consistency, released)
        self.distillation = auxiliary_loss('distillation', distillation, released)
        self.alignment = auxiliary_loss('alignment', alignment, released)

    def own_feats(self, modality: str, inputs: Tensor) -> Tensor:
        """What the modality's own encoder says: f.

        Args:
            modality (str): One of ``modalities``.
            inputs (Tensor): Its inputs, a row at least.

        Shape:
            (N, ...) -> (N, D).

        Returns:
            Tensor: Not normalized.
        """
        if modality == 'image':
            if self.pyramid is not None:
                return self.pyramid(inputs, tasks=False).embeds
            return self.image_encoder(inputs)
        return (self.text_encoder if modality == 'text' else self.encoders[modality])(inputs)

    def feats(self, modality: str, inputs: Tensor, dropout: float = 0.0) -> Tensor:
        """Features of the shared encoding: g.

        Args:
            modality (str): One of ``modalities``.
            inputs (Tensor): Its inputs; no row at all is fine.
            dropout (float): Of f. Defaults to 0.0.

        Shape:
            (N, ...) -> (N, D).

        Returns:
            Tensor: Not normalized, fp32 at least.
        """

        def encode(rows: Tensor) -> Tensor:
            own = functional.dropout(self.own_feats(modality, rows), dropout)
            return self._shared(modality, own)

        return self.encode_rows(encode, inputs)

    def _shared(self, modality: str, own: Tensor) -> Tensor:
        return similarity.as_float(own if self.shared is None else self.shared(own, modality))

    def encode(self, modality: str, inputs: Tensor) -> Tensor:
        """Embed items of one modality; see :class:`BaseRetriever`.

        Args:
            modality (str): One of ``modalities``.
            inputs (Tensor): Its inputs.

        Returns:
            Tensor: Unit vectors in fp32.
        """
        dropout = self.dropout if self.training else 0.0
        return similarity.normalize(self.feats(modality, inputs, dropout))

    def encode_image(self, image: Tensor) -> Tensor:
        """Unit vectors (N, D), fp32, of normalized images (N, 3, H, W)."""
        return self.encode('image', image)

    def encode_text(self, text: Tensor) -> Tensor:
        """Unit vectors (M, D), fp32, of token ids (M, L)."""
        return self.encode('text', text)

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs (dict): ``image``, ``text``, and those of the other modalities.
            data_samples (list[RetrievalDataSample]): With the ids that the head needs.

        Returns:
            dict[str, Tensor]: The head's, ``loss_self_consistency``, and ``loss_distillation_*``
            and ``loss_alignment_*`` of each pair.

        Raises:
            ValueError: If the model has no head.
        """
        if self.head is None:
            raise ValueError(f'{type(self).__name__} was built without a head: it cannot train')
        feats = {
            name: self.feats(name, inputs[name], self.dropout)
            for name in self.modalities
            if name in inputs
        }
        embeds = {f'{name}_embeds': similarity.normalize(rows) for name, rows in feats.items()}
        losses = self.head.loss(data_samples=data_samples, **embeds)
        if self.self_consistency is not None:
            view = self.feats('image', self._second_image(inputs))
            losses['loss_self_consistency'] = self.self_consistency(feats['image'], view)
        for what in ('distillation', 'alignment'):
            criterion = getattr(self, what)
            for first, second in self._aligned() if criterion is not None else ():
                if first in feats and second in feats:
                    losses[f'loss_{what}_{first}_{second}'] = criterion(
                        *_matching(first, second, feats, data_samples)
                    )
        return losses

    def _second_image(self, inputs: dict[str, Tensor]) -> Tensor:
        """Another view of the images: that of the batch, or a drawn one."""
        if 'image_view' in inputs:
            return inputs['image_view']
        views = getattr(self.data_preprocessor, 'image_views', None) or ImageViews()
        return views.fresh(inputs['image'])

    def _aligned(self) -> list[tuple[str, str]]:
        """Student and teacher of the distillation; the same pairs are aligned."""
        others = tuple(self.encoders)
        return [
            *(('image', name) for name in ('text', *others)),
            *((name, 'text') for name in others),
        ]


def _matching(
    first: str, second: str, feats: dict[str, Tensor], data_samples: list[RetrievalDataSample]
) -> tuple[Tensor, Tensor]:
    """Rows of two modalities that belong together."""
    if first == 'image':
        return feats[first][partners(data_samples, first, second)], feats[second]
    return feats[first], feats[second][partners(data_samples, second, first)]

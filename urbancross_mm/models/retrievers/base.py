"""The contract of every retriever."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from urbancross_mm.models.adaptation.adaptation import DomainAdaptation
from urbancross_mm.models.build import check_tokenizer
from urbancross_mm.models.retrievers.adoption import named_after
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.state_dicts import describe_initialization


class _RetrieverMeta(ABCMeta):
    """Adds the adaptation to a complete retriever, whatever its class takes and builds."""

    def __call__(
        cls, *args: Any, adaptation: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        """Build the retriever, then its adaptation, whose losses need the embedding width."""
        retriever = super().__call__(*args, **kwargs)
        if adaptation is not None:
            retriever.add_adaptation(adaptation)
        return retriever


class BaseRetriever(BaseModel, metaclass=_RetrieverMeta):
    """A model that puts images and texts into one space.

    A subclass writes ``encode_image``, ``encode_text`` and ``loss``; what is written into the
    data samples at test time is settled here. N images, M texts, D the embedding width.

    Every retriever takes the argument ``adaptation`` besides those of its class: the config of a
    :class:`DomainAdaptation` to a target without pairs. A subclass need not name it, but it sets
    ``self.embed_dim``. It may set ``self.head`` to a module with ``pair_losses`` (see
    :class:`RetrievalHead`): then an adaptation embeds each pair once, and else twice.

    Args:
        data_preprocessor (dict, optional): Config of the preprocessor. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Examples:
        >>> model = dict(adaptation=dict(target='spain', losses=[dict(type='PseudoPairLoss')]))
    """

    embed_dim: int
    # What it embeds, by name. Of the first, a sample has one item; of another modality M as many as
    # its ``M_ids`` name. Embeddings are called ``M_embeds``.
    modalities: tuple[str, ...] = ('image', 'text')
    head: Any
    adaptation: DomainAdaptation | None
    # Parts that only the loss on pairs needs: an adaptation without it freezes them.
    paired_parts: tuple[str, ...] = ('head',)
    # Scores N images and M texts by their embeddings, ``(N, D), (M, D) -> (N, M)``, where cosines
    # do not. Then ``predict`` leaves it in the samples, and it is no model for an index.
    score_pairs: Any = None
    # Why a model cannot be adapted, if it cannot.
    not_adaptable = ''
    # Beginnings of the names of weights that a checkpoint may lack.
    optional_prefixes: tuple[str, ...] = ()

    def __init__(
        self,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.head = None
        self.adaptation = None

    def add_adaptation(self, adaptation: Mapping[str, Any]) -> None:
        """Train on a target without pairs from now on.

        Args:
            adaptation (Mapping): Arguments of :class:`DomainAdaptation` but the retriever.

        Raises:
            ValueError: If the model is ``not_adaptable``.
        """
        if self.not_adaptable:
            raise ValueError(
                f'{type(self).__name__} cannot be adapted: {self.not_adaptable}; use '
                'CrossModalRetriever'
            )
        self.adaptation = DomainAdaptation(self, **adaptation)
        # The source has no such losses, and may have been trained with another head.
        self.optional_prefixes = ('adaptation.', 'head.', *self.optional_prefixes)

    def check_tokenizer(self, tokenizer: Any) -> None:
        """Refuse a tokenizer that is not that of the text encoder.

        Args:
            tokenizer (Any): Of a pipeline.

        Raises:
            ValueError: If vocabulary, padding or length do not fit.
        """
        check_tokenizer(getattr(self, 'text_encoder', None), tokenizer)

    @property
    def starts_whole(self) -> bool:
        """bool: Whether training may not start with a part of the weights: in an adaptation."""
        return self.adaptation is not None

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """An adapted checkpoint is one of the plain config: its losses' weights are passed over."""
        if self.adaptation is None:
            for name in [name for name in state_dict if name.startswith(f'{prefix}adaptation.')]:
                del state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *args)

    def own_weights(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of a CLIP of the field under this model's names.

        Args:
            weights (Mapping): A checkpoint's state dict.

        Returns:
            Mapping: This model's own, with position embeddings in its size. Of a CLIP in a layout
            that the encoders know, the towers are named after them, and the head keeps its
            weights. Any other stays as it is.
        """
        return named_after(self, weights)

    def _dump_init_info(self) -> None:
        """One line in the log; mmengine's has three for every weight."""
        origins = [self._params_init_info[weight]['init_info'] for weight in self.parameters()]
        print_log(f'weights: {describe_initialization(origins)}', logger='current')

    @abstractmethod
    def encode_image(self, image: Tensor) -> Tensor:
        """Unit vectors (N, D), fp32, of normalized images (N, 3, H, W)."""

    @abstractmethod
    def encode_text(self, text: Tensor) -> Tensor:
        """Unit vectors (M, D), fp32, of token ids (M, L)."""

    @abstractmethod
    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch; every key with the word "loss" enters the objective."""

    def encode(self, modality: str, inputs: Tensor) -> Tensor:
        """Embed items of one modality.

        Args:
            modality (str): One of ``modalities``.
            inputs (Tensor): As the data preprocessor makes them, such as ``(N, 3, H, W)``.

        Returns:
            Tensor: What ``encode_<modality>`` gives, ``(N, D)``.
        """
        return getattr(self, f'encode_{modality}')(inputs)

    def embed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embed what is there.

        Args:
            inputs (dict): Of each modality its inputs, such as ``image`` (N, 3, H, W) and ``text``
                (M, L), or its embeddings, ``image_embeds`` (N, D), where they are known.

        Returns:
            dict: ``image_embeds`` (N, D), ``text_embeds`` (M, D), ..., unit length.
        """
        embeds = {}
        for modality in self.modalities:
            name = f'{modality}_embeds'
            if name in inputs:
                embeds[name] = inputs[name]
            elif modality in inputs:
                embeds[name] = self.encode(modality, inputs[modality])
        return embeds

    def embed_for_search(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The embeddings that are ranked at test time; those of :meth:`embed` by default."""
        return self.embed(inputs)

    def predict(
        self,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample] | None = None,
    ) -> list[RetrievalDataSample]:
        """Write embeddings into the data samples.

        Args:
            inputs (dict): ``image`` and/or ``text``; the rows of ``text`` are those of all
                samples one after another.
            data_samples (list, optional): Samples to fill; a sample has ``len(text_ids)`` texts,
                one if it does not say. Defaults to None: new samples, one per image, or one
                per text where there are no images.

        Returns:
            list[RetrievalDataSample]: The samples with ``image_embeds`` (D,), ``text_embeds``
            (C, D) and ``image_view_embeds`` (D,), as far as the inputs hold images, texts and
            other views (``image_view``) of the images.

        Raises:
            ValueError: If samples and rows do not match in number.
        """
        embeds: dict[str, Any] = self.embed_for_search(inputs)
        if 'image_view' in inputs:
            views = self.embed_for_search(dict(image=inputs['image_view']))
            embeds['image_view_embeds'] = views['image_embeds']
        if data_samples is None:
            data_samples = [RetrievalDataSample() for _ in next(iter(embeds.values()), ())]
        for modality in self.modalities[1:]:
            name = f'{modality}_embeds'
            if name in embeds:
                embeds[name] = split_items(embeds[name], data_samples, modality)
        for name, rows in embeds.items():
            if len(rows) != len(data_samples):
                raise ValueError(f'{len(rows)} {name} for {len(data_samples)} data samples')
            for sample, row in zip(data_samples, rows):
                sample.set_data({name: row})
        return data_samples

    def forward(
        self,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[RetrievalDataSample]:
        """Run in one of mmengine's modes.

        Args:
            inputs (dict): What the data preprocessor made: ``image``, ``text``, ``segments``, ...
            data_samples (list, optional): One per image. Defaults to None.
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``. Defaults to 'tensor'.

        Returns:
            dict | list: Losses, filled data samples, or the dict of :meth:`embed`.

        Raises:
            ValueError: If the mode is unknown.
        """
        if mode == 'loss':
            samples = data_samples or []
            if self.adaptation is not None:
                return self.adaptation.loss(self, inputs, samples)
            return self.loss(inputs, samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.embed(inputs)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")


def split_items(
    embeds: Tensor, data_samples: list[RetrievalDataSample], modality: str = 'text'
) -> tuple[Tensor, ...]:
    """Cut the texts, or recordings, of a batch into those of each sample.

    Args:
        embeds (Tensor): ``(M, D)``.
        data_samples (list): A sample has ``len(<modality>_ids)`` items, one if it does not say.
        modality (str): Which. Defaults to 'text'.

    Returns:
        tuple[Tensor]: One ``(C, D)`` per sample; C may be 0.

    Raises:
        ValueError: If the samples name more or fewer items than there are rows.
    """
    counts = [len(sample.get(f'{modality}_ids', (0,))) for sample in data_samples]
    if sum(counts) != len(embeds):
        raise ValueError(
            f'{len(embeds)} rows of {modality}, but the data samples name {sum(counts)} of them'
        )
    return embeds.split(counts)

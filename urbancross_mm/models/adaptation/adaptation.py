"""Adapting a trained retriever to a domain without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.models.adaptation.checks import add_terms, check_finite, check_pairs
from urbancross_mm.models.adaptation.embed import embed_domains
from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.models.adaptation.snapshot import FrozenSnapshot
from urbancross_mm.models.build import build_part
from urbancross_mm.models.heads import BatchIds, batch_ids, gather_ids, positives, select_ids
from urbancross_mm.models.retrievers.base import BaseRetriever
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage, DomainBatch, RetrievalDataSample
from urbancross_mm.utils.dist import all_gather_rows

INNER, EXTRA = 'retriever.', 'adaptation.'
UNUSED_WITHOUT_PAIRS = ('head', 'segment_encoder')


@MODELS.register_module()
class DomainAdaptiveRetriever(BaseRetriever):
    """Wraps a retriever and trains it on source pairs and an unpaired target.

    A step embeds a batch of both domains, selects source pairs, and adds up the wrapped
    retriever's own loss on them and any adaptation losses. It encodes, predicts and is searched
    as the wrapped retriever. Its checkpoints name the weights as the wrapped retriever's do, with
    those of the losses besides as ``adaptation.*``: an adapted checkpoint is one of the plain
    config, and starts from one.

    Args:
        retriever (dict): Config of the retriever, its data preprocessor included.
        target (str): The domain that is adapted to, as its data samples name it; all others are
            sources.
        losses (Sequence[dict]): Configs of adaptation losses. Defaults to ().
        paired_loss (bool): Train on the source pairs with the retriever's own head.
            Defaults to True.
        selector (dict, optional): Config of the selection. Defaults to None: all source samples,
            alike.
        start (str, optional): The checkpoint that training starts from; a selector with frozen
            encoders reads it (``tools/train.py`` sets it from the config key ``start``).
            Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If there is nothing to train on, or a part does not fit.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241), weighted adversarial fine-tuning.
    """

    # A checkpoint of the plain retriever has none of the losses' weights; all else must be there,
    # or a part of the model would start untrained.
    optional_prefixes: tuple[str, ...] = (EXTRA,)
    starts_whole = True

    def __init__(
        self,
        retriever: dict[str, Any],
        target: str,
        losses: Sequence[dict[str, Any]] = (),
        paired_loss: bool = True,
        selector: dict[str, Any] | None = None,
        start: str | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        inner = dict(retriever)
        super().__init__(inner.pop('data_preprocessor', None), init_cfg)
        self.retriever = build_part(inner, 'retriever')
        if not losses and not paired_loss:
            raise ValueError('nothing to train on: paired_loss=False and no losses')
        if paired_loss and self.retriever.head is None:
            raise ValueError('paired_loss=True needs a retriever with a head')
        self.target = target
        self.paired_loss = paired_loss
        self.adaptation = torch.nn.ModuleList(
            build_part(loss, 'adaptation loss') for loss in losses
        )
        for loss in self.adaptation:
            if not isinstance(loss, BaseAdaptationLoss):
                raise ValueError(f'{type(loss).__name__} is no adaptation loss')
            loss.set_embed_dim(self.retriever.embed_dim)
        self.selector = None if selector is None else MODELS.build(selector)
        self._snapshot = FrozenSnapshot(start, getattr(self.selector, 'cache_images', False))
        # The source may have had another loss, so its head is not needed either.
        self.optional_prefixes = (EXTRA, 'head.', *getattr(self.retriever, 'optional_prefixes', ()))
        if not paired_loss:
            for name in UNUSED_WITHOUT_PAIRS:
                # DistributedDataParallel stops at weights that get no gradient.
                if getattr(self.retriever, name, None) is not None:
                    getattr(self.retriever, name).requires_grad_(False)
        self._register_state_dict_hook(_strip_inner)

    @property
    def embed_dim(self) -> int:
        """int: D."""
        return self.retriever.embed_dim

    def encode_image(self, image: Tensor) -> Tensor:
        """See the wrapped retriever."""
        return self.retriever.encode_image(image)

    def encode_text(self, text: Tensor) -> Tensor:
        """See the wrapped retriever."""
        return self.retriever.encode_text(text)

    def embed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """See the wrapped retriever."""
        return self.retriever.embed(inputs)

    def embed_for_search(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """See the wrapped retriever."""
        return self.retriever.embed_for_search(inputs)

    def train(self, mode: bool = True) -> DomainAdaptiveRetriever:
        """Switch the mode; training begins every epoch with an empty cache.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            DomainAdaptiveRetriever: Itself.
        """
        if mode:
            self._snapshot.forget()
        return super().train(mode)

    def set_stage(self, stage: CurriculumStage) -> None:
        """Follow a curriculum.

        Args:
            stage (CurriculumStage): Handed to the selector and the losses.
        """
        for part in (self.selector, *self.adaptation):
            if part is not None:
                part.set_stage(stage)

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """Losses and diagnostics of a batch of both domains, one text an image.

        Args:
            inputs (dict): ``image``, ``text`` and what the wrapped retriever needs besides.
            data_samples (list[RetrievalDataSample]): With ``domain``, ``img_id``, ``text_ids`` and
                ``caption_text_ids``.

        Returns:
            dict[str, Tensor]: Terms of the wrapped head and of the adaptation losses, and
            ``source_ratio``, the share of the source that was selected.

        Raises:
            ValueError: If a domain is missing from the batch, or a sample has not one text.
            FloatingPointError: If a term is not finite.
        """
        device = next(iter(inputs.values())).device
        ids = batch_ids(data_samples, device)
        if len(ids.owners) != len(data_samples):
            raise ValueError(
                f'adaptation needs one text an image, got {len(ids.owners)} texts '
                f'for {len(data_samples)} images'
            )
        check_pairs(data_samples, self.target)
        mine = torch.tensor([s.domain == self.target for s in data_samples], device=device)
        local = embed_domains(self.retriever, inputs, mine, segments=self.paired_loss)
        embeds = {name: all_gather_rows(rows, with_grad=True) for name, rows in local.items()}
        view = all_gather_rows(self._view(inputs, local, ids, data_samples))
        is_target = self._gather_domains(mine, data_samples)
        return self._terms(embeds, view, gather_ids(ids), is_target)

    def _terms(
        self, embeds: dict[str, Tensor], view: Tensor, ids: BatchIds, is_target: Tensor
    ) -> dict[str, Tensor]:
        """Losses over all ranks."""
        source, target = (~is_target).nonzero()[:, 0], is_target.nonzero()[:, 0]
        rows, w_source, w_target = self._select(view[source], view[target])
        chosen = source[rows]
        head = self.retriever.head
        equal_captions = head is None or head.equal_captions
        pairs = positives(select_ids(ids, chosen), equal_captions)
        batch = DomainBatch(
            embeds['image_embeds'][chosen],
            embeds['text_embeds'][chosen],
            embeds['image_embeds'][target],
            embeds['text_embeds'][target],
            pairs,
            w_source,
            w_target,
            positives(select_ids(ids, chosen), equal_captions, select_ids(ids, target)),
        )
        terms: dict[str, Tensor] = {}
        if self.paired_loss:
            segments = embeds.get('segment_embeds')
            terms.update(
                head.pair_losses(
                    batch.source_image,
                    batch.source_text,
                    pairs,
                    None if segments is None else segments[chosen],
                )
            )
        for loss in self.adaptation:
            add_terms(terms, loss(batch))
        add_terms(terms, dict(source_ratio=view.new_tensor(len(chosen) / len(source))))
        check_finite(terms)
        return terms

    def _view(
        self,
        inputs: dict[str, Tensor],
        local: dict[str, Tensor],
        ids: BatchIds,
        data_samples: list[RetrievalDataSample],
    ) -> Tensor:
        """What the selector compares, (B, D)."""
        if self.selector is None:
            return local['image_embeds'].detach()
        if self.selector.encoders == 'live':
            return self.selector.view(local['image_embeds'], local['text_embeds'])
        image = text = None
        if self.selector.features != 'text':
            image = self._snapshot.encode_image(
                self.retriever, inputs['image'], [sample.img_id for sample in data_samples]
            )
        if self.selector.features != 'image':
            text = self._snapshot.encode_text(self.retriever, inputs['text'], ids.text_ids.tolist())
        return self.selector.view(image, text)

    def _select(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the source and the weights of both domains."""
        if self.selector is not None:
            return self.selector.select(source, target)
        rows = torch.arange(len(source), device=source.device)
        return rows, *(
            domain.new_full((len(domain),), 1 / len(domain)) for domain in (source, target)
        )

    def _gather_domains(self, mine: Tensor, data_samples: list[RetrievalDataSample]) -> Tensor:
        """Which rows of all ranks are of the target, (B,) bool."""
        flags = all_gather_rows(mine.to(torch.uint8)).bool()
        if flags.all() or not flags.any():
            raise ValueError(
                f'a batch needs samples of the target {self.target!r} and of a source, got the '
                f'domains {sorted({sample.domain for sample in data_samples})}: use '
                'CrossDomainSampler with the same names'
            )
        return flags

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Weights are named as in the wrapped retriever."""
        for name in [name for name in state_dict if name.startswith(prefix)]:
            rest = name[len(prefix) :]
            if not rest.startswith((INNER, EXTRA, 'data_preprocessor.')):
                state_dict[f'{prefix}{INNER}{rest}'] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _strip_inner(
    module: torch.nn.Module, state_dict: dict[str, Tensor], prefix: str, *args: Any
) -> None:
    """Name the weights as in the wrapped retriever."""
    begin = prefix + INNER
    for name in list(state_dict):
        value = state_dict.pop(name)  # popped and put back, so that the order stays
        state_dict[prefix + name[len(begin) :] if name.startswith(begin) else name] = value

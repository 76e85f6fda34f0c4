"""Adapting a trained retriever to a domain without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn

from urbancross_mm.models.adaptation.checks import (
    add_terms,
    check_domains,
    check_finite,
    check_samples,
)
from urbancross_mm.models.adaptation.embed import (
    Adaptable,
    domain_batch,
    embed_domains,
)
from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.models.adaptation.prepare import prepare_losses
from urbancross_mm.models.adaptation.snapshot import FrozenSnapshot
from urbancross_mm.models.build import build_part
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage, DomainBatch, RetrievalDataSample
from urbancross_mm.structures.batch_ids import BatchIds, batch_ids, gather_ids
from urbancross_mm.utils.batch_norm import statistics_kept
from urbancross_mm.utils.dist import all_gather_rows


class DomainAdaptation(nn.ModuleList):
    """What a retriever needs to learn from source pairs and an unpaired target.

    A retriever builds it from its config key ``adaptation``. A step embeds a batch of both
    domains, selects source pairs, and adds up the retriever's own loss on them and the adaptation
    losses, which are the items of this list. Only these have weights, under the name
    ``adaptation.*``: without them an adapted checkpoint is one of the plain retriever.

    Args:
        retriever (BaseRetriever): The retriever, complete but for this part.
        target (str): The domain to adapt to, as its data samples name it; all others are sources.
        losses (Sequence[dict]): Configs of adaptation losses. Defaults to ().
        paired_loss (bool): Train on the source pairs with the retriever's own loss.
            Defaults to True.
        selector (dict, optional): Config of the selection. Defaults to None: all source samples
            with equal weight.
        source_checkpoint (str, optional): The checkpoint that training starts from, a file or a
            work directory (``tools/train.py`` loads it); a selector with frozen encoders reads
            it again. Defaults to None.

    Raises:
        ValueError: If there is nothing to train on, or a part does not fit.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241), weighted adversarial fine-tuning.
    """

    def __init__(
        self,
        retriever: Adaptable,
        target: str,
        losses: Sequence[dict[str, Any]] = (),
        paired_loss: bool = True,
        selector: dict[str, Any] | None = None,
        source_checkpoint: str | None = None,
    ) -> None:
        super().__init__(build_part(loss, 'adaptation loss') for loss in losses)
        if not losses and not paired_loss:
            raise ValueError('adaptation has nothing to train on: paired_loss=False and no losses')
        self.target = target
        self.paired_loss = paired_loss
        for loss in self:
            if not isinstance(loss, BaseAdaptationLoss):
                raise ValueError(f'{type(loss).__name__} is no adaptation loss')
            loss.set_embed_dim(_embed_dim(retriever))
        self.selector = None if selector is None else MODELS.build(selector)
        self._snapshot = FrozenSnapshot(
            source_checkpoint, getattr(self.selector, 'cache_images', False)
        )
        if not paired_loss:
            # DistributedDataParallel stops at weights that get no gradient.
            for name in retriever.paired_parts:
                part = getattr(retriever, name, None)
                if part is not None:
                    part.requires_grad_(False)

    def train(self, mode: bool = True) -> DomainAdaptation:
        """Switch the mode; training begins every epoch with an empty cache.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            DomainAdaptation: Itself.
        """
        if mode:
            self._snapshot.forget()
        return super().train(mode)

    def set_stage(self, stage: CurriculumStage) -> None:
        """Follow a curriculum.

        Args:
            stage (CurriculumStage): Handed to the selector and the losses.
        """
        for part in (self.selector, *self):
            if part is not None:
                part.set_stage(stage)

    def prepare(self, retriever: Adaptable, *arguments: Any) -> str:
        """Let the losses see the whole target before training.

        Args:
            retriever (BaseRetriever): The retriever that is trained.
            *arguments: Dataset, pipeline, batch size, workers and seed, as
                :func:`urbancross_mm.models.adaptation.prepare.prepare_losses` takes them.

        Returns:
            str: What was done, for the log.
        """
        return prepare_losses(self, retriever, self._snapshot.retriever, *arguments)

    def loss(
        self,
        retriever: Adaptable,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample],
    ) -> dict[str, Tensor]:
        """Losses and diagnostics of a batch of both domains, one text per image.

        Args:
            retriever (BaseRetriever): The retriever that is trained.
            inputs (dict): ``image``, ``text`` and what the retriever needs besides.
            data_samples (list[RetrievalDataSample]): With ``domain``, ``img_id``, ``text_ids`` and
                ``caption_text_ids``.

        Returns:
            dict[str, Tensor]: Terms of the retriever's own loss and of the adaptation losses, and
            ``source_ratio``, the share of the source that was selected.

        Raises:
            ValueError: If a domain is missing from the batch, or a sample has no text or several.
            FloatingPointError: If a term is not finite.
        """
        device = next(iter(inputs.values())).device
        ids = batch_ids(data_samples, device)
        check_samples(data_samples, len(ids.owners), self.target)
        is_target = torch.tensor([s.domain == self.target for s in data_samples], device=device)
        uses_head = self.paired_loss and retriever.head is not None
        local = embed_domains(retriever, inputs, is_target, everything=uses_head)
        embeds = {name: all_gather_rows(rows, with_grad=True) for name, rows in local.items()}
        view = all_gather_rows(self._view(retriever, inputs, local, ids, data_samples))
        targets = all_gather_rows(is_target.to(torch.uint8)).bool()
        check_domains(targets, data_samples, self.target)
        source, target = (~targets).nonzero()[:, 0], targets.nonzero()[:, 0]
        rows, w_source, w_target = self._select(view[source], view[target])
        chosen = source[rows]
        batch = domain_batch(
            embeds, gather_ids(ids), chosen, target, (w_source, w_target), retriever.head
        )
        terms: dict[str, Tensor] = {}
        if uses_head:
            terms.update(_head_losses(retriever.head, embeds, chosen, batch))
        elif self.paired_loss:
            terms.update(self._own_losses(retriever, inputs, data_samples, is_target, chosen))
        for loss in self:
            add_terms(terms, loss(batch))
        add_terms(terms, dict(source_ratio=view.new_tensor(len(chosen) / len(source))))
        check_finite(terms)
        return terms

    def _own_losses(
        self,
        retriever: Adaptable,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample],
        is_target: Tensor,
        chosen: Tensor,
    ) -> dict[str, Tensor]:
        """A retriever without a head embeds the selected pairs again, in its own loss."""
        if get_world_size() > 1:
            if self.selector is not None:
                raise ValueError(
                    f'{type(retriever).__name__} has no head, so its own loss cannot follow a '
                    'selection over several processes: set selector=None or paired_loss=False'
                )
            chosen = (~is_target).nonzero()[:, 0]
        with statistics_kept(retriever):
            return retriever.loss(
                {name: rows[chosen] for name, rows in inputs.items()},
                [data_samples[row] for row in chosen.tolist()],
            )

    def _view(
        self,
        retriever: Adaptable,
        inputs: dict[str, Tensor],
        local: dict[str, Tensor],
        ids: BatchIds,
        data_samples: list[RetrievalDataSample],
    ) -> Tensor:
        """What the selector compares, (B, D)."""
        if self.selector is None:
            return local['image_embeds'].detach()
        image, text = local['image_embeds'], local['text_embeds']
        frozen = self.selector.encoders == 'frozen'
        if frozen and self.selector.features != 'text':
            image = self._snapshot.encode_image(
                retriever, inputs['image'], [sample.img_id for sample in data_samples]
            )
        if frozen and self.selector.features != 'image':
            text = self._snapshot.encode_text(retriever, inputs['text'], ids.text_ids.tolist())
        return self.selector.view(image, text)

    def _select(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the source and the weights of both domains."""
        if self.selector is not None:
            return self.selector.select(source, target)
        w_source, w_target = (
            domain.new_full((len(domain),), 1 / len(domain)) for domain in (source, target)
        )
        return torch.arange(len(source), device=source.device), w_source, w_target


def _embed_dim(retriever: Adaptable) -> int:
    width = getattr(retriever, 'embed_dim', None)
    if not isinstance(width, int):
        raise ValueError(
            f'{type(retriever).__name__} needs an attribute embed_dim, the width of its '
            f'embeddings, to be adapted; got {width!r}'
        )
    return width


def _head_losses(
    head: Any, embeds: dict[str, Tensor], chosen: Tensor, batch: DomainBatch
) -> dict[str, Tensor]:
    """The head's losses on the chosen pairs, segments included where the retriever has them."""
    others = {
        name: rows[chosen]
        for name, rows in embeds.items()
        if name not in ('image_embeds', 'text_embeds')
    }
    return head.pair_losses(
        batch.source_image, batch.source_text, positives=batch.source_positives, **others
    )

"""Losses that pair the images and texts of an unpaired target."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.functional import log_softmax

from urbancross_mm.functional import transport
from urbancross_mm.functional.neighbors import csls, mutual_nearest
from urbancross_mm.functional.similarity import inner_product
from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage, DomainBatch

# Steps without the loss that nobody needs to hear of: two at the usual 64 items per step.
PATIENCE = 4


class Items(NamedTuple):
    """Target items of one modality: ``embeds`` (N, D), and ``ids`` (N,), 0 where nobody looked."""

    embeds: Tensor
    ids: Tensor


class BasePairingLoss(BaseAdaptationLoss):
    """Template of a contrastive loss whose pairs are guessed; a subclass writes ``pairing``.

    A batch of a target is too small to hold the text of each of its images, so the last
    embeddings of both modalities are remembered, without gradient. The memory is in the
    checkpoints: a resumed run goes on with it.

    Args:
        memory_size (int): Embeddings to remember in each modality. Defaults to 512.
        min_items (int): The loss is 0 until so many are remembered. Defaults to 128.
        scale (float): Factor of the cosines. Defaults to 1 / 0.07.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If the memory cannot hold ``min_items``.
    """

    images: Tensor
    texts: Tensor
    image_ids: Tensor
    text_ids: Tensor
    filled: Tensor

    def __init__(
        self,
        memory_size: int = 512,
        min_items: int = 128,
        scale: float = 1 / 0.07,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if not 0 <= min_items <= memory_size:
            raise ValueError(
                f'min_items must lie in [0, memory_size], got {min_items} with '
                f'memory_size={memory_size}'
            )
        self.memory_size = memory_size
        self.min_items = min_items
        self.scale = scale
        self.register_buffer('filled', torch.tensor(0))

    def set_embed_dim(self, embed_dim: int) -> None:
        """Make room for the memory."""
        for name in ('images', 'texts'):
            self.register_buffer(name, torch.zeros(self.memory_size, embed_dim))
        for name in ('image_ids', 'text_ids'):
            # Only a plan is looked up by ids.
            ids = torch.zeros(self.memory_size, dtype=torch.long)
            self.register_buffer(name, ids, persistent=self.wants_target)

    @abstractmethod
    def pairing(self, images: Items, texts: Items) -> Tensor:
        """How much each text belongs to each image: N and M items -> (N, M), from 0."""

    def compute(self, batch: DomainBatch) -> dict[str, Tensor]:
        """``loss_pairing`` and ``pairing_confidence``, the mean share of a best text."""
        images = Items(batch.target_image, _known(batch.target_image_ids, batch.target_image))
        texts = Items(batch.target_text, _known(batch.target_text_ids, batch.target_text))
        known = int(self.filled)
        all_images = _joined(images, self.images[:known], self.image_ids[:known])
        all_texts = _joined(texts, self.texts[:known], self.text_ids[:known])
        by_image = inner_product(images.embeds, all_texts.embeds)  # (T, M)
        by_text = inner_product(texts.embeds, all_images.embeds)  # (T, N)
        if not known:
            self._warn_of_the_wait(len(images.ids))
        self._remember(images, texts)
        if known < self.min_items:
            return {'loss_pairing': 0 * (by_image.sum() + by_text.sum())}
        with torch.no_grad():
            pairs = self.pairing(all_images, all_texts)  # (N, M)
        rows, columns = pairs[: len(images.ids)], pairs[:, : len(texts.ids)].t()
        loss = (
            self.distance(self.scale * by_image, rows)
            + self.distance(self.scale * by_text, columns)
        ) / 2
        mass = rows / rows.sum(dim=1, keepdim=True).clamp(min=1e-30)
        return {'loss_pairing': loss, 'pairing_confidence': mass.amax(dim=1).mean()}

    def distance(self, logits: Tensor, pairs: Tensor) -> Tensor:
        """How far scaled cosines are from pairs: (T, M) each -> a scalar."""
        return soft_cross_entropy(logits, pairs)

    def _warn_of_the_wait(self, count: int) -> None:
        steps = -(-self.min_items // count)
        if steps > PATIENCE:
            print_log(
                f'{type(self).__name__} is 0 for the first {steps} steps, until '
                f'min_items={self.min_items} are remembered, {count} a step: a run of no '
                'more steps does not adapt',
                'current',
                logging.WARNING,
            )

    def _remember(self, images: Items, texts: Items) -> None:
        """Newest first; a view never changes under a graph, since the memory has none."""
        for memory, new in (
            (self.images, images.embeds),
            (self.texts, texts.embeds),
            (self.image_ids, images.ids),
            (self.text_ids, texts.ids),
        ):
            memory.copy_(torch.cat([new.detach().to(memory), memory])[: self.memory_size])
        self.filled.fill_(min(int(self.filled) + len(images.ids), self.memory_size))


@MODELS.register_module()
class OptimalTransportPairingLoss(BasePairingLoss):
    """Contrastive loss towards the entropic transport plan between target images and texts.

    The plan moves every image's mass to the texts so that each text gets its share: no text can
    attract all images, as in a nearest-neighbor guess. Texts are drawn as often as they occur, so
    equal masses of draws are masses by frequency. The plan is computed at every step and has no
    gradient.

    Args:
        eps (float): Temperature of the plan in cosine; too large gives every text to every
            image. Defaults to 0.05.
        iterations (int): Of Sinkhorn's algorithm. Defaults to 30.
        **kwargs: Of :class:`BasePairingLoss`.

    Reference:
        Sinkhorn distances (https://arxiv.org/abs/1306.0895); the use of a plan as soft labels as
        in SwAV (https://arxiv.org/abs/2006.09882).
    """

    def __init__(self, eps: float = 0.05, iterations: int = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if eps <= 0 or iterations < 1:
            raise ValueError(f'eps and iterations must be positive, got {eps} and {iterations}')
        self.eps = eps
        self.iterations = iterations

    def pairing(self, images: Items, texts: Items) -> Tensor:
        """The transport plan."""
        scores = inner_product(images.embeds, texts.embeds)
        return transport.sinkhorn(scores, self.eps, self.iterations)


@MODELS.register_module()
class PseudoPairLoss(BasePairingLoss):
    """Contrastive loss on mutual nearest neighbors of target images and texts.

    The most confident share of the pairs counts: the curriculum's ratio, so that less confident
    ones join later.

    Args:
        neighbors (int): k of CSLS; 0 compares plain cosines. Defaults to 10.
        share (float): Share of the mutual pairs, until a curriculum sets another one.
            Defaults to 1.0.
        **kwargs: Of :class:`BasePairingLoss`.

    Reference:
        Conneau et al. (https://arxiv.org/abs/1710.04087) for CSLS and mutual neighbors.
    """

    def __init__(self, neighbors: int = 10, share: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if neighbors < 0 or not 0 < share <= 1:
            raise ValueError(
                f'neighbors must be at least 0 and share in (0, 1], got {neighbors} and {share}'
            )
        self.neighbors = neighbors
        self.share = share

    def set_stage(self, stage: CurriculumStage) -> None:
        """Take the ratio of the curriculum as the share."""
        self.share = stage.ratio

    def pairing(self, images: Items, texts: Items) -> Tensor:
        """1 where image and text chose each other and are confident, else 0."""
        scores = inner_product(images.embeds, texts.embeds)
        if self.neighbors:
            scores = csls(scores, self.neighbors)
        matches = mutual_nearest(scores)
        kept = max(1, round(self.share * len(matches.rows)))
        pairs = torch.zeros_like(scores)
        pairs[matches.rows[:kept], matches.columns[:kept]] = 1
        return pairs


def _known(ids: Tensor | None, embeds: Tensor) -> Tensor:
    return torch.zeros(len(embeds), dtype=torch.long, device=embeds.device) if ids is None else ids


def _joined(new: Items, embeds: Tensor, ids: Tensor) -> Items:
    """The batch, and what is remembered."""
    return Items(torch.cat([new.embeds, embeds]), torch.cat([new.ids, ids]))


def soft_cross_entropy(logits: Tensor, mass: Tensor) -> Tensor:
    """Mean over the rows that have any mass of the cross-entropy towards it.

    Args:
        logits (Tensor): Scaled cosines.
        mass (Tensor): From 0, of any row sum.

    Shape:
        - logits, mass: ``(N, M)``; output: a scalar.

    Returns:
        Tensor: The loss; 0 if no row has mass.
    """
    total = mass.sum(dim=1)
    target = mass / total.clamp(min=1e-30)[:, None]
    rows = -(target * log_softmax(logits, dim=1)).sum(dim=1)
    return (rows * (total > 0)).sum() / (total > 0).sum().clamp(min=1)

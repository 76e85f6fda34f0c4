"""Embedding whole domains, to look at what adaptation did to them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor
from torch.utils.data import Subset

from urbancross_mm.functional import label_free
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.registry import DATASETS


class DomainEmbeds(NamedTuple):
    """Images and captions of one domain, without saying which belong together.

    Attributes:
        name: Of the domain, as its data samples give it; several are joined by +.
        image_embeds: ``(N, D)``.
        text_embeds: ``(M, D)``.
    """

    name: str
    image_embeds: Tensor
    text_embeds: Tensor


def embed_test_set(
    embedder: Embedder, cfg: Config, max_items: int = 500, seed: int = 0
) -> DomainEmbeds:
    """Embed images and captions of a config's test set as a test would.

    Args:
        embedder (Embedder): The model.
        cfg (Config): The config of the data; its pipeline must suit the model.
        max_items (int): Number of images, and of captions, at most; chosen at random. Defaults to
            500.
        seed (int): Of the choice, which does not depend on the model. Defaults to 0.

    Returns:
        DomainEmbeds: On the CPU.

    Raises:
        FileNotFoundError: If the data are missing.
        ValueError: If ``max_items`` is not positive, the images have no caption, or the model
            scores pairs.
    """
    check_comparable(embedder.model, 'a map of embeddings')
    if max_items < 1:
        raise ValueError(f'max_items must be at least 1, got {max_items}')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randperm(len(dataset), generator=generator)[:max_items].tolist()
    samples = embedder.predict(Subset(dataset, indices))
    texts = torch.cat([sample.text_embeds.float().cpu() for sample in samples])
    if not len(texts):
        raise ValueError(f'the {len(samples)} chosen items of the test set have no caption')
    texts = texts[torch.randperm(len(texts), generator=generator)[:max_items]]
    return DomainEmbeds(
        '+'.join(sorted({sample.domain for sample in samples})),
        torch.stack([sample.image_embeds.float().cpu() for sample in samples]),
        texts,
    )


def compare_domains(source: DomainEmbeds, target: DomainEmbeds) -> dict[str, float]:
    """Measure how far apart two domains are, and how the target's embeddings lie, without pairs.

    Neither a fall nor a rise of a score proves anything: harmful adaptations had both.

    Args:
        source (DomainEmbeds): One domain.
        target (DomainEmbeds): The other, embedded by the same model.

    Returns:
        dict[str, float]: ``a_distance_image``, ``a_distance_text`` (0 to 2) between the domains;
        ``hubness_i2t``, ``hubness_t2i`` and ``agreement`` of the target.
    """
    images, texts = target.image_embeds, target.text_embeds
    return dict(
        a_distance_image=label_free.proxy_a_distance(source.image_embeds, images),
        a_distance_text=label_free.proxy_a_distance(source.text_embeds, texts),
        hubness_i2t=label_free.hubness(images, texts),
        hubness_t2i=label_free.hubness(texts, images),
        agreement=label_free.structure_agreement(images, texts),
    )

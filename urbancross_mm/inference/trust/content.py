"""Does a target say what its images show? Measured against what the source says."""

from __future__ import annotations

import torch
from torch import Tensor

from urbancross_mm.functional.pairing_plan import Target

# The best few items of a side, so that one odd item decides nothing.
BEST = 5
# So many standard deviations of the source's scores better is clearly better.
CLEARLY = 1.0


def missing_content(target: Target, source: Target, seed: int = 0) -> dict[str, float]:
    """How many items of the target find clearly better partners in the source.

    An image of a harbor among texts without harbors scores higher with texts of the source, where
    there are harbors. Both domains are compared with as many images and texts as the smaller has.

    Args:
        target (Target): Encoded by the source model.
        source (Target): Images and texts of the source, encoded by the same model.
        seed (int): Of the items that are compared. Defaults to 0.

    Returns:
        dict[str, float]: ``missing_texts``, the share of the target's images with clearly better
        texts in the source; ``missing_images``, the share of its texts with clearly better images
        there. 0 to 1.
    """
    generator = torch.Generator().manual_seed(seed)
    images = min(len(target.image_embeds), len(source.image_embeds))
    texts = min(len(target.text_embeds), len(source.text_embeds))
    own_images, own_texts, other_images, other_texts = (
        rows[torch.randperm(len(rows), generator=generator)[:count]]
        for rows, count in (
            (target.image_embeds, images),
            (target.text_embeds, texts),
            (source.image_embeds, images),
            (source.text_embeds, texts),
        )
    )
    spread = float((other_images @ other_texts.t()).std().clamp(min=1e-12))
    texts_lost = _best(own_images, other_texts) - _best(own_images, own_texts)
    images_lost = _best(own_texts, other_images) - _best(own_texts, own_images)
    return dict(
        missing_texts=float((texts_lost > CLEARLY * spread).float().mean()),
        missing_images=float((images_lost > CLEARLY * spread).float().mean()),
    )


def _best(rows: Tensor, others: Tensor) -> Tensor:
    """Mean of each row's best scores."""
    return (rows @ others.t()).topk(min(BEST, len(others)), dim=1).values.mean(dim=1)

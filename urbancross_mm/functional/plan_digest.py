"""A few numbers that tell whether a plan is made of the same things as before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from urbancross_mm.functional.pairing_factors import Target
from urbancross_mm.utils.ids import stable_id

# Units of a mean embedding. The digits below differ between two GPUs.
UNITS = 1000
# One number of all ids and labels, and one of each tensor of vectors.
SIZE = 5


def plan_digest(
    target: Target, image_keys: Tensor, text_ids: Tensor, labels: Mapping[str, Sequence[str]]
) -> Tensor:
    """Sum up what a plan is made of; the order of the items does not matter.

    Args:
        target (Target): The items.
        image_keys (Tensor): Ids of the images.
        text_ids (Tensor): Ids of the texts.
        labels (Mapping[str, Sequence[str]]): Captions of each labeled image, by id.

    Shape:
        image_keys ``(N,)``, text_ids ``(M,)`` -> ``(5,)``, int64.

    Returns:
        Tensor: A hash of ids, masses and labels, and a rounded mean of each of embeddings and
        features of both modalities. Never all 0.
    """
    texts = sorted(zip(text_ids.tolist(), target.text_mass.tolist()))
    known = sorted((img_id, sorted(captions)) for img_id, captions in labels.items())
    items = stable_id(repr((sorted(image_keys.tolist()), texts, known)))
    return torch.tensor([items, *(_mean(part) for part in target[:4])], dtype=torch.int64)


def change(before: Tensor, after: Tensor) -> str:
    """What differs between two digests, in words.

    Args:
        before (Tensor): An earlier one; all 0 where there was none.
        after (Tensor): A later one.

    Returns:
        str: Empty if nothing differs, or either is missing. Of other items, the embeddings say
        nothing.
    """
    if not before.any() or not after.any():
        return ''
    differs = (before - after).abs()
    if differs[0]:
        return 'images, texts or labels of the target'
    # Rounding may fall to either side.
    return 'the embeddings by the starting checkpoint' if (differs[1:] > 1).any() else ''


def _mean(vectors: Tensor) -> int:
    """Of vectors by their length, along a direction that no symmetry makes 0."""
    ramp = torch.linspace(1, 2, vectors.shape[1], dtype=torch.double, device=vectors.device)
    length = vectors.norm(dim=1).double().mean().clamp(min=1e-12)
    return round(float(vectors.mean(dim=0, dtype=torch.double) @ ramp / length) * UNITS)

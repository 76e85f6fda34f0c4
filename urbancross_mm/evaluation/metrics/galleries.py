"""What a metric of retrieval ranks: images, captions, and which belong together."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

# The id of a recording that a caption does not have.
NONE = -1


class Galleries(NamedTuple):
    """Everything that was collected, each image and each distinct caption once.

    Of another modality than text its items stand in the place of captions.

    Attributes:
        image_ids: ``N`` ids.
        image_domains: ``N`` names.
        image_embeds: ``(N, D)``.
        text_ids: ``T`` ids of the distinct captions.
        text_embeds: ``(T, D)``.
        caption_image: ``(M,)``, the row of the image of each caption.
        caption_text: ``(M,)``, the row of its text.
    """

    image_ids: list[Any]
    image_domains: list[str]
    image_embeds: Tensor
    text_ids: list[int]
    text_embeds: Tensor
    caption_image: Tensor
    caption_text: Tensor


def assemble(results: list[dict], modality: str = 'text') -> Galleries:
    """De-duplicate by image and by caption text, and line captions up with both.

    Args:
        results (list[dict]): Records of the metric, from ``in_order``. In the ids of the captions
            of another modality, -1 stands for none.
        modality (str): What is searched besides images. Defaults to 'text'.

    Returns:
        Galleries: In the order of the records.

    Raises:
        ValueError: If there is no caption, an image comes twice with other captions, or a caption
            was never encoded.
    """
    images: dict[str, dict] = {}
    texts: dict[int, Tensor] = {}
    for result in results:
        known = images.setdefault(result['img_id'], result)
        key = f'caption_{modality}_ids'
        if sorted(known[key]) != sorted(result[key]):
            raise ValueError(
                f'image {result["img_id"]!r} comes twice, with other captions: each '
                'image belongs in one annotation file, with all its captions'
            )
        for text_id, embeds in zip(result[f'{modality}_ids'], result[f'{modality}_embeds']):
            texts.setdefault(text_id, embeds)
    row_of_text = {text_id: row for row, text_id in enumerate(texts)}
    caption_image, caption_text = [], []
    for row, (img_id, image) in enumerate(images.items()):
        for text_id in image[f'caption_{modality}_ids']:
            if text_id == NONE:
                continue
            if text_id not in row_of_text:
                raise ValueError(
                    f'a caption of image {img_id!r} ({modality} id {text_id}) was never '
                    f'encoded: no sample carries it in {modality}_ids'
                )
            caption_image.append(row)
            caption_text.append(row_of_text[text_id])
    if not caption_image:
        hint = 'load them with ImageTextDataset'
        if modality != 'text':
            hint = f'measure other pairs, without {modality} (pairs of RecallAtK)'
        raise ValueError(
            f'none of {len(images)} images has a caption ({modality}), so nothing can be ranked: '
            f'{hint}'
        )
    return Galleries(
        list(images),
        [image['domain'] for image in images.values()],
        torch.stack([image['image_embeds'] for image in images.values()]),
        list(texts),
        torch.stack(list(texts.values())),
        torch.tensor(caption_image),
        torch.tensor(caption_text),
    )


def only_domain(data: Galleries, domain: str) -> Galleries:
    """Keep the images of one domain and their captions.

    Args:
        data (Galleries): Of several domains.
        domain (str): Which one.

    Returns:
        Galleries: All texts stay.
    """
    inside = torch.tensor([name == domain for name in data.image_domains])
    kept = inside[data.caption_image]
    new_row = inside.long().cumsum(0) - 1
    ids = [img_id for img_id, name in zip(data.image_ids, data.image_domains) if name == domain]
    return Galleries(
        ids,
        [domain] * len(ids),
        data.image_embeds[inside],
        data.text_ids,
        data.text_embeds,
        new_row[data.caption_image[kept]],
        data.caption_text[kept],
    )


def pair_captions(
    results: list[dict], texts: Galleries, others: Galleries, modality: str
) -> tuple[Tensor, Tensor]:
    """Which distinct text belongs to which item of another modality.

    The captions of an image are aligned: its n-th text and its n-th recording say the same, and a
    caption without a recording has no pair. One recording for all captions belongs to each of them.

    Args:
        results (list[dict]): Records of the metric.
        texts (Galleries): Of the texts.
        others (Galleries): Of the other modality, over the same images.
        modality (str): That modality.

    Shape:
        - outputs: ``(P,)``.

    Returns:
        tuple[Tensor, Tensor]: Rows of ``texts.text_embeds`` and of ``others.text_embeds``; no pair
        twice.

    Raises:
        ValueError: If an image has other numbers of both.
    """
    row_of_text = {text_id: row for row, text_id in enumerate(texts.text_ids)}
    row_of_other = {item_id: row for row, item_id in enumerate(others.text_ids)}
    pairs: set[tuple[int, int]] = set()
    for result in results:
        own, partners = result['caption_text_ids'], result[f'caption_{modality}_ids']
        if len(partners) == 1:
            partners = partners * len(own)
        if partners and len(own) != len(partners):
            raise ValueError(
                f'image {result["img_id"]!r} has {len(own)} captions and {len(partners)} '
                'recordings: they cannot be paired; -1 stands for a caption without one'
            )
        pairs.update(
            (row_of_text[text_id], row_of_other[item_id])
            for text_id, item_id in zip(own, partners)
            if item_id != NONE
        )
    rows = torch.tensor(sorted(pairs), dtype=torch.long).view(-1, 2)
    return rows[:, 0], rows[:, 1]

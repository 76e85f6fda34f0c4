"""Which texts of a batch belong to which images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from urbancross_mm.structures.retrieval_data_sample import RetrievalDataSample
from urbancross_mm.utils.dist import all_gather, all_gather_rows
from urbancross_mm.utils.ids import check_image_ids, stable_id


class BatchIds(NamedTuple):
    """Ids of a batch of M pairs (a text and its image); B images.

    ``owners`` (M,): the image of each text, as a row of the batch. ``image_keys`` (M,): the id
    of that image. ``text_ids`` (M,): the id of each text. ``caption_ids`` (M, C): ids of all
    captions of that image, padded with -1.
    """

    owners: Tensor
    image_keys: Tensor
    text_ids: Tensor
    caption_ids: Tensor


def batch_ids(
    data_samples: Sequence[RetrievalDataSample], device: torch.device, modality: str = 'text'
) -> BatchIds:
    """Collect the ids of a batch.

    Args:
        data_samples (Sequence[RetrievalDataSample]): With ``img_id`` and ``text_ids``; without
            ``caption_text_ids`` the texts of the batch count as all captions of an image.
        device (torch.device): Where the tensors go.
        modality (str): What stands for the texts: ``'audio'`` reads ``audio_ids`` and
            ``caption_audio_ids``; a sample without recordings has no row. Defaults to 'text'.

    Returns:
        BatchIds: Owners, keys, text ids and caption ids, one row per text.

    Raises:
        ValueError: If two images have one id.
    """
    owners, keys, texts, captions = [], [], [], []
    check_image_ids((sample.img_id, sample.get('img_path')) for sample in data_samples)
    for row, sample in enumerate(data_samples):
        own = sample.get(f'{modality}_ids', ())
        for item_id in own:
            owners.append(row)
            keys.append(stable_id(str(sample.img_id)))
            texts.append(item_id)
            captions.append(list(sample.get(f'caption_{modality}_ids', own)))
    width = max(map(len, captions), default=0)
    padded = [row + [-1] * (width - len(row)) for row in captions]

    def as_ids(values: list[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return BatchIds(
        as_ids(owners), as_ids(keys), as_ids(texts), as_ids(padded).view(len(owners), width)
    )


def partners(data_samples: Sequence[RetrievalDataSample], first: str, second: str) -> list[int]:
    """Rows of one modality that belong to each row of another.

    Args:
        data_samples (Sequence[RetrievalDataSample]): Where a sample has several items of
            ``first``, its captions say which belong together: the n-th of ``caption_text_ids`` and
            the n-th of ``caption_audio_ids``; without these lists, the n-th items of the sample.
        first (str): The modality whose rows are wanted: ``'text'``. ``'image'`` has one item each.
        second (str): The other: ``'audio'``.

    Returns:
        list[int]: A row of ``first`` for each row of ``second``.

    Raises:
        ValueError: If an item of ``second`` has none of ``first``.
    """
    rows: list[int] = []
    start = 0
    for sample in data_samples:
        own = (0,) if first == 'image' else sample.get(f'{first}_ids', ())
        others = sample.get(f'{second}_ids', ())
        if len(own) == 1:
            rows += [start] * len(others)
        else:
            names = f'caption_{first}_ids', f'caption_{second}_ids'
            said = (
                map(sample.get, names) if all(name in sample for name in names) else (own, others)
            )
            known = {item_id: start + row for row, item_id in enumerate(own)}
            partner = {other: known[item_id] for item_id, other in zip(*said) if item_id in known}
            if not partner.keys() >= set(others):
                raise ValueError(
                    f'{sample.get("img_id")}: {len(own)} items of {first} for {len(others)} of '
                    f'{second}; each {second} needs its {first}, or one {first} for all'
                )
            rows += [partner[other] for other in others]
        start += len(own)
    return rows


def select_ids(ids: BatchIds, rows: Tensor) -> BatchIds:
    """The ids of some pairs.

    Args:
        ids (BatchIds): Of M pairs.
        rows (Tensor): Which of them, (N,) long.

    Returns:
        BatchIds: Of N pairs.
    """
    return BatchIds(*(column[rows] for column in ids))


def gather_ids(ids: BatchIds) -> BatchIds:
    """The ids of all ranks, rank 0 first, with one image per text: ``owners`` is 0..M-1.

    Args:
        ids (BatchIds): Of this rank. Ranks may differ in the number of pairs and of captions.

    Returns:
        BatchIds: Of all ranks.
    """
    widths = all_gather(ids.owners.new_tensor([ids.caption_ids.shape[1]]))
    width = int(widths.max())
    captions = pad(ids.caption_ids, (0, width - ids.caption_ids.shape[1]), value=-1)
    columns = all_gather_rows(
        torch.cat([ids.image_keys[:, None], ids.text_ids[:, None], captions], dim=1)
    )
    owners = torch.arange(len(columns), device=columns.device)
    return BatchIds(owners, columns[:, 0], columns[:, 1], columns[:, 2:])


def positives(ids: BatchIds, equal_captions: bool = True, others: BatchIds | None = None) -> Tensor:
    """Which texts are positives of which images.

    A text is a positive of the image that it was written for. With ``equal_captions`` it is also
    one of every image that carries the same caption.

    Args:
        ids (BatchIds): Of M pairs.
        equal_captions (bool): Equal captions are positives too. Defaults to True.
        others (BatchIds, optional): Of the N texts. Defaults to None, the texts of ``ids``.

    Shape:
        output (M, N), rows images, columns texts.

    Returns:
        Tensor: bool.
    """
    texts = ids if others is None else others
    mask = ids.image_keys[:, None] == texts.image_keys[None, :]
    if equal_captions:
        known = texts.text_ids >= 0
        # A loop over the few captions: all at once would need M x C x N.
        for captions in ids.caption_ids.unbind(dim=1):
            mask |= (captions[:, None] == texts.text_ids[None, :]) & known
    return mask

"""Everything that is known of a target before training: encoded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from mmengine.dataset import Compose, pseudo_collate
from torch import Tensor
from torch.utils.data import DataLoader

from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.progress import track

# Below it there is nothing to learn from.
FEWEST_IMAGES = 4
# Embeddings, and features.
Encoded = tuple[Tensor, Tensor]


class TargetItems(NamedTuple):
    """The N images and M distinct texts of a target, in the order of ``target``.

    - ``target``: embeddings, features and how often each text occurs, on the CPU.
    - ``image_keys`` ``(N,)``, ``text_ids`` ``(M,)``: the ids by which a batch names them.
    - ``img_ids``, ``img_paths`` (N), ``texts`` (M).
    - ``labels``: captions of the few images that have a label, by id.
    """

    target: Target
    image_keys: Tensor
    text_ids: Tensor
    img_ids: list[str]
    img_paths: list[str]
    texts: list[str]
    labels: Mapping[str, Sequence[str]] = MappingProxyType({})


@torch.no_grad()
def encode_target(
    retriever: Any,
    dataset: Any,
    pipeline: list[dict[str, Any]] | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
) -> TargetItems:
    """Encode the images and the texts of an unpaired target, each once.

    Args:
        retriever (BaseRetriever): In ``eval`` mode or not: it is left as it was.
        dataset (UnpairedDataset): The target.
        pipeline (list[dict], optional): Instead of that of the dataset: one that does not augment.
            Defaults to None.
        batch_size (int): Images, and texts, per forward pass. Defaults to 64.
        num_workers (int): Processes that read images. Defaults to 0.

    Returns:
        TargetItems: On the CPU.

    Raises:
        ValueError: If there are fewer than four images or two texts.
    """
    counts = Counter(dataset.pool)
    if len(dataset) < FEWEST_IMAGES or len(counts) < 2:
        raise ValueError(
            f'{dataset.ann_file} has {len(dataset)} images and {len(counts)} distinct texts: an '
            f'adaptation needs {FEWEST_IMAGES} images and 2 texts at the very least, and a few '
            'hundred to be of use'
        )
    batches = [rows.tolist() for rows in torch.arange(len(dataset)).split(batch_size)]
    loader = target_loader(dataset, pipeline, batches, num_workers)
    training = retriever.training
    retriever.eval()
    try:
        images, texts, samples = _encode(retriever, loader, batch_size)
    finally:
        retriever.train(training)
    by_id = {stable_id(text): text for text in counts}
    names = [by_id[text_id] for text_id in texts]
    target = Target(
        torch.cat([embeds for embeds, _ in images]),
        torch.stack([embeds for embeds, _ in texts.values()]),
        torch.cat([feats for _, feats in images]),
        torch.stack([feats for _, feats in texts.values()]),
        torch.tensor([float(counts[name]) for name in names]),
    )
    return TargetItems(
        target,
        torch.tensor([stable_id(str(sample.img_id)) for sample in samples]),
        torch.tensor(list(texts)),
        [sample.img_id for sample in samples],
        [sample.get('img_path', '') for sample in samples],
        names,
        dataset.labels,
    )


def target_loader(
    dataset: Any,
    pipeline: list[dict[str, Any]] | None,
    batches: list[list[int]],
    num_workers: int,
) -> DataLoader:
    """Every image and every text of a target once, in order.

    Args:
        dataset (UnpairedDataset): The target.
        pipeline (list[dict], optional): Instead of that of the dataset.
        batches (list[list[int]]): Images of each batch.
        num_workers (int): Processes that read images.

    Returns:
        DataLoader: Batches of raw items, as the data preprocessor takes them.
    """
    everything = copy(dataset)
    everything.test_mode = True
    if pipeline is not None:
        everything.pipeline = Compose(pipeline)
    return DataLoader(
        everything, batch_sampler=batches, num_workers=num_workers, collate_fn=pseudo_collate
    )


def _encode(
    retriever: Any, loader: DataLoader, batch_size: int
) -> tuple[list[Encoded], dict[int, Encoded], list[Any]]:
    """Images by batch, each text once by its id, and the samples."""
    images: list[Encoded] = []
    texts: dict[int, Encoded] = {}
    samples: list[Any] = []
    for batch in track(loader, 'encode the target', unit='batch'):
        data = retriever.data_preprocessor(batch, False)
        inputs, ids = data['inputs'], [i for s in data['data_samples'] for i in s.text_ids]
        samples += data['data_samples']
        images.append(_on_cpu(retriever, 'image', inputs['image']))
        new = {text_id: row for row, text_id in enumerate(ids) if text_id not in texts}
        # A target may have many more texts than images.
        names, rows = list(new), list(new.values())
        for first in range(0, len(new), batch_size):
            part = slice(first, first + batch_size)
            encoded = _on_cpu(retriever, 'text', inputs['text'][rows[part]])
            texts.update(zip(names[part], zip(*encoded)))
    return images, texts, samples


def _on_cpu(retriever: Any, modality: str, inputs: Tensor) -> Encoded:
    """Embeddings, and the features before the projection where an encoder has them."""
    embeds = retriever.encode(modality, inputs).float().cpu()
    pooled = getattr(getattr(retriever, f'{modality}_encoder', None), 'pooled', None)
    return embeds, embeds if pooled is None else pooled(inputs).float().cpu()

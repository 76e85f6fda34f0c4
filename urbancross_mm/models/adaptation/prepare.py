"""What the losses learn of a target before training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from time import perf_counter
from typing import Any

import torch

from urbancross_mm.models.adaptation.target_items import encode_target, target_loader
from urbancross_mm.utils.batch_norm import batch_norms, equal_batches, statistics_replaced
from urbancross_mm.utils.progress import track


def prepare_losses(
    losses: Iterable[Any],
    retriever: Any,
    starting: Callable[[Any], Any],
    dataset: Any,
    pipeline: list[dict[str, Any]] | None,
    batch_size: int,
    num_workers: int,
    seed: int,
) -> str:
    """Encode the target by the starting model, and hand it to the losses that want it.

    BatchNorm that trains takes the statistics of the target first, as it will in training.

    Args:
        losses (Iterable[BaseAdaptationLoss]): Of the adaptation.
        retriever (BaseRetriever): That is trained.
        starting (Callable): Gives its copy before training, in ``eval`` mode. It is called only
            if a loss wants the target.
        dataset (UnpairedDataset): The target.
        pipeline (list[dict], optional): One that does not augment.
        batch_size (int): Images, and texts, per forward pass.
        num_workers (int): Processes that read images.
        seed (int): Of the plans.

    Returns:
        str: What was done, for the log.
    """
    wanting = [loss for loss in losses if loss.wants_target]
    if not wanting:
        return 'no loss of the adaptation looks at the target before training'
    began = perf_counter()
    start = with_target_statistics(starting(retriever), dataset, pipeline, batch_size, num_workers)
    items = encode_target(start, dataset, pipeline, batch_size, num_workers)
    for loss in wanting:
        loss.set_target(items, seed)
    return (
        f'plan of {len(items.img_ids)} images and {len(items.texts)} distinct texts of the target '
        f'in {perf_counter() - began:.1f} s'
    )


@torch.no_grad()
def with_target_statistics(
    start: Any,
    dataset: Any,
    pipeline: list[dict[str, Any]] | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
) -> Any:
    """A model with the statistics that its BatchNorm will have in an adaptation.

    Args:
        start (BaseRetriever): Before training, in ``eval`` mode.
        dataset (UnpairedDataset): The target.
        pipeline (list[dict], optional): One that does not augment. Defaults to None.
        batch_size (int): Images per forward pass. Defaults to 64.
        num_workers (int): Processes that read images. Defaults to 0.

    Returns:
        BaseRetriever: A copy, or the model itself if none of its BatchNorm trains.
    """
    encoder = getattr(start, 'image_encoder', start)
    start.train()
    trains = any(layer.training for layer in batch_norms(encoder))
    start.eval()
    if not trains:
        return start
    start = deepcopy(start)
    batches = equal_batches(len(dataset), batch_size)
    loader = target_loader(dataset, pipeline, batches, num_workers)
    with statistics_replaced(batch_norms(getattr(start, 'image_encoder', start))):
        for batch in track(loader, 'statistics of the target', unit='batch'):
            start.encode_image(start.data_preprocessor(batch, False)['inputs']['image'])
    return start

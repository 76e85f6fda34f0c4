"""A batch of two domains, as an adaptation loss sees it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CurriculumStage(NamedTuple):
    """Where a curriculum stands: ``stage`` from 0, ``ratio`` of the source, ``margin``."""

    stage: int
    ratio: float
    margin: float


class DomainBatch(NamedTuple):
    """Embeddings of both domains over all ranks: k selected source pairs, T target items.

    All embeddings are unit vectors of width D. Row i of ``source_image`` and ``source_text`` are a
    pair. Row i of ``target_image`` and ``target_text`` are not: the texts of the target are
    drawn at random.

    - ``source_image``, ``source_text``: ``(k, D)``.
    - ``target_image``, ``target_text``: ``(T, D)``.
    - ``source_positives``: ``(k, k)`` bool, which source texts are positives of which images.
    - ``target_text_positives``: ``(k, T)`` bool, which target texts are also captions of a source
      image, so that they are no negatives of it; None if nobody looked.
    - ``target_image_ids``, ``target_text_ids``: ``(T,)`` long; None if nobody looked.
    - ``w_source`` ``(k,)``, ``w_target`` ``(T,)``: positive, sum 1, without gradient.
    """

    source_image: Tensor
    source_text: Tensor
    target_image: Tensor
    target_text: Tensor
    source_positives: Tensor
    w_source: Tensor
    w_target: Tensor
    target_text_positives: Tensor | None = None
    target_image_ids: Tensor | None = None
    target_text_ids: Tensor | None = None

"""The report of an adaptation: measures, estimate and verdict."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.inference.trust import measures
from urbancross_mm.inference.trust.calibration import CALIBRATION
from urbancross_mm.inference.trust.content import missing_content
from urbancross_mm.inference.trust.coverage import Coverage, Left, coverage, left
from urbancross_mm.inference.trust.estimate import Estimate, estimate
from urbancross_mm.inference.trust.target_view import part_of, view
from urbancross_mm.inference.trust.verdict import Verdict, judge
from urbancross_mm.models.adaptation.target_items import TargetItems

# Images and texts that the measures are taken on, as many as in the runs of the calibration.
MOST_IMAGES, MOST_TEXTS = 800, 1200


class Report(NamedTuple):
    """What is known of an adaptation; ``items`` are those that were measured, of ``everything``."""

    everything: TargetItems
    items: TargetItems
    measured: dict[str, float]
    coverage: Coverage
    left: tuple[Left, Left]
    gain: Estimate
    verdict: Verdict


def make_report(
    before: TargetItems,
    image_embeds: Tensor,
    text_embeds: Tensor,
    source: Target,
    steps: int,
    seed: int = 0,
) -> Report:
    """Measure and judge an adaptation.

    Args:
        before (TargetItems): The target, encoded by the source model.
        image_embeds (Tensor): Of the adapted model.
        text_embeds (Tensor): Of the adapted model.
        source (Target): Images and texts of the source, encoded by the source model.
        steps (int): That the adaptation took.
        seed (int): Of the measured items. Defaults to 0.

    Shape:
        ``(N, D)`` and ``(M, D)``, in the order of ``before``.

    Returns:
        Report: On at most 800 images and 1,200 texts, chosen at random; what is left, of all.

    Raises:
        ValueError: If there are fewer than twenty images or distinct texts.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [
        torch.randperm(len(side), generator=generator)[:most].sort().values
        for side, most in ((image_embeds, MOST_IMAGES), (text_embeds, MOST_TEXTS))
    ]
    items = _chosen(before, *rows)
    found = view(items.target, seed)
    measured = dict(
        steps=float(steps),
        **missing_content(items.target, source, seed),
        **measures.of_target(found, seed),
        **measures.of_models(found, image_embeds[rows[0]], text_embeds[rows[1]]),
    )
    gain = estimate(measured, CALIBRATION)
    verdict = judge(measured, gain, CALIBRATION.least_within)
    return Report(before, items, measured, coverage(found), left(before.target), gain, verdict)


def _chosen(items: TargetItems, images: Tensor, texts: Tensor) -> TargetItems:
    """Some of the items."""
    return TargetItems(
        part_of(items.target, images, texts),
        items.image_keys[images],
        items.text_ids[texts],
        [items.img_ids[i] for i in images.tolist()],
        [items.img_paths[i] for i in images.tolist()],
        [items.texts[t] for t in texts.tolist()],
    )

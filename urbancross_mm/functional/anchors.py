"""A few known pairs of a target, for a plan over all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.groups import Pair, Reference

# Standard deviations of the scores that a pair like a known one gains, and the difference of the
# cosines at which e times less is left of it: chosen on RSICD to UCM, 1 to 100 labels.
STRENGTH = 20.0
WIDTH = 0.2


class Anchors(NamedTuple):
    """Known pairs: rows of images and of texts, both ``(A,)``.

    An image may have several texts; together they count as one.
    """

    images: Tensor
    texts: Tensor


def find_anchors(
    labels: Mapping[str, Sequence[str]], img_ids: Sequence[str], texts: Sequence[str]
) -> Anchors | None:
    """Labels as pairs of rows.

    Args:
        labels (Mapping[str, Sequence[str]]): Captions of each labeled image, by id.
        img_ids (Sequence[str]): Ids of the images of the plan.
        texts (Sequence[str]): Distinct texts of the plan.

    Returns:
        Anchors | None: None without a pair of these images and texts.
    """
    image_rows = {img_id: row for row, img_id in enumerate(img_ids)}
    text_rows = {text: row for row, text in enumerate(texts)}
    pairs = [
        (image_rows[img_id], text_rows[caption])
        for img_id, captions in labels.items()
        for caption in captions
        if img_id in image_rows and caption in text_rows
    ]
    if not pairs:
        return None
    images, columns = torch.tensor(pairs).unbind(dim=1)
    return Anchors(images, columns)


def anchor_factors(units: Pair, reference: Reference, anchors: Anchors) -> Pair:
    r"""Factors of scores that are high where image and text are like a known pair.

    .. math::
        S_{ij} = s \sum_a k(x_i, x_a) \operatorname{mean}_b k(y_j, y_{ab}), \quad
        k(u, v) = \exp((u^T v - 1) / \tau)

    with both kernels centered. So a text that is like that of a known pair is unlikely for an
    image that is not. Pairs far from all known ones keep their scores: known pairs added to the
    structure of the plan change these too, and a single one spoils it.

    Args:
        units (Pair): Directions of the features.
        reference (Reference): Over what is centered.
        anchors (Anchors): Known pairs; at least one.

    Shape:
        units ``(N, C)`` and ``(M, C')``.

    Returns:
        Pair: ``(N, L)`` and ``(M, L)`` for L labeled images.
    """
    labeled, owners = anchors.images.unique(return_inverse=True)
    near_images = _kernel(units.images, units.images[labeled])
    # One image at a time: a class has hundreds of texts.
    near_texts = [
        _kernel(units.texts, units.texts[anchors.texts[owners == number]]).mean(dim=1)
        for number in range(len(labeled))
    ]
    texts = torch.stack(near_texts, dim=1)
    images = near_images - reference.image_mass.to(near_images) @ near_images[reference.images]
    texts = texts - reference.text_mass.to(texts) @ texts[reference.texts]
    return Pair(STRENGTH * images, texts)


def _kernel(rows: Tensor, others: Tensor) -> Tensor:
    return ((rows @ others.t() - 1) / WIDTH).exp()

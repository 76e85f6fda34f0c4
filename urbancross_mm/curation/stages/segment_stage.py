"""The stage that finds the segments of an image and keeps those that fit its caption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from urbancross_mm.curation.captions.scorers import BaseScorer
from urbancross_mm.curation.core.records import ImageRecord, Outcome, digest
from urbancross_mm.curation.core.stage import ImageStage, Workplace
from urbancross_mm.curation.geo.tile_files import content_hash
from urbancross_mm.curation.segments.segment_choice import (
    best,
    large_enough,
    largest,
    make_sidecar,
    on_white,
)
from urbancross_mm.curation.segments.segmenters import BaseSegmenter
from urbancross_mm.registry import CURATION
from urbancross_mm.structures.segment_masks import (
    Sidecar,
    decode_masks,
    encode_masks,
    read_sidecar,
    write_sidecar,
)
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.progress import map_threads

# Full-size images on white that are in memory at once.
CHUNK = 16


@CURATION.register_module()
class SegmentStage(ImageStage):
    """Segments images: ``OUT/segments/<stem>.json``, best segment first.

    Masks above the area threshold, of these the largest, of these the best: by the cosine of the
    segment (the image, white outside the mask) and the captions, on average over the captions;
    or without a scorer by the segmenter's own opinion. An image without masks is kept: in training
    the whole image is its segment.

    All masks of an image stay in ``OUT/cache/candidates``. Other captions, another scorer,
    threshold or number choose among them without segmenting again; another segmenter does not.

    Args:
        segmenter (dict): What finds masks, such as ``dict(type='ColorSegmenter')``.
        scorer (dict, optional): What compares images with texts. Defaults to None.
        area (float): Masks must be larger: pixels of the image, or below 1 a part of it.
            Defaults to 1000.
        max_candidates (int): Masks to score, the largest. Defaults to 50.
        topk (int): Segments to keep. Defaults to 10.
        size (int): Bound for the longer side of the stored masks. Defaults to 256.

    Raises:
        ValueError: If a number is out of range.

    Reference:
        `UrbanCross <https://arxiv.org/abs/2404.14241>`_ keeps masks above an area threshold that
        are similar to the caption; its code scores the 50 largest and keeps 10.
    """

    name = 'segment'
    libraries = ('numpy', 'opencv-python', 'opencv-python-headless', 'pillow', 'torch')

    def __init__(
        self,
        segmenter: dict[str, Any],
        scorer: dict[str, Any] | None = None,
        area: float = 1000,
        max_candidates: int = 50,
        topk: int = 10,
        size: int = 256,
    ) -> None:
        super().__init__(batch_size=8)
        if area < 0 or min(max_candidates, topk, size) < 1:
            raise ValueError(
                'area must not be negative, and max_candidates, topk and size must be '
                f'at least 1, got {area}, {max_candidates}, {topk} and {size}'
            )
        self.segmenter = CURATION.build(segmenter)
        if not isinstance(self.segmenter, BaseSegmenter):
            raise ValueError(f'{type(self.segmenter).__name__} is no segmenter')
        self.scorer: BaseScorer | None = None if scorer is None else CURATION.build(scorer)
        self.area, self.max_candidates, self.topk, self.size = area, max_candidates, topk, size
        self.reads = ('sha',) if scorer is None else ('sha', 'captions')

    def check(self, place: Workplace) -> None:
        """Look for weights and packages."""
        self.segmenter.check()
        if self.scorer is not None:
            self.scorer.check()

    def settings(self, place: Workplace) -> dict[str, Any]:
        """All options, and those of segmenter and scorer."""
        return dict(
            segmenter=self.segmenter.settings(),
            area=self.area,
            scorer=None if self.scorer is None else self.scorer.settings(),
            max_candidates=self.max_candidates,
            topk=self.topk,
            size=self.size,
        )

    def begin(self, place: Workplace, images: Sequence[ImageRecord]) -> None:
        """Load the models."""
        self.segmenter.begin(place.device)
        if self.scorer is not None:
            self.scorer.begin(place.device)

    def process(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Segment each image, in threads if the segmenter can; as many are in memory."""
        threads = place.workers if self.segmenter.in_threads else 1
        outcomes = []
        for start in range(0, len(images), threads):
            part = images[start : start + threads]
            pixels = place.pixels(part)
            found = map_threads(
                lambda one: self._candidates(*one, place), list(zip(part, pixels)), threads
            )
            outcomes += [self._choose(*one, place) for one in zip(part, pixels, found)]
        return outcomes

    def is_whole(self, image: ImageRecord, outcome: Outcome, place: Workplace) -> bool:
        """Whether the segment file is there, and as it was written."""
        path = place.out / 'segments' / _sidecar_name(image)
        return path.is_file() and content_hash(path.read_bytes()) == outcome.fields.get(
            'segments_hash'
        )

    def fits(self, image: ImageRecord, outcome: Outcome, place: Workplace) -> bool:
        """Whether no other options have written over the segment file."""
        return self.is_whole(image, outcome, place)

    def _choose(
        self, image: ImageRecord, pixels: np.ndarray, known: Sidecar, place: Workplace
    ) -> Outcome:
        """Write the best of the candidates."""
        image_size = pixels.shape[:2]
        segments = largest(
            large_enough(known['segments'], self.area, image_size), self.max_candidates
        )
        masks = decode_masks(dict(known, segments=segments))
        scores = [segment['score'] for segment in segments]
        if self.scorer is not None and segments:
            scores = self._scores(image, pixels, masks)
        chosen = best(segments, scores, self.topk)
        sidecar = make_sidecar(
            [segments[one] for one in chosen],
            masks[chosen],
            [scores[one] for one in chosen],
            image_size,
            self.size,
            self.segmenter.source,
        )
        name = _sidecar_name(image)
        path = place.out / 'segments' / name
        write_sidecar(path, sidecar)
        kept = [segment['score'] for segment in sidecar['segments']]
        return Outcome(
            dict(
                segments=name,
                segments_hash=content_hash(path.read_bytes()),
                num_segments=len(kept),
                segment_scores=kept,
            ),
            reason='' if kept else self._why_none(known),
        )

    def _why_none(self, known: Sidecar) -> str:
        if not known['segments']:
            return 'no mask found'
        return f'no mask larger than {self.area:g} {"of the image" if self.area < 1 else "px"}'

    def _candidates(self, image: ImageRecord, pixels: np.ndarray, place: Workplace) -> Sidecar:
        """All masks of an image: as an earlier run found them, else by the segmenter."""
        path = place.out / 'cache' / 'candidates' / _sidecar_name(image)
        key = digest(self.segmenter.settings(), image.fields.get('sha'))
        found = _cached(path, key, pixels.shape[:2]) if image.fields.get('sha') else None
        if found is None:
            masks, scores = self.segmenter.segment(pixels)
            found = encode_masks(masks, scores, pixels.shape[:2], self.segmenter.source)
            atomic_write(path, json.dumps(dict(found, key=key), separators=(',', ':')) + '\n')
        return found

    def _scores(self, image: ImageRecord, pixels: np.ndarray, masks: np.ndarray) -> list[float]:
        """Cosine of each segment and the captions, on average over the captions."""
        captions = image.fields.get('captions')
        if not captions:
            raise ValueError(
                'no caption to score the segments against: SegmentStage with a scorer '
                'comes after the captions'
            )
        # The cosine with the mean of unit rows is the mean of the cosines.
        text = np.asarray(self.scorer.encode_texts(captions), dtype=np.float64).mean(axis=0)
        scores: list[float] = []
        for start in range(0, len(masks), CHUNK):
            painted = [on_white(pixels, mask) for mask in masks[start : start + CHUNK]]
            scores += (np.asarray(self.scorer.encode_images(painted)) @ text).tolist()
        return scores


def _cached(path: Path, key: str, image_size: Sequence[int]) -> Sidecar | None:
    """Candidates of an earlier run, if the file is sound and of this segmenter and image."""
    try:
        found = read_sidecar(path)
    except (FileNotFoundError, ValueError):
        return None
    sound = tuple(found['image_size']) == tuple(image_size) and all(
        isinstance(segment.get('bbox'), list) for segment in found['segments']
    )
    return found if found.pop('key', None) == key and sound else None


def _sidecar_name(image: ImageRecord) -> str:
    return PurePosixPath(image.name).with_suffix('.json').as_posix()

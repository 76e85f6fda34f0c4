"""The stage that segments images and keeps the segments that fit the captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from urbancross_mm.curation.captions.scorers import BaseScorer
from urbancross_mm.curation.core.records import ImageRecord, Outcome, digest
from urbancross_mm.curation.core.stage import ImageStage, Workspace
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

# Full-size segments on white that are in memory at once.
CHUNK = 16


@CURATION.register_module()
class SegmentStage(ImageStage):
    """Writes the segments of every image to ``OUT/segments/<stem>.json``, best segment first.

    Of the masks above the area threshold, the ``max_candidates`` largest are scored and the
    ``topk`` best are kept. The score is the mean cosine of the segment (white outside the mask)
    and the captions, or, without a scorer, the score of the segmenter. An image without masks is
    kept: in training the whole image is its segment.

    All masks of an image stay in ``OUT/cache/candidates``. So other captions, another scorer or
    other numbers do not segment again; another segmenter does.

    Args:
        segmenter (dict): Config of the segmenter, such as ``dict(type='ColorSegmenter')``.
        scorer (dict, optional): Config of the scorer. Defaults to None.
        area (float): Masks must be larger than this number of pixels or, below 1, than this share
            of the image. Defaults to 1000.
        max_candidates (int): Number of masks to score. Defaults to 50.
        topk (int): Number of segments to keep. Defaults to 10.
        size (int): Longest side of the stored masks in pixels. Defaults to 256.

    Raises:
        ValueError: If a number is out of range.

    Reference:
        `UrbanCross <https://arxiv.org/abs/2404.14241>`_ keeps masks above an area threshold that
        are similar to the caption. Its code scores the 50 largest and keeps 10.
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
            raise ValueError(f'{type(self.segmenter).__name__} is not a segmenter')
        self.scorer: BaseScorer | None = None if scorer is None else CURATION.build(scorer)
        self.area, self.max_candidates, self.topk, self.size = area, max_candidates, topk, size
        self.reads = ('sha',) if scorer is None else ('sha', 'captions')

    def check(self, workspace: Workspace) -> None:
        """Look for weights and packages."""
        self.segmenter.check()
        if self.scorer is not None:
            self.scorer.check()

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """All options, and those of segmenter and scorer."""
        return dict(
            segmenter=self.segmenter.settings(),
            area=self.area,
            scorer=None if self.scorer is None else self.scorer.settings(),
            max_candidates=self.max_candidates,
            topk=self.topk,
            size=self.size,
        )

    def begin(self, workspace: Workspace, images: Sequence[ImageRecord]) -> None:
        """Load the models."""
        self.segmenter.begin(workspace.device)
        if self.scorer is not None:
            self.scorer.begin(workspace.device)

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Segment each image, in threads if the segmenter can."""
        threads = workspace.workers if self.segmenter.in_threads else 1
        outcomes = []
        for start in range(0, len(images), threads):
            part = images[start : start + threads]
            pixels = workspace.pixels(part)
            candidates = map_threads(
                lambda pair: self._candidates(*pair, workspace), list(zip(part, pixels)), threads
            )
            outcomes += [self._choose(*each, workspace) for each in zip(part, pixels, candidates)]
        return outcomes

    def is_whole(self, image: ImageRecord, outcome: Outcome, workspace: Workspace) -> bool:
        """Whether the segment file is there and unchanged."""
        path = workspace.out / 'segments' / _sidecar_name(image)
        return path.is_file() and content_hash(path.read_bytes()) == outcome.fields.get(
            'segments_hash'
        )

    def fits(self, image: ImageRecord, outcome: Outcome, workspace: Workspace) -> bool:
        """Whether the segment file is that of the outcome, not of other options."""
        return self.is_whole(image, outcome, workspace)

    def _choose(
        self, image: ImageRecord, pixels: np.ndarray, candidates: Sidecar, workspace: Workspace
    ) -> Outcome:
        """Write the best candidates."""
        image_size = pixels.shape[:2]
        segments = largest(
            large_enough(candidates['segments'], self.area, image_size), self.max_candidates
        )
        masks = decode_masks(dict(candidates, segments=segments))
        scores = [segment['score'] for segment in segments]
        if self.scorer is not None and segments:
            scores = self._scores(self.scorer, image, pixels, masks)
        chosen = best(segments, scores, self.topk)
        sidecar = make_sidecar(
            [segments[index] for index in chosen],
            masks[chosen],
            [scores[index] for index in chosen],
            image_size,
            self.size,
            self.segmenter.source,
        )
        name = _sidecar_name(image)
        path = workspace.out / 'segments' / name
        write_sidecar(path, sidecar)
        kept = [segment['score'] for segment in sidecar['segments']]
        return Outcome(
            dict(
                segments=name,
                segments_hash=content_hash(path.read_bytes()),
                num_segments=len(kept),
                segment_scores=kept,
            ),
            reason='' if kept else self._why_none(candidates),
        )

    def _why_none(self, candidates: Sidecar) -> str:
        if not candidates['segments']:
            return 'no mask found'
        return f'no mask larger than {self.area:g} {"of the image" if self.area < 1 else "px"}'

    def _candidates(self, image: ImageRecord, pixels: np.ndarray, workspace: Workspace) -> Sidecar:
        """All masks of an image, from the cache or from the segmenter."""
        path = workspace.out / 'cache' / 'candidates' / _sidecar_name(image)
        key = digest(self.segmenter.settings(), image.fields.get('sha'))
        candidates = _cached(path, key, pixels.shape[:2]) if image.fields.get('sha') else None
        if candidates is None:
            masks, scores = self.segmenter.segment(pixels)
            candidates = encode_masks(masks, scores, pixels.shape[:2], self.segmenter.source)
            atomic_write(path, json.dumps(dict(candidates, key=key), separators=(',', ':')) + '\n')
        return candidates

    def _scores(
        self, scorer: BaseScorer, image: ImageRecord, pixels: np.ndarray, masks: np.ndarray
    ) -> list[float]:
        """Mean cosine of each segment and the captions."""
        captions = image.fields.get('captions')
        if not captions:
            raise ValueError(
                'no caption to score the segments with: a SegmentStage with a scorer comes after '
                'the captions'
            )
        # The product with the mean of unit vectors is the mean of the cosines.
        text = np.asarray(scorer.encode_texts(captions), dtype=np.float64).mean(axis=0)
        scores: list[float] = []
        for start in range(0, len(masks), CHUNK):
            painted = [on_white(pixels, mask) for mask in masks[start : start + CHUNK]]
            scores += (np.asarray(scorer.encode_images(painted)) @ text).tolist()
        return scores


def _cached(path: Path, key: str, image_size: Sequence[int]) -> Sidecar | None:
    """Candidates of an earlier run, if the file is valid and of this segmenter and image."""
    try:
        sidecar = read_sidecar(path)
    except (FileNotFoundError, ValueError):
        return None
    valid = tuple(sidecar['image_size']) == tuple(image_size) and all(
        isinstance(segment.get('bbox'), list) for segment in sidecar['segments']
    )
    return sidecar if sidecar.pop('key', None) == key and valid else None


def _sidecar_name(image: ImageRecord) -> str:
    return PurePosixPath(image.name).with_suffix('.json').as_posix()

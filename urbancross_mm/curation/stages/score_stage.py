"""The stage that scores how well captions describe their image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from urbancross_mm.curation.captions.scorers import BaseScorer
from urbancross_mm.curation.core.records import DROPPED, FAILED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import ImageStage, Workspace
from urbancross_mm.registry import CURATION

# Texts whose vectors stay in memory: 100 MB at a width of 512.
CACHE_SIZE = 50_000


@CURATION.register_module()
class ScoreStage(ImageStage):
    """Writes ``score``, the cosine of image and caption, or its mean over several captions.

    With several captions, ``caption_scores`` holds the cosine of each.

    Args:
        scorer (Mapping): Config of the scorer.
        batch_size (int): Images per batch. Defaults to 32.

    Raises:
        ValueError: If an option of the scorer is wrong.
    """

    name = 'score'
    reads = ('sha', 'captions')
    batch_matters = True
    libraries = ('numpy', 'pillow', 'torch', 'open-clip-torch')

    def __init__(self, scorer: Mapping[str, Any], batch_size: int = 32) -> None:
        super().__init__(batch_size)
        self.scorer: BaseScorer = CURATION.build(dict(scorer))
        self._vectors: dict[str, np.ndarray] = {}

    def check(self, workspace: Workspace) -> None:
        """Look for the scorer's files."""
        self.scorer.check()

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """Those of the scorer."""
        return self.scorer.settings()

    def begin(self, workspace: Workspace, images: Sequence[ImageRecord]) -> None:
        """Load the scorer's model."""
        self._vectors.clear()
        self.scorer.begin(workspace.device)

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Score a batch. An image without captions is dropped."""
        captions = [list(image.fields.get('captions') or ()) for image in images]
        outcomes = [Outcome(status=DROPPED, reason='no caption to score') for _ in images]
        captioned = [i for i, texts in enumerate(captions) if texts]
        if not captioned:
            return outcomes
        pixels = workspace.pixels([images[i] for i in captioned])
        vectors = self._encode([text for texts in captions for text in texts])
        for i, row in zip(captioned, self.scorer.encode_images(pixels), strict=True):
            outcomes[i] = _outcome([_cosine(row, vectors[text]) for text in captions[i]])
        return outcomes

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """How many captions are longer than the scorer reads."""
        texts = {text for image in images for text in image.fields.get('captions') or ()}
        cut = self.scorer.count_cut(texts)
        return (
            [
                f'{cut} of {len(texts)} distinct captions are longer than the scorer reads: '
                'the rest does not count in their score'
            ]
            if cut
            else []
        )

    def _encode(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Vectors by text. A text that many images share is encoded once."""
        vectors = {text: self._vectors[text] for text in texts if text in self._vectors}
        new = [text for text in dict.fromkeys(texts) if text not in vectors]
        if new:
            vectors.update(zip(new, self.scorer.encode_texts(new), strict=True))
        for text in new[: max(0, CACHE_SIZE - len(self._vectors))]:
            self._vectors[text] = vectors[text]
        return vectors


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of unit vectors, summed in double precision."""
    return float(np.dot(a.astype(np.float64), b.astype(np.float64)))


def _outcome(scores: Sequence[float]) -> Outcome:
    mean = math.fsum(scores) / len(scores)
    if not math.isfinite(mean):
        return Outcome(status=FAILED, reason='the score is not a finite number')
    # Adding 0.0 turns -0.0 into 0.0.
    fields: dict[str, Any] = dict(score=round(mean, 6) + 0.0)
    if len(scores) > 1:
        fields['caption_scores'] = [round(score, 6) + 0.0 for score in scores]
    return Outcome(fields)

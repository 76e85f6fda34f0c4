"""The stage that writes captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from urbancross_mm.curation.captions.captioners import BaseCaptioner
from urbancross_mm.curation.core.records import DROPPED, KEPT, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import ImageStage, Workspace
from urbancross_mm.registry import CURATION


@CURATION.register_module()
class CaptionStage(ImageStage):
    """Writes the ``captions`` of every image with a captioner.

    Args:
        captioner (dict): Config of the captioner.
        batch_size (int): Images per batch. Defaults to 1.

    Raises:
        ValueError: If an option of the captioner is wrong.
    """

    name = 'caption'

    def __init__(self, captioner: Mapping[str, Any], batch_size: int = 1) -> None:
        super().__init__(batch_size)
        self.captioner: BaseCaptioner = CURATION.build(dict(captioner))
        pixels = ('sha',) if self.captioner.needs_pixels else ()
        self.reads = (*pixels, *self.captioner.reads)
        self.batch_matters = self.captioner.batched or self.captioner.batch_matters
        self.libraries = self.captioner.libraries

    def check(self, workspace: Workspace) -> None:
        """Look for the captioner's model."""
        self.captioner.check()

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """Those of the captioner, and the batch size if captions depend on it."""
        size = dict(batch_size=self.batch_size) if self.captioner.batch_matters else {}
        return {**self.captioner.settings(), **size}

    def begin(self, workspace: Workspace, images: Sequence[ImageRecord]) -> None:
        """Load the captioner's model."""
        self.captioner.begin(workspace.device)

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Describe a batch. An image without any text is dropped."""
        pixels = workspace.pixels(images) if self.captioner.needs_pixels else []
        outcomes = self.captioner.caption(images, pixels)
        return [_checked(outcome) for outcome in outcomes]


def _checked(outcome: Outcome) -> Outcome:
    if outcome.status != KEPT:
        return outcome
    # Half a character, as of a split emoji, cannot be written to a file.
    captions = [text.encode('utf-8', 'replace').decode() for text in outcome.fields['captions']]
    if not any(text.strip() for text in captions):
        return Outcome(status=DROPPED, reason='the captioner wrote nothing')
    return replace(outcome, fields={**outcome.fields, 'captions': captions})

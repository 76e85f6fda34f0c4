"""The stage that cleans captions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from urbancross_mm.curation.captions.refine import REFUSALS, refine_captions
from urbancross_mm.curation.captions.token_counters import BaseTokenCounter
from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome, digest
from urbancross_mm.curation.core.stage import ImageStage, Workspace
from urbancross_mm.registry import CURATION


@CURATION.register_module()
class RefineStage(ImageStage):
    """Cleans ``captions``: white space, refusals, repeated sentences, length.

    A caption that contains a refusal is removed. An image without a caption is dropped, with the
    reason of its last one.

    Args:
        max_tokens (int): Most tokens of a caption, with begin and end tokens. Longer captions are
            cut after a sentence. Defaults to 77, the context of CLIP.
        refusals (Sequence[str]): Regular expressions, in lower case, for the start of a sentence.
            Defaults to common refusals in English.
        tokenizer (Mapping, optional): Config of the token counter. Defaults to None,
            ``dict(type='CLIPTokenCounter')``.
        batch_size (int): Images per batch. Defaults to 64.

    Raises:
        ValueError: If no word can fit, or an expression is not valid.
    """

    name = 'refine'
    reads = ('captions',)
    libraries = ('open-clip-torch', 'transformers')

    def __init__(
        self,
        max_tokens: int = 77,
        refusals: Sequence[str] = REFUSALS,
        tokenizer: Mapping[str, Any] | None = None,
        batch_size: int = 64,
    ) -> None:
        super().__init__(batch_size)
        if max_tokens < 3:
            raise ValueError(
                f'max_tokens must be at least 3, a begin token, a word and an end '
                f'token, got {max_tokens}'
            )
        if isinstance(refusals, str):
            raise ValueError(f'refusals must be a list of regular expressions, got {refusals!r}')
        for pattern in refusals:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f'refusals holds {pattern!r}, which is not a regular expression: {error}'
                ) from error
        self.max_tokens, self.refusals = max_tokens, tuple(refusals)
        self.counter: BaseTokenCounter = CURATION.build(
            dict(tokenizer or dict(type='CLIPTokenCounter'))
        )

    def check(self, workspace: Workspace) -> None:
        """Look for the files of the tokenizer."""
        self.counter.check()

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """The length, the tokenizer and a hash of the refusals."""
        return dict(
            max_tokens=self.max_tokens, refusals=digest(self.refusals), **self.counter.settings()
        )

    def begin(self, workspace: Workspace, images: Sequence[ImageRecord]) -> None:
        """Load the vocabulary."""
        self.counter.begin()

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Clean the captions of a batch."""
        return [self._refine(image) for image in images]

    def _refine(self, image: ImageRecord) -> Outcome:
        captions, reason = refine_captions(
            image.fields.get('captions') or (), self.counter, self.max_tokens, self.refusals
        )
        return (
            Outcome(dict(captions=captions)) if captions else Outcome(status=DROPPED, reason=reason)
        )
